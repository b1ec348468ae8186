"""The amplitude of a mark at each place.

The amplitude is as large as the picture can hide, and zero in flat areas. Where the mark would
still be visible to a viewer at some distance, a model of vision lowers it further.
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
    shape_of,
    shrink,
)

# grey levels; less than a rounding step, so invisible even on a flat wall
_USUAL_AMPLITUDE_FLOOR: Final = 0.4
_AMPLITUDE_FLOOR_MIN: Final = 0.2
# grey levels; for smooth pictures, in which a mark would otherwise be too weak
_AMPLITUDE_FLOOR_MAX: Final = 0.6
# a floor above the usual one must keep at least this PSNR: at a longest side of 600 px, and the
# increase for each doubling of that side
_SMOOTH_PSNR_DB_AT_600_PX: Final = 47.5
_SMOOTH_PSNR_DB_PER_OCTAVE: Final = 1.1
_ACTIVITY_EXPONENT: Final = 0.6
_AMPLITUDE_CEILING: Final = 6.0  # grey levels
_MASK_WINDOW_PX: Final = 5
_SMOOTHEST_WINDOW_PX: Final = 7
# size of the neighbourhood in which an isolated edge between smooth areas gets less amplitude
_EDGE_WINDOW_PX: Final = 13
# an edge counts at most this many times the activity of the smoothest place around it
_EDGE_FACTOR: Final = 3.0
_EDGE_ACTIVITY_MIN: Final = 0.5  # grey levels
# lower in pure black and white, where half of a mark is clipped and the rest changes the mean
_LUMA_KNOTS: Final = (0.0, 12.0, 110.0, 243.0, 255.0)
_LUMA_FACTORS: Final = (0.5, 1.2, 1.0, 1.3, 0.6)
# finest band first; most energy is where it is least visible, but coarse bands have enough for
# thumbnails
_BAND_GAINS: Final = (1.2, 1.0, 0.7, 0.45, 0.35, 0.35)
_SSIM_MIN: Final = 0.987
_SSIM_CONSTANT: Final = (0.03 * 255.0) ** 2  # C2 of Wang et al. 2004
_SSIM_SIGMA_PX: Final = 1.5
_SAMPLING_STEP_PX: Final = 8  # SSIM is estimated from every eighth pixel of every eighth row
# Variance of a band's pattern within SSIM's window, where its mask is 1, finest band first. A whole
# pattern has a variance of 0.41, but detail that is coarser than the window only shifts the
# window's mean.
_BAND_POWERS_IN_SSIM_WINDOW: Final = (0.40, 0.30, 0.13, 0.04)
_WHOLE_PATTERN_POWER: Final = 0.41  # variance of a whole pattern
# dithered rounding adds this many squared grey levels, on average over marks
_DITHER_POWER: Final = 1.0 / 6.0


def band_masks(luma: Plane, bands: int) -> list[Plane]:
    """Return the amplitude of each band in grey levels, finest first, before the overall cap.

    The floor of the amplitude is 0.4 grey levels. It is lower if so much of the picture is flat
    that structural similarity (SSIM) would be too low. It is up to 0.6 in smooth pictures with high
    PSNR, which have few places for a strong mark.
    """
    octaves = [
        _Octave(_local_activity(detail), light, gain)
        for detail, light, gain in zip(
            detail_pyramid(luma, bands),
            gaussian_pyramid(luma, bands),
            _band_gains(bands),
            strict=True,
        )
    ]
    floor = _highest_floor(luma, octaves)
    return [octave.mask(floor) for octave in octaves]


@dataclass(frozen=True, slots=True, eq=False)
class _Octave:
    """The measurements of the picture from which a band's mask is computed.

    ``activity`` is the activity around each pixel, ``light`` is its luma, and ``gain`` is the gain
    of the band.
    """

    activity: Plane
    light: Plane
    gain: float

    def mask(self, floor: float) -> Plane:
        # an exactly flat place hides nothing, so its floor is never above the usual one
        local = np.minimum(floor, _USUAL_AMPLITUDE_FLOOR + self.activity)
        amplitude = local * (1.0 + self.activity / local) ** _ACTIVITY_EXPONENT
        amplitude *= np.interp(self.light, _LUMA_KNOTS, _LUMA_FACTORS)
        return np.asarray(self.gain * np.minimum(amplitude, _AMPLITUDE_CEILING), np.float32)

    def subsampled(self, step: int) -> "_Octave":
        return _Octave(self.activity[::step, ::step], self.light[::step, ::step], self.gain)


def _band_gains(bands: int) -> tuple[float, ...]:
    return (_BAND_GAINS + _BAND_GAINS[-1:] * max(0, bands - len(_BAND_GAINS)))[:bands]


def _highest_floor(luma: Plane, octaves: list[_Octave]) -> float:
    """Return the highest floor, from 0.2 to 0.6, with enough SSIM; above 0.4, the PSNR must be
    enough too. If even 0.2 is not low enough, return 0.2.
    """
    contrast = _local_variance_for_ssim(luma)[::_SAMPLING_STEP_PX, ::_SAMPLING_STEP_PX]
    sampled = [
        one.subsampled(max(1, _SAMPLING_STEP_PX >> level)) for level, one in enumerate(octaves)
    ]
    octaves_above = math.log2(max(luma.shape) / 600.0)
    smooth_db = _SMOOTH_PSNR_DB_AT_600_PX + _SMOOTH_PSNR_DB_PER_OCTAVE * octaves_above

    def is_acceptable(floor: float) -> bool:
        smooth = floor <= _USUAL_AMPLITUDE_FLOOR or _expected_psnr_db(sampled, floor) >= smooth_db
        return smooth and _expected_ssim(contrast, sampled, floor) >= _SSIM_MIN

    low, high = _AMPLITUDE_FLOOR_MIN, _AMPLITUDE_FLOOR_MAX
    if is_acceptable(high):
        return high
    for _ in range(8):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if is_acceptable(middle) else (low, middle)
    return low


def _expected_psnr_db(octaves: list[_Octave], floor: float) -> float:
    """Return the expected PSNR before the overall cap, including the effect of rounding."""
    power = sum(float(np.mean(octave.mask(floor) ** 2)) for octave in octaves)
    return 10.0 * math.log10(255.0**2 / (_DITHER_POWER + _WHOLE_PATTERN_POWER * power))


def _expected_ssim(contrast: Plane, octaves: list[_Octave], floor: float) -> float:
    """Return the expected SSIM; the mark is independent of the picture and has mean zero."""
    shape = (contrast.shape[1], contrast.shape[0])
    power = np.full(contrast.shape, _DITHER_POWER, np.float32)
    for octave, share in zip(octaves, _BAND_POWERS_IN_SSIM_WINDOW, strict=False):
        mask = octave.mask(floor)
        power += share * cv2.resize(mask * mask, shape, interpolation=cv2.INTER_NEAREST)
    likeness = 2.0 * contrast + _SSIM_CONSTANT
    return float(np.mean(likeness / (likeness + power)))


def _local_variance_for_ssim(luma: Plane) -> Plane:
    mean, square = (
        cv2.GaussianBlur(plane, (0, 0), _SSIM_SIGMA_PX) for plane in (luma, luma * luma)
    )
    return np.maximum(square - mean * mean, 0.0, dtype=np.float32)


def _local_activity(detail: Plane) -> Plane:
    window = (_MASK_WINDOW_PX, _MASK_WINDOW_PX)
    power = cv2.blur(detail * detail, window, borderType=cv2.BORDER_REFLECT)
    near, wide = (
        # running sums may give tiny negative powers
        np.sqrt(np.maximum(cv2.erode(power, np.ones((side, side), np.uint8)), 0.0))
        for side in (_SMOOTHEST_WINDOW_PX, _EDGE_WINDOW_PX)
    )
    return np.minimum(near, _EDGE_FACTOR * wide + _EDGE_ACTIVITY_MIN, dtype=np.float32)


_FLAT_WINDOW_PX: Final = 15
# this many rows at a time fit into the processor's cache
_STRIP_ROWS: Final = 256
_NEIGHBOURHOOD: Final = np.ones((3, 3), np.uint8)


def zero_in_flat_areas(
    masks: Sequence[Plane], pixels_rgb: Pixels, working: Shape
) -> tuple[Plane, ...]:
    """Set masks to 0 in flat areas, and near them, so that pixels of flat areas are not changed.

    If the mark of a large picture is enlarged, a few of these pixels still change by one grey
    level. The masks are returned unchanged if the picture has no flat areas. They are unchanged too
    if no mark would be left, because copies must differ.

    Args:
        masks: one per band, finest first, each at its level's size.
        pixels_rgb: (H, W, 3) uint8.
        working: size of the finest level; for a large picture, this is smaller than the picture.
    """
    flat = flat_area_mask(pixels_rgb)
    if not flat.any():
        return tuple(masks)
    touched = (shrink(flat, working) > 0).astype(np.float32)
    left = tuple(mask * _mask_away_from_flat_areas(touched, shape_of(mask)) for mask in masks)
    return left if any(mask.any() for mask in left) else tuple(masks)


def flat_area_mask(pixels_rgb: Pixels) -> Pixels:
    """Return (H, W) uint8: 255 where the surrounding 15 x 15 pixels are equal, and 0 elsewhere.

    Near a border, only the pixels inside the picture are compared.
    """
    half, high = _FLAT_WINDOW_PX // 2, len(pixels_rgb)
    flat = np.empty(pixels_rgb.shape[:2], np.uint8)
    for top in range(0, high, _STRIP_ROWS):
        first, last = max(0, top - half), min(high, top + _STRIP_ROWS + half)
        equal = _flat_places_of_strip(pixels_rgb[first:last])
        flat[top : top + _STRIP_ROWS] = equal[top - first : top - first + _STRIP_ROWS]
    return flat


def _flat_places_of_strip(pixels_rgb: Pixels) -> Pixels:
    """Return the flat places in a strip of rows.

    A place is flat if the largest and the smallest samples around it are equal.
    """
    window = np.ones((_FLAT_WINDOW_PX, _FLAT_WINDOW_PX), np.uint8)
    largest, smallest = cv2.dilate(pixels_rgb, window), cv2.erode(pixels_rgb, window)
    return np.asarray(cv2.inRange(cv2.subtract(largest, smallest), (0, 0, 0), (0, 0, 0)), np.uint8)


def _mask_away_from_flat_areas(touched: Plane, shape: Shape) -> Plane:
    """Return 1 for those pixels of a level that neither contain nor touch a flat area, else 0.

    When a level's pattern is enlarged, it spreads by about one of the level's pixels.
    """
    near = cv2.dilate(shrink(touched, shape), _NEIGHBOURHOOD)
    return np.asarray(near == 0, np.float32)


# at this limit, SSIMULACRA2 gives 83 to 85 for the marked picture, and 81 to 84 for the written
# file
_VISIBILITY_MAX: Final = 0.63
# SSIMULACRA2's weights for a quarter and an eighth of the size
_SCALE_WEIGHTS: Final = (225.205, 176.393)
_SSIMULACRA2_C2: Final = 0.0009  # C2 in SSIMULACRA2
_SSIMULACRA2_SIGMA_PX: Final = 1.5
# weights of red, green and blue in the responses of long and middle cones, and the responses' bias
# (ISO/IEC 18181-1, JPEG XL)
_LONG_CONE_WEIGHTS: Final = (0.30, 0.622, 0.078)
_MIDDLE_CONE_WEIGHTS: Final = (0.23, 0.692, 0.078)
_CONE_BIAS: Final = 0.0037930732552754493
_REDUCTION_MAX: Final = 2.0  # with this reduction, a smooth place keeps 1 / sqrt(3) of its mark
_BISECTION_STEPS: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class _VisibilityAtScale:
    """A mark's visibility at one scale, and how smooth each place is, from 0 to 1."""

    seen: Plane
    smooth: Plane
    weight: float

    def visibility(self, reduction: float) -> float:
        """Return the visibility after lowering the mark in smooth places.

        Visibility is proportional to the square of the mark.
        """
        return self.weight * float(np.mean(self.seen / (np.float32(1) + reduction * self.smooth)))


def reduce_where_visible(
    strongest: Sequence[Plane], pixels_rgb: Pixels, trial: Plane
) -> tuple[Plane, ...]:
    """Lower the masks in smooth places, until the mark's visibility is at most ``_VISIBILITY_MAX``
    or the reduction is ``_REDUCTION_MAX``.

    Args:
        strongest: one mask per band, finest first, each at its level's size.
        pixels_rgb: (H, W, 3) uint8.
        trial: (H, W), the mark of trial chips with these masks, in grey levels.
    """
    scales = _visibility_at_both_scales(pixels_rgb, trial)
    reduction = _smallest_reduction(scales)
    if reduction == 0.0:
        return tuple(strongest)
    factor = np.float32(1) / np.sqrt(np.float32(1) + np.float32(reduction) * scales[0].smooth)
    return tuple(mask * _resize_onto(factor, mask) for mask in strongest)


def _smallest_reduction(scales: Sequence[_VisibilityAtScale]) -> float:
    """Return the smallest reduction with acceptable visibility, but at most ``_REDUCTION_MAX``."""
    low, high = 0.0, _REDUCTION_MAX
    if _total_visibility(scales, low) <= _VISIBILITY_MAX:
        return low
    for _ in range(_BISECTION_STEPS):
        middle = 0.5 * (low + high)
        low, high = (
            (low, middle)
            if _total_visibility(scales, middle) <= _VISIBILITY_MAX
            else (middle, high)
        )
    return high


def _total_visibility(scales: Sequence[_VisibilityAtScale], reduction: float) -> float:
    return sum(scale.visibility(reduction) for scale in scales)


def _visibility_at_both_scales(pixels_rgb: Pixels, trial: Plane) -> list[_VisibilityAtScale]:
    quarter = _downsample(pixels_rgb, 4), _downsample(trial, 4)
    eighth = _downsample(quarter[0], 2), _downsample(quarter[1], 2)
    return [
        _visibility_at_scale(*small, weight)
        for small, weight in zip((quarter, eighth), _SCALE_WEIGHTS, strict=True)
    ]


def _downsample(plane: Samples, times: int) -> Samples:
    return shrink(plane, (-(-plane.shape[0] // times), -(-plane.shape[1] // times)))


def _visibility_at_scale(small: Pixels, trial: Plane, weight: float) -> _VisibilityAtScale:
    light = _xyb_lightness(small)
    per_level = _xyb_lightness(np.asarray(cv2.add(small, np.full_like(small, 1)), np.uint8)) - light
    contrast, added = _local_variance(light), _local_variance(trial * per_level)
    hidden = np.float32(2) * contrast + np.float32(_SSIMULACRA2_C2)
    return _VisibilityAtScale(
        added / (hidden + added), np.float32(_SSIMULACRA2_C2) / hidden, weight
    )


def _xyb_lightness(pixels_rgb: Pixels) -> Plane:
    """Return the lightness Y of the colour space XYB, in which equal differences look about equal.

    It is the mean of the cube roots of two cone responses.
    """
    light = cv2.LUT(pixels_rgb, _linear_light_table())
    cones = [
        np.cbrt(light @ np.array(cone, np.float32) + np.float32(_CONE_BIAS))
        for cone in (_LONG_CONE_WEIGHTS, _MIDDLE_CONE_WEIGHTS)
    ]
    return np.asarray(np.float32(0.5) * (cones[0] + cones[1]), np.float32)


def _linear_light_table() -> Plane:
    """Return the linear light, from 0 to 1, for each sample value (sRGB, IEC 61966-2-1)."""
    value = np.arange(256) / 255.0
    bright = ((value + 0.055) / 1.055) ** 2.4
    return np.where(value <= 0.04045, value / 12.92, bright).astype(np.float32)


def _local_variance(plane: Plane) -> Plane:
    mean, square = (
        cv2.GaussianBlur(one, (0, 0), _SSIMULACRA2_SIGMA_PX) for one in (plane, plane * plane)
    )
    return np.maximum(square - mean * mean, 0.0, dtype=np.float32)


def _resize_onto(plane: Plane, onto: Plane) -> Plane:
    size = (onto.shape[1], onto.shape[0])
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.float32)
