"""Remove text that was written over a picture, and fill the gaps from the surroundings.

A blob is a connected group of pixels that may be a letter.
"""

from collections.abc import Iterator
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.fingerprint.pdq import (
    FREQUENCIES_PER_AXIS,
    Floats,
    low_frequencies,
    qualities,
    shrink_to_blocks,
)

# Two values for the minimum brightness of letters. Dark letters are sought in the negative.
LETTER_LEVELS_MIN: Final = (225, 170)
# minimum height of a letter, as a share of the picture's height
LETTER_HEIGHT_SHARE_MIN: Final = 0.012
LETTER_HEIGHT_SHARE_MAX: Final = 0.2
# largest width of a letter, as a share of the picture's width; letters may touch
LETTER_WIDTH_SHARE_MAX: Final = 0.25
WIDTH_TO_HEIGHT_MAX: Final = 6  # largest ratio of width to height
HEIGHT_TO_WIDTH_MAX: Final = 12  # largest ratio of height to width, for a letter like l
LETTER_AREA_PX_MIN: Final = 5
BLOBS_MAX: Final = 1_500  # more blobs than this are a texture
LINE_NEIGHBOURS_MIN: Final = 3  # a letter needs this many further letters on its line
# the further letters must be within this distance, in letter heights
NEIGHBOUR_DISTANCE_HEIGHTS_MAX: Final = 6.0
# minimum ratio of the smaller to the larger height of two letters in a line
HEIGHT_RATIO_MIN: Final = 0.5
# largest difference between the bottoms of two letters, in letter heights; a p reaches lower than
# an a
BASELINE_OFFSET_HEIGHTS_MAX: Final = 0.25
# width of the margin around each letter that is painted over too, as a share of the picture height
LETTER_MARGIN_SHARE: Final = 0.012
# if letters cover a larger share of the picture, too little of it is left
COVERED_SHARE_MAX: Final = 0.4
_INPAINT_RADIUS_PX: Final = 3  # gaps are filled from pixels within this radius
Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def spectra_without_text(grey: Floats, quality_min: int) -> Floats:
    """Return spectra (N, 16, 16) of a picture (H, W) whose light or dark letters were removed.

    There are at most four: for light and for dark letters, at two brightness limits each. Spectra
    with a PDQ quality below ``quality_min`` are left out.
    """
    level = grey.astype(np.uint8)
    blocks = [shrink_to_blocks(shown) for shown in _paint_over_letters(level)]
    if not blocks:
        return np.zeros((0, FREQUENCIES_PER_AXIS, FREQUENCIES_PER_AXIS), dtype=np.float32)
    found = np.stack(blocks)
    return low_frequencies(found[qualities(found) >= quality_min])


def letter_mask(level: Grey, at_least: int) -> Mask:
    """Return the mask (H, W) of the pixels that are bright enough and form lines of text."""
    height_px, width_px = level.shape
    light = (level >= at_least).astype(np.uint8)
    _, label, statistics, _ = cv2.connectedComponentsWithStats(light, connectivity=8)
    wide, high = statistics[:, cv2.CC_STAT_WIDTH], statistics[:, cv2.CC_STAT_HEIGHT]
    is_letter = (high >= LETTER_HEIGHT_SHARE_MIN * height_px) & (
        high <= LETTER_HEIGHT_SHARE_MAX * height_px
    )
    is_letter &= (
        (wide <= LETTER_WIDTH_SHARE_MAX * width_px)
        & (wide <= WIDTH_TO_HEIGHT_MAX * high)
        & (high <= HEIGHT_TO_WIDTH_MAX * wide)
    )
    is_letter &= statistics[:, cv2.CC_STAT_AREA] >= LETTER_AREA_PX_MIN
    is_letter[0] = False  # the background
    blobs = np.flatnonzero(is_letter)
    is_letter[:] = False
    if len(blobs) <= BLOBS_MAX:
        is_letter[blobs[_are_in_text_line(statistics[blobs])]] = True
    return np.asarray(is_letter[label], dtype=np.bool_)


def _are_in_text_line(statistics: NDArray[Any]) -> Mask:
    """Return which of N blobs have other blobs beside them on a line.

    ``statistics`` (N, 5) come from ``cv2.connectedComponentsWithStats``.
    """
    left, top, wide, high = statistics[:, :4].T.astype(np.float32)
    higher = np.maximum.outer(high, high)
    middle, foot = left + wide / 2, top + high
    neighbours = (
        np.abs(np.subtract.outer(middle, middle)) <= NEIGHBOUR_DISTANCE_HEIGHTS_MAX * higher
    )
    neighbours &= np.minimum.outer(high, high) >= HEIGHT_RATIO_MIN * higher
    neighbours &= np.abs(np.subtract.outer(foot, foot)) <= BASELINE_OFFSET_HEIGHTS_MAX * higher
    # each blob counts itself
    return np.asarray(neighbours.sum(axis=1) > LINE_NEIGHBOURS_MIN, dtype=np.bool_)


def _paint_over_letters(level: Grey) -> Iterator[Grey]:
    """For each kind of letters in the picture, yield the picture with them painted over."""
    around = max(2, round(LETTER_MARGIN_SHARE * len(level)))
    brush = np.ones((2 * around + 1, 2 * around + 1), dtype=np.uint8)
    for shown in (level, 255 - level):
        for at_least in LETTER_LEVELS_MIN:
            mask = cv2.dilate(letter_mask(shown, at_least).astype(np.uint8), brush)
            if 0 < np.count_nonzero(mask) <= COVERED_SHARE_MAX * mask.size:
                yield np.asarray(
                    cv2.inpaint(level, mask, _INPAINT_RADIUS_PX, cv2.INPAINT_TELEA), np.uint8
                )
