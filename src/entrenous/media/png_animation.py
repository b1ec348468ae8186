"""Choose the picture of an animated PNG (PNG, third edition, 11.3.6; docs/spec/pictures.md, 3.1).

The picture in the IDAT chunks, the *default image*, need not belong to the animation: viewers that
play animations never show it then, and all others show nothing else. The functions below return
plain PNG files, so that no decoder has to interpret the chunks of an animation.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from entrenous.base.picture import PictureDecodingFailed

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CHUNK_HEAD: Final = struct.Struct(">I4s")
_CHUNK_BYTES_MIN: Final = 12
_FRAME_PLACE: Final = struct.Struct(">4x4I")  # of fcTL: width, height, left, top
_FRAME_BYTES_MIN: Final = 26
_SEQUENCE_NUMBER_BYTES: Final = 4
_ANIMATION_CHUNKS: Final = frozenset({b"acTL", b"fcTL", b"fdAT"})
_Chunk = tuple[bytes, memoryview]  # its name, and its bytes from the length to the CRC


def has_separate_default_image(untrusted_data: bytes) -> bool:
    """Return whether viewers of a PNG may show different pictures, depending on whether they play
    animations.

    A valid file has one fcTL before IDAT if the default image is the first picture of the
    animation. Viewers treat a misplaced or repeated acTL or fcTL differently, so these count too.
    """
    announced, first_frames, has_image = False, 0, False
    for name, _ in _chunks(untrusted_data):
        announced |= name == b"acTL"
        has_image |= name == b"IDAT"
        first_frames += name == b"fcTL" and not has_image
    return announced and has_image and first_frames != 1


def default_image(untrusted_data: bytes) -> bytes:
    """Return a PNG of the default image alone; a PNG without animation is returned unchanged."""
    chunks = list(_chunks(untrusted_data))
    if not any(name in _ANIMATION_CHUNKS for name, _ in chunks):
        return untrusted_data
    return _png_of(whole for name, whole in chunks if name not in _ANIMATION_CHUNKS)


def first_shown_image(untrusted_data: bytes) -> bytes:
    """Return a PNG of the picture that viewers which play animations show first.

    A first frame that is smaller than the picture is returned without the transparent space around
    it. How it is blended does not matter, since there is nothing behind it.

    Raises:
        PictureDecodingFailed: the animation's first frame is missing or broken.
    """
    if not has_separate_default_image(untrusted_data):
        return default_image(untrusted_data)
    chunks = list(_chunks(untrusted_data))
    place, frame = _first_frame([one for one in chunks if one[0] in _ANIMATION_CHUNKS])
    width, height = _frame_size(place, chunks[0])
    return _png_of(_with_frame(chunks, struct.pack(">2I", width, height), frame))


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Yield the chunks of a PNG up to IEND, or up to the first one that is not whole."""
    view, at = memoryview(data), len(_SIGNATURE)
    while data.startswith(_SIGNATURE) and at + _CHUNK_BYTES_MIN <= len(data):
        size, name = _CHUNK_HEAD.unpack_from(data, at)
        end = at + _CHUNK_BYTES_MIN + size
        if end > len(data):
            return
        yield name, view[at:end]
        if name == b"IEND":
            return
        at = end


def _first_frame(animation: list[_Chunk]) -> tuple[memoryview, bytes]:
    """Return the first fcTL, and the data of its picture."""
    at = next((at for at, (name, _) in enumerate(animation) if name == b"fcTL"), len(animation))
    data = []
    for name, whole in animation[at + 1 :]:
        if name != b"fdAT":
            break
        data.append(_content(whole)[_SEQUENCE_NUMBER_BYTES:])
    if not data:
        raise PictureDecodingFailed
    return _content(animation[at][1]), b"".join(data)


def _frame_size(place: memoryview, header: _Chunk) -> tuple[int, int]:
    name, whole = header
    if name != b"IHDR" or len(place) < _FRAME_BYTES_MIN or len(_content(whole)) < 8:
        raise PictureDecodingFailed
    width, height, left, top = _FRAME_PLACE.unpack_from(place)
    full_width, full_height = struct.unpack_from(">2I", _content(whole))
    if not 0 < width <= full_width - left or not 0 < height <= full_height - top:
        raise PictureDecodingFailed
    return width, height


def _with_frame(chunks: list[_Chunk], size: bytes, frame: bytes) -> Iterator[bytes | memoryview]:
    """Yield the chunks of a plain PNG with the data of this frame in place of the default image."""
    placed = False
    for name, whole in chunks:
        if name == b"IHDR":
            yield _write_chunk(name, size + bytes(_content(whole)[len(size) :]))
        elif name == b"IDAT" and not placed:
            placed = True
            yield _write_chunk(name, frame)
        elif name != b"IDAT" and name not in _ANIMATION_CHUNKS:
            yield whole


def _content(whole: memoryview) -> memoryview:
    """Return a chunk's data.

    Raises:
        PictureDecodingFailed: the CRC is wrong.
    """
    if zlib.crc32(whole[4:-4]) != int.from_bytes(whole[-4:], "big"):
        raise PictureDecodingFailed
    return whole[8:-4]


def _write_chunk(name: bytes, data: bytes) -> bytes:
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def _png_of(chunks: Iterator[bytes | memoryview]) -> bytes:
    return _SIGNATURE + b"".join(chunks)
