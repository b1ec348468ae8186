"""TIFF says elsewhere in the file where its picture lies; look there before decoding (TIFF 6.0)."""

from typing import Any, Final

from entrenous.model.picture import CutShort, NotAPicture

_SUBFILE_TYPE: Final = 254  # section 8; bit 0: a smaller version of another picture
_DNG_VERSION: Final = 50706  # DNG 1.7, chapter 4
_PLACES: Final = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles


def check_tiff(image: Any, file_bytes: int) -> None:
    """Refuse an opened TIFF whose first picture is not all there, or is not *the* picture.

    Raises:
        NotAPicture: it is a camera's raw file, whose first picture is only its thumbnail.
        CutShort: a strip or tile reaches past the end of the file.
    """
    tags = image.tag_v2
    if _DNG_VERSION in tags or tags.get(_SUBFILE_TYPE, 0) & 1:
        raise NotAPicture
    for offsets, sizes in _PLACES:
        pairs = zip(tags.get(offsets, ()), tags.get(sizes, ()), strict=False)
        if any(at + size > file_bytes for at, size in pairs):
            raise CutShort
