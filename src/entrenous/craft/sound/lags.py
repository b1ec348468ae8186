"""How far two stretches of sound lie apart: generalised cross-correlation.

Knapp and Carter 1976, with partly equalised magnitudes.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from entrenous.craft.sound.layout import RATE_HZ
from entrenous.craft.sound.rate import Tape

FINER: Final = 2  # lags per sample
_EQUALISED: Final = 0.7  # exponent: 1 would be PHAT, in which bins without sound count as much
_LOW_HZ: Final = 250.0
_HIGH_HZ: Final = 3700.0


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the found sound around ``found``, expected at ``sent`` +- ``slack``: samples."""

    found: float
    sent: float
    pitch: float
    size: int
    slack: int


def lags_of(
    tape: Tape, sent: NDArray[np.float32], window: Window, finer: int = FINER
) -> NDArray[np.float32]:
    """Correlation at lags of -slack .. slack in steps of 1 / ``finer`` sample, around the *rounded*
    ``window.sent``; in units of the root of the mean square of all lags.
    """
    half = window.size // 2
    steps = np.arange(-half, half, dtype=np.float64)
    taper = np.hanning(window.size).astype(np.float32)
    heard = tape.read(window.found + steps / window.pitch) * taper
    span = half + window.slack
    own = _cut(sent, round(window.sent) - span, round(window.sent) + span)
    points = next_fast_len(len(own) + window.size, real=True)
    cross = rfft(own, points) * np.conj(rfft(heard, points))
    cross *= _band(points) / (np.abs(cross) ** _EQUALISED + 1e-12)
    lags = irfft(cross, points * finer)
    wanted: NDArray[np.float32] = lags[: 2 * window.slack * finer + 1]
    scaled: NDArray[np.float32] = wanted / (np.sqrt(np.mean(lags**2)) + 1e-20)
    return scaled


def top(values: NDArray[np.float32], at: int) -> float:
    """How far beside a sample a parabola through it and its neighbours has its top."""
    if not 0 < at < len(values) - 1:
        return 0.0
    left, top, right = (float(one) for one in values[at - 1 : at + 2])
    bend = left - 2.0 * top + right
    return 0.5 * (left - right) / bend if bend < 0.0 else 0.0


def _cut(sent: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
    inside = sent[max(start, 0) : max(stop, 0)]
    before = min(max(-start, 0), stop - start)
    return np.pad(inside, (before, stop - start - before - len(inside)))


def _band(points: int) -> NDArray[np.float32]:
    hertz = np.arange(points // 2 + 1) * (RATE_HZ / points)
    return ((hertz > _LOW_HZ) & (hertz < _HIGH_HZ)).astype(np.float32)
