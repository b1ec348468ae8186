"""How strong a mark may be at each place: as strong as the picture hides it.

The eye misses noise in texture (Legge and Foley 1980: masking grows as contrast to the power 0.6)
and in very dark and very bright parts (Chou and Li 1995), and sees it beside an edge with a calm
side. So each band listens to the detail of its own octave, and takes the calmest of the places
around. docs/spec/mark.md, section 5.
"""

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from entrenous.craft.mark.luma import Plane
from entrenous.craft.mark.pyramid import detail_pyramid, gaussian_pyramid

_FLOOR: Final = 0.4  # grey levels: below one rounding step, unseen even on a flat wall
_FLOOR_LEAST: Final = 0.2
_FLOOR_MOST: Final = 0.6  # in calm pictures, which would else carry too little
_CALM_DB_AT_600_PX: Final = 47.5
_CALM_DB_AN_OCTAVE: Final = 1.1
_POWER: Final = 0.6
_CEILING: Final = 6.0  # grey levels
_WINDOW_PX: Final = 5
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
    window = (_WINDOW_PX, _WINDOW_PX)
    power = cv2.blur(detail * detail, window, borderType=cv2.BORDER_REFLECT)
    near, wide = (
        # running sums can leave a tiny negative power
        np.sqrt(np.maximum(cv2.erode(power, np.ones((side, side), np.uint8)), 0.0))
        for side in (_CALMEST_PX, _LONELY_PX)
    )
    return np.minimum(near, _LONELY_TIMES * wide + _LONELY_LEAST, dtype=np.float32)
