"""What a leak shows beyond the sent picture, and how far each place can be believed.

Octave by octave and window by window, the leak's detail is regressed on the sent picture's. What
was blurred has a gain near zero, what was covered, repainted or made noisy a large rest, what a
strong JPEG wiped flat less rest than any mark would leave: all fall silent by themselves. Nothing
here knows a key. docs/spec/mark.md, section 6.3.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from entrenous.craft.mark.ear.tone import Tone
from entrenous.craft.mark.luma import Plane, looked_up
from entrenous.craft.mark.pyramid import detail_pyramid, gaussian_pyramid

_WINDOW_PX: Final = 31
_CLIP_SD: Final = 3.0
_PRIOR: Final = 0.5  # squared grey levels: calmer windows borrow the gain of those as calm
_CLASSES: Final = 24  # of contrast
_SILENT: Final = 0.01  # squared grey levels: a class with less follows the next stronger one
_SEEN: Final = 0.5  # share of a window
_SAMPLE: Final = 200_000
_STEPS: Final = 1000  # of the curve from class to class
_GAIN_MAX: Final = 2.0
_VARIANCE_MIN: Final = 0.03  # squared grey levels: less than the rounding of 8-bit files leaves
_COVERED: Final = 0.98


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """One octave of a leak.

    ``rho`` is gain x rest / variance. A mark m would add ``response`` x m to it, on average.
    """

    rho: Plane
    response: Plane


def gather(leak: Plane, tone: Tone, covered: Plane, trial: list[Plane]) -> list[Evidence]:
    """The evidence of a leak on the sent picture's working grid, finest octave first.

    Args:
        leak: luma of the leak, grey levels.
        tone: the sent picture as the leak shows it.
        covered: 1 where the leak shows the sent picture, 0 elsewhere.
        trial: detail pyramid of some mark in this picture: how strong marks are, and where.
    """
    outside = covered == 0
    # there the expected picture stands in, so that the border makes no detail of its own
    levels = len(trial)
    found = detail_pyramid(_filled(leak, outside, tone), levels)
    sent = detail_pyramid(tone.expected, levels)
    slopes = gaussian_pyramid(tone.slope, levels)
    trust = gaussian_pyramid(covered, levels)
    return [_weighed(found[k], sent[k], slopes[k], trust[k], trial[k]) for k in range(levels)]


def _filled(plane: Plane, outside: np.ndarray, tone: Tone) -> Plane:
    return np.where(outside, tone.expected, plane).astype(np.float32)


def _weighed(found: Plane, sent: Plane, slope: Plane, trust: Plane, trial: Plane) -> Evidence:
    weight = (trust > _COVERED).astype(np.float32)
    amount = np.maximum(_mean(weight), 1e-6)
    gain = _gain(found, sent, weight, amount)
    rest, variance = _rest(found, sent, gain, weight, amount)
    kept = gain * slope
    # less rest than a mark of this strength would leave: then it is not kept to this strength
    full = np.maximum(kept**2 * _mean(trial * trial), 1e-9)
    kept *= np.minimum(1.0, variance / full)
    return Evidence(
        np.asarray(kept * rest / variance, np.float32),
        np.asarray(kept**2 / variance * weight, np.float32),
    )


def _rest(
    found: Plane, sent: Plane, gain: Plane, weight: Plane, amount: Plane
) -> tuple[Plane, Plane]:
    """What remains after the regression, clipped, and its variance around each pixel."""
    rest = (found - gain * sent) * weight
    spread = np.sqrt(np.maximum(_mean(rest * rest) / amount, 0.0))
    rest = np.clip(rest, -_CLIP_SD * spread, _CLIP_SD * spread)
    return rest, np.maximum(_mean(rest * rest) / amount, 0.0) + np.float32(_VARIANCE_MIN)


def _gain(found: Plane, sent: Plane, weight: Plane, amount: Plane) -> Plane:
    """Regression in windows; calm windows borrow what windows as calm as they have on average."""
    cross = _mean(weight * found * sent) / amount
    power = np.maximum(_mean(weight * sent * sent) / amount, 0.0)
    borrowed = _gain_of_the_calm(cross, power, amount)
    local = (cross + _PRIOR * borrowed) / (power + _PRIOR)
    return np.asarray(np.clip(local, 0.0, _GAIN_MAX), np.float32)


def _gain_of_the_calm(cross: Plane, power: Plane, amount: Plane) -> Plane:
    """Gain per window by its contrast: codecs and denoisers keep edges and wipe calm places.

    The sent picture's own faint detail, as faint as a mark, tells what became of a mark.
    """
    known = np.flatnonzero(amount.ravel() > _SEEN)
    if known.size < _CLASSES * _WINDOW_PX:
        return np.full_like(power, float(cross.sum()) / max(float(power.sum()), 1e-6))
    known = known[:: max(1, known.size // _SAMPLE)]
    known = known[np.argsort(power.ravel()[known])]
    gain, curve, centres = 1.0, [], []
    for one in reversed(np.array_split(known, _CLASSES)):
        has, shares = float(power.ravel()[one].mean()), float(cross.ravel()[one].mean())
        gain = (shares + _SILENT * gain) / (has + _SILENT)
        curve.append(gain)
        centres.append(np.log(has + _SILENT))
    ends = np.linspace(centres[-1], centres[0] + 1e-6, _STEPS)
    return looked_up(
        np.log(power + np.float32(_SILENT)), ends, np.interp(ends, centres[::-1], curve[::-1])
    )


def _mean(plane: Plane) -> Plane:
    rows, columns = (min(_WINDOW_PX, side | 1) for side in plane.shape)
    return np.asarray(cv2.blur(plane, (columns, rows), borderType=cv2.BORDER_REFLECT), np.float32)
