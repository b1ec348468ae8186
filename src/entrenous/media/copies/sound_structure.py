"""Check the structure of Ogg, MP3, AMR, WAV and FLAC as our writer writes it (content.md, 8)."""

import re
import zlib
from typing import Final

from entrenous.media.copies.cursor import FileCursor, require

_OPUS_HEAD: Final = re.compile(rb"OpusHead\x01[\x01\x02].{2}.{4}\0{3}", re.DOTALL)
_OPUS_TAGS: Final = b"OpusTags\x06\0\0\0ffmpeg\0\0\0\0"
_REVERSED_BITS: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
# size in bytes of a frame of each type, including its first byte (3GPP TS 26.101)
_AMR_FRAME_BYTES: Final = (13, 14, 16, 18, 20, 21, 27, 32, 6)
_AMR_NO_DATA_TYPE: Final = 15
# ISO/IEC 11172-3 and 13818-3, layer III: kbit/s by index, and Hz by index for MPEG-1
_MP3_BIT_RATES_KBPS: Final = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    0: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_SAMPLE_RATES: Final = (44_100, 48_000, 32_000)
_MP3_SAMPLE_RATE_DIVISORS: Final = {3: 1, 2: 2, 0: 4}
_MP3_SIDE_INFO_BYTES: Final = {(3, 2): 32, (3, 1): 17, (2, 2): 17, (2, 1): 9, (0, 2): 17, (0, 1): 9}
# size of these fields of the Info frame: flags, frames, bytes, seek table, quality
_MP3_INFO_FIELDS_BYTES: Final = 116
_MP3_ENCODER_NAME: Final = b"Lavf" + bytes(5)
_MP3_LAME_TAG_BYTES: Final = 36
_FLAC_COMMENT: Final = b"\x04\0\0\x0e\x06\0\0\0ffmpeg\0\0\0\0"
_FLAC_PADDING: Final = b"\x81\0\x20\0" + bytes(8192)
_WAV_FORMAT_BYTES: Final = {1: 16, 0xFFFE: 40}


def check_ogg_opus_copy(untrusted_data: bytes) -> None:
    """Check one Opus stream (RFC 7845): two headers, then audio; raises NotACopy."""
    file = FileCursor(untrusted_data, "little")
    serial = untrusted_data[14:18]
    headers = (_OPUS_HEAD, re.compile(re.escape(_OPUS_TAGS), re.DOTALL))
    number, last, continued = 0, False, False
    while file.bytes_left():
        require(not last)
        flags, body, lacing = _read_ogg_page(file, serial, number)
        last = bool(flags & 4)
        require(not flags & ~7 and bool(flags & 2) == (number == 0))
        require(bool(flags & 1) == continued)
        if number < len(headers):
            require(headers[number].fullmatch(body) and not last)
        else:
            _require_one_frame_per_packet(body, lacing, continued=continued)
        continued = bool(lacing) and lacing[-1] == 255
        number += 1
    require(last and not continued and number > len(headers))


def check_mp3_copy(untrusted_data: bytes) -> None:
    """Check an Info frame, followed by layer III frames to the end; raises NotACopy."""
    file = FileCursor(untrusted_data)
    first = _read_mp3_frame(file)
    version, channels = first[1] >> 3 & 3, 1 if first[3] >> 6 == 3 else 2
    at = 4 + _MP3_SIDE_INFO_BYTES[version, channels]
    require(not any(first[4:at]) and first[at : at + 8] in (b"Info\0\0\0\x0f", b"Xing\0\0\0\x0f"))
    name = at + 4 + _MP3_INFO_FIELDS_BYTES
    require(
        first[name : name + len(_MP3_ENCODER_NAME)] == _MP3_ENCODER_NAME
        and not any(first[name + _MP3_LAME_TAG_BYTES :])
    )
    declared = FileCursor(first[at + 8 : at + 16])
    frames = declared.read_number(4)
    require(declared.read_number(4) == len(untrusted_data))
    for _ in range(frames):
        require(_read_mp3_frame(file)[1] == first[1])
    file.require_end()


def check_amr_copy(untrusted_data: bytes) -> None:
    """Check the frames (RFC 4867, 5); raises NotACopy."""
    file = FileCursor(untrusted_data)
    file.require_bytes(b"#!AMR\n")
    require(file.bytes_left())
    while file.bytes_left():
        head = file.read_number(1)
        kind = head >> 3 & 15
        require(not head & 0x83 and (kind < len(_AMR_FRAME_BYTES) or kind == _AMR_NO_DATA_TYPE))
        file.read_bytes(0 if kind == _AMR_NO_DATA_TYPE else _AMR_FRAME_BYTES[kind] - 1)


def check_wav_copy(untrusted_data: bytes) -> None:
    """Check the format and the sample data; raises NotACopy."""
    file = FileCursor(untrusted_data, "little")
    file.require_bytes(b"RIFF")
    require(file.read_number(4) == file.bytes_left())
    file.require_bytes(b"WAVEfmt ")
    form = FileCursor(file.read_bytes(file.read_number(4)), "little")
    kind = form.read_number(2)
    require(_WAV_FORMAT_BYTES.get(kind) == len(form.data))
    channels, _rate, _bytes, frame, bits = (form.read_number(size) for size in (2, 4, 4, 2, 2))
    require(channels in {1, 2} and bits in {16, 24} and frame == channels * bits // 8)
    if form.bytes_left():
        form.require_bytes(b"\x16\0" + bits.to_bytes(2, "little"))
        form.read_bytes(4)
        form.require_bytes(b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71")
    file.require_bytes(b"data")
    size = file.read_number(4)
    require(size and not size % frame)
    file.read_bytes(size)
    file.require_bytes(bytes(size & 1))
    file.require_end()


def check_flac_copy_header(untrusted_data: bytes) -> None:
    """Check the head (RFC 9639, 8); raises NotACopy. Frames are checked when they are decoded."""
    file = FileCursor(untrusted_data)
    file.require_bytes(b"fLaC\0\0\0\x22")
    file.read_bytes(34)
    file.require_bytes(_FLAC_COMMENT)
    file.require_bytes(_FLAC_PADDING)
    require(file.bytes_left())


#: The number of bytes before the frames of a FLAC file.
FLAC_HEADER_BYTES: Final = 8 + 34 + len(_FLAC_COMMENT) + len(_FLAC_PADDING)


def _read_ogg_page(file: FileCursor, serial: bytes, number: int) -> tuple[int, bytes, bytes]:
    """Return the flags, body and lacing values of page ``number``, after checking its checksum.

    See RFC 3533, section 6.
    """
    start = file.at
    file.require_bytes(b"OggS\0")
    flags = file.read_number(1)
    file.read_bytes(8)
    file.require_bytes(serial)
    require(file.read_number(4) == number)
    declared = file.read_number(4)
    lacing = file.read_bytes(file.read_number(1))
    body = file.read_bytes(sum(lacing))
    page = file.data[start : file.at]
    require(_ogg_checksum(page[:22] + bytes(4) + page[26:]) == declared)
    return flags, body, lacing


def _require_one_frame_per_packet(body: bytes, lacing: bytes, *, continued: bool) -> None:
    """Require one frame per packet, so that there is no padding (RFC 6716, 3.2)."""
    at, begins = 0, not continued
    for size in lacing:
        require(not begins or (size and body[at] & 3 == 0))
        at, begins = at + size, size < 255


def _ogg_checksum(page: bytes) -> int:
    """Return Ogg's checksum.

    It is computed with zlib's CRC-32, which uses the reverse bit order and inverts the value before
    and after.
    """
    crc = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(crc.to_bytes(4, "little").translate(_REVERSED_BITS), "big")


def _read_mp3_frame(file: FileCursor) -> bytes:
    start = file.at
    head = file.read_bytes(4)
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    require(head[0] == 0xFF and head[1] >> 5 == 7 and version in _MP3_BIT_RATES_KBPS and layer == 1)
    bits, rate = head[2] >> 4, head[2] >> 2 & 3
    require(0 < bits < 15 and rate < len(_MP3_SAMPLE_RATES) and head[1] & 1)
    per_frame = 144 if version == 3 else 72
    hz = _MP3_SAMPLE_RATES[rate] // _MP3_SAMPLE_RATE_DIVISORS[version]
    size = per_frame * _MP3_BIT_RATES_KBPS[version][bits] * 1000 // hz + (head[2] >> 1 & 1)
    file.read_bytes(size - 4)
    return file.data[start : file.at]
