"""Sharpen a homography over all pixels (ECC: Evangelidis and Psarakis 2008).

A tenth of a pixel of misregistration halves the score of a clean leak, so matched points alone
are not enough.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.geometry import Homography, carried, corners, inverse
from entrenous.craft.align.misfit import Bench

_STEPS: Final = 30
_ENOUGH: Final = 1e-6  # gain of correlation below which a step is the last
_BLUR_PX: Final = 5
_FRAME_PX: Final = 6
_STRAY_MAX: Final = 0.02  # of the longest side: further, ECC has run away


def polished(on: Bench, homography: Homography, *, steps: int = _STEPS) -> Homography | None:
    """The homography near this one with the highest correlation; None when ECC loses its way."""
    start = on.inward(homography)
    start = (start / start[2, 2]).astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, steps, _ENOUGH)
    try:
        _, refined = cv2.findTransformECC(
            on.sent,
            on.found,
            start,
            cv2.MOTION_HOMOGRAPHY,
            criteria,
            _inner(on, start),
            _BLUR_PX,
        )
    except cv2.error:  # it does not converge, or nothing overlaps
        return None
    outward = on.outward(refined.astype(np.float64))
    frame = corners(on.size_found)
    strayed = np.abs(carried(outward @ inverse(homography), frame) - frame).max()
    if not strayed <= _STRAY_MAX * max(on.size_found):
        return None
    return np.asarray(outward / outward[2, 2], np.float64)


def _inner(on: Bench, start: Homography) -> NDArray[np.uint8]:
    """The pixels of the found picture that show the sent one, without its outermost frame.

    Whatever surrounds the picture in a screenshot would be blurred into it and pull at its edges.
    """
    rows, columns = on.sent.shape
    mask = np.zeros((rows, columns), np.uint8)
    mask[_FRAME_PX : rows - _FRAME_PX, _FRAME_PX : columns - _FRAME_PX] = 1
    size = (on.found.shape[1], on.found.shape[0])
    return np.asarray(cv2.warpPerspective(mask, start, size, flags=cv2.INTER_NEAREST), np.uint8)
