"""The metadata in a picture file, and whether it tells where the picture was taken.

Only the structure of the containers is read; no pixel is decoded. The formats are Exif 3.0 (CIPA
DC-008), TIFF 6.0, ISO/IEC 14496-12 and 23008-12 (HEIF), W3C PNG, and RFC 9649 (WebP).
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from entrenous.base.picture import PictureFormat
from entrenous.media.file_kind import picture_format_of

_FILE_PARTS_MAX: Final = 100_000  # segments, chunks or boxes that are read in one file
_ENTRIES_MAX: Final = 4096  # entries in one TIFF directory
_TIFF_DIRECTORIES_MAX: Final = 64
_TEXT_BYTES_MAX: Final = 1 << 20  # largest size of compressed text after decompression
_ENTRY_BYTES: Final = 12
_GPS_TAG: Final = 0x8825  # tag of the offset of the GPS directory (Exif 3.0, 4.6.3)
_XMP_TAG: Final = 700  # tag of XMP in a TIFF (XMP specification, part 3)
# tags of GPSLatitude and GPSLongitude, which have three rationals each
_POSITION_TAGS: Final = (0x0002, 0x0004)
_XMP_LATITUDE_NAME: Final = b"GPSLatitude"


def has_gps_place(untrusted_data: bytes) -> bool | None:
    """Return whether the picture tells where it was taken; None if its metadata is damaged.

    Raises:
        NotAPicture: the bytes announce no supported format.
    """
    parts = _METADATA_READERS.get(picture_format_of(untrusted_data), _no_metadata)
    try:
        return any(
            _has_gps_position(part)
            if name == _EXIF_PART
            else name == _XMP_PART and _XMP_LATITUDE_NAME in part
            for name, part in parts(untrusted_data)
        )
    except (struct.error, IndexError, zlib.error):
        return None


def metadata_parts(untrusted_data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the parts of a picture's metadata: "exif", "xmp", "iptc" or "text", and the bytes.

    Raises:
        NotAPicture: the bytes announce no supported format.
        struct.error, IndexError, zlib.error: the metadata is damaged.
    """
    yield from _METADATA_READERS.get(picture_format_of(untrusted_data), _no_metadata)(
        untrusted_data
    )


@dataclass(frozen=True, slots=True)
class TiffValue:
    """The value of a TIFF entry; ``order`` is the byte order, "<" or ">" as in ``struct``."""

    raw: bytes
    order: str

    @property
    def text(self) -> str:
        """The value as text, up to the first null byte.

        If the value is an Exif comment, its character code is left out.
        """
        plain = self.raw.removeprefix(b"ASCII\0\0\0").removeprefix(b"\0" * 8)
        return plain.partition(b"\0")[0].decode("utf-8", "replace")

    @property
    def degrees(self) -> float:
        """The value, which is in degrees, minutes and seconds, as a number of degrees.

        Raises: ZeroDivisionError, struct.error: the value is damaged.
        """
        numbers: tuple[int, ...] = struct.unpack_from(f"{self.order}6I", self.raw)
        whole, minutes, seconds = (
            numbers[at] / numbers[at + 1] if at == 0 or numbers[at] else 0.0 for at in (0, 2, 4)
        )
        return whole + minutes / 60.0 + seconds / 3600.0


@dataclass(frozen=True, slots=True)
class Exif:
    """The entries of all directories of a TIFF structure; ``gps`` has those about the place."""

    values: tuple[tuple[int, TiffValue], ...]
    gps: Mapping[int, TiffValue]


def read_exif(tiff: bytes) -> Exif:
    """Read a TIFF structure; raises struct.error if it is damaged."""
    order = "<" if tiff.startswith(b"II") else ">"
    values, gps = list[tuple[int, TiffValue]](), dict[int, TiffValue]()
    for tag, value_at in _directory_entries(tiff, order):
        if tag in {_GPS_TAG, _EXIF_TAG}:
            (inner,) = struct.unpack_from(f"{order}I", tiff, value_at)
            found = [
                (one, _read_value(tiff, at, order))
                for one, at in _read_directory(tiff, inner, order)
            ]
            if tag == _GPS_TAG:
                gps.update(found)
            else:
                values += found
        else:
            values.append((tag, _read_value(tiff, value_at, order)))
    return Exif(tuple(values), gps)


def _read_value(tiff: bytes, value_at: int, order: str) -> TiffValue:
    """Return an entry's value, which is in the entry if it fits into four bytes, else elsewhere.

    See TIFF 6.0, section 2.
    """
    kind, count = struct.unpack_from(f"{order}HI", tiff, value_at - 6)
    size = min(_VALUE_BYTES_BY_TYPE.get(kind, 1) * count, _VALUE_BYTES_MAX)
    if size <= len(b"four"):
        return TiffValue(tiff[value_at : value_at + size], order)
    (offset,) = struct.unpack_from(f"{order}I", tiff, value_at)
    return TiffValue(tiff[offset : offset + size], order)


_EXIF_TAG: Final = 0x8769
_VALUE_BYTES_BY_TYPE: Final = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_VALUE_BYTES_MAX: Final = 4096
_EXIF_PART: Final = "exif"
_XMP_PART: Final = "xmp"
_Parts = Iterator[tuple[str, bytes]]


def _no_metadata(data: bytes) -> _Parts:
    del data
    yield from ()


def _has_gps_position(tiff: bytes) -> bool:
    """Return whether a TIFF structure has a GPS directory with latitude and longitude."""
    order = "<" if tiff.startswith(b"II") else ">"
    for tag, value_at in _directory_entries(tiff, order):
        if tag == _GPS_TAG:
            (gps,) = struct.unpack_from(f"{order}I", tiff, value_at)
            found = dict(_read_directory(tiff, gps, order))
            return all(_is_defined_rational(tiff, found.get(one), order) for one in _POSITION_TAGS)
    return False


def _is_defined_rational(tiff: bytes, value_at: int | None, order: str) -> bool:
    """Return whether an entry's first rational is a number; 0/0 means an unknown position."""
    if value_at is None:
        return False
    (offset,) = struct.unpack_from(f"{order}I", tiff, value_at)
    _, denominator = struct.unpack_from(f"{order}II", tiff, offset)
    return bool(denominator)


def _directory_entries(tiff: bytes, order: str) -> Iterator[tuple[int, int]]:
    """Yield tag and position of the value for all entries of the directories that form a chain.

    The directories of Exif and GPS, to which an entry points, are not in the chain.
    """
    (at,) = struct.unpack_from(f"{order}I", tiff, 4)
    for _ in range(_TIFF_DIRECTORIES_MAX):
        if not at:
            return
        yield from _read_directory(tiff, at, order)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        (at,) = struct.unpack_from(f"{order}I", tiff, at + 2 + _ENTRY_BYTES * count)


def _read_directory(tiff: bytes, at: int, order: str) -> Iterator[tuple[int, int]]:
    (count,) = struct.unpack_from(f"{order}H", tiff, at)
    for number in range(min(count, _ENTRIES_MAX)):
        entry = at + 2 + _ENTRY_BYTES * number
        (tag,) = struct.unpack_from(f"{order}H", tiff, entry)
        yield tag, entry + 8


def _tiff_metadata(data: bytes) -> _Parts:
    yield _EXIF_PART, data
    order = "<" if data.startswith(b"II") else ">"
    for tag, value_at in _directory_entries(data, order):
        if tag == _XMP_TAG:
            count, offset = struct.unpack_from(f"{order}II", data, value_at - 4)
            yield "xmp", data[offset : offset + count]


def _jpeg_metadata(data: bytes) -> _Parts:
    """Yield metadata from the segments before the first scan (ITU-T T.81, B.1).

    Exif and XMP are in APP1.
    """
    at = 2
    for _ in range(_FILE_PARTS_MAX):
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        marker, size = struct.unpack_from(">HH", data, at)
        if marker in (0xFFDA, 0xFFD9) or marker < 0xFF01:
            return
        body = data[at + 4 : at + 2 + size]
        if marker == 0xFFE1 and body.startswith(b"Exif\0\0"):
            yield _EXIF_PART, body[6:]
        elif marker == 0xFFE1 and body.startswith(b"http://ns.adobe.com/x"):
            yield "xmp", body
        elif marker == 0xFFED and body.startswith(b"Photoshop 3.0\0"):
            yield "iptc", body
        elif marker == 0xFFFE:
            yield "text", body
        at += 2 + size


def _png_metadata(data: bytes) -> _Parts:
    at = 8
    for _ in range(_FILE_PARTS_MAX):
        size, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        if name == b"IEND":
            return
        if name == b"eXIf":
            yield _EXIF_PART, body
        elif name == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0"):
            yield "xmp", _read_itxt(body)
        elif name in {b"tEXt", b"iTXt", b"zTXt"}:
            yield "text", _read_png_text(name, body)
        at += 12 + size


def _read_itxt(body: bytes) -> bytes:
    """Return the text of an iTXt chunk.

    The text comes after keyword, compression flag and method, language and translated keyword.
    """
    keyword, _, rest = body.partition(b"\0")
    del keyword
    text = rest[2:].split(b"\0", 2)[2]
    return zlib.decompressobj().decompress(text, _TEXT_BYTES_MAX) if rest[0] else text


def _read_png_text(name: bytes, body: bytes) -> bytes:
    """Return the keyword and text of a textual chunk (PNG, third edition, 11.3.3)."""
    keyword, _, rest = body.partition(b"\0")
    if name == b"iTXt":
        text = _read_itxt(body)
    else:
        packed = name == b"zTXt"
        text = zlib.decompressobj().decompress(rest[1:], _TEXT_BYTES_MAX) if packed else rest
    return keyword + b": " + text


def _webp_metadata(data: bytes) -> _Parts:
    at = 12
    for _ in range(_FILE_PARTS_MAX):
        if at + 8 > len(data):
            return
        name, size = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + size]
        if name == b"EXIF":
            yield _EXIF_PART, body.removeprefix(b"Exif\0\0")
        elif name == b"XMP ":
            yield "xmp", body
        at += 8 + size + (size & 1)


def _gif_metadata(data: bytes) -> _Parts:
    """Yield XMP, which is uncompressed in an application extension (XMP specification, part 3)."""
    start = data.find(b"XMP DataXMP")
    if start >= 0:
        yield "xmp", data[start:]


def _heif_metadata(data: bytes) -> _Parts:
    """Yield the Exif and XMP items of the file's ``meta`` box (ISO/IEC 14496-12, 8.11)."""
    meta = dict(_boxes(data, 0, len(data))).get(b"meta")
    if meta is None:
        return
    inside = dict(_boxes(data, meta[0] + 4, meta[1]))
    kinds = dict(_item_kinds(data, *inside[b"iinf"])) if b"iinf" in inside else {}
    idat = inside.get(b"idat", (0, 0))
    for item, extents in _item_extents(data, *inside[b"iloc"]) if b"iloc" in inside else ():
        body = b"".join(
            data[(start := at + (idat[0] if in_idat else 0)) : start + size]
            for in_idat, at, size in extents
        )
        if kinds.get(item) == b"Exif":
            (skipped,) = struct.unpack_from(">I", body)
            yield _EXIF_PART, body[4 + skipped :]
        elif kinds.get(item) == b"mime":
            yield "xmp", body


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Yield for each box its type, and where its content begins and ends."""
    for _ in range(_FILE_PARTS_MAX):
        if at + 8 > end:
            return
        size, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        stop = end if size == 0 else min(at + size, end)
        yield name, (at + head, stop)
        at = max(stop, at + head)


def _item_kinds(data: bytes, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the type of each item in ``iinf``; only versions 2 and 3 have types."""
    count_bytes = 2 if data[at] == 0 else 4
    for name, (inside, _) in _boxes(data, at + 4 + count_bytes, end):
        version = data[inside]
        if name != b"infe" or version not in (2, 3):
            continue
        form = ">HH4s" if version == 2 else ">IH4s"
        item, _, kind = struct.unpack_from(form, data, inside + 4)
        yield item, kind


def _item_extents(
    data: bytes, at: int, end: int
) -> Iterator[tuple[int, tuple[tuple[bool, int, int], ...]]]:
    """Yield the number of each item in ``iloc``, and its extents.

    An extent says whether it is in ``idat``, and has an offset and a length.
    """
    del end
    version, sizes = data[at], struct.unpack_from(">BB", data, at + 4)
    offset_bytes, length_bytes = sizes[0] >> 4, sizes[0] & 15
    base_bytes, index_bytes = sizes[1] >> 4, (sizes[1] & 15 if version else 0)
    walk = _ByteReader(data, at + 6)
    for _ in range(min(walk.read_number(4 if version == 2 else 2), _FILE_PARTS_MAX)):
        item = walk.read_number(4 if version == 2 else 2)
        in_idat = bool(version and walk.read_number(2) & 15 == 1)
        walk.read_number(2)
        base = walk.read_number(base_bytes)
        found = []
        for _ in range(min(walk.read_number(2), _ENTRIES_MAX)):
            walk.read_number(index_bytes)
            offset = base + walk.read_number(offset_bytes)
            found.append((in_idat, offset, walk.read_number(length_bytes)))
        yield item, tuple(found)


class _ByteReader:
    """Reads numbers of 0 to 8 bytes, one after another."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def read_number(self, size: int) -> int:
        found = self._data[self._at : self._at + size]
        if len(found) < size:
            raise IndexError("the data ends here")
        self._at += size
        return int.from_bytes(found, "big")


_METADATA_READERS: Final[Mapping[PictureFormat, Callable[[bytes], _Parts]]] = {
    PictureFormat.JPEG: _jpeg_metadata,
    PictureFormat.PNG: _png_metadata,
    PictureFormat.WEBP: _webp_metadata,
    PictureFormat.GIF: _gif_metadata,
    PictureFormat.TIFF: _tiff_metadata,
    PictureFormat.HEIC: _heif_metadata,
    PictureFormat.AVIF: _heif_metadata,
}
