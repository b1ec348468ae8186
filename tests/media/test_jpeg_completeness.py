"""Tests of complete and truncated JPEGs: end markers, flat pictures, scans and segments."""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from entrenous.base.picture import IncompletePicture, PictureDecodingFailed
from entrenous.media.completeness import jpeg_outline_of, load_complete_jpeg
from entrenous.media.picture_reader import read_picture

EncodeImage = Callable[..., bytes]
END_OF_IMAGE = b"\xff\xd9"
ENCODER_OPTIONS = [
    {},
    {"subsampling": 0},
    {"subsampling": 1},
    {"restart_marker_rows": 1},
    {"optimize": True},
    {"quality": 100},
    {"quality": 15},
]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", ENCODER_OPTIONS)
def test_truncated_jpeg_with_an_end_marker_is_refused(
    mode: str, options: dict[str, int], photo: Image.Image, encode_image: EncodeImage
) -> None:
    data = encode_image(photo.convert(mode), "JPEG", **options)
    start = data.index(b"\xff\xda") + 14
    for part in range(50):
        # Cuts in the last 3 of 53 parts are not tested: they might remove only the last blocks.
        cut = start + (len(data) - start) * part // 53
        with pytest.raises(IncompletePicture):
            read_picture(data[:cut] + END_OF_IMAGE)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [*ENCODER_OPTIONS, {"progressive": True}])
def test_flat_pictures_and_flat_bottoms_are_complete(
    mode: str, options: dict[str, int], photo: Image.Image, encode_image: EncodeImage
) -> None:
    barred = photo.copy()
    barred.paste((0, 0, 0), (0, 70, 160, 120))
    for image in (
        Image.new("RGB", (203, 151), "white"),
        Image.new("RGB", (64, 48)),
        Image.new("RGB", (1, 1), "red"),
        Image.new("RGB", (17, 1), "blue"),
        barred,
    ):
        picture = read_picture(encode_image(image.convert(mode), "JPEG", **options))
        assert (picture.width_px, picture.height_px) == image.size


def test_progressive_file_without_its_last_scans_is_complete_but_coarse(
    astronaut: NDArray[np.uint8], encode_image: EncodeImage
) -> None:
    """A file with few scans is refused. A file that lacks only the last scans has no blank area."""
    data = encode_image(Image.fromarray(astronaut), "JPEG", progressive=True, quality=90)
    whole = np.asarray(read_picture(data)).astype(int)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) == 10
    read = 0
    for cut in scans[1:]:
        try:
            picture = read_picture(data[:cut] + END_OF_IMAGE)
        except IncompletePicture:
            assert read == 0
            continue
        read += 1
        assert np.abs(np.asarray(picture) - whole).reshape(8, 64, -1).mean(axis=(1, 2)).max() < 4.0
    assert 1 <= read <= 4


def marker_positions(data: bytes, *markers: int) -> list[int]:
    return [at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] in markers]


def coarse_progressive_jpeg(
    image: Image.Image, encode_image: EncodeImage, **options: int
) -> tuple[bytes, bytes]:
    """Return the headers of a progressive JPEG, and its only scan: DC values in full precision."""
    data = bytearray(encode_image(image, "JPEG", progressive=True, **options))
    (scan,) = marker_positions(data, 0xDA)[:1]
    start = scan + 2 + data[scan + 3]
    assert data[start - 1] == 1  # DC values without their last bit
    data[start - 1] = 0
    end = next(at for at in marker_positions(data, 0xC4, 0xDA) if at > start)
    return bytes(data[:start]), bytes(data[start:end])


def jpeg_with_three_scans(image: Image.Image, encode_image: EncodeImage) -> tuple[bytes, bytes]:
    """Return a sequential JPEG up to its third scan, and the data of this scan."""
    channels = [encode_image(one, "JPEG") for one in image.split()]
    (frame,) = marker_positions(channels[0], 0xC0)
    (scan,) = marker_positions(channels[0], 0xDA)
    components = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    whole = channels[0][:frame] + b"\xff\xc0\0\x11" + channels[0][frame + 4 : frame + 9] + b"\x03"
    whole += components + channels[0][frame + 13 : scan]
    for number, channel in enumerate(channels, 1):
        whole += b"\xff\xda\0\x08\x01" + bytes([number]) + b"\0\0\x3f\0"
        whole += channel[scan + 10 : -2]
    last = len(channels[2]) - 2 - (scan + 10)
    return whole[:-last], whole[-last:]


@pytest.mark.parametrize(
    ("make_jpeg", "options"),
    [
        (coarse_progressive_jpeg, {}),
        (partial(coarse_progressive_jpeg, restart_marker_blocks=5), {}),
        (coarse_progressive_jpeg, {"at_least_px": 32, "luma": True}),
        (jpeg_with_three_scans, {}),
        (jpeg_with_three_scans, {"at_least_px": 32}),
    ],
)
def test_truncated_scan_among_several_is_refused(
    photo: Image.Image,
    encode_image: EncodeImage,
    make_jpeg: Callable[..., tuple[bytes, bytes]],
    options: dict[str, Any],
) -> None:
    headers, scan = make_jpeg(photo, encode_image)
    assert read_picture(headers + scan + END_OF_IMAGE).encoding.grey is False
    cuts = {len(scan) * part // 20 for part in range(18)}
    cuts.update(marker_positions(scan, *range(0xD0, 0xD8)))
    accepted = [cut for cut in cuts if is_accepted(headers + scan[:cut] + END_OF_IMAGE, options)]
    assert accepted == []


def is_accepted(data: bytes, options: dict[str, Any]) -> bool:
    try:
        read_picture(data, **options)
    except IncompletePicture:
        return False
    return True


def test_jpeg_without_a_scan_for_each_component_is_refused() -> None:
    """The frame announces three components, and the only scan has one of them."""
    frame = b"\xff\xc0\0\x11\x08\0\x08\0\x08\x03\x01\x11\0\x02\x11\0\x03\x11\0"
    scan = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"
    data = b"\xff\xd8" + frame + scan + b"data" + END_OF_IMAGE
    outline = jpeg_outline_of(data)
    assert (outline.frame, outline.scans) == (0xC0, 1)
    assert (outline.components, outline.sharp) == ({1, 2, 3}, {1})
    with pytest.raises(IncompletePicture):
        read_picture(data)


def test_stuffing_fill_bytes_and_restart_markers_do_not_end_a_scan() -> None:
    scan = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"
    data = (
        b"\xff\xd8" + scan + b"a\xff\0b\xff\xd0c\xff\xff\xd7d\xff\x01e" + b"\xff\xff" + END_OF_IMAGE
    )
    assert jpeg_outline_of(data).end == len(data) - 2


@pytest.mark.parametrize("length", [0, 1])
def test_a_segment_shorter_than_its_own_length_is_refused(length: int) -> None:
    with pytest.raises(PictureDecodingFailed):
        read_picture(b"\xff\xd8\xff\xe0" + length.to_bytes(2) + bytes(20))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_flat_jpeg_is_decoded_once(mode: str, encode_image: EncodeImage) -> None:
    data = encode_image(Image.new(mode, (90, 70), "teal"), "JPEG")
    opened: list[Image.Image] = []

    def open_and_record(file: io.BytesIO) -> Image.Image:
        opened.append(Image.open(file))
        return opened[-1]

    loaded = load_complete_jpeg(data, open_and_record)
    assert [one for one in opened if one._im is not None] == [loaded]
    assert loaded.tobytes() == Image.open(io.BytesIO(data)).tobytes()
