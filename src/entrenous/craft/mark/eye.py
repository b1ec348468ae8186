"""What an eye at some distance sees of a mark, and how much less of it goes where it is seen.

A mark that is unseen pixel by pixel may still be seen as a faint cloudiness of calm places. A scale
that was fitted to people's judgement, SSIMULACRA2 (Sneyers 2023), puts most of its weight there: on
the structural similarity of lightness at a quarter and at an eighth of the size. It is foretold for
a trial mark, without any key. docs/spec/mark.md, section 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from entrenous.craft.mark.luma import Pixels, Plane, Samples, shrink

_SEEN_MOST: Final = 0.63  # measured: SSIMULACRA2 of 83 to 85 for the mark, 81 to 84 once written
# the weights that SSIMULACRA2 gives to a quarter and an eighth of the size
_WEIGHTS: Final = (225.205, 176.393)
_CONSTANT: Final = 0.0009  # C2 there
_SIGMA_PX: Final = 1.5
# red, green and blue in the eye's long and middle cones, and their bias (JPEG XL, ISO/IEC 18181-1)
_LONG: Final = (0.30, 0.622, 0.078)
_MIDDLE: Final = (0.23, 0.692, 0.078)
_BIAS: Final = 0.0037930732552754493
_PULL_MOST: Final = 2.0  # a calm place keeps at least 1 / sqrt(3) of its mark
_STEPS: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class _Scale:
    """What is seen of a mark at one scale, and how calm each place is: 1 where nothing hides it."""

    seen: Plane
    calm: Plane
    weight: float

    def left(self, pull: float) -> float:
        """What is seen once calm places are pulled down: it goes with the mark's square."""
        return self.weight * float(np.mean(self.seen / (np.float32(1) + pull * self.calm)))


def tempered(strongest: Sequence[Plane], pixels_rgb: Pixels, trial: Plane) -> tuple[Plane, ...]:
    """Masks that are lower in calm places, as far as too much of the mark would be seen.

    Args:
        strongest: one mask per band, finest first, each at its level's size.
        pixels_rgb: (H, W, 3) uint8.
        trial: (H, W), the mark that the masks make of trial chips, in grey levels.
    """
    scales = _scales(pixels_rgb, trial)
    pull = _pull(scales)
    if pull == 0.0:
        return tuple(strongest)
    softer = np.float32(1) / np.sqrt(np.float32(1) + np.float32(pull) * scales[0].calm)
    return tuple(mask * _laid(softer, mask) for mask in strongest)


def _pull(scales: Sequence[_Scale]) -> float:
    """The smallest that leaves no more to be seen than allowed, within its bound (bisection)."""
    low, high = 0.0, _PULL_MOST
    if _left(scales, low) <= _SEEN_MOST:
        return low
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if _left(scales, middle) <= _SEEN_MOST else (middle, high)
    return high


def _left(scales: Sequence[_Scale], pull: float) -> float:
    return sum(scale.left(pull) for scale in scales)


def _scales(pixels_rgb: Pixels, trial: Plane) -> list[_Scale]:
    quarter = _part(pixels_rgb, 4), _part(trial, 4)
    eighth = _part(quarter[0], 2), _part(quarter[1], 2)
    return [
        _scale(*small, weight) for small, weight in zip((quarter, eighth), _WEIGHTS, strict=True)
    ]


def _part(plane: Samples, times: int) -> Samples:
    return shrink(plane, (-(-plane.shape[0] // times), -(-plane.shape[1] // times)))


def _scale(small: Pixels, trial: Plane, weight: float) -> _Scale:
    light = _lightness(small)
    a_level = _lightness(np.asarray(cv2.add(small, np.full_like(small, 1)), np.uint8)) - light
    contrast, added = _variance(light), _variance(trial * a_level)
    hidden = np.float32(2) * contrast + np.float32(_CONSTANT)
    return _Scale(added / (hidden + added), np.float32(_CONSTANT) / hidden, weight)


def _lightness(pixels_rgb: Pixels) -> Plane:
    """Y of XYB: the mean of two cones' cube roots, in which a step looks alike at every light."""
    light = cv2.LUT(pixels_rgb, _linear())
    cones = [
        np.cbrt(light @ np.array(cone, np.float32) + np.float32(_BIAS)) for cone in (_LONG, _MIDDLE)
    ]
    return np.asarray(np.float32(0.5) * (cones[0] + cones[1]), np.float32)


def _linear() -> Plane:
    """Light, 0 to 1, of each sample value (sRGB, IEC 61966-2-1)."""
    value = np.arange(256) / 255.0
    bright = ((value + 0.055) / 1.055) ** 2.4
    return np.where(value <= 0.04045, value / 12.92, bright).astype(np.float32)


def _variance(plane: Plane) -> Plane:
    mean, square = (cv2.GaussianBlur(one, (0, 0), _SIGMA_PX) for one in (plane, plane * plane))
    return np.maximum(square - mean * mean, 0.0, dtype=np.float32)


def _laid(plane: Plane, onto: Plane) -> Plane:
    size = (onto.shape[1], onto.shape[0])
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.float32)
