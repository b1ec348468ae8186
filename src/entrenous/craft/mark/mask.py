"""How strong a mark may be at each place: as strong as the picture hides it.

The eye misses noise in texture (Legge and Foley 1980: masking grows as contrast to the power 0.6)
and in very dark and very bright parts (Chou and Li 1995), and sees it beside an edge with a calm
side. So each band listens to the detail of its own octave, and takes the calmest of the places
around. docs/spec/mark.md, section 5.
"""

from typing import Final

import cv2
import numpy as np

from entrenous.craft.mark.luma import Plane
from entrenous.craft.mark.pyramid import detail_pyramid, gaussian_pyramid

_FLOOR: Final = 0.4  # grey levels: below one rounding step, unseen even on a flat wall
_POWER: Final = 0.6
_CEILING: Final = 6.0  # grey levels
_WINDOW_PX: Final = 5
_LUMA_AT: Final = (0.0, 110.0, 255.0)
_LUMA_FACTOR: Final = (1.25, 1.0, 1.3)
_BAND_GAINS: Final = (
    1.3,
    1.0,
    0.6,
    0.35,
    0.25,
    0.25,
)  # finest first: most energy where it is unseen


def masks(luma: Plane, bands: int) -> list[Plane]:
    """Amplitude of each band in grey levels, finest first, before the cap on the whole."""
    details = detail_pyramid(luma, bands)
    lights = gaussian_pyramid(luma, bands)
    gains = _BAND_GAINS + _BAND_GAINS[-1:] * max(0, bands - len(_BAND_GAINS))
    return [_mask(*level) for level in zip(details, lights, gains, strict=False)]


def _mask(detail: Plane, light: Plane, gain: float) -> Plane:
    amplitude = _FLOOR * (1.0 + _activity(detail) / _FLOOR) ** _POWER
    amplitude *= np.interp(light, _LUMA_AT, _LUMA_FACTOR)
    return np.asarray(gain * np.minimum(amplitude, _CEILING), np.float32)


def _activity(detail: Plane) -> Plane:
    window = (_WINDOW_PX, _WINDOW_PX)
    power = cv2.blur(detail * detail, window, borderType=cv2.BORDER_REFLECT)
    calmest = cv2.erode(power, np.ones(window, np.uint8))
    # running sums can leave a tiny negative power
    return np.sqrt(np.maximum(calmest, 0.0), dtype=np.float32)
