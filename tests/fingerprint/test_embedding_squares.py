"""Tests of windows in pages, collages and pictures, and of a square's share of flat steps."""

from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from entrenous.fingerprint.embedding import (
    WINDOWS_MAX,
    flat_step_share,
    resize_to_square,
    window_squares,
)
from entrenous.fingerprint.nouns import EMBEDDING_SQUARE_SIDE_PX


def pixel_levels(square: bytes) -> Any:
    return np.frombuffer(square, np.uint8).astype(np.int16)


@pytest.mark.parametrize("top_left", [(40, 20), (500, 60), (700, 0)])
def test_a_picture_on_a_page_has_its_own_window(top_left: tuple[int, int]) -> None:
    pasted = cv2.resize(skimage.data.coffee(), (620, 420))
    page = np.full((1_400, 720, 3), 250, np.uint8)
    top, left = top_left
    page[top : top + 420, left : left + 620] = pasted
    seen = window_squares(page)
    apart = [
        np.abs(pixel_levels(one) - pixel_levels(resize_to_square(pasted))).mean() for one in seen
    ]
    assert min(apart) < 20
    assert (
        np.abs(pixel_levels(resize_to_square(page)) - pixel_levels(resize_to_square(pasted))).mean()
        > 40
    )


def test_each_tile_of_a_collage_has_its_own_window() -> None:
    pixels = [skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket()]
    tiles = [cv2.resize(one, (300, 200)) for one in (*pixels, skimage.data.astronaut())]
    page = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
    seen = window_squares(page)
    for tile in tiles:
        assert (
            min(
                np.abs(pixel_levels(one) - pixel_levels(resize_to_square(tile))).mean()
                for one in seen
            )
            < 6
        )


@pytest.mark.parametrize("shape", [(1, 1), (4, 900), (900, 4), (31, 31), (64, 64), (300, 1_000)])
def test_windows_are_few_and_of_one_size(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    seen = window_squares(noise)
    assert len(seen) <= WINDOWS_MAX
    assert {len(one) for one in (resize_to_square(noise), *seen)} == {
        3 * EMBEDDING_SQUARE_SIDE_PX**2
    }
    if min(shape) < 32:
        assert not seen


def test_a_flat_drawing_has_a_high_share_of_flat_steps() -> None:
    drawing = np.full((300, 400, 3), 40, np.uint8)
    for place in (60, 160, 260):
        cv2.circle(drawing, (place, 150), 40, (200, 120, place % 255), -1, cv2.LINE_AA)
    assert flat_step_share(resize_to_square(drawing)) > 0.85
    for photograph in (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()):
        assert flat_step_share(resize_to_square(photograph)) < 0.5
    assert flat_step_share(bytes(EMBEDDING_SQUARE_SIDE_PX * EMBEDDING_SQUARE_SIDE_PX * 3)) == 1.0
