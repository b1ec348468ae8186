"""Tests of truncated, damaged and too large picture files, and of bytes after a file's end."""

import io
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from entrenous.base.errors import Malformed
from entrenous.base.picture import (
    IncompletePicture,
    NotAPicture,
    PictureDecodingFailed,
    TooManyPixels,
)
from entrenous.media.picture_reader import read_picture

PictureFiles = dict[str, bytes]
HARMLESS_TAIL_BYTES = {"gif": 2}  # bytes at the end that decoding does not need
PROPERTY_TEST_SETTINGS = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def decompression_bomb(side_px: int = 50_000) -> bytes:
    """Return a PNG that announces ``side_px`` x ``side_px`` pixels, by default 7.5 GB.

    It contains only the first 64 rows, by default 10 MB, compressed to about 10 kB.
    """
    row = b"\0" + bytes(side_px * 3)
    squeeze = zlib.compressobj(9)
    body = b"".join(squeeze.compress(row) for _ in range(64)) + squeeze.flush()

    def chunk(name: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", body), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.threat("decoder-bomb")
def test_decompression_bomb_is_refused_from_its_header() -> None:
    data = decompression_bomb()
    assert len(data) < 20_000
    tracemalloc.start()
    with pytest.raises(
        TooManyPixels, match="50000 x 50000 pixels, which is more than the 120 mega"
    ):
        read_picture(data)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 5_000_000


@pytest.mark.parametrize(
    ("at", "announced"), [(0x18, b"\xff\xff\xff\xff\xff\xff"), (0x18, b"\xff\x7f\x00\xff\x7f\x00")]
)
def test_webp_canvas_is_checked_before_allocation(
    at: int, announced: bytes, photo: Image.Image
) -> None:
    out = io.BytesIO()
    photo.save(out, "WEBP", exif=b"Exif\0\0II*\0\0\0\0\0")
    data = bytearray(out.getvalue())
    assert data[12:16] == b"VP8X"
    data[at : at + 6] = announced
    with pytest.raises(TooManyPixels):
        read_picture(bytes(data))


@pytest.mark.parametrize("name", ["gif", "bmp", "tiff"])
def test_size_in_every_header_is_checked(name: str, picture_files: PictureFiles) -> None:
    data = bytearray(picture_files[name])
    if name == "gif":
        data[6:10] = b"\xff\xff\xff\xff"
    elif name == "bmp":
        data[18:26] = struct.pack("<ii", 50_000, 50_000)
    else:
        data = bytearray(
            data.replace(
                struct.pack("<HHII", 256, 4, 1, 160), struct.pack("<HHII", 256, 4, 1, 10**6)
            )
        )
        data = data.replace(
            struct.pack("<HHII", 257, 4, 1, 120), struct.pack("<HHII", 257, 4, 1, 10**6)
        )
    with pytest.raises(TooManyPixels):
        read_picture(bytes(data))


@pytest.mark.parametrize(
    "name",
    [
        "jpeg",
        "jpeg-progressive",
        "jpeg-cmyk",
        "jpeg-grey",
        "png",
        "png-palette",
        "webp",
        "webp-lossless",
        "heic",
        "avif",
        "gif",
        "tiff",
        "tiff-lzw",
        "bmp",
    ],
)
def test_file_truncated_anywhere_is_refused(name: str, picture_files: PictureFiles) -> None:
    data = picture_files[name]
    end = len(data) - HARMLESS_TAIL_BYTES.get(name, 0)
    cuts = {*range(0, end, max(1, end // 60)), *range(end - 20, end)}
    for cut in cuts:
        with pytest.raises((IncompletePicture, NotAPicture)):
            read_picture(data[:cut])


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "heic", "avif", "tiff", "bmp"])
def test_file_cut_in_half_is_reported_as_incomplete(name: str, picture_files: PictureFiles) -> None:
    with pytest.raises(IncompletePicture, match="is incomplete"):
        read_picture(picture_files[name][: len(picture_files[name]) // 2])


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "heic", "avif", "gif", "tiff", "bmp"])
def test_bytes_after_the_end_are_ignored(name: str, picture_files: PictureFiles) -> None:
    assert read_picture(picture_files[name] + b"the rest of an older file" * 40) == read_picture(
        picture_files[name]
    )


def test_embedded_thumbnail_does_not_make_a_truncated_picture_complete(
    photo: Image.Image, picture_files: PictureFiles
) -> None:
    """The end marker of the thumbnail must not be taken for that of the picture."""
    data = picture_files["jpeg"]
    segment = b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
    with_thumbnail = data[:2] + segment + data[2:]
    assert read_picture(with_thumbnail).width_px == photo.width
    with pytest.raises(IncompletePicture):
        read_picture(with_thumbnail[: len(data) + 3_000])


def test_png_with_a_wrong_checksum_is_refused(picture_files: PictureFiles) -> None:
    data = bytearray(picture_files["png"])
    data[len(data) // 2] ^= 1
    with pytest.raises(PictureDecodingFailed):
        read_picture(bytes(data))


@PROPERTY_TEST_SETTINGS
@given(st.data())
def test_damaged_file_gives_a_picture_or_malformed(
    picture_files: PictureFiles, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(picture_files)))
    damaged = bytearray(picture_files[name])
    early = data.draw(st.booleans())
    places = st.integers(0, min(len(damaged), 400 if early else len(damaged)) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        damaged[at] = value
    cut = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
    sound = (
        with_valid_checksums(bytes(damaged[:cut]))
        if name.startswith("png")
        else bytes(damaged[:cut])
    )
    try:
        picture = read_picture(sound)
    except Malformed:
        return
    assert len(picture.samples) == picture.width_px * picture.height_px * 3


@PROPERTY_TEST_SETTINGS
@given(
    st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"BM"])
    | st.just(b"RIFF\x40\0\0\0WEBPVP8X")
    | st.just(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    | st.just(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif"),
    st.binary(max_size=300),
)
def test_noise_after_a_valid_start_is_refused(start: bytes, noise: bytes) -> None:
    with pytest.raises(Malformed):
        read_picture(start + noise)


def with_valid_checksums(png: bytes) -> bytes:
    """Return a PNG with correct chunk checksums, so that damage reaches the decoder."""
    out, at = bytearray(png[:8]), 8
    while at + 12 <= len(png):
        (size,) = struct.unpack_from(">I", png, at)
        body = png[at + 4 : at + 8 + size]
        out += png[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + size
    return bytes(out)
