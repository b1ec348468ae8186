"""Which frequencies a leak still shows: blur, resizing and sharpening, measured and undone.

A whole-picture filter is a gain per frequency. It is read off the two pictures, as the regression
of one on the other in rings of equal frequency, and applied to the sent picture and to the mark
alike. The cosine transform's mirrored borders make the filter its own adjoint, exactly. Nothing
here knows a key. docs/spec/mark.md, section 6.3.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from entrenous.craft.mark.code import Shape
from entrenous.craft.mark.luma import Plane

_RINGS: Final = 48  # up to half a cycle a pixel; beyond (the corners) the last one holds
_TONE_RINGS: Final = 2  # what is coarser belongs to the tone, not to a filter
_GAIN_MAX: Final = 4.0
_LOWS_PX: Final = 8.0
_WINDOW_PX: Final = 31
_CALM: Final = 2.0  # squared grey levels
# strong edges alone would speak for a filter, and a codec treats calm places worse
_EVENNESS: Final = 0.12
_NEAR_ONE: Final = 0.04
_EMPTY: Final = 1e-3  # squared grey levels a cosine
_FINENESS: Final = 64  # steps of a ring


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """A gain per cosine, 1 at the lowest, for planes of one shape; None: all passed as it was."""

    gains: Plane | None

    def filtered(self, plane: Plane) -> Plane:
        """The plane through this filter; linear in it, and its own adjoint."""
        if self.gains is None:
            return plane
        return np.asarray(idctn(dctn(plane, norm="ortho") * self.gains, norm="ortho"), np.float32)


def fit_passed(leak: Plane, expected: Plane, covered: NDArray[np.bool_]) -> Passed:
    """Measure the filter between two planes of one size, where they are covered."""
    highs = _highs(expected)
    weight = _evenness(highs, covered)
    found = dctn(_highs(leak) * weight, norm="ortho").ravel()
    sent = dctn(highs * weight, norm="ortho").ravel()
    at = _ring(_shape(leak))
    curve = _regressed(np.rint(at).astype(np.intp).ravel(), found, sent)
    if np.abs(curve - 1.0).max() < _NEAR_ONE:
        return Passed(None)
    fine = np.interp(np.arange(_RINGS * _FINENESS) / _FINENESS, np.arange(_RINGS), curve)
    return Passed(fine.astype(np.float32)[(at * _FINENESS).astype(np.intp)])


def _regressed(ring: NDArray[np.intp], found: Plane, sent: Plane) -> NDArray[np.float64]:
    """One gain per ring; a ring that is empty in the sent picture follows the one below."""
    cross = np.bincount(ring, found * sent, _RINGS)
    power = np.bincount(ring, sent * sent, _RINGS)
    prior = _EMPTY * np.bincount(ring, minlength=_RINGS) + 1e-9
    gains = np.ones(_RINGS)
    for one in range(_TONE_RINGS, _RINGS):
        gains[one] = (cross[one] + prior[one] * gains[one - 1]) / (power[one] + prior[one])
    return np.asarray(np.clip(gains, 0.0, _GAIN_MAX), np.float64)


def _evenness(highs: Plane, covered: NDArray[np.bool_]) -> Plane:
    power = np.maximum(cv2.blur(highs * highs, (_WINDOW_PX, _WINDOW_PX)), 0.0)
    inside = cv2.erode(covered.astype(np.float32), np.ones((9, 9), np.uint8))
    even = cv2.GaussianBlur(inside / (power + np.float32(_CALM)) ** _EVENNESS, (0, 0), 4.0)
    return np.asarray(even, np.float32)


def _highs(plane: Plane) -> Plane:
    lows = cv2.GaussianBlur(plane, (0, 0), _LOWS_PX, borderType=cv2.BORDER_REFLECT)
    return np.asarray(plane - lows, np.float32)


def _ring(shape: Shape) -> NDArray[np.float32]:
    """Frequency of every cosine, in rings; half a cycle a pixel is the last ring."""
    down, across = (np.arange(side, dtype=np.float32) / np.float32(side) for side in shape)
    radius = np.minimum(np.hypot(down[:, None], across[None]), 1.0)
    return np.asarray(radius * np.float32(_RINGS - 1), np.float32)


def _shape(plane: Plane) -> Shape:
    return plane.shape[0], plane.shape[1]
