"""Find pictures in a folder whose metadata says where they were taken. The folder is only read."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from entrenous.base.errors import NotFound
from entrenous.base.picture import NotAPicture
from entrenous.learn.files_below import files_below
from entrenous.media.file_kind import picture_format_of
from entrenous.media.picture_place import has_gps_place

EXAMINED_FILES_MAX: Final = 20_000
PICTURE_BYTES_MAX: Final = 64 << 20  # larger picture files are counted as unread
_HEAD_BYTES: Final = 512


class NoSuchFolder(NotFound):
    """
    There is no folder at {path}, or this account is not allowed to open it. Nothing was read. Check
    the name, and try again.
    """


@dataclass(frozen=True, slots=True)
class PicturesFound:
    """The result for a folder. ``read`` is the number of pictures that were read; ``with_place``
    names those whose metadata says where they were taken.

    ``unread`` counts pictures that were too large, damaged or not accessible, and folders that
    could not be listed. ``whole`` is False if there were more than EXAMINED_FILES_MAX files, so
    that some were left out.
    """

    folder: str
    read: int
    with_place: tuple[str, ...]
    unread: int
    whole: bool


def find_pictures_with_place(folder: Path) -> PicturesFound:
    """Find pictures with a place in and below a folder; links are not followed. Raises
    NoSuchFolder.
    """
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        raise NoSuchFolder(path=folder)
    read, unread, seen, named, unlisted = 0, 0, 0, list[str](), list[Path]()
    for seen, file in enumerate(files_below(folder, unlisted), 1):
        if seen > EXAMINED_FILES_MAX:
            break
        finding = _classify_by_place(file)
        read += finding is not None
        unread += finding is None
        if finding == _HAS_PLACE:
            named.append(str(file.relative_to(folder)))
        read -= finding == _NOT_A_PICTURE
    unread += len(unlisted)
    return PicturesFound(str(folder), read, tuple(named), unread, whole=seen <= EXAMINED_FILES_MAX)


_HAS_PLACE: Final = "place"
_NO_PLACE: Final = "no place"
_NOT_A_PICTURE: Final = "no picture"


def _classify_by_place(file: Path) -> str | None:
    """Return whether a file is a picture, and whether its metadata names a place; None for a
    picture that cannot be read completely.
    """
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD_BYTES)
            picture_format_of(head)
            if os.fstat(opened.fileno()).st_size > PICTURE_BYTES_MAX:
                return None
            has_place_ = has_gps_place(head + opened.read())
    except NotAPicture:
        return _NOT_A_PICTURE
    except OSError:
        return None
    return {True: _HAS_PLACE, False: _NO_PLACE, None: None}[has_place_]
