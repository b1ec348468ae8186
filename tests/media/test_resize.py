"""Tests of ``shrink_picture``: sizes, appearance, transparent colours, and JPEGs shrunk twice."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.media.picture_reader import read_picture
from entrenous.media.resize import shrink_picture

PNG_ENCODING = PictureEncoding(PictureFormat.PNG)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 80))
def test_the_longest_side_is_never_longer_than_asked(width: int, height: int, side: int) -> None:
    picture = Picture(width, height, bytes(width * height * 3), PNG_ENCODING, bytes(width * height))
    smaller = shrink_picture(picture, side)
    assert max(smaller.width_px, smaller.height_px) == min(side, max(width, height))
    assert abs(smaller.width_px * height - smaller.height_px * width) <= max(width, height)


def test_a_small_picture_stays_as_it_is(picture_files: dict[str, bytes]) -> None:
    picture = read_picture(picture_files["jpeg"])
    assert shrink_picture(picture, 160) is picture


def test_resized_picture_looks_the_same_and_keeps_its_encoding(
    picture_files: dict[str, bytes],
) -> None:
    picture = read_picture(picture_files["jpeg"])
    smaller = shrink_picture(picture, 80)
    assert smaller.encoding == picture.encoding
    blocks = np.asarray(picture).reshape(60, 2, 80, 2, 3).mean(axis=(1, 3))
    assert np.abs(np.asarray(smaller) - blocks).mean() < 3.0


def test_transparent_colours_do_not_bleed() -> None:
    """Invisible black beside visible white must not make the white edge grey."""
    image = Image.new("RGB", (40, 40), "white")
    image.paste((0, 0, 0), (0, 0, 20, 40))
    alpha = bytes(([0] * 20 + [255] * 20) * 40)
    smaller = shrink_picture(Picture(40, 40, image.tobytes(), PNG_ENCODING, alpha), 13)
    assert smaller.alpha is not None
    visible = np.frombuffer(smaller.alpha, np.uint8).reshape(13, 13) > 8
    assert np.asarray(smaller)[visible].min() >= 250


def test_size_below_one_is_refused(picture_files: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        shrink_picture(read_picture(picture_files["png"]), 0)


def test_a_large_jpeg_that_its_decoder_reduced_is_reduced_further() -> None:
    file = io.BytesIO()
    Image.new("RGB", (4000, 3000), "teal").save(file, "JPEG")
    picture = read_picture(file.getvalue(), at_least_px=480)
    assert picture.shrunk_by > 1
    smaller = shrink_picture(picture, 480)
    assert (smaller.width_px, smaller.height_px, smaller.shrunk_by) == (480, 360, 1)
