"""Bars around a video: what stays of one brightness on all of its frames.

On a single frame a night sky looks like a bar. Over time it does not stay as even, so what was ever
anything else than plain counts as picture from then on; after a few frames the bars stand.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.reel.blocks import Luma
from entrenous.craft.fingerprint.thumbnail import SIDE_PX

SPREAD: Final = 16  # brightness levels, as for the border of a picture
LEFT_MIN: Final = 0.3  # of each side: bars around less are a picture of their own


@dataclass(slots=True)
class Bars:
    """``darkest`` and ``brightest`` are what each place of a small frame has been so far."""

    darkest: Luma | None = None
    brightest: Luma | None = None

    def without(self, luma: Luma) -> Luma | None:
        """The (H, W) luma inside the bars, None when there are none; learns from this frame.

        All frames must be of one size.
        """
        small = _small(luma)
        self.darkest = small if self.darkest is None else np.minimum(self.darkest, small)
        self.brightest = small if self.brightest is None else np.maximum(self.brightest, small)
        top, bottom, left, right = inside(self.darkest, self.brightest)
        if (bottom - top, right - left) == small.shape:
            return None
        down, across = luma.shape[0] / small.shape[0], luma.shape[1] / small.shape[1]
        rows = slice(round(top * down), round(bottom * down))
        return luma[rows, round(left * across) : round(right * across)]


def inside(darkest: Luma, brightest: Luma) -> tuple[int, int, int, int]:
    """First and last row, first and last column inside the bars, half open.

    The whole frame where there are no bars, or where too little would be left. A bar is as bright
    all over as at its outer edge, give or take 16 levels.
    """
    height, width = darkest.shape
    top, bottom = _between(darkest.min(axis=1), brightest.max(axis=1))
    rows = slice(top, bottom)
    left, right = _between(darkest[rows].min(axis=0), brightest[rows].max(axis=0))
    if bottom - top < LEFT_MIN * height or right - left < LEFT_MIN * width:
        return 0, height, 0, width
    return top, bottom, left, right


def _between(low: Luma, high: Luma) -> tuple[int, int]:
    """First and last line between the plain ones at both ends; all, when there are only such."""
    first, last = _run(low, high), len(low) - _run(low[::-1], high[::-1])
    return (first, last) if first < last else (0, len(low))


def _run(low: Luma, high: Luma) -> int:
    """How many lines from the first one on are plain, and as bright as the first."""
    darkest, brightest = np.minimum.accumulate(low), np.maximum.accumulate(high)
    plain: NDArray[np.bool_] = brightest.astype(np.int16) - darkest <= SPREAD
    return len(plain) if bool(plain.all()) else int(np.argmin(plain))


def _small(luma: Luma) -> Luma:
    height_px, width_px = luma.shape
    shrinking = min(1.0, SIDE_PX / max(height_px, width_px))
    size = (max(1, round(width_px * shrinking)), max(1, round(height_px * shrinking)))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
