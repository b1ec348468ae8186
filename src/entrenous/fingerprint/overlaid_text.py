"""Remove letters that were written over a picture, and fill in what is below."""

from collections.abc import Iterator
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.fingerprint.pdq import KEPT, Floats, frequencies, qualities, shrink

LEVELS: Final = (225, 170)  # as light as a letter is at the least, or as dark seen from white
HIGH_MIN: Final = 0.012  # of the picture's height
HIGH_MAX: Final = 0.2
WIDE_MAX: Final = 0.25  # of its width: letters that touch
LONG_MAX: Final = 6  # heights wide
THIN_MAX: Final = 12  # widths high: an l
AREA_MIN_PX: Final = 5
BLOBS_MAX: Final = 1_500  # beyond, it is a texture
OTHERS_MIN: Final = 3  # letters beside one on its line
REACH: Final = 6.0  # heights, in which these stand
ALIKE: Final = 0.5  # the lower of two over the higher
BASE: Final = 0.25  # heights, by which the feet of two may differ: p stands lower than a
OUTLINE: Final = 0.012  # of the picture's height, painted over around each letter
COVERED_MAX: Final = 0.4  # of the picture; beyond, what is left says little
_NEAR_PX: Final = 3  # from which the colour of a painted pixel is taken
Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def without_writing(grey: Floats, least: int) -> Floats:
    """The spectra (N, 16, 16) of a picture (H, W) without light and without dark letters, at most
    four: those that have a PDQ quality of at least ``least``.
    """
    level = grey.astype(np.uint8)
    blocks = [shrink(seen) for seen in _painted(level)]
    if not blocks:
        return np.zeros((0, KEPT, KEPT), dtype=np.float32)
    found = np.stack(blocks)
    return frequencies(found[qualities(found) >= least])


def letters(level: Grey, at_least: int) -> Mask:
    """Where (H, W) pixels of at least this level make up letters on a line."""
    height_px, width_px = level.shape
    light = (level >= at_least).astype(np.uint8)
    _, label, told, _ = cv2.connectedComponentsWithStats(light, connectivity=8)
    wide, high = told[:, cv2.CC_STAT_WIDTH], told[:, cv2.CC_STAT_HEIGHT]
    fit = (high >= HIGH_MIN * height_px) & (high <= HIGH_MAX * height_px)
    fit &= (wide <= WIDE_MAX * width_px) & (wide <= LONG_MAX * high) & (high <= THIN_MAX * wide)
    fit &= told[:, cv2.CC_STAT_AREA] >= AREA_MIN_PX
    fit[0] = False  # what is not light
    blobs = np.flatnonzero(fit)
    fit[:] = False
    if len(blobs) <= BLOBS_MAX:
        fit[blobs[_in_line(told[blobs])]] = True
    return np.asarray(fit[label], dtype=np.bool_)


def _in_line(told: NDArray[Any]) -> Mask:
    """Which of N blobs, by OpenCV's (N, 5) statistics, have others beside them on a line."""
    left, top, wide, high = told[:, :4].T.astype(np.float32)
    higher = np.maximum.outer(high, high)
    middle, foot = left + wide / 2, top + high
    beside = np.abs(np.subtract.outer(middle, middle)) <= REACH * higher
    beside &= np.minimum.outer(high, high) >= ALIKE * higher
    beside &= np.abs(np.subtract.outer(foot, foot)) <= BASE * higher
    return np.asarray(beside.sum(axis=1) > OTHERS_MIN, dtype=np.bool_)  # each is beside itself


def _painted(level: Grey) -> Iterator[Grey]:
    """The picture without each kind of letters that it has."""
    around = max(2, round(OUTLINE * len(level)))
    brush = np.ones((2 * around + 1, 2 * around + 1), dtype=np.uint8)
    for seen in (level, 255 - level):
        for at_least in LEVELS:
            mask = cv2.dilate(letters(seen, at_least).astype(np.uint8), brush)
            if 0 < np.count_nonzero(mask) <= COVERED_MAX * mask.size:
                yield np.asarray(cv2.inpaint(level, mask, _NEAR_PX, cv2.INPAINT_TELEA), np.uint8)
