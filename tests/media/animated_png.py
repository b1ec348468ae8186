"""Build animated PNG files, also such as no encoder writes."""

import io
import struct
import zlib
from typing import Any

from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = b"\0\0\0\0IEND\xae\x42\x60\x82"


def chunk(name: bytes, data: bytes) -> bytes:
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def header(pixels: Any) -> bytes:
    return chunk(b"IHDR", _plain_chunks(pixels)[b"IHDR"])


def image_data(pixels: Any) -> bytes:
    return chunk(b"IDAT", _plain_chunks(pixels)[b"IDAT"])


def animation(frame_count: int) -> bytes:
    return chunk(b"acTL", struct.pack(">II", frame_count, 0))


def frame_start(
    sequence_number: int, size: tuple[int, int], offset: tuple[int, int] = (0, 0), blend: int = 0
) -> bytes:
    """Return an fcTL chunk; the frame is shown for a tenth of a second."""
    numbers = (sequence_number, *size, *offset, 1, 10, 0, blend)
    return chunk(b"fcTL", struct.pack(">5I2H2B", *numbers))


def frame_data(sequence_number: int, pixels: Any) -> bytes:
    return chunk(b"fdAT", struct.pack(">I", sequence_number) + _plain_chunks(pixels)[b"IDAT"])


def png_with_separate_default_image(default: Any, shown: Any, **frame: Any) -> bytes:
    """Return an animated PNG that shows ``shown``, and never the default image."""
    size = (shown.shape[1], shown.shape[0])
    return b"".join(
        (
            *(SIGNATURE, header(default), animation(1), image_data(default)),
            *(frame_start(0, size, **frame), frame_data(1, shown), END),
        )
    )


def _plain_chunks(pixels: Any) -> dict[bytes, bytes]:
    """Return the chunks of a plain PNG by name, with all IDAT chunks as one."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    data, at, found = file.getvalue(), 8, dict[bytes, bytes]()
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        found[name] = found.get(name, b"") + data[at + 8 : at + 8 + size]
        at += 12 + size
    return found
