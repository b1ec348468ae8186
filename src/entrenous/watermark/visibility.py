"""How strong a mark may be at each place: as strong as the picture hides it, and zero in flat
areas.

A model of what an eye at some distance sees of a mark says where it has to be weaker still.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from entrenous.watermark.chip_layout import Shape
from entrenous.watermark.pyramid import (
    Pixels,
    Plane,
    Samples,
    detail_pyramid,
    gaussian_pyramid,
    shrink,
)

_FLOOR: Final = 0.4  # grey levels: below one rounding step, unseen even on a flat wall
_FLOOR_LEAST: Final = 0.2
_FLOOR_MOST: Final = 0.6  # in calm pictures, which would else carry too little
_CALM_DB_AT_600_PX: Final = 47.5
_CALM_DB_AN_OCTAVE: Final = 1.1
_POWER: Final = 0.6
_CEILING: Final = 6.0  # grey levels
_MASK_WINDOW_PX: Final = 5
_CALMEST_PX: Final = 7
# a lonely edge, with calm on either side of it, hides no more than this
_LONELY_PX: Final = 13
_LONELY_TIMES: Final = 3.0  # what the calmest place around it has
_LONELY_LEAST: Final = 0.5  # grey levels
# in pure black and white half of a mark is cut off, and what is left changes the mean
_LUMA_AT: Final = (0.0, 12.0, 110.0, 243.0, 255.0)
_LUMA_FACTOR: Final = (0.5, 1.2, 1.0, 1.3, 0.6)
# finest first: most energy where it is unseen; enough in the coarse to be heard in a thumbnail
_BAND_GAINS: Final = (1.2, 1.0, 0.7, 0.45, 0.35, 0.35)
_SSIM_LEAST: Final = 0.987
_SSIM_CONSTANT: Final = (0.03 * 255.0) ** 2  # C2 of Wang et al. 2004
_SSIM_SIGMA_PX: Final = 1.5
_SAMPLE_PX: Final = 8  # the estimate looks at every eighth pixel of every eighth row
# variance of a band's pattern within SSIM's window where its mask is 1, finest band first; all of a
# pattern is 0.41, but what is coarser than the window only shifts its mean
_CHIP_POWER: Final = (0.40, 0.30, 0.13, 0.04)
_BAND_POWER: Final = 0.41  # of a whole pattern
_DITHER_POWER: Final = 1.0 / 6.0  # what rounding by dither adds, on average over marks


def masks(luma: Plane, bands: int) -> list[Plane]:
    """Amplitude of each band in grey levels, finest first, before the cap on the whole.

    The floor is 0.4 grey levels. It is less where so much of the picture is flat that structural
    similarity (SSIM) would suffer, and up to 0.6 where the whole picture stays well above the PSNR
    of others: a calm picture has few places that carry much.
    """
    octaves = [
        _Octave(_activity(detail), light, gain)
        for detail, light, gain in zip(
            detail_pyramid(luma, bands), gaussian_pyramid(luma, bands), _gains(bands), strict=True
        )
    ]
    floor = _floor(luma, octaves)
    return [octave.mask(floor) for octave in octaves]


@dataclass(frozen=True, slots=True, eq=False)
class _Octave:
    """What decides a band's mask: the activity around each pixel, and its luma."""

    activity: Plane
    light: Plane
    gain: float

    def mask(self, floor: float) -> Plane:
        # an exactly flat place hides nothing, however calm the whole picture is
        local = np.minimum(floor, _FLOOR + self.activity)
        amplitude = local * (1.0 + self.activity / local) ** _POWER
        amplitude *= np.interp(self.light, _LUMA_AT, _LUMA_FACTOR)
        return np.asarray(self.gain * np.minimum(amplitude, _CEILING), np.float32)

    def thinned(self, step: int) -> "_Octave":
        return _Octave(self.activity[::step, ::step], self.light[::step, ::step], self.gain)


def _gains(bands: int) -> tuple[float, ...]:
    return (_BAND_GAINS + _BAND_GAINS[-1:] * max(0, bands - len(_BAND_GAINS)))[:bands]


def _floor(luma: Plane, octaves: list[_Octave]) -> float:
    """The highest floor that keeps the expected SSIM and, above 0.4, the PSNR of calm pictures."""
    contrast = _variance(luma)[::_SAMPLE_PX, ::_SAMPLE_PX]
    sampled = [one.thinned(max(1, _SAMPLE_PX >> level)) for level, one in enumerate(octaves)]
    calm_db = _CALM_DB_AT_600_PX + _CALM_DB_AN_OCTAVE * math.log2(max(luma.shape) / 600.0)

    def unseen(floor: float) -> bool:
        calm = floor <= _FLOOR or _psnr_db(sampled, floor) >= calm_db
        return calm and _ssim(contrast, sampled, floor) >= _SSIM_LEAST

    low, high = _FLOOR_LEAST, _FLOOR_MOST
    if unseen(high):
        return high
    for _ in range(8):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if unseen(middle) else (low, middle)
    return low


def _psnr_db(octaves: list[_Octave], floor: float) -> float:
    """Expected PSNR, rounding included, before the cap on the whole."""
    power = sum(float(np.mean(octave.mask(floor) ** 2)) for octave in octaves)
    return 10.0 * math.log10(255.0**2 / (_DITHER_POWER + _BAND_POWER * power))


def _ssim(contrast: Plane, octaves: list[_Octave], floor: float) -> float:
    """Expected SSIM: the mark is independent of the picture and has a mean of zero."""
    shape = (contrast.shape[1], contrast.shape[0])
    power = np.full(contrast.shape, _DITHER_POWER, np.float32)
    for octave, share in zip(octaves, _CHIP_POWER, strict=False):
        mask = octave.mask(floor)
        power += share * cv2.resize(mask * mask, shape, interpolation=cv2.INTER_NEAREST)
    likeness = 2.0 * contrast + _SSIM_CONSTANT
    return float(np.mean(likeness / (likeness + power)))


def _variance(luma: Plane) -> Plane:
    mean, square = (
        cv2.GaussianBlur(plane, (0, 0), _SSIM_SIGMA_PX) for plane in (luma, luma * luma)
    )
    return np.maximum(square - mean * mean, 0.0, dtype=np.float32)


def _activity(detail: Plane) -> Plane:
    window = (_MASK_WINDOW_PX, _MASK_WINDOW_PX)
    power = cv2.blur(detail * detail, window, borderType=cv2.BORDER_REFLECT)
    near, wide = (
        # running sums can leave a tiny negative power
        np.sqrt(np.maximum(cv2.erode(power, np.ones((side, side), np.uint8)), 0.0))
        for side in (_CALMEST_PX, _LONELY_PX)
    )
    return np.minimum(near, _LONELY_TIMES * wide + _LONELY_LEAST, dtype=np.float32)


_FLAT_WINDOW_PX: Final = 15
_ROWS: Final = 256  # a strip's planes stay in a processor's cache
_AROUND: Final = np.ones((3, 3), np.uint8)


def zero_in_flat_areas(
    masks: Sequence[Plane], pixels_rgb: Pixels, working: Shape
) -> tuple[Plane, ...]:
    """Masks that are 0 in flat places, and so near them that no pixel in one is changed.

    The same arrays for a picture without any flat place, and for one that is nothing else: its
    copies must differ, and it has no other place for that.

    Args:
        masks: one per band, finest first, each at its level's size.
        pixels_rgb: (H, W, 3) uint8.
        working: size of the finest level; smaller than the picture where that is large.
    """
    flat = flat_places(pixels_rgb)
    if not flat.any():
        return tuple(masks)
    touched = (shrink(flat, working) > 0).astype(np.float32)
    left = tuple(mask * _beyond(touched, _shape(mask)) for mask in masks)
    return left if any(mask.any() for mask in left) else tuple(masks)


def flat_places(pixels_rgb: Pixels) -> Pixels:
    """(H, W) uint8: 255 where the 15 x 15 pixels around (fewer at a border) are equal, else 0."""
    half, high = _FLAT_WINDOW_PX // 2, len(pixels_rgb)
    flat = np.empty(pixels_rgb.shape[:2], np.uint8)
    for top in range(0, high, _ROWS):
        first, last = max(0, top - half), min(high, top + _ROWS + half)
        equal = _equal(pixels_rgb[first:last])
        flat[top : top + _ROWS] = equal[top - first : top - first + _ROWS]
    return flat


def _equal(pixels_rgb: Pixels) -> Pixels:
    """As :func:`flat_places`, without strips: the largest and the smallest sample are the same."""
    window = np.ones((_FLAT_WINDOW_PX, _FLAT_WINDOW_PX), np.uint8)
    largest, smallest = cv2.dilate(pixels_rgb, window), cv2.erode(pixels_rgb, window)
    return np.asarray(cv2.inRange(cv2.subtract(largest, smallest), (0, 0, 0), (0, 0, 0)), np.uint8)


def _beyond(touched: Plane, shape: Shape) -> Plane:
    """1 for a level's pixels that neither hold a flat place nor lie beside one that does, else 0:
    what is laid on a level reaches about one of its pixels farther when it is enlarged.
    """
    near = cv2.dilate(shrink(touched, shape), _AROUND)
    return np.asarray(near == 0, np.float32)


def _shape(plane: Plane) -> Shape:
    return plane.shape[0], plane.shape[1]


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


def reduce_where_visible(
    strongest: Sequence[Plane], pixels_rgb: Pixels, trial: Plane
) -> tuple[Plane, ...]:
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
    contrast, added = _seen_variance(light), _seen_variance(trial * a_level)
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


def _seen_variance(plane: Plane) -> Plane:
    mean, square = (cv2.GaussianBlur(one, (0, 0), _SIGMA_PX) for one in (plane, plane * plane))
    return np.maximum(square - mean * mean, 0.0, dtype=np.float32)


def _laid(plane: Plane, onto: Plane) -> Plane:
    size = (onto.shape[1], onto.shape[0])
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.float32)
