"""Other sampling rates, and samples between samples."""

from math import gcd
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter1d
from scipy.signal import resample_poly

from entrenous.craft.sound.layout import RATE_HZ, samples_at_rate

_FINER: Final = 2  # a cubic spline through samples twice as dense as needed errs by -50 dB


def at_working_rate(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """(n, channels) samples at 16 kHz."""
    up, down = _ratio(rate_hz, RATE_HZ)
    moved = resample_poly(samples, up, down, axis=0)
    fitted: NDArray[np.float32] = moved[: samples_at_rate(len(samples), rate_hz)]
    return fitted.astype(np.float32, copy=False)


def from_working_rate(
    samples: NDArray[np.float32], rate_hz: int, count: int
) -> NDArray[np.float32]:
    """The first ``count`` of (n, channels) samples at 16 kHz, at ``rate_hz``."""
    up, down = _ratio(RATE_HZ, rate_hz)
    moved: NDArray[np.float32] = resample_poly(samples, up, down, axis=0)[:count]
    missing = count - len(moved)
    return np.pad(moved, ((0, missing), (0, 0))) if missing > 0 else moved


class Tape:
    """One channel at 16 kHz that can be read at any place and speed; beyond its ends is silence."""

    def __init__(self, mono: NDArray[np.float32]) -> None:
        self.length = len(mono)
        finer = resample_poly(mono, _FINER, 1)
        self._spline = spline_filter1d(finer, order=3, output=np.float32, mode="mirror")

    def read(self, places: NDArray[np.float64]) -> NDArray[np.float32]:
        """Samples at ``places`` (any shape), counted in samples at 16 kHz."""
        at = np.asarray(places, np.float64).ravel() * _FINER
        found = map_coordinates(
            self._spline, at[None], np.float32, order=3, prefilter=False, mode="constant"
        )
        shaped: NDArray[np.float32] = found.reshape(np.shape(places))
        return shaped


def _ratio(old_hz: int, new_hz: int) -> tuple[int, int]:
    common = gcd(old_hz, new_hz)
    return new_hz // common, old_hz // common
