"""What was done to a leak's brightness and colour: contrast, filters, grey, sepia.

A leak's luma is taken as a smooth function of the sent picture's luma plus a share of its chroma.
The function's slope is also what became of the mark, which lives in luma. Nothing here knows a
key. docs/spec/mark.md, section 6.2.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from entrenous.craft.mark.luma import Pixels, Plane, chroma, luma

_SIGMA: Final = 5.0  # grey levels
_LEVELS: Final = 256
_SUPPORT: Final = 20.0  # pixels of kernel weight below which a level says nothing by itself
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
    expected = np.interp(sent, np.arange(_LEVELS), curve).astype(np.float32)
    red, blue = chroma(sent_rgb, sent)
    gains = _chroma_gains(leak - expected, red, blue, covered, step)
    expected += gains[0] * red + gains[1] * blue
    slopes = np.interp(sent, np.arange(_LEVELS), slope).astype(np.float32)
    return Tone(expected, slopes)


def _local_lines(sent: Plane, leak: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Local linear regression of leak on sent around every level: (values, slopes), 256 each."""
    at = np.clip(np.rint(sent), 0, _LEVELS - 1).astype(np.int64)
    levels = np.arange(_LEVELS, dtype=np.float64)
    count = np.bincount(at, minlength=_LEVELS).astype(np.float64)
    total = np.bincount(at, weights=leak, minlength=_LEVELS)
    weight, first, second, value, cross = (
        gaussian_filter1d(moment, _SIGMA, mode="constant")
        for moment in (count, count * levels, count * levels**2, total, total * levels)
    )
    weight_or_one = np.maximum(weight, 1e-9)
    mean, leak_mean = first / weight_or_one, value / weight_or_one
    spread = np.maximum(second / weight_or_one - mean**2, 0.0)
    # one grey level of spread as a prior keeps a lonely level from inventing a slope of its own
    slope = (cross / weight_or_one - mean * leak_mean + 1.0) / (spread + 1.0)
    known = weight * _SIGMA * np.sqrt(2.0 * np.pi) >= _SUPPORT
    if not known.any():
        return levels, np.ones(_LEVELS)
    curve = np.interp(levels, levels[known], (leak_mean + slope * (levels - mean))[known])
    return curve, np.interp(levels, levels[known], slope[known])


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
