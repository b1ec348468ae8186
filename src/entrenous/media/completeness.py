"""Check that a picture or clip is complete.

The lengths and markers in the file are checked before decoding. A JPEG is also checked while it is
decoded, so that a truncated JPEG is found even if an end marker was appended to it.
"""

import contextlib
import io
import re
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from entrenous.base.audio_video import DamagedClip, IncompleteClip, NoVideoFound
from entrenous.base.errors import EntrenousError
from entrenous.base.picture import (
    IncompletePicture,
    NotAPicture,
    PictureDecodingFailed,
    PictureFormat,
)

# Top-level boxes of HEIC and AVIF (ISO/IEC 23008-12, 14496-12). A box with any other name counts as
# the end of the file.
_PICTURE_BOXES: Final = frozenset(b"ftyp meta mdat moov moof mfra sidx free skip wide uuid".split())
_PNG_CHUNK: Final = struct.Struct(">I4s")
_WEBP_CHUNK: Final = struct.Struct("<4sI")


def require_complete_file(kind: PictureFormat, untrusted_data: bytes) -> None:
    """Refuse a file that ends before its structure does.

    GIF and BMP are left to their decoders, which notice missing data. The rest of a TIFF is checked
    by :func:`require_complete_tiff`, and a JPEG while it is loaded, by :func:`load_complete_jpeg`.

    Raises:
        IncompletePicture: a marker, chunk or box is missing or reaches past the end.
        PictureDecodingFailed: the structure contradicts itself, or a PNG checksum is wrong.
    """
    walk = _STRUCTURE_CHECKS.get(kind)
    if walk is not None:
        walk(untrusted_data)


def _check_png(data: bytes) -> None:
    """Check a PNG's chunks: length, type, data, CRC, and that IEND is the last one.

    See W3C PNG, third edition, 5.3.
    """
    view, at = memoryview(data), 8
    while at + 12 <= len(data):
        size, name = _PNG_CHUNK.unpack_from(data, at)
        end = at + 12 + size
        if end > len(data):
            raise IncompletePicture
        # Critical chunks (with an upper-case first letter) must be valid. Others are not copied
        # anyway.
        crc = int.from_bytes(view[end - 4 : end], "big")
        if not name[0] & 0x20 and zlib.crc32(view[at + 4 : end - 4]) != crc:
            raise PictureDecodingFailed
        if name == b"IEND":
            return
        at = end
    raise IncompletePicture


def _check_webp(data: bytes) -> None:
    """Check a WebP's lengths: the file's in the RIFF header, and each chunk's (RFC 9649, 2.4)."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise IncompletePicture
    at = 12
    while at + 8 <= end:
        _, size = _WEBP_CHUNK.unpack_from(data, at)
        at += 8 + size
        if at > end:
            raise PictureDecodingFailed
        at += size & 1


def _check_picture_boxes(data: bytes) -> None:
    end, _ = _scan_boxes(data, _PICTURE_BOXES, PictureDecodingFailed)
    if end > len(data):
        raise IncompletePicture


def _scan_boxes(
    data: bytes, names: frozenset[bytes], broken: type[EntrenousError]
) -> tuple[int, set[bytes]]:
    """Return the end of the last box, and the names of all boxes (ISO/IEC 14496-12, 4.2).

    Size 1 means that a 64-bit size follows; size 0 means that the box extends to the end of the
    file.
    """
    at, seen = 0, set[bytes]()
    while at + 8 <= len(data) and data[at + 4 : at + 8] in names:
        seen.add(data[at + 4 : at + 8])
        size = _box_size(data, at)
        if size == 0:
            return len(data), seen
        if size < 8:
            raise broken
        at += size
    return at, seen


def _check_tiff(data: bytes) -> None:
    """Check that the first directory is complete (TIFF 6.0, section 2).

    The directory is often at the end of the file; the header contains its position.
    """
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    at = int.from_bytes(data[4:8], order)
    entries = int.from_bytes(data[at : at + 2], order)
    if at + 2 + 12 * entries > len(data):
        raise IncompletePicture


_STRUCTURE_CHECKS: Final[dict[PictureFormat, Callable[[bytes], object]]] = {
    PictureFormat.PNG: _check_png,
    PictureFormat.WEBP: _check_webp,
    PictureFormat.HEIC: _check_picture_boxes,
    PictureFormat.AVIF: _check_picture_boxes,
    PictureFormat.TIFF: _check_tiff,
}
_SUBFILE_TYPE: Final = 254  # TIFF 6.0, section 8; bit 0 means a reduced version of another picture
_BITS_PER_SAMPLE: Final = 258
_PHOTOMETRIC: Final = 262
_BLACK_IS_ZERO: Final = 1
_DNG_VERSION: Final = 50706  # DNG 1.7, chapter 4
# tags of the offsets and byte counts: of strips, then of tiles
_OFFSET_AND_COUNT_TAGS: Final = ((273, 279), (324, 325))


def require_complete_tiff(image: Any, file_bytes: int) -> None:
    """Refuse an opened TIFF if its first picture is incomplete, misread or only a thumbnail.

    Raises:
        NotAPicture: the file is a camera's raw file, whose first picture is a thumbnail; or Pillow
            would read grey of 12 bits as nearly black, or grey with white as zero as a negative.
        IncompletePicture: a strip or tile reaches past the end of the file.
    """
    tags = image.tag_v2
    if _DNG_VERSION in tags or tags.get(_SUBFILE_TYPE, 0) & 1:
        raise NotAPicture
    if image.mode.startswith("I;16") and not _is_plain_16_bit_grey(tags):
        raise NotAPicture
    for offsets, sizes in _OFFSET_AND_COUNT_TAGS:
        pairs = zip(tags.get(offsets, ()), tags.get(sizes, ()), strict=False)
        if any(at + size > file_bytes for at, size in pairs):
            raise IncompletePicture


def _is_plain_16_bit_grey(tags: Mapping[int, Any]) -> bool:
    return tags.get(_BITS_PER_SAMPLE) == (16,) and tags.get(_PHOTOMETRIC) == _BLACK_IS_ZERO


# Markers that have a length or end the picture (ITU-T T.81, B.1.1). FF 00 is data, FF FF is fill,
# and TEM, RST0..RST7 and SOI have no length.
_MARKER_PATTERN: Final = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_EOI: Final = 0xD9
_SOS: Final = 0xDA
_SEQUENTIAL_MARKERS: Final = frozenset({0xC0, 0xC1})
_HUFFMAN_MARKERS: Final = frozenset({0xC0, 0xC1, 0xC2})
_FRAME_MARKERS: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_CORNER_PX: Final = 8
_TEST_COLOURS: Final[dict[str, int | tuple[int, ...]]] = {
    "L": 1,
    "RGB": (1, 254, 3),
}  # other colour spaces are rare
_READ_AHEAD_PADDING: Final = bytes(8)  # more than the 57 bits that libjpeg reads ahead
_INVALID_CODE: Final = 8 * b"\xff\0"  # 64 bits of data that no Huffman table can decode
_NEEDLESS_DATA: Final = b"unless blocks are missing, libjpeg ignores these bytes"
_RESTART_PATTERN: Final = re.compile(rb"\xff[\xd0-\xd7]")


@dataclass(frozen=True, slots=True)
class JpegOutline:
    """A JPEG's frame and scans (ITU-T T.81, B.2.2 and B.2.3).

    ``frame`` is the frame's marker, or 0. ``components`` are the announced component numbers, and
    ``sharp`` are the numbers of the components whose mean values (DC) have full precision.
    ``scans`` is the number of scans. ``end`` is the position of the end marker.
    """

    frame: int
    components: frozenset[int]
    sharp: frozenset[int]
    scans: int
    end: int


def complete_jpeg_outline_of(untrusted_data: bytes) -> JpegOutline:
    """Return the outline of a JPEG, which must have an end marker and all scans that it needs.

    Raises:
        IncompletePicture: the file, a segment or a component's scan is incomplete.
        PictureDecodingFailed: a segment is shorter than its own length field.
    """
    outline = jpeg_outline_of(untrusted_data)
    if not outline.components <= outline.sharp:
        raise IncompletePicture
    return outline


def jpeg_outline_of(untrusted_data: bytes) -> JpegOutline:
    """Follow the markers to the first end marker, skipping thumbnails inside segments.

    Raises:
        IncompletePicture, PictureDecodingFailed: as :func:`complete_jpeg_outline_of`.
    """
    at, frame, scans = 2, 0, 0
    components, sharp = frozenset[int](), frozenset[int]()
    while True:
        found = _MARKER_PATTERN.search(untrusted_data, at)
        if found is None:
            raise IncompletePicture
        marker, at = untrusted_data[found.start() + 1], found.end()
        if marker == _EOI:
            return JpegOutline(frame, components, sharp, scans, found.start())
        segment = _read_segment(untrusted_data, at)
        if marker in _FRAME_MARKERS:
            frame, components = marker, frozenset(segment[8::3])
        elif marker == _SOS:
            scans, sharp = scans + 1, sharp | _components_with_full_precision(segment)
        at += len(segment)


def load_complete_jpeg(untrusted_data: bytes, open_jpeg: Callable[[Any], Any]) -> Any:
    """Load a JPEG, and refuse it if its data ends before its last pixel.

    ``open_jpeg`` opens the file as Pillow's ``JpegImageFile``. The last pixel is checked if there
    is one sequential scan, which nearly all cameras write. Otherwise the scans with mean values are
    checked; in a progressive file, data missing in later scans only reduces sharpness.

    Raises:
        IncompletePicture: the data ends before the picture does.
        PictureDecodingFailed: as :func:`complete_jpeg_outline_of`.
    """
    outline = complete_jpeg_outline_of(untrusted_data)
    if outline.scans != 1 or outline.frame not in _SEQUENTIAL_MARKERS:
        if outline.frame in _HUFFMAN_MARKERS:
            _require_every_block(untrusted_data, open_jpeg)
        return _load_jpeg(untrusted_data, open_jpeg)
    without_end = b"".join((memoryview(untrusted_data)[: outline.end], _READ_AHEAD_PADDING))
    partial = open_jpeg(io.BytesIO(without_end))
    if partial.mode in _TEST_COLOURS and _was_last_pixel_decoded(
        partial, _TEST_COLOURS[partial.mode]
    ):
        partial.tile = []  # all scans that are needed are loaded
        return partial
    image = _load_jpeg(untrusted_data, open_jpeg)
    if _has_flat_corner(image):
        colour = _different_colour(image.getpixel((image.width - 1, image.height - 1)))
        if not _was_last_pixel_decoded(open_jpeg(io.BytesIO(without_end)), colour):
            raise IncompletePicture
    return image


def _require_every_block(untrusted_data: bytes, open_jpeg: Callable[[Any], Any]) -> None:
    """Refuse a JPEG if its data ends before the last block in the first scan of a component's DC.

    libjpeg ignores data after the last block of a scan. So if such data changes the picture, a
    block is missing. Decoding at an eighth of the size needs only the DC values.

    Raises: IncompletePicture.
    """

    def coarse_pixels(*, data_added: bool) -> bytes:
        scans = _with_first_dc_scans_only(untrusted_data, data_added=data_added)
        image = open_jpeg(io.BytesIO(scans))
        image.draft(None, (1, 1))  # does nothing if the size is already reduced
        image.load()
        pixels: bytes = image.tobytes()
        return pixels

    present = coarse_pixels(data_added=False)
    with contextlib.suppress(OSError):  # libjpeg may find that the added data is no picture
        if coarse_pixels(data_added=True) == present:
            return
    raise IncompletePicture


def _with_first_dc_scans_only(data: bytes, *, data_added: bool) -> bytes:
    """Return a complete JPEG without its other scans; ``data_added`` lengthens each scan."""
    parts, at, is_kept, is_scan = [data[:2]], 2, True, False
    while True:
        found = _MARKER_PATTERN.search(data, at)
        if found is None:
            raise IncompletePicture
        before_marker = data[at : found.start()]
        if is_kept:
            parts.append(before_marker)
        if is_kept and is_scan and data_added:
            parts.append(_needless_data_after(before_marker))
        marker, at = data[found.start() + 1], found.end()
        if marker == _EOI:
            return b"".join((*parts, found.group()))
        segment = _read_segment(data, at)
        at += len(segment)
        is_scan = marker == _SOS
        is_kept = not is_scan or _is_first_dc_scan(segment)
        if is_kept:
            parts.append(data[found.start() : at])


def _needless_data_after(scan: bytes) -> bytes:
    """Return data for blocks that are missing at the end, before or after a restart marker."""
    number = len(_RESTART_PATTERN.findall(scan)) % 8
    return _NEEDLESS_DATA + bytes((0xFF, 0xD0 + number)) + _NEEDLESS_DATA


def _is_first_dc_scan(scan: bytes) -> bool:
    """Return whether a scan begins the DC values of its components: Ss = Ah = 0 (B.2.3)."""
    return scan[-3:-2] == b"\0" and not scan[-1] >> 4


def has_no_data_after_jpeg_scan(untrusted_data: bytes, open_jpeg: Callable[[Any], Any]) -> bool:
    """Return whether a baseline JPEG has no detectable bytes between its data and its end marker.

    The file must end with its end marker. Up to 8 extra bytes are not detected, because libjpeg
    reads ahead that far.
    """
    image = _load_jpeg(untrusted_data, open_jpeg)
    colour = _different_colour(image.getpixel((image.width - 1, image.height - 1)))
    without_end = untrusted_data[:-2]
    if not _was_last_pixel_decoded(open_jpeg(io.BytesIO(without_end + _INVALID_CODE)), colour):
        return False
    try:
        shorter = open_jpeg(io.BytesIO(without_end[: -len(_READ_AHEAD_PADDING)]))
    except (OSError, SyntaxError):  # the scan has no more bytes than are removed here
        return True
    return not _was_last_pixel_decoded(shorter, colour)


def _load_jpeg(untrusted_data: bytes, open_jpeg: Callable[[Any], Any]) -> Any:
    image = open_jpeg(io.BytesIO(untrusted_data))
    image.load()
    return image


def _was_last_pixel_decoded(partial: Any, colour: int | tuple[int, ...]) -> bool:
    """Fill the picture with this colour, then load a JPEG that lacks its end marker.

    Returns: whether loading changed the last pixel.
    """
    partial.load_prepare()
    partial.im.paste(colour, (0, 0, *partial.size))
    with contextlib.suppress(OSError):  # this is expected, because there is no end marker
        partial.load()
    reached: bool = partial.im.getpixel((partial.width - 1, partial.height - 1)) != colour
    return reached


def _read_segment(data: bytes, at: int) -> bytes:
    """Return a segment, beginning with its length field."""
    size = int.from_bytes(data[at : at + 2], "big")
    if at + max(size, 2) > len(data):
        raise IncompletePicture
    if size < 2:
        raise PictureDecodingFailed
    return data[at : at + size]


def _components_with_full_precision(scan: bytes) -> frozenset[int]:
    """Return the components whose DC values get their last bit in a scan: Ss = Al = 0 (B.2.3)."""
    first, lowest_bit = scan[-3:-2], scan[-1:]
    if first != b"\0" or not lowest_bit or lowest_bit[0] & 0x0F:
        return frozenset()
    return frozenset(scan[3:-3:2])


def _has_flat_corner(image: Any) -> bool:
    width, height = image.size
    corner = image.crop((max(0, width - _CORNER_PX), height - 1, width, height))
    return len(corner.getcolors()) == 1


def _different_colour(pixel: int | tuple[int, ...]) -> int | tuple[int, ...]:
    if isinstance(pixel, int):
        return pixel ^ 0x80
    return tuple(number ^ 0x80 for number in pixel)


# top-level boxes of ISO/IEC 14496-12 and the QuickTime File Format
_CLIP_BOXES: Final = frozenset(
    b"ftyp moov mdat moof mfra sidx ssix styp free skip wide uuid meta pnot udta prft emsg".split()
)
_EBML_ID: Final = b"\x1aE\xdf\xa3"
_SEGMENT_ID: Final = b"\x18S\x80g"


def clip_container_of(untrusted_data: bytes) -> str:
    """Return the name of the only FFmpeg demuxer that may open this file.

    Raises:
        NoVideoFound: the file does not begin like any supported container.
        IncompleteClip: the file's structure extends past its end, or its ``moov`` box is missing.
        DamagedClip: the file's structure contradicts itself.
    """
    if untrusted_data.startswith(_EBML_ID):
        _check_ebml_elements(untrusted_data)
        return "matroska"
    if untrusted_data[:4] == b"RIFF" and untrusted_data[8:12] == b"AVI ":
        if 8 + int.from_bytes(untrusted_data[4:8], "little") > len(untrusted_data) + 1:
            raise IncompleteClip
        return "avi"
    if untrusted_data[4:8] in _CLIP_BOXES:
        _check_clip_boxes(untrusted_data)
        return "mov"
    raise NoVideoFound


def without_mp4_user_data(data: bytes) -> bytes:
    """Remove the ``udta`` box from our own MP4, since muxers write it even if it is empty.

    This is done only if ``moov`` comes last, because then no other position in the file changes.
    """
    at = _find_box(data, b"moov", 0)
    if at < 0 or at + _box_size(data, at) != len(data):
        return data
    place = _find_box(data, b"udta", at + 8)
    if place < 0:
        return data
    size = _box_size(data, place)
    moov = (len(data) - at - size).to_bytes(4, "big")
    return data[:at] + moov + data[at + 4 : place] + data[place + size :]


def _find_box(data: bytes, name: bytes, at: int) -> int:
    """Return the position of the first box with that name from ``at`` on, or -1."""
    while at + 8 <= len(data) and (size := _box_size(data, at)) >= 8:
        if data[at + 4 : at + 8] == name:
            return at
        at += size
    return -1


def _box_size(data: bytes, at: int) -> int:
    size = int.from_bytes(data[at : at + 4], "big")
    return int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size


def _check_clip_boxes(data: bytes) -> None:
    end, seen = _scan_boxes(data, _CLIP_BOXES, DamagedClip)
    if end > len(data) or b"moov" not in seen:
        raise IncompleteClip


def _check_ebml_elements(data: bytes) -> None:
    """Check an EBML header and the segment after it (RFC 8794).

    The length of the segment may be unknown, which is written as all ones.
    """
    size, start = _read_ebml_size(data, 4)
    at = start + size
    if data[at : at + 4] != _SEGMENT_ID:
        raise IncompleteClip if at + 4 > len(data) else NoVideoFound
    octets = 9 - data[at + 4].bit_length() if at + 4 < len(data) else 9
    size, start = _read_ebml_size(data, at + 4)
    unknown = size == (1 << (7 * octets)) - 1
    if not unknown and start + size > len(data):
        raise IncompleteClip


def _read_ebml_size(data: bytes, at: int) -> tuple[int, int]:
    """Return a variable-size integer (RFC 8794, 4) and the position after it."""
    if at >= len(data):
        raise IncompleteClip
    octets = 9 - data[at].bit_length()
    if octets > 8:
        raise DamagedClip
    raw = int.from_bytes(data[at : at + octets], "big")
    return raw & ((1 << (7 * octets)) - 1), at + octets
