"""Whether a picture moves, told along its own structure: nothing is decoded.

A copy is made of the first picture alone (docs/spec/pictures.md, section 3); whoever sends one that
moves is to know that. What is damaged or in doubt counts as still: its decoder will say the rest.
"""

import struct
from collections.abc import Callable
from typing import Final

from entrenous.craft.media.kind import kind_of
from entrenous.model.picture import NotAPicture, PictureFormat

_PNG_CHUNK: Final = struct.Struct(">I4s")
_WEBP_CHUNK: Final = struct.Struct("<4sI")
_ANIMATED: Final = 0x02  # among the flags of VP8X
_SEQUENCES: Final = frozenset({b"avis", b"hevc", b"hevx", b"msf1"})


def moves(untrusted_data: bytes) -> bool:
    """Whether a GIF, PNG or WebP holds more than one picture, or an AVIF or HEIC is a sequence."""
    try:
        look = _LOOKS.get(kind_of(untrusted_data))
    except NotAPicture:
        return False
    return look is not None and look(untrusted_data)


def _gif(data: bytes) -> bool:
    """GIF89a, sections 17 to 25: extensions and images, each in blocks of up to 255 bytes."""
    at, pictures = 13 + _table_bytes(data, 10), 0
    while at < len(data) and data[at] in b",!":
        if data[at : at + 1] == b",":
            pictures += 1
            if pictures > 1:
                return True
            at += 11 + _table_bytes(data, at + 9)  # its place, its colours, the size of its codes
        else:
            at += 2
        at = _after_blocks(data, at)
    return False


def _table_bytes(data: bytes, at: int) -> int:
    """Size of the table of colours that the flags at this place announce."""
    flags = data[at] if at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _png(data: bytes) -> bool:
    """PNG (third edition), 11.3.6.1: how many there are stands before the first of them."""
    at = 8
    while at + 12 <= len(data):
        size, name = _PNG_CHUNK.unpack_from(data, at)
        if name == b"acTL":
            return int.from_bytes(data[at + 8 : at + 12], "big") > 1
        if name == b"IDAT":
            return False
        at += 12 + size
    return False


def _webp(data: bytes) -> bool:
    """RFC 9649, 2.7: a flag in VP8X, and a chunk for each picture."""
    if data[12:16] != b"VP8X" or not data[20:21] or not data[20] & _ANIMATED:
        return False
    at, pictures = 12, 0
    while at + 8 <= len(data) and pictures < 2:
        name, size = _WEBP_CHUNK.unpack_from(data, at)
        pictures += name == b"ANMF"
        at += 8 + size + (size & 1)
    return pictures > 1


def _sequence(data: bytes) -> bool:
    """ISO/IEC 23008-12: a file that is a sequence in the first place says so by its major brand."""
    return data[8:12] in _SEQUENCES


_LOOKS: Final[dict[PictureFormat, Callable[[bytes], bool]]] = {
    PictureFormat.GIF: _gif,
    PictureFormat.PNG: _png,
    PictureFormat.WEBP: _webp,
    PictureFormat.AVIF: _sequence,
    PictureFormat.HEIC: _sequence,
}
