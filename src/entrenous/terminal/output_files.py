"""Read and write the files that a person names.

A new file appears whole or not at all and never replaces another; the files of one message or of
one item of evidence are written together or not at all.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from entrenous.base.errors import DiskFull
from entrenous.base.files import add_filled, add_private, sync_folder
from entrenous.base.picture import (
    AlreadyThere,
    NoSuchFile,
    NotAFile,
    UnreadableFile,
    UnwritableFolder,
)
from entrenous.terminal.output import DISK_FULL, hint

_OPENED: Final = (Path("/dev/fd"), Path("/proc/self/fd"))


def read_file(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        NoSuchFile: there is nothing at ``path``.
        NotAFile: it is a pipe or a device, which may never end, or never begin.
        UnreadableFile: it is a folder, or may not be read.
    """
    try:
        if not _is_readable_kind(path, path.stat().st_mode):
            raise NotAFile(path=path)
        return path.read_bytes()
    except FileNotFoundError:
        raise NoSuchFile(path=path) from None
    except OSError:
        raise UnreadableFile(path=path) from None


def _is_readable_kind(path: Path, mode: int) -> bool:
    """A folder's own refusal comes from reading it. A pipe that whoever called us has opened, as by
    ``<(...)`` in a shell, has somebody at its other end.
    """
    was_opened = str(path) == "/dev/stdin" or path.parent in _OPENED
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or (was_opened and stat.S_ISFIFO(mode))


def write_new(path: Path, data: bytes) -> None:
    """Write a file all at once, readable by its owner only; its folder is made if missing.

    A file that already holds just this is left as it is; nothing else is ever written over.

    Raises:
        AlreadyThere: something else has this name; it was left alone.
        DiskFull: there was no room; nothing was written.
        UnwritableFolder: the folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        add_private(path, data)
    except FileExistsError:
        _refuse_other_content(path, data)
    except OSError as why:
        if why.errno in DISK_FULL:
            raise DiskFull from None
        raise UnwritableFolder(path=path.parent) from None


def fill_new(path: Path, fill: Callable[[BinaryIO], object]) -> bool:
    """As :func:`write_new`, with what ``fill`` writes into the file that it is given.

    Returns:
        Whether the file is new: one that held just this was left as it is.

    Raises:
        AlreadyThere, DiskFull, UnwritableFolder; what ``fill`` raises. Then nothing was written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return add_filled(path, fill)
    except FileExistsError:
        if path.parent.is_dir():
            raise AlreadyThere(path=path) from None
        raise UnwritableFolder(path=path.parent) from None
    except OSError as why:
        if why.errno in DISK_FULL:
            raise DiskFull from None
        raise UnwritableFolder(path=path.parent) from None


def _refuse_other_content(path: Path, data: bytes) -> None:
    """Raises AlreadyThere unless the file at ``path`` is one, no link, and holds ``data``."""
    with suppress(OSError):
        if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
            return
    if path.parent.is_dir():
        raise AlreadyThere(path=path)
    raise UnwritableFolder(path=path.parent)


class FileGroup:
    """Files to be written, and those of them that this command has made.

    What opens once is over when all of it was shown. Were a part of it left behind by an opening
    that failed, it could be seen in parts, and opened again.
    """

    def __init__(self) -> None:
        self.places = list[Path]()
        self._wanted = list[tuple[Path, int, Callable[[BinaryIO], None]]]()
        self._made = list[Path]()

    def want(self, place: Path, size: int, fill: Callable[[BinaryIO], None]) -> None:
        """One more file, of so many bytes, that ``fill`` writes."""
        self._wanted.append((place, size, fill))

    def write(self) -> None:
        """Write them, once it is seen that no name is taken.

        Raises:
            AlreadyThere, DiskFull, UnwritableFolder; what the files' ``fill`` raises.
        """
        for place, size, _ in self._wanted:
            _refuse_taken(place, size)
        for place, _, fill in self._wanted:
            if fill_new(place, fill):
                self._made.append(place)
            self.places.append(place)

    @contextmanager
    def unless(self, over: Callable[[], bool]) -> Iterator[None]:
        """On any failure, a Ctrl-C among them, take away what was made, unless it is all there is
        left of the message: ``over`` says so.
        """
        try:
            yield
        except BaseException:
            if not over():
                self._take_away()
            raise

    def _take_away(self) -> None:
        """Only what this made: the others were there before."""
        for place in self._made:
            try:
                place.unlink(missing_ok=True)
            except OSError:
                hint(f"{place} was written before that, and could not be removed again.")
        for folder in {place.parent for place in self._made}:
            with suppress(OSError):
                sync_folder(folder)


def _refuse_taken(place: Path, size: int) -> None:
    """Raises AlreadyThere where something is that can not be this file from an earlier opening."""
    if os.path.lexists(place) and (
        place.is_symlink() or not place.is_file() or place.stat().st_size != size
    ):
        raise AlreadyThere(path=place)


def require_free_space(folder: Path, size: int) -> None:
    """See that ``folder`` can be made and written to, and has room for so many bytes; it is left as
    it was.

    Raises:
        UnwritableFolder, DiskFull.
    """
    new = [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    trial = folder / f".entrenous-{secrets.token_hex(16)}"  # a name that nobody can occupy
    try:
        write_new(trial, b"?")
        room = shutil.disk_usage(folder)
        if room.total and room.free < size:  # some file systems know neither
            raise DiskFull
    finally:
        with suppress(OSError):
            trial.unlink(missing_ok=True)
            for made in new:
                made.rmdir()
