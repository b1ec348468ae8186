"""Is the file all there? Walked along its own lengths and markers, before any decoder sees it.

A decoder fills in what is missing with grey, and says so at most in a warning. Half a picture
must be neither sent, nor traced, nor judged: so each container is walked to its own end here. What
comes after that end (a trailer, the rest of an older file) is nobody's business: no copy has it.
"""

import struct
import zlib
from collections.abc import Callable
from typing import Final, Literal

from entrenous.model.picture import CutShort, DecoderGaveUp, PictureFormat

# What stands at the top of a HEIC or AVIF file (ISO/IEC 23008-12, 14496-12); else the file is over.
_BOXES: Final = frozenset(b"ftyp meta mdat moov moof mfra sidx free skip wide uuid".split())
_PNG_CHUNK: Final = struct.Struct(">I4s")
_WEBP_CHUNK: Final = struct.Struct("<4sI")


def check_whole(kind: PictureFormat, untrusted_data: bytes) -> None:
    """Refuse a file that ends before its own structure does.

    GIF and BMP are left to their decoders, which do notice missing data; the rest of TIFF is
    checked in :mod:`.tiff`, and JPEG as it is loaded, in :mod:`.jpeg`.

    Raises:
        CutShort: a marker, chunk or box is missing or reaches past the end.
        DecoderGaveUp: the structure contradicts itself, or a PNG checksum does not hold.
    """
    walk = _WALKS.get(kind)
    if walk is not None:
        walk(untrusted_data)


def _walk_png(data: bytes) -> None:
    """W3C PNG (third edition), 5.3: length, type, data, CRC; the last chunk is IEND."""
    view, at = memoryview(data), 8
    while at + 12 <= len(data):
        size, name = _PNG_CHUNK.unpack_from(data, at)
        end = at + 12 + size
        if end > len(data):
            raise CutShort
        # Critical chunks (an upper-case first letter) must be sound; others are thrown away anyway.
        crc = int.from_bytes(view[end - 4 : end], "big")
        if not name[0] & 0x20 and zlib.crc32(view[at + 4 : end - 4]) != crc:
            raise DecoderGaveUp
        if name == b"IEND":
            return
        at = end
    raise CutShort


def _walk_webp(data: bytes) -> None:
    """RFC 9649, 2.4: the RIFF header tells the file's length, and each chunk its own."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise CutShort
    at = 12
    while at + 8 <= end:
        _, size = _WEBP_CHUNK.unpack_from(data, at)
        at += 8 + size
        if at > end:
            raise DecoderGaveUp
        at += size & 1


def _walk_boxes(data: bytes) -> None:
    """ISO/IEC 14496-12, 4.2: box after box; size 1 means 64 bits, size 0 runs to the end."""
    at = 0
    while at + 8 <= len(data) and data[at + 4 : at + 8] in _BOXES:
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0:
            return
        if size < 8:
            raise DecoderGaveUp
        at += size
    if at > len(data):
        raise CutShort


def _walk_tiff(data: bytes) -> None:
    """TIFF 6.0, section 2: the header tells where the first directory lies, often at the end."""
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    at = int.from_bytes(data[4:8], order)
    entries = int.from_bytes(data[at : at + 2], order)
    if at + 2 + 12 * entries > len(data):
        raise CutShort


_WALKS: Final[dict[PictureFormat, Callable[[bytes], object]]] = {
    PictureFormat.PNG: _walk_png,
    PictureFormat.WEBP: _walk_webp,
    PictureFormat.HEIC: _walk_boxes,
    PictureFormat.AVIF: _walk_boxes,
    PictureFormat.TIFF: _walk_tiff,
}
