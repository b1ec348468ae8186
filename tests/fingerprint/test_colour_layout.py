"""Tests of colour layouts: soft pictures, shapes, views, and an empty set of layouts."""

from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from entrenous.fingerprint.picture_record import (
    ColourLayouts,
    compute_colour_layout,
    small_views_without_text,
)

PICTURE_COUNT = 400


def soft_picture(seed: int, wide: int = 480, high: int = 320) -> Any:
    """Return a picture like an out-of-focus background."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 225, (3, 4, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (wide, high), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(smooth, 0, 255), np.uint8)


def edit_as_meme(pixels: Any, bar: str = "white", ink: str = "black") -> Any:
    """Crop to 30 % of the area, mirror, add bars with text at both ends, and write on the crop."""
    high, wide = pixels.shape[:2]
    part = pixels[
        high // 4 : high // 4 + round(0.55 * high), wide // 5 : wide // 5 + wide * 55 // 100
    ]
    shown = Image.fromarray(np.ascontiguousarray(part[:, ::-1]))
    edge = shown.height // 7
    meme = Image.new("RGB", (shown.width, shown.height + 2 * edge), bar)
    meme.paste(shown, (0, edge))
    draw = ImageDraw.Draw(meme)
    for row in (2, meme.height - edge + 2):
        draw.text((shown.width // 6, row), "when you find out", fill=ink, font_size=edge * 2 // 3)
    draw.text((30, meme.height * 2 // 3), "LOOK", fill="white", stroke_width=1, stroke_fill="black")
    return np.asarray(meme)


@pytest.mark.slow
@pytest.mark.parametrize(("bar", "ink"), [("white", "black"), ("black", "white")])
def test_a_soft_picture_is_found_among_hundreds(bar: str, ink: str) -> None:
    layouts = ColourLayouts.of(
        [compute_colour_layout(soft_picture(seed)) for seed in range(PICTURE_COUNT)]
    )
    for seed in (3, 77, 240):
        differences = layouts.differences(edit_as_meme(soft_picture(seed), bar, ink))
        assert differences.shape == (PICTURE_COUNT,)
        assert int(differences.argmin()) == seed


def test_pictures_of_all_shapes_keep_their_row() -> None:
    shapes = [(480, 320), (320, 480), (400, 400), (480, 320), (900, 90)]
    pictures = [soft_picture(seed, *shape) for seed, shape in enumerate(shapes)]
    layouts = ColourLayouts.of([compute_colour_layout(one) for one in pictures])
    for row, one in enumerate(pictures):
        differences = layouts.differences(one)
        assert int(differences.argmin()) == row
        assert differences[row] < 12


def test_views_include_one_without_bars_and_its_mirror_image() -> None:
    views = small_views_without_text(edit_as_meme(soft_picture(1)))
    assert len(views) == 4
    whole, inner = views[0], views[2]
    assert inner.shape[0] < 0.85 * whole.shape[0]
    assert np.array_equal(views[3], inner[:, ::-1])


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 900, 3), (900, 2, 3), (64, 64, 3)])
def test_any_shape_is_handled(shape: tuple[int, ...]) -> None:
    flat = np.full(shape, 90, np.uint8)
    cells = compute_colour_layout(flat)
    assert cells.min() == cells.max() == 90
    assert ColourLayouts.of([cells]).differences(flat).shape == (1,)


def test_no_layouts_have_no_differences() -> None:
    assert ColourLayouts.of([]).differences(soft_picture(1)).shape == (0,)
