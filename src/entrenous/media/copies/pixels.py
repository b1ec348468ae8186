"""Decode a picture completely, and check that its last bytes belong to it."""

import io
from collections.abc import Iterator
from typing import Final

from PIL import Image

from entrenous.base.picture import PictureFormat
from entrenous.media.completeness import has_no_data_after_jpeg_scan
from entrenous.media.copies.cursor import require
from entrenous.media.copies.picture_structure import webp_chunks
from entrenous.media.picture_reader import load_pillow_decoder, read_picture

_CUT_BYTES: Final = 8  # this many bytes are removed at the end, since libwebp reads this far ahead


def check_decoding(untrusted_data: bytes, _media_type: str) -> Iterator[None]:
    """Decode all pixels of a JPEG, PNG or WebP; raises NotACopy or another Malformed error."""
    yield
    kind = read_picture(untrusted_data).encoding.format
    if kind is PictureFormat.JPEG:
        require(has_no_data_after_jpeg_scan(untrusted_data, load_pillow_decoder(kind)))
    elif kind is PictureFormat.WEBP:
        for shorter in _shorter_webps(untrusted_data):
            require(not _can_decode_webp(shorter))


def _shorter_webps(untrusted_data: bytes) -> Iterator[bytes]:
    """For each block of coded pixels, yield the file with the block's last few bytes removed."""
    chunks = webp_chunks(untrusted_data)
    for place, (name, body) in enumerate(chunks):
        if name in {b"VP8 ", b"VP8L", b"ALPH"}:
            yield _write_webp([*chunks[:place], (name, body[:-_CUT_BYTES]), *chunks[place + 1 :]])
        if name == b"VP8 ":
            yield _write_webp(
                [*chunks[:place], (name, _shorten_first_partition(body)), *chunks[place + 1 :]]
            )


def _write_webp(chunks: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(
        name + len(data).to_bytes(4, "little") + data + bytes(len(data) & 1)
        for name, data in chunks
    )
    return b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WEBP" + body


def _shorten_first_partition(body: bytes) -> bytes:
    """Shorten the first partition of a VP8 frame, whose length has 19 bits (RFC 6386, 9.1)."""
    tag = int.from_bytes(body[:3], "little")
    size = (tag >> 5) - _CUT_BYTES
    require(size > 0)
    short = (tag & 0x1F | size << 5).to_bytes(3, "little")
    return short + body[3 : 10 + size] + body[10 + size + _CUT_BYTES :]


def _can_decode_webp(untrusted_data: bytes) -> bool:
    try:
        image = load_pillow_decoder(PictureFormat.WEBP)(io.BytesIO(untrusted_data))
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True
