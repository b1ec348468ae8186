"""Files that only their owner can read, written whole or not at all; and empty folders.

An OSError of a folder becomes an error that names the folder.
"""

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from filecmp import cmp
from pathlib import Path
from typing import BinaryIO, Final

from entrenous.base.environment import ReadOnlyDisk, UnusableFolder
from entrenous.base.errors import DiskFull, Refused


class NotEmpty(Refused):
    """
    There is something in {path} already, so nothing was written: what is there stays as it was.
    Name a folder that is new or empty.
    """


def empty_folder(path: Path) -> None:
    """See to it that an empty folder is there, its owner's alone; raises NotEmpty."""
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise NotEmpty(path=path)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def folder_errors(folder: Path) -> Iterator[None]:
    """While something in ``folder`` is opened: what the system refuses, in our words.

    Raises:
        DiskFull: there is no room.
        ReadOnlyDisk: its disk takes no changes.
        UnusableFolder: it cannot be made, or not be written to.
    """
    try:
        yield
    except OSError as why:
        if why.errno in _FULL:
            raise DiskFull from None
        if why.errno == errno.EROFS:
            raise ReadOnlyDisk(path=folder) from None
        raise UnusableFolder(path=folder) from None


_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_UNFINISHED: Final = re.compile(r"\.entrenous-[0-9a-f]{32}")  # as _write names them
_OTHERS: Final = 0o077  # what group and others may do


def write_private(place: Path, data: bytes) -> None:
    """Write ``data`` to ``place``, mode 0600; when this returns it is durable.

    A crash leaves the old file or the new one, never half of it. A link at ``place`` is replaced,
    not followed.
    """
    _write(place, lambda file: file.write(data), lambda fresh: fresh.replace(place))


def fill_private(place: Path, fill: Callable[[BinaryIO], object]) -> None:
    """As :func:`write_private`, with what ``fill`` writes into the file that it is given."""
    _write(place, fill, lambda fresh: fresh.replace(place))


def add_private(place: Path, data: bytes) -> None:
    """Write ``data`` as a new file at ``place``, mode 0600; when this returns it is durable.

    Raises:
        FileExistsError: something is there, a link that leads nowhere included; it stays.
    """
    _write(place, lambda file: file.write(data), lambda fresh: _add(fresh, place))


def add_filled(place: Path, fill: Callable[[BinaryIO], object]) -> bool:
    """As :func:`add_private`, with what ``fill`` writes into the file that it is given.

    Returns:
        Whether this made the file; a file that holds just the same already is left as it is.

    Raises:
        FileExistsError: something else is there. After any failure nothing of this is at ``place``.
    """
    added: list[os.stat_result] = []

    def publish(fresh: Path) -> None:
        added.append(fresh.stat())
        if not _add_unless_same(fresh, place):
            added.clear()

    try:
        _write(place, fill, publish)
    except BaseException:
        _take_away(place, added)
        raise
    return bool(added)


def sweep_unfinished(folder: Path) -> None:
    """Remove, durably, what a kill has left in this folder of files that were being written.

    Only for who keeps everybody else from writing there meanwhile.
    """
    left = [place for place in folder.iterdir() if _UNFINISHED.fullmatch(place.name)]
    for place in left:
        place.unlink(missing_ok=True)
    if left:
        sync_folder(folder)


def keep_private(place: Path) -> None:
    """Make ``place`` an empty file, mode 0600; one that is there, and is this account's, stays, and
    loses whatever others may do with it.

    It is never opened when it is there: closing it would take this process's locks off it, and
    SQLite has some. A link is followed, for what it leads to is what will be written.

    Raises:
        OSError: it cannot be made.
    """
    try:
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        make_private(place)


def make_private(place: Path) -> None:
    """Take from group and others whatever they may do with a file of this account's."""
    with suppress(FileNotFoundError):
        seen = place.stat()
        if seen.st_uid == os.geteuid() and seen.st_mode & _OTHERS:
            place.chmod(stat.S_IMODE(seen.st_mode) & ~_OTHERS)


def open_to_others(folder: Path) -> tuple[Path, ...]:
    """The files below ``folder`` with which group or others may do something."""
    found = (place for place in sorted(folder.rglob("*")) if place.is_file())
    return tuple(place for place in found if _is_open(place))


def _is_open(place: Path) -> bool:
    with suppress(FileNotFoundError):  # a log that went away meanwhile
        return bool(place.stat().st_mode & _OTHERS)
    return False


def sync_folder(folder: Path) -> None:
    """Make a rename or a removal in this folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(
    place: Path, fill: Callable[[BinaryIO], object], publish: Callable[[Path], object]
) -> None:
    """First under a name that nobody can guess and occupy, also in a folder that others share."""
    fresh = place.with_name(f".entrenous-{secrets.token_hex(16)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        publish(fresh)
        sync_folder(place.parent)
    finally:
        fresh.unlink(missing_ok=True)


def _add(fresh: Path, place: Path) -> None:
    """Give it its name only if nothing has that name: a second link does so in one step."""
    try:
        os.link(fresh, place)
    except OSError as why:
        if why.errno not in _NO_LINKS:
            raise
        _add_without_links(fresh, place)


def _add_unless_same(fresh: Path, place: Path) -> bool:
    """Whether it was added."""
    try:
        _add(fresh, place)
    except FileExistsError:
        if place.is_symlink() or not place.is_file() or not cmp(fresh, place, shallow=False):
            raise
        return False
    return True


def _take_away(place: Path, added: list[os.stat_result]) -> None:
    """What has its name although a later step failed, as the folder's fsync or a Ctrl-C, and only
    that: whatever else is there has another inode.
    """
    with suppress(FileNotFoundError):
        if any(os.path.samestat(one, place.lstat()) for one in added):
            place.unlink()


def _add_without_links(fresh: Path, place: Path) -> None:
    """On a memory card without second links: take the name first, then put the file there."""
    os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    try:
        fresh.replace(place)
    except OSError:
        place.unlink()  # empty, and in the way of the next try
        raise
