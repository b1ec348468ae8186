"""Tests of decoding JPEGs at a reduced size or as luma only (docs/spec/gate.md, section 2.1)."""

import io
from functools import cache

import numpy as np
import pytest
import skimage.data
from PIL import Image

from entrenous.base.limits import WHOLE_COMPARISON_SIDE_PX_MIN
from entrenous.base.picture import IncompletePicture
from entrenous.fingerprint.pdq import distance, fingerprint
from entrenous.media.picture_reader import read_picture
from entrenous.media.sandbox.decoders import decode_picture_untrusted

SIDE_PX_MIN = 512
QUARTER_TURN_ORIENTATION = 6  # a value of the EXIF tag Orientation


@cache
def scaled_photo(width: int, height: int) -> Image.Image:
    plain = Image.fromarray(np.asarray(skimage.data.retina()))
    return plain.resize((width, height), Image.Resampling.LANCZOS)


def encode_image(image: Image.Image, file_format: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(2048, 1536), (1100, 3000), (1023, 1024), (512, 900)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}])
def test_shrunk_picture_is_large_enough_and_looks_the_same(
    size: tuple[int, int], options: dict[str, object]
) -> None:
    data = encode_image(scaled_photo(*size), **options)
    whole, shrunk = read_picture(data), read_picture(data, at_least_px=SIDE_PX_MIN)
    sides = (shrunk.width_px, shrunk.height_px)
    assert (min(sides) < min(size)) == (min(size) >= 2 * SIDE_PX_MIN)
    assert min(sides) >= SIDE_PX_MIN
    assert sides[0] / sides[1] == pytest.approx(size[0] / size[1], abs=0.005)
    assert distance(fingerprint(whole), fingerprint(shrunk)) <= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "orientation"),
    [
        *(((777, 1003), orientation) for orientation in range(1, 9)),
        *((size, 6) for size in ((1999, 1537), (1541, 2300), (1200, 834))),
        *(
            pytest.param(size, orientation, marks=pytest.mark.nightly)
            for size in ((1999, 1537), (1541, 2300), (1200, 834))
            for orientation in (1, 2, 3, 4, 5, 7, 8)
        ),
    ],
)
def test_hash_of_a_shrunk_picture_is_near_the_full_size_hash_in_every_orientation(
    size: tuple[int, int], orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode_image(scaled_photo(*size), exif=exif, quality=85)
    whole = read_picture(data, luma=True)
    shrunk = read_picture(data, at_least_px=WHOLE_COMPARISON_SIDE_PX_MIN, luma=True)
    assert shrunk.original_size is not None
    assert shrunk.original_size[:2] == (whole.width_px, whole.height_px)
    assert shrunk.shrunk_by == min(size) // WHOLE_COMPARISON_SIDE_PX_MIN
    assert distance(fingerprint(whole), fingerprint(shrunk)) <= 4


@pytest.mark.slow
def test_unshrunk_picture_has_no_original_size() -> None:
    assert (
        read_picture(
            encode_image(scaled_photo(300, 200)), at_least_px=WHOLE_COMPARISON_SIDE_PX_MIN
        ).original_size
        is None
    )
    png = encode_image(scaled_photo(900, 900), "PNG", compress_level=1)
    assert read_picture(png, at_least_px=10).original_size is None


def test_shrunk_picture_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = QUARTER_TURN_ORIENTATION
    shrunk = read_picture(
        encode_image(scaled_photo(2048, 1600), exif=exif), at_least_px=SIDE_PX_MIN
    )
    assert shrunk.height_px > shrunk.width_px >= SIDE_PX_MIN


def test_truncated_file_is_refused_when_shrinking() -> None:
    data = encode_image(scaled_photo(2048, 1536))
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(IncompletePicture):
            read_picture(data[: int(share * len(data))] + b"\xff\xd9", at_least_px=SIDE_PX_MIN)


@pytest.mark.parametrize("at_least_px", [0, SIDE_PX_MIN])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_luma_has_a_third_of_the_samples_and_nearly_the_same_fingerprint(
    at_least_px: int, options: dict[str, object]
) -> None:
    data = encode_image(scaled_photo(1300, 1100), **options)
    whole = read_picture(data, at_least_px=at_least_px)
    luma = read_picture(data, at_least_px=at_least_px, luma=True)
    assert (luma.has_only_luma, whole.has_only_luma) == (True, False)
    assert len(luma.samples) * 3 == len(whole.samples)
    assert np.asarray(luma).shape == np.asarray(whole).shape
    brightness = np.asarray(whole) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(np.asarray(luma)[:, :, 0] - brightness).mean() < 1
    assert distance(fingerprint(luma), fingerprint(whole)) <= 4


def test_luma_of_a_grey_jpeg_is_the_picture() -> None:
    data = encode_image(scaled_photo(1300, 1100).convert("L"))
    assert np.array_equal(read_picture(data), read_picture(data, luma=True))


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_other_formats_keep_their_colours(file_format: str) -> None:
    data = encode_image(scaled_photo(700, 600), file_format)
    assert read_picture(data, luma=True) == read_picture(data)


def test_rotated_luma_is_upright_and_truncated_luma_is_refused() -> None:
    exif = Image.Exif()
    exif[0x0112] = QUARTER_TURN_ORIENTATION
    data = encode_image(scaled_photo(700, 600), exif=exif)
    luma = read_picture(data, luma=True)
    assert (luma.width_px, luma.height_px, luma.has_only_luma) == (600, 700, True)
    with pytest.raises(IncompletePicture):
        read_picture(data[: len(data) // 2] + b"\xff\xd9", luma=True)


def test_cmyk_is_decoded_in_colour() -> None:
    ink = encode_image(scaled_photo(700, 600).convert("CMYK"))
    assert read_picture(ink, luma=True) == read_picture(ink)


@pytest.mark.slow
def test_other_formats_are_not_shrunk() -> None:
    data = encode_image(scaled_photo(1400, 1200), "PNG", compress_level=1)
    assert read_picture(data, at_least_px=SIDE_PX_MIN) == read_picture(data)


@pytest.mark.slow
def test_sandboxed_child_shrinks_equally() -> None:
    data = encode_image(scaled_photo(2048, 1536))
    assert decode_picture_untrusted(data, at_least_px=SIDE_PX_MIN) == read_picture(
        data, at_least_px=SIDE_PX_MIN
    )
    assert decode_picture_untrusted(data).width_px == 2048
