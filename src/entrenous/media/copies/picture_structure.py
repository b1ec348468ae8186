"""Check the structure of JPEG, PNG and WebP files as our writer writes them (content.md, 8)."""

import re
import zlib
from collections.abc import Iterable
from typing import Final

from entrenous.base.limits import PICTURE_PIXELS_MAX
from entrenous.media.copies.cursor import (
    PROFILE_BYTES_MAX,
    FileCursor,
    NotACopy,
    require,
    require_own_profile,
)

_JFIF_SEGMENT: Final = b"\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
_ICC_PREFIX: Final = b"ICC_PROFILE\0"
_ICC_PARTS_MAX: Final = 2
# ITU-T T.81, K.3.3: the standard Huffman tables, as DHT segments
_STANDARD_HUFFMAN_TABLES: Final = tuple(
    bytes.fromhex(table)
    for table in (
        "0000010501010101010100000000000000000102030405060708090a0b",
        (
            "100002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1"
            "c11552d1f02433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758"
            "595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aa"
            "b2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7"
            "f8f9fa"
        ),
        "0100030101010101010101010000000000000102030405060708090a0b",
        (
            "1100020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c1"
            "09233352f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a5354555657"
            "58595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8"
            "a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7"
            "f8f9fa"
        ),
    )
)
_MARKER_IN_SCAN: Final = re.compile(rb"\xff[^\x00]")
_SAMPLING_FACTORS: Final = (0x11, 0x21, 0x22)  # 4:4:4, 4:2:2, 4:2:0
_CHANNELS_BY_PNG_COLOUR_TYPE: Final = {0: 1, 2: 3, 4: 2, 6: 4}
_PNG_PROFILE_PREFIX: Final = b"ICC Profile\0\0"
_DECOMPRESSED_PIECE_BYTES: Final = 1 << 20
_WEBP_ICC_FLAG: Final = 0x20
_WEBP_ALPHA_FLAG: Final = 0x10


def check_jpeg_copy(untrusted_data: bytes) -> None:
    """Check a sequential JPEG with one scan and the standard Huffman tables; raises NotACopy."""
    file = FileCursor(untrusted_data)
    file.require_bytes(b"\xff\xd8" + _JFIF_SEGMENT)
    marker = _marker_after_jpeg_profile(file)
    tables, wide = 0, False
    while marker == 0xDB:
        wide |= _is_quantisation_table_16_bit(file.read_bytes(file.read_number(2) - 2), tables)
        tables, marker = tables + 1, _read_marker(file)
    require(marker == (0xC1 if wide else 0xC0))
    components = _check_jpeg_frame(file)
    require(tables in {1, min(components, 2)})
    for table in _STANDARD_HUFFMAN_TABLES[: 2 * min(components, 2)]:
        file.require_bytes(b"\xff\xc4" + (len(table) + 2).to_bytes(2, "big") + table)
    _check_jpeg_scan(file, components)


def check_png_copy(untrusted_data: bytes) -> None:
    """Check that the chunks are IHDR, an optional profile, IDAT and IEND, and that the compressed
    data contains the pixels and nothing else.

    Raises:
        NotACopy.
    """
    file = FileCursor(untrusted_data)
    file.require_bytes(b"\x89PNG\r\n\x1a\n")
    name, body = _read_png_chunk(file)
    require(name == b"IHDR" and len(body) == 13)
    width, height = (int.from_bytes(body[at : at + 4], "big") for at in (0, 4))
    channels = _CHANNELS_BY_PNG_COLOUR_TYPE.get(body[9], 0)
    require(body[8] == 8 and body[10:] == bytes(3) and channels)
    require(0 < width * height <= PICTURE_PIXELS_MAX)
    name, body = _read_png_chunk(file)
    if name == b"iCCP":
        require(body.startswith(_PNG_PROFILE_PREFIX))
        require_own_profile(_decompress(body[len(_PNG_PROFILE_PREFIX) :], PROFILE_BYTES_MAX))
        name, body = _read_png_chunk(file)
    packed_pixels = list[bytes]()
    while name == b"IDAT":
        require(body)
        packed_pixels.append(body)
        name, body = _read_png_chunk(file)
    require(name == b"IEND" and not body)
    file.require_end()
    require(_decompressed_size(packed_pixels) == height * (1 + width * channels))


def check_webp_copy(untrusted_data: bytes) -> None:
    """Check that there is one VP8 or VP8L chunk, with at most VP8X, ICCP and ALPH before it.

    Raises NotACopy.
    """
    names = [name for name, _ in webp_chunks(untrusted_data)]
    chunks = dict(webp_chunks(untrusted_data))
    require(len(chunks) == len(names))
    if b"VP8 " in chunks:
        require(_token_partition_count(chunks[b"VP8 "]) == 1)
    if names in ([b"VP8 "], [b"VP8L"]):
        return
    head = chunks.get(b"VP8X", b"")
    require(len(head) == 10 and head[1:4] == bytes(3))
    flags, profile = head[0], chunks.get(b"ICCP")
    require(not flags & ~(_WEBP_ICC_FLAG | _WEBP_ALPHA_FLAG))
    require(bool(flags & _WEBP_ICC_FLAG) == (profile is not None))
    order = [b"VP8X", *([b"ICCP"] if profile is not None else [])]
    lossy = [*order, *([b"ALPH"] if flags & _WEBP_ALPHA_FLAG else []), b"VP8 "]
    require(names in (lossy, [*order, b"VP8L"]))
    if profile is not None:
        require_own_profile(profile)


def webp_chunks(untrusted_data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the name and body of each chunk; together the chunks must fill the file (RFC 9649,
    2.3).

    Raises NotACopy.
    """
    file = FileCursor(untrusted_data, "little")
    file.require_bytes(b"RIFF")
    require(file.read_number(4) == file.bytes_left())
    file.require_bytes(b"WEBP")
    found = []
    while file.bytes_left():
        name = file.read_bytes(4)
        body = file.read_bytes(file.read_number(4))
        file.require_bytes(bytes(len(body) & 1))
        found.append((name, body))
    return found


class _BooleanDecoder:
    """The boolean entropy decoder of VP8, for flags with even probabilities (RFC 6386, 7.3).

    After the end of the data it reads zeros, as libwebp does.
    """

    def __init__(self, untrusted_data: bytes) -> None:
        self._rest = iter(untrusted_data)
        self._value = next(self._rest, 0) << 8 | next(self._rest, 0)
        self._range = 255
        self._shifted = 0

    def read_flag(self) -> int:
        split = 1 + ((self._range - 1) >> 1)
        flag = int(self._value >= split << 8)
        if flag:
            self._range -= split
            self._value -= split << 8
        else:
            self._range = split
        while self._range < 128:
            self._range <<= 1
            self._value <<= 1
            self._shifted += 1
            if self._shifted % 8 == 0:
                self._value |= next(self._rest, 0)
        return flag

    def read_number(self, bits: int) -> int:
        number = 0
        for _ in range(bits):
            number = number << 1 | self.read_flag()
        return number


def _token_partition_count(untrusted_frame: bytes) -> int:
    """Return the number of token partitions of a VP8 key frame (RFC 6386, 9.2 to 9.5).

    libwebp ignores bytes at the end of each partition but the last.
    """
    first_partition_size = int.from_bytes(untrusted_frame[:3], "little") >> 5
    header = _BooleanDecoder(untrusted_frame[10 : 10 + first_partition_size])
    header.read_number(2)  # colour space, clamping
    if header.read_flag():  # segments
        updates_map, updates_data = header.read_flag(), header.read_flag()
        if updates_data:
            header.read_flag()
            _skip_optional_numbers(header, (8, 8, 8, 8, 7, 7, 7, 7))  # quantizers, filter levels
        if updates_map:
            _skip_optional_numbers(header, (8, 8, 8))
    header.read_number(1 + 6 + 3)  # the loop filter
    if header.read_flag() and header.read_flag():
        _skip_optional_numbers(header, (7,) * 8)
    return 1 << header.read_number(2)


def _skip_optional_numbers(header: _BooleanDecoder, sizes: Iterable[int]) -> None:
    for bits in sizes:
        if header.read_flag():
            header.read_number(bits)


def _read_marker(file: FileCursor) -> int:
    file.require_bytes(b"\xff")
    return file.read_number(1)


def _marker_after_jpeg_profile(file: FileCursor) -> int:
    """Read the profile's segments, if any, and return the marker after them."""
    parts = list[bytes]()
    total = 0
    while (marker := _read_marker(file)) == 0xE2:
        body = file.read_bytes(file.read_number(2) - 2)
        require(body.startswith(_ICC_PREFIX) and len(body) > 14 and body[12] == len(parts) + 1)
        parts.append(body[14:])
        total = body[13]
        require(len(parts) <= min(total, _ICC_PARTS_MAX))
    if parts:
        require(len(parts) == total)
        require_own_profile(b"".join(parts))
    return marker


def _is_quantisation_table_16_bit(table: bytes, number: int) -> bool:
    """Return whether a quantisation table has 16-bit numbers (ITU-T T.81, B.2.4.1)."""
    wide = len(table) == 129
    require(len(table) in {65, 129} and table[0] == number + 16 * wide)
    step = 2 if wide else 1
    require(all(any(table[at : at + step]) for at in range(1, len(table), step)))
    return wide


def _check_jpeg_frame(file: FileCursor) -> int:
    """Check that the frame header is as libjpeg writes it; return the number of components.

    See ITU-T T.81, B.2.2.
    """
    size, precision = file.read_number(2), file.read_number(1)
    height, width, components = file.read_number(2), file.read_number(2), file.read_number(1)
    require(precision == 8 and components in {1, 3} and size == 8 + 3 * components)
    require(0 < width * height <= PICTURE_PIXELS_MAX)
    for number in range(1, components + 1):
        name, factors, table = file.read_bytes(3)
        require(name == number and table == (number > 1))
        require(factors in _SAMPLING_FACTORS if number == 1 < components else factors == 0x11)
    return components


def _check_jpeg_scan(file: FileCursor, components: int) -> None:
    """Check the only scan, and that the file ends with an end marker after it.

    The scan must contain no marker.
    """
    names = b"".join(bytes((n, 0x11 if n > 1 else 0)) for n in range(1, components + 1))
    size = 6 + 2 * components
    file.require_bytes(
        b"\xff\xda" + size.to_bytes(2, "big") + bytes([components]) + names + b"\0\x3f\0"
    )
    scan = file.read_bytes(file.bytes_left() - 2)
    file.require_bytes(b"\xff\xd9")
    require(scan and not scan.endswith(b"\xff") and _MARKER_IN_SCAN.search(scan) is None)


def _read_png_chunk(file: FileCursor) -> tuple[bytes, bytes]:
    """Return the name and body of the next chunk, whose CRC must be correct."""
    size = file.read_number(4)
    name = file.read_bytes(4)
    body = file.read_bytes(size)
    require(file.read_number(4) == zlib.crc32(body, zlib.crc32(name)))
    return name, body


def _decompress(packed: bytes, size_max: int) -> bytes:
    """Return the decompressed data, at most ``size_max`` bytes."""
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(packed, size_max)
    except zlib.error as error:
        raise NotACopy from error
    require(stream.eof and not stream.unused_data)
    return data


def _decompressed_size(packed: list[bytes]) -> int:
    """Return the decompressed size of these pieces; the last piece must end the data."""
    stream, size = zlib.decompressobj(), 0
    try:
        for piece in packed:
            require(not stream.eof)
            rest = piece
            while rest:
                size += len(stream.decompress(rest, _DECOMPRESSED_PIECE_BYTES))
                rest = stream.unconsumed_tail
        size += len(stream.flush())
    except zlib.error as error:
        raise NotACopy from error
    require(stream.eof and not stream.unused_data)
    return size
