"""Write private files completely or not at all.

Also make empty private folders, and translate an OSError into an error that names the folder.
Private means that only the owner can read a file or folder.
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
from entrenous.base.errors import DiskFailed, DiskFull, Refused


class NotEmpty(Refused):
    """
    {path} is not a new or empty folder. Nothing was written, and what is there was not changed.
    Choose a folder that is new or empty.
    """


def ensure_empty_folder(path: Path) -> None:
    """Ensure that an empty folder exists that only its owner can read; raises NotEmpty."""
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise NotEmpty(path=path)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


_DISK_FULL_ERRNOS: Final = (errno.ENOSPC, errno.EDQUOT)


def disk_fault(why: BaseException) -> DiskFull | DiskFailed | None:
    """Return the error for the user if ``why`` says that a disk is full or failing."""
    if not isinstance(why, OSError):
        return None
    if why.errno == errno.EIO:
        return DiskFailed()
    return DiskFull() if why.errno in _DISK_FULL_ERRNOS else None


@contextmanager
def translate_folder_errors(folder: Path) -> Iterator[None]:
    """Translate OSErrors inside the block into errors that name ``folder``.

    Raises:
        DiskFull: the disk is full.
        ReadOnlyDisk: the folder's disk is read-only.
        UnusableFolder: the folder cannot be created or written to.
    """
    try:
        yield
    except OSError as why:
        if why.errno in _DISK_FULL_ERRNOS:
            raise DiskFull from None
        if why.errno == errno.EROFS:
            raise ReadOnlyDisk(path=folder) from None
        raise UnusableFolder(path=folder) from None


_NO_HARD_LINK_ERRNOS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
# the temporary names that _write_and_publish generates
_UNFINISHED_NAME_PATTERN: Final = re.compile(r"\.entrenous-[0-9a-f]{32}")
_GROUP_AND_OTHERS_BITS: Final = 0o077  # the permission bits of the group and of all others


def write_private_file(place: Path, data: bytes) -> None:
    """Durably write ``data`` to ``place``, with mode 0600.

    After a crash there is the old file or the whole new one. A link at ``place`` is replaced, not
    followed.
    """
    _write_and_publish(
        place, lambda file: file.write(data), lambda temporary_file: temporary_file.replace(place)
    )


def write_private_file_with(place: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Like :func:`write_private_file`, but ``fill`` writes the content into the open file."""
    _write_and_publish(place, fill, lambda temporary_file: temporary_file.replace(place))


def create_private_file(place: Path, data: bytes) -> None:
    """Durably write ``data`` as a new file at ``place``, with mode 0600.

    Raises:
        FileExistsError: something has that name, perhaps a dangling link; it was not changed.
    """
    _write_and_publish(
        place,
        lambda file: file.write(data),
        lambda temporary_file: _link_as_new_file(temporary_file, place),
    )


def create_private_file_unless_same(place: Path, fill: Callable[[BinaryIO], object]) -> bool:
    """Like :func:`create_private_file`, but ``fill`` writes the content into the open file.

    Returns:
        True if the file was created, False if a file with the same content was there already.

    Raises:
        FileExistsError: something else has that name. After any failure, nothing new is at
            ``place``.
    """
    added: list[os.stat_result] = []

    def publish(temporary_file: Path) -> None:
        added.append(temporary_file.stat())
        if not _link_unless_same(temporary_file, place):
            added.clear()

    try:
        _write_and_publish(place, fill, publish)
    except BaseException:
        _remove_added_file(place, added)
        raise
    return bool(added)


def remove_unfinished_files(folder: Path) -> None:
    """Durably remove the unfinished files that a killed process left in this folder.

    The caller must make sure that nobody writes there at the same time.
    """
    left = [place for place in folder.iterdir() if _UNFINISHED_NAME_PATTERN.fullmatch(place.name)]
    for place in left:
        place.unlink(missing_ok=True)
    if left:
        sync_folder(folder)


def ensure_private_file(place: Path) -> None:
    """Create ``place`` as an empty file of mode 0600, or make an existing file private.

    An existing file is changed only if this account owns it.

    An existing file is never opened, because closing it would release this process's locks on it,
    such as SQLite's. A link is followed, because its target is the file that will be written.

    Raises:
        OSError: the file cannot be created.
    """
    try:
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        make_file_private(place)


def make_file_private(place: Path) -> None:
    """Remove all permissions of the group and of others from a file that this account owns."""
    with suppress(FileNotFoundError):
        seen = place.stat()
        if seen.st_uid == os.geteuid() and seen.st_mode & _GROUP_AND_OTHERS_BITS:
            place.chmod(stat.S_IMODE(seen.st_mode) & ~_GROUP_AND_OTHERS_BITS)


def files_accessible_to_others(folder: Path) -> tuple[Path, ...]:
    """Return the files below ``folder`` that group or others may read, write or execute."""
    found = (place for place in sorted(folder.rglob("*")) if place.is_file())
    return tuple(place for place in found if _is_accessible_to_others(place))


def _is_accessible_to_others(place: Path) -> bool:
    # the file may have just been deleted, such as a database's log
    with suppress(FileNotFoundError):
        return bool(place.stat().st_mode & _GROUP_AND_OTHERS_BITS)
    return False


def sync_folder(folder: Path) -> None:
    """Make sure that a rename or a removal in this folder survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_and_publish(
    place: Path, fill: Callable[[BinaryIO], object], publish: Callable[[Path], object]
) -> None:
    """Write under an unguessable temporary name, then call ``publish``.

    Since the name is unguessable, nobody can take it in advance, even in a shared folder.
    """
    temporary_file = place.with_name(f".entrenous-{secrets.token_hex(16)}")
    try:
        try:
            _write_durably(temporary_file, fill)
            publish(temporary_file)
            sync_folder(place.parent)
        finally:
            temporary_file.unlink(missing_ok=True)
    except BaseException:  # Ctrl-C may have interrupted the removal above
        temporary_file.unlink(missing_ok=True)
        raise


def _write_durably(new_file: Path, fill: Callable[[BinaryIO], object]) -> None:
    handle = os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        fill(file)
        file.flush()
        os.fsync(file.fileno())


def _link_as_new_file(temporary_file: Path, place: Path) -> None:
    """Give the finished file its name by a hard link, which fails if the name is taken."""
    try:
        os.link(temporary_file, place)
    except OSError as why:
        if why.errno not in _NO_HARD_LINK_ERRNOS:
            raise
        _rename_as_new_file(temporary_file, place)


def _link_unless_same(temporary_file: Path, place: Path) -> bool:
    try:
        _link_as_new_file(temporary_file, place)
    except FileExistsError:
        if (
            place.is_symlink()
            or not place.is_file()
            or not cmp(temporary_file, place, shallow=False)
        ):
            raise
        return False
    return True


def _remove_added_file(place: Path, added: list[os.stat_result]) -> None:
    """Remove the file that was added, because a later step failed (a sync of the folder, Ctrl-C).

    A file with a different inode is not ours, and is not removed.
    """
    with suppress(FileNotFoundError):
        if any(os.path.samestat(one, place.lstat()) for one in added):
            place.unlink()


def _rename_as_new_file(temporary_file: Path, place: Path) -> None:
    """Add a file without hard links: reserve the name with an empty file, then replace that."""
    os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    try:
        temporary_file.replace(place)
    except OSError:
        place.unlink()  # otherwise the empty file would block the next attempt
        raise
