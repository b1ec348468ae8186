"""Read what a person saved from a browser: one file, or a page with the folder of its files."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from entrenous.respond.capture.saved_page import (
    complete_page_in_words,
    describe_file,
    refers_to_folder,
)
from entrenous.respond.open_case import ITEM_BYTES_MAX, TooLargeToKeep
from entrenous.terminal.media_files import read_media
from entrenous.terminal.output_files import read_file

_FILES_MAX: Final = 5000
_MB: Final = 1024 * 1024
_FIXED_TIME: Final = datetime(
    1980, 1, 1, tzinfo=UTC
)  # fixed, so that the same page always gives the same bytes


def read_saved(path: Path) -> tuple[bytes, str]:
    """Return a file's bytes, and a description of what it is. A page saved as "web page, complete"
    becomes one ZIP of the page and its files.

    Raises:
        EmptyFile, TooLargeToKeep, and the errors of :func:`.output_files.read_file`.
    """
    data = read_media(path)
    what = describe_file(data)
    folder = _folder_of(path, data) if "HTML" in what else None
    if folder is None:
        return data, what
    from entrenous.respond.capture.web_archive import stored_zip  # noqa: PLC0415 -- loads warcio

    files = dict(_files_below(folder, len(data)))
    page = stored_zip({path.name: data, **files}, _FIXED_TIME)
    return page, complete_page_in_words(len(files))


def _folder_of(path: Path, page: bytes) -> Path | None:
    """Return the folder from which a saved page loads files. The folder's name begins with the
    page's name.
    """
    beside = sorted(one for one in path.parent.glob("*") if one.is_dir() and not one.is_symlink())
    for folder in beside:
        if folder.name.startswith(path.stem) and refers_to_folder(page, folder.name):
            return folder
    return None


def _files_below(folder: Path, total_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file below a folder, in order; links are skipped."""
    files = sorted(one for one in folder.rglob("*") if one.is_file() and not one.is_symlink())
    for number, file in enumerate(files):
        data = read_file(file)
        total_bytes += len(data)
        if total_bytes > ITEM_BYTES_MAX or number >= _FILES_MAX:
            raise TooLargeToKeep(size_mb=total_bytes // _MB, limit_mb=ITEM_BYTES_MAX // _MB)
        yield file.relative_to(folder.parent).as_posix(), data
