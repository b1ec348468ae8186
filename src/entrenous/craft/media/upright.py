"""Which way up? The one thing that is read from Exif, and the only thing."""

import struct
from typing import Final

from PIL import Image

from entrenous.model.picture import FullSize

_ORIENTATION: Final = 0x0112  # Exif 3.0 (CIPA DC-008-2023), 4.6.5; a SHORT
_SHORT: Final = 3
_ENTRY_BYTES: Final = 12
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
AXES_SWAPPED: Final = frozenset(_TURNS[orientation] for orientation in (5, 6, 7, 8))
# What was at the left, or at the top, comes to the right, or below.
_FROM_RIGHT: Final = frozenset(_TURNS[orientation] for orientation in (2, 3, 6, 7))
_FROM_BELOW: Final = frozenset(_TURNS[orientation] for orientation in (3, 4, 7, 8))


def full_size(width_px: int, height_px: int, turn: Image.Transpose | None) -> FullSize:
    """Of a picture that was decoded smaller, and then turned."""
    wide, high = (height_px, width_px) if turn in AXES_SWAPPED else (width_px, height_px)
    return FullSize(wide, high, turn in _FROM_RIGHT, turn in _FROM_BELOW)


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """The turn that puts a loaded image upright; None when it is, or when its Exif is damaged.

    TIFF needs none: Pillow turns it while loading. HEIC and AVIF are turned as their own boxes say,
    which their decoders report (or have done) in place of what Exif says.
    """
    untrusted_exif = image.info.get("exif")
    if not isinstance(untrusted_exif, bytes):
        return None
    try:
        return _TURNS.get(_orientation(untrusted_exif.removeprefix(b"Exif\0\0")))
    except struct.error:
        return None


def _orientation(tiff: bytes) -> int:
    """The orientation in the first directory (TIFF 6.0, section 2); 1 when it says none."""
    order = "<" if tiff.startswith(b"II") else ">"
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
    for index in range(entries):
        at = directory + 2 + _ENTRY_BYTES * index
        tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, at)
        if (tag, kind, count) == (_ORIENTATION, _SHORT, 1):
            return int(value)
    return 1
