"""Tests of finding text on a picture, and of hashing the picture without the text."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.limits import PDQ_QUALITY_MIN, PDQ_RADIUS_BITS
from entrenous.fingerprint.borders import luma_thumbnail
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.fingerprint.overlaid_text import BLOBS_MAX, letter_mask, spectra_without_text
from entrenous.fingerprint.pdq import (
    PDQ_KIND,
    distance,
    hash_spectra,
    low_frequencies,
    shrink_to_blocks,
)

WHITE = (255, 255, 255)
BLACK = (0, 0, 0)


def hash_distance(first: Any, second: Any) -> int:
    return distance(
        *(Fingerprint(PDQ_KIND, hash_spectra(spectrum), 100) for spectrum in (first, second))
    )


def picture_spectrum(pixels: Any) -> Any:
    return low_frequencies(shrink_to_blocks(pixels))


def add_caption(
    pixels: Any, fill: tuple[int, int, int], outline: tuple[int, int, int] | None
) -> Any:
    """Return the picture with a line of text near the top and one near the bottom."""
    out = pixels.copy()
    high, wide = out.shape[:2]
    scale = wide / 400
    for words, row in (("WHEN YOU FIND OUT", 0.13), ("ME EVERY MONDAY", 0.95)):
        place = (round(0.04 * wide), round(row * high))
        for colour, thick in ((outline, round(9 * scale)), (fill, round(4 * scale))):
            if colour is not None:
                font = cv2.FONT_HERSHEY_DUPLEX
                cv2.putText(out, words, place, font, 1.15 * scale, colour, thick, cv2.LINE_AA)
    return out


@pytest.mark.slow
@pytest.mark.parametrize(("fill", "outline"), [(WHITE, BLACK), (BLACK, WHITE), (WHITE, None)])
def test_removing_text_gives_nearly_the_original_hash(
    photographs: dict[str, Any], fill: Any, outline: Any
) -> None:
    moved, left = [], []
    for name in ("cat", "rocket", "china", "flower"):
        pixels = photographs[name]
        upload = add_caption(pixels, fill, outline)
        seen = spectra_without_text(luma_thumbnail(upload), PDQ_QUALITY_MIN)
        moved.append(hash_distance(picture_spectrum(pixels), picture_spectrum(upload)))
        left.append(min(hash_distance(picture_spectrum(pixels), spectrum) for spectrum in seen))
    assert sum(bits <= PDQ_RADIUS_BITS for bits in left) >= 3, (moved, left)
    assert np.mean(left) <= 0.6 * np.mean(moved), (moved, left)


def test_letters_are_marked_and_the_rest_is_not() -> None:
    pixels = np.full((300, 500), 90, np.uint8)
    for column in range(6):
        pixels[40:60, 50 + 30 * column : 62 + 30 * column] = 240  # six letters on a line
    pixels[200:220, 50:62] = 240  # a single letter
    pixels[120:125, 20:480] = 240  # a long stroke
    mask = letter_mask(pixels, 225)
    assert mask[40:60].sum() == 6 * 20 * 12
    assert mask.sum() == mask[40:60].sum()
    assert not letter_mask(255 - pixels, 225).any()


def test_a_page_of_text_leaves_nothing_to_hash() -> None:
    page = np.full((512, 512, 3), 255, np.uint8)
    for row in range(30, 512, 30):
        cv2.putText(page, "WORDS WORDS WORDS WORDS", (8, row), 0, 1.0, BLACK, 2)
    assert len(spectra_without_text(luma_thumbnail(page), PDQ_QUALITY_MIN)) == 0


def test_a_texture_is_not_taken_for_text() -> None:
    pixels = np.zeros((512, 512), np.uint8)
    for row in range(4, 508, 11):
        for column in range(4, 508, 11):
            pixels[row : row + 8, column : column + 6] = 255
    assert BLOBS_MAX < (512 // 11) ** 2
    assert not letter_mask(pixels, 225).any()


@given(
    height=st.integers(1, 80),
    width=st.integers(1, 80),
    levels=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_picture_is_handled(height: int, width: int, levels: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, levels, (height, width))
    grey = (noise * (255 / levels)).astype(np.float32)
    seen = spectra_without_text(grey, 0)
    assert seen.shape[1:] == (16, 16)
    assert len(seen) <= 4
    assert np.isfinite(seen).all()
