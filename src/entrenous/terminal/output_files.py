"""Read and write the files that the user names.

A new file appears whole or not at all, and never replaces another file. The files of one message or
of one item of evidence are written together or not at all.
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
from entrenous.base.files import (
    create_private_file,
    create_private_file_unless_same,
    disk_fault,
    sync_folder,
)
from entrenous.base.language import translated
from entrenous.base.picture import (
    AlreadyThere,
    NoSuchFile,
    NotAFile,
    UnreadableFile,
    UnwritableFolder,
)
from entrenous.terminal.output import hint

_OPEN_PIPE_FOLDERS: Final = (Path("/dev/fd"), Path("/proc/self/fd"))


def read_file(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        NoSuchFile: nothing exists at ``path``.
        NotAFile: it is a pipe or a device, so reading might wait or go on forever.
        UnreadableFile: it is a folder, or it cannot be read.
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
    """Accept files, folders, and pipes that are open already, such as ``<(...)`` in a shell."""
    was_opened = str(path) == "/dev/stdin" or path.parent in _OPEN_PIPE_FOLDERS
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or (was_opened and stat.S_ISFIFO(mode))


def write_new(path: Path, data: bytes) -> None:
    """Write a file all at once, readable by its owner only, creating its folder if needed.

    A file that already has this content is left unchanged; no other file is overwritten.

    Raises:
        AlreadyThere: something else has this name; it was not changed.
        DiskFull, DiskFailed: nothing was written.
        UnwritableFolder: the folder cannot be created or written to.
    """
    with _create_folder_and_translate_errors(path):
        try:
            create_private_file(path, data)
        except FileExistsError:
            if not _is_file_with_content(path, data):
                raise


def write_new_with(path: Path, fill: Callable[[BinaryIO], object]) -> bool:
    """Write a file like :func:`write_new`, with the content that ``fill`` writes.

    Returns: whether the file is new. A file that already has this content is left as it is.

    Raises:
        AlreadyThere, DiskFull, DiskFailed, UnwritableFolder, and the errors of ``fill``: nothing
            was written.
    """
    with _create_folder_and_translate_errors(path):
        return create_private_file_unless_same(path, fill)


@contextmanager
def _create_folder_and_translate_errors(path: Path) -> Iterator[None]:
    """Create the folder of a new file, and translate errors of writing the file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except FileExistsError:
        if path.parent.is_dir():
            raise AlreadyThere(path=path) from None
        raise UnwritableFolder(path=path.parent) from None
    except OSError as why:
        if (fault := disk_fault(why)) is not None:
            raise fault from None
        raise UnwritableFolder(path=path.parent) from None


def _is_file_with_content(path: Path, data: bytes) -> bool:
    """Check whether ``path`` is a file (not a link) whose content is ``data``."""
    with suppress(OSError):
        return path.is_file() and not path.is_symlink() and path.read_bytes() == data
    return False


class FileGroup:
    """Files to be written together.

    If one of them cannot be written, :meth:`remove_on_failure` removes those already created. A
    view-once message counts as opened only when all of it has been written, so parts of it must not
    remain.
    """

    def __init__(self) -> None:
        self.places = list[Path]()
        self._queued = list[tuple[Path, int, Callable[[BinaryIO], None]]]()
        self._created = list[Path]()

    def add(self, place: Path, size: int, fill: Callable[[BinaryIO], None]) -> None:
        """Add a file of ``size`` bytes that ``fill`` writes."""
        self._queued.append((place, size, fill))

    def write(self) -> None:
        """Write the files, after checking that none of their names is taken by something else.

        Raises:
            AlreadyThere, DiskFull, DiskFailed, UnwritableFolder, and the errors of the ``fill``
                functions.
        """
        for place, size, _ in self._queued:
            _refuse_taken(place, size)
        for place, _, fill in self._queued:
            if write_new_with(place, fill):
                self._created.append(place)
            self.places.append(place)

    @contextmanager
    def remove_on_failure(self, must_files_stay: Callable[[], bool]) -> Iterator[None]:
        """If the block fails, remove the created files, unless ``must_files_stay`` returns True."""
        try:
            yield
        except BaseException:
            if not must_files_stay():
                self._remove_created()
            raise

    def _remove_created(self) -> None:
        """Remove the files that this command created, but none that existed before."""
        for place in self._created:
            try:
                place.unlink(missing_ok=True)
            except OSError:
                hint(
                    translated(
                        "{place} had already been written before the error, and could not "
                        "be removed again."
                    ).format(place=place)
                )
        for folder in {place.parent for place in self._created}:
            with suppress(OSError):
                sync_folder(folder)


def _refuse_taken(place: Path, size: int) -> None:
    """Raise AlreadyThere if the name is taken, except by a file of the same size."""
    if os.path.lexists(place) and (
        place.is_symlink() or not place.is_file() or place.stat().st_size != size
    ):
        raise AlreadyThere(path=place)


def require_free_space(folder: Path, size: int) -> None:
    """Check that ``folder`` can be created and written to, and has ``size`` bytes free.

    Nothing is changed.

    Raises:
        UnwritableFolder, DiskFull.
    """
    missing_folders = [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    trial_file = folder / f".entrenous-{secrets.token_hex(16)}"  # nobody can guess this name
    try:
        write_new(trial_file, b"?")
        usage = shutil.disk_usage(folder)
        # some file systems report neither the total nor the free size
        if usage.total and usage.free < size:
            raise DiskFull
    finally:
        with suppress(OSError):
            trial_file.unlink(missing_ok=True)
            for made in missing_folders:
                made.rmdir()
