"""Tests of finding plain frames and letterboxes, and of pictures without a frame."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.fingerprint import borders
from entrenous.fingerprint.borders import (
    boxes_inside_frames,
    luma_thumbnail,
    pictures_inside_frames,
)


def add_frame(pixels: Any, *, sides: tuple[int, int, int, int], level: int) -> Any:
    colour = (level, level, level)
    return cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_CONSTANT, value=colour)


def recode_jpeg(pixels: Any, quality: int) -> Any:
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("sides", [(40, 40, 40, 40), (90, 90, 0, 0), (0, 0, 15, 80)])
def test_a_frame_is_found_after_jpeg_compression(
    photographs: dict[str, Any], level: int, sides: tuple[int, int, int, int]
) -> None:
    for name in ("astronaut", "cat", "coffee", "rocket"):
        pixels = photographs[name]
        inner = pictures_inside_frames(recode_jpeg(add_frame(pixels, sides=sides, level=level), 50))
        assert inner, name
        assert abs(inner[0].shape[0] - pixels.shape[0]) <= 4, name
        assert abs(inner[0].shape[1] - pixels.shape[1]) <= 4, name


@pytest.mark.parametrize("level", [60, 128, 215])
@pytest.mark.parametrize("width_px", [320, 480])
def test_a_frame_narrower_than_jpegs_blocks_is_found_on_all_sides(
    photographs: dict[str, Any], width_px: int, level: int
) -> None:
    """The frame adds 2 % of the height at the top and bottom, and 2 % of the width at each side."""
    for name in ("astronaut", "cat", "coffee", "rocket", "china", "flower"):
        photo = photographs[name]
        high = round(photo.shape[0] * width_px / photo.shape[1])
        pixels = cv2.resize(photo, (width_px, high), interpolation=cv2.INTER_AREA)
        down, across = round(0.02 * high), round(0.02 * width_px)
        saved = recode_jpeg(add_frame(pixels, sides=(down, down, across, across), level=level), 60)
        found = boxes_inside_frames(luma_thumbnail(saved))
        box = (down, down + high, across, across + width_px)
        assert any(np.abs(np.subtract(one, box)).max() <= 3 for one in found), (name, found)


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_frame_is_cut_at_the_same_rows_and_columns_in_the_mirrored_picture(
    photographs: dict[str, Any], level: int
) -> None:
    """Strong compression leaves ripples in the frame and large steps in the picture beside it."""
    for name in ("astronaut", "cat", "coffee", "rocket"):
        pixels = cv2.resize(photographs[name], (440, 330), interpolation=cv2.INTER_AREA)
        for wide in (13, 22, 37):
            framed = add_frame(pixels, sides=(wide,) * 4, level=level)
            grey = luma_thumbnail(recode_jpeg(framed, 20))
            high, across = grey.shape
            mirrored = [
                (high - bottom, high - top, across - right, across - left)
                for top, bottom, left, right in boxes_inside_frames(grey[::-1, ::-1])
            ]
            first, *more = boxes_inside_frames(grey)
            assert np.abs(np.subtract(first, (wide, wide + 330, wide, wide + 440))).max() <= 2, name
            assert [first, *more] == mirrored, name


def test_a_frame_is_not_cut_at_a_stronger_edge_inside_the_picture() -> None:
    """The outermost seven pixels of the picture differ less from the frame than the rest does."""
    rng = np.random.default_rng(5)
    grey = np.full((200, 240), 90.0, dtype=np.float32)
    grey[20:180, 20:220] = rng.integers(40, 200, (160, 200))
    grey[27:173, 27:213] = rng.integers(200, 256, (146, 186))
    assert boxes_inside_frames(grey)[0] == (20, 180, 20, 220)


def test_letterbox_inside_a_frame_is_removed_after_the_frame(photographs: dict[str, Any]) -> None:
    pixels = photographs["coffee"]
    boxed = add_frame(pixels, sides=(60, 60, 0, 0), level=0)
    first, second, *_ = pictures_inside_frames(add_frame(boxed, sides=(30, 30, 30, 30), level=255))
    assert np.abs(np.subtract(first.shape, boxed.shape)).max() <= 2
    assert np.abs(np.subtract(second.shape, pixels.shape)).max() <= 2


def test_a_plain_sky_inside_a_frame_stays_in_the_first_view(photographs: dict[str, Any]) -> None:
    pixels = photographs["astronaut"].copy()
    pixels[:120] = 90
    first, *_ = pictures_inside_frames(add_frame(pixels, sides=(20, 20, 20, 20), level=230))
    assert np.abs(np.subtract(first.shape, pixels.shape)).max() <= 2


def test_pictures_without_a_frame_have_no_inner_picture(photographs: dict[str, Any]) -> None:
    for name in ("astronaut", "cat", "coffee", "rocket", "china", "flower"):
        assert pictures_inside_frames(photographs[name]) == (), name


def test_plain_picture_has_no_frame() -> None:
    assert boxes_inside_frames(np.full((50, 80), 9.0, dtype=np.float32)) == ()


def test_a_small_picture_in_a_large_frame_is_not_extracted() -> None:
    grey = np.zeros((100, 100), dtype=np.float32)
    grey[45:55, 45:55] = 255
    assert boxes_inside_frames(grey) == ()


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    levels=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_boxes_lie_one_inside_the_other(height: int, width: int, levels: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, levels, (height, width))
    grey = (100 * noise).astype(np.float32)
    around = (0, height, 0, width)
    for box in boxes_inside_frames(grey):
        assert around[0] <= box[0] < box[1] <= around[1]
        assert around[2] <= box[2] < box[3] <= around[3]
        assert box != around
        around = box


@pytest.mark.slow
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(20, 1400), st.integers(20, 1400)),
    frame=st.tuples(*[st.integers(0, 60)] * 4),
    noise=st.integers(0, 24),
    grey=st.booleans(),
)
def test_quick_test_of_outermost_pixels_misses_no_frame(
    seed: int, size: tuple[int, int], frame: Any, noise: int, *, grey: bool
) -> None:
    """The brightness of the frames increases by up to 24 levels from left to right."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    pixels = add_frame(cv2.blur(pixels, (9, 9)), sides=frame, level=90)
    slope = np.linspace(0, noise, pixels.shape[1])[None, :, None]
    pixels = (pixels * 0.9 + slope).astype(np.uint8)
    if grey:
        pixels = np.ascontiguousarray(pixels[:, :, 0])
    with_it, without = (
        pictures_inside_frames(pixels, luma_thumbnail(pixels)),
        pictures_inside_frames(pixels),
    )
    assert [one.shape for one in without] == [one.shape for one in with_it]
    assert all(np.array_equal(one, other) for one, other in zip(without, with_it, strict=True))


def test_a_frame_with_a_slope_just_hidden_by_rounding_is_found() -> None:
    pixels = np.random.default_rng(3).integers(0, 2, (400, 683), dtype=np.uint8) * 255
    stripes = np.where(np.arange(48)[:, None] % 2, [[76, 85]], [[78, 87]]).astype(np.uint8)
    pixels[:48] = np.repeat(stripes, [255, 683 - 255], axis=1)
    (inner, *_) = boxes_inside_frames(luma_thumbnail(pixels))
    assert inner[0] > 0
    assert pictures_inside_frames(pixels)


def test_a_picture_without_a_frame_needs_no_thumbnail(
    photographs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = cv2.resize(photographs["coffee"], (1200, 800))
    monkeypatch.setattr(borders, "luma_thumbnail", pytest.fail)
    assert pictures_inside_frames(pixels) == ()
