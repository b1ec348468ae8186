"""What all copies of one picture share: its layout, and how strong the mark may be where."""

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.mark.code import Layout, chips, layout
from entrenous.craft.mark.eye import tempered
from entrenous.craft.mark.flat import spared
from entrenous.craft.mark.luma import Pixels, Plane, luma, shrink
from entrenous.craft.mark.mask import masks
from entrenous.craft.mark.weave import enlarged, pattern

_PSNR_DB_AT_600_PX: Final = 43.8  # more pixels carry the same score at a lower amplitude
_PSNR_DB_AN_OCTAVE: Final = 1.1
_PSNR_DB_RANGE: Final = (43.2, 46.6)
_SAMPLE: Final = 200_000  # pixels on which the cap is measured
_TRIAL: Final = b"entrenous/mark/trial"  # public: these chips only measure, they mark nothing


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One picture, ready to be marked or to be listened to.

    ``pixels_rgb`` is the picture itself, (H, W, 3) uint8. ``masks`` holds one amplitude map per
    band of ``layout``, in grey levels, with the cap on the whole applied, and less in calm places
    where too much would be seen.
    """

    pixels_rgb: Pixels
    layout: Layout
    masks: tuple[Plane, ...]

    def pattern(self, signs: Plane) -> Plane:
        """The mark that these chips make in this picture, at the layout's working size."""
        return pattern(signs, self.layout, self.masks)

    def trial(self) -> Plane:
        """The mark of a copy that nobody has, at the picture's size: how strong marks are."""
        return enlarged(self.pattern(trial_chips(self.layout)), self.layout.full)


def prepare(pixels_rgb: Pixels) -> Prepared:
    """Measure a picture once, before its copies are marked or a leak of it is traced.

    The PSNR of a copy stays above 43.8 dB at 600 px, 1.1 more an octave, up to 46.6; a smooth
    picture stays at the mask's floor, well above that (docs/spec/mark.md, section 5).

    Args:
        pixels_rgb: (H, W, 3) uint8; not copied and not changed.

    Raises:
        TooSmallToMark: the shorter side is below ``spec.MARK_SIDE_PX_MIN``.
    """
    height_px, width_px = pixels_rgb.shape[:2]
    plan = layout(width_px, height_px)
    everywhere = masks(luma(shrink(pixels_rgb, plan.working)), len(plan.bands))
    strongest = spared(everywhere, pixels_rgb, plan.working)
    trial = enlarged(pattern(trial_chips(plan), plan, strongest), plan.full)
    factor = np.float32(_cap(trial, psnr_db_least(max(plan.full))))
    capped = [mask * factor for mask in strongest]
    return Prepared(pixels_rgb, plan, tempered(capped, pixels_rgb, trial * factor))


def psnr_db_least(longest_side_px: int) -> float:
    """The cap on the mark's strength for a picture of this size."""
    wanted = _PSNR_DB_AT_600_PX + _PSNR_DB_AN_OCTAVE * math.log2(longest_side_px / 600.0)
    return min(max(wanted, _PSNR_DB_RANGE[0]), _PSNR_DB_RANGE[1])


def trial_chips(plan: Layout) -> Plane:
    """Chips that nobody carries, to measure what a mark would do; the same for everybody."""
    return chips(hashlib.shake_256(_TRIAL).digest(-(-plan.chips // 8)), plan.chips)


def _cap(trial: Plane, psnr_db: float) -> float:
    """Largest factor, at most 1, that keeps the expected error under the cap (bisection)."""
    allowed = 255.0**2 / 10.0 ** (psnr_db / 10.0)
    sample = np.abs(trial.ravel()[:: max(1, trial.size // _SAMPLE)])
    low, high = 0.0, 1.0
    if _error(sample) <= allowed:
        return high
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _error(middle * sample) <= allowed else (low, middle)
    return low


def _error(sample: NDArray[np.floating[Any]]) -> float:
    """Expected squared error once dithered and rounded: linear between whole numbers' squares."""
    whole = np.floor(sample)
    return float(np.mean(whole**2 + (sample - whole) * (2.0 * whole + 1.0)))
