"""What was done to a leak's brightness and colour: contrast, filters, grey, sepia.

A leak's luma is taken as a smooth function of the sent picture's luma plus a share of its chroma.
The function's slope is also what became of the mark, which lives in luma. Nothing here knows a
key. docs/spec/mark.md, section 6.2.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.mark.luma import Pixels, Plane, chroma, looked_up, luma

_SIGMA: Final = 5.0  # grey levels
_LEVELS: Final = 256
_FINENESS: Final = 64  # steps of a grey level: finer than any rounding
_SUPPORT: Final = 20.0  # pixels of kernel weight below which a level says nothing by itself
_PRIOR: Final = 4.0  # squared grey levels
_SLOPE_LEAST: Final = 0.2  # of the overall one
_FIT_PIXELS: Final = 300_000


@dataclass(frozen=True, slots=True, eq=False)
class Tone:
    """The sent picture as the leak shows it, and how strongly it still shows small changes."""

    expected: Plane
    slope: Plane


def fit_tone(leak: Plane, sent_rgb: Pixels, covered: NDArray[np.bool_]) -> Tone:
    """Fit the tone curve of a leak, both pictures on the same grid.

    Args:
        leak: luma of the leak, (H, W), grey levels.
        sent_rgb: (H, W, 3) uint8.
        covered: where the leak shows the sent picture.
    """
    sent = luma(sent_rgb)
    step = max(1, sent.size // _FIT_PIXELS)
    keep = covered.ravel()[::step]
    curve, slope = _local_lines(sent.ravel()[::step][keep], leak.ravel()[::step][keep])
    levels = np.linspace(0.0, _LEVELS - 1.0, (_LEVELS - 1) * _FINENESS + 1)
    expected = looked_up(sent, levels, np.interp(levels, np.arange(_LEVELS), curve))
    red, blue = chroma(sent_rgb, sent)
    gains = _chroma_gains(leak - expected, red, blue, covered, step)
    expected += gains[0] * red + gains[1] * blue
    slopes = looked_up(sent, np.arange(_LEVELS, dtype=np.float64), slope)
    return Tone(expected, slopes)


def _local_lines(sent: Plane, leak: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Local linear regression of leak on sent around every level: (values, slopes), 256 each."""
    at = np.clip(np.rint(sent), 0, _LEVELS - 1).astype(np.int64)
    levels = np.arange(_LEVELS, dtype=np.float64)
    count = np.bincount(at, minlength=_LEVELS).astype(np.float64)
    total = np.bincount(at, weights=leak, minlength=_LEVELS)
    kernel = _kernel()
    weight, first, second, value, cross = (
        np.convolve(moment, kernel, mode="same")
        for moment in (count, count * levels, count * levels**2, total, total * levels)
    )
    weight_or_one = np.maximum(weight, 1e-9)
    mean, leak_mean = first / weight_or_one, value / weight_or_one
    spread = np.maximum(second / weight_or_one - mean**2, 0.0)
    overall = _overall_slope(weight, mean, leak_mean)
    # some spread as a prior keeps a lonely level, or a flat tone, from inventing its own slope
    slope = cross / weight_or_one - mean * leak_mean + _PRIOR * overall
    slope = _with_sign(slope / (spread + _PRIOR), overall)
    known = weight * _SIGMA * np.sqrt(2.0 * np.pi) >= _SUPPORT
    if not known.any():
        return levels, np.ones(_LEVELS)
    curve = np.interp(levels, levels[known], (leak_mean + slope * (levels - mean))[known])
    return curve, np.interp(levels, levels[known], slope[known])


def _kernel() -> NDArray[np.float64]:
    at = np.arange(-round(4 * _SIGMA), round(4 * _SIGMA) + 1)
    weights = np.exp(-0.5 * (at / _SIGMA) ** 2)
    return np.asarray(weights / weights.sum())


def _overall_slope(
    weight: NDArray[np.float64], sent: NDArray[np.float64], leak: NDArray[np.float64]
) -> float:
    """Regression over all levels; 1 if there is but one."""
    share = weight / max(float(weight.sum()), 1e-9)
    away = sent - float(share @ sent)
    spread = float(share @ away**2)
    return float(share @ (away * leak)) / spread if spread > 1.0 else 1.0


def _with_sign(slope: NDArray[np.float64], overall: float) -> NDArray[np.float64]:
    """A tone curve rises or falls as a whole; a slope against it is noise."""
    sign = -1.0 if overall < 0.0 else 1.0
    return sign * np.maximum(sign * slope, _SLOPE_LEAST * abs(overall))


def _chroma_gains(
    rest: Plane, red: Plane, blue: Plane, covered: NDArray[np.bool_], step: int
) -> tuple[np.float32, np.float32]:
    keep = covered.ravel()[::step]
    y, r, b = (plane.ravel()[::step][keep].astype(np.float64) for plane in (rest, red, blue))
    if y.size < 3:
        return np.float32(0), np.float32(0)
    limit = 3.0 * np.std(y)
    y = np.clip(y, -limit, limit)
    columns = np.stack([np.ones_like(r), r, b])
    normal = columns @ columns.T + np.diag([1e-9, y.size, y.size])  # a grey picture stays solvable
    _, red_gain, blue_gain = np.linalg.solve(normal, columns @ y)
    return np.float32(red_gain), np.float32(blue_gain)
