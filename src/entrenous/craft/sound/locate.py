"""Where in a sent sound a found one lies, to some hundredths of a second, from contours alone.

The found contour is stretched to 21 tempos, as if its pitch had moved along and as if it had been
kept; pieces of some seconds are correlated with the whole of the sent one and vote for the line on
which they all lie. docs/spec/sound.md, section 5.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import maximum_filter1d

from entrenous.craft.sound.contour import CONTOUR_BANDS, STEP_S, band_levels, step_powers

_TEMPOS: Final = tuple(round(0.90 + 0.01 * step, 2) for step in range(21))
_PIECE: Final = 160  # steps: 5 s
_PIECES_MAX: Final = 12
_TEMPO_STEP: Final = 0.005  # half of the distance between two tempos
_NEARLY: Final = 0.75
_PLACES_MAX: Final = 4
_APART_S: Final = 0.15
_SHORTEST: Final = 24  # steps that must lie on each other: 0.8 s


@dataclass(frozen=True, slots=True)
class Place:
    """A found sound's first sample lies at ``start_s`` of the sent one, its middle at ``middle_s``;
    it runs ``tempo`` times as fast and sounds ``pitch`` times as high. ``fit`` is the mean
    correlation of its pieces.
    """

    start_s: float
    middle_s: float
    tempo: float
    pitch: float
    fit: float


@dataclass(frozen=True, slots=True)
class FoundContour:
    """A found sound's contours, one (steps, CONTOUR_BANDS) array per pitch."""

    levels: dict[float, NDArray[np.float32]]


def found_contour(mono: NDArray[np.float32]) -> FoundContour:
    """Contours of a found sound at 16 kHz, as low as any tempo could have made it."""
    powers = step_powers(mono)
    return FoundContour({pitch: band_levels(powers, pitch) for pitch in _TEMPOS})


def locate(found: FoundContour, sent: NDArray[np.float32]) -> tuple[Place, ...]:
    """The best places of a found sound on a sent one's (steps, CONTOUR_BANDS) contour.

    The best comes first; others (a refrain, a beat) only if they are nearly as good.
    """
    tried = []
    for tempo in _TEMPOS:
        for pitch in {1.0, tempo}:
            stretched = _stretched(found.levels[pitch], tempo)
            for start, fit in _vote(stretched, sent):
                middle = start + 0.5 * len(stretched)
                tried.append(Place(start * STEP_S, middle * STEP_S, tempo, pitch, fit))
    return _distinct(sorted(tried, key=lambda place: place.fit, reverse=True))


def _distinct(places: list[Place]) -> tuple[Place, ...]:
    kept: list[Place] = []
    for place in places:
        if place.fit < _NEARLY * places[0].fit or len(kept) == _PLACES_MAX:
            break
        if all(abs(place.middle_s - other.middle_s) > _APART_S for other in kept):
            kept.append(place)
    return tuple(kept)


def _stretched(levels: NDArray[np.float32], tempo: float) -> NDArray[np.float32]:
    """At the sent sound's tempo."""
    if tempo == 1.0 or len(levels) < 2:
        return levels
    at = np.arange(0.0, (len(levels) - 1) * tempo + 1e-9) / tempo
    low = np.minimum(at.astype(np.int64), len(levels) - 2)
    share = (at - low)[:, None].astype(np.float32)
    stretched: NDArray[np.float32] = levels[low] * (1.0 - share) + levels[low + 1] * share
    return stretched


def _vote(found: NDArray[np.float32], sent: NDArray[np.float32]) -> list[tuple[float, float]]:
    """(start in steps, fit), a few: pieces add their correlations along the line of equal tempo."""
    starts = _piece_starts(len(found))
    size = min(_PIECE, len(found))
    low = -len(found) + _SHORTEST  # a found sound may begin before the sent one
    high = len(sent) - _SHORTEST
    if high <= low:
        low, high = 0, 1
    total = np.zeros(high - low)
    for start in starts:
        correlation = _correlation(found[start : start + size], sent)
        slack = round(_TEMPO_STEP * abs(start + size / 2 - len(found) / 2))
        wide = maximum_filter1d(correlation, 2 * slack + 1) if slack else correlation
        total += _between(wide, low + start + size - 1, high + start + size - 1)
    top = maximum_filter1d(total, 2 * round(_APART_S / STEP_S) + 1)
    peaks = np.flatnonzero((total == top) & (total >= _NEARLY * total.max()))
    best = peaks[np.argsort(total[peaks])[::-1][:_PLACES_MAX]]
    return [
        (low + one + _peak_offset(total, int(one)), float(total[one]) / len(starts)) for one in best
    ]


def _piece_starts(length: int) -> list[int]:
    if length <= _PIECE:
        return [0]
    count = min(_PIECES_MAX, -(-length // _PIECE))
    return [round(one) for one in np.linspace(0, length - _PIECE, count)]


def _correlation(piece: NDArray[np.float32], sent: NDArray[np.float32]) -> NDArray[np.float64]:
    """Entry size - 1 + k: correlation of the piece with the sent contour from step k on.

    Divided by the norms of what overlaps, but never by less than half of the piece's own.
    """
    size, length = len(piece), len(sent)
    points = next_fast_len(size + length - 1, real=True)
    product = rfft(sent, points, axis=0) * rfft(piece[::-1], points, axis=0)
    together = irfft(product.sum(1), points)[: size + length - 1]
    energy = np.concatenate([[0.0], np.cumsum(np.sum(sent.astype(np.float64) ** 2, axis=1))])
    ends = np.arange(1, size + length)
    inside = energy[np.minimum(ends, length)] - energy[np.maximum(ends - size, 0)]
    own = float(np.sum(piece.astype(np.float64) ** 2)) + 1e-9
    least = 0.5 * size * CONTOUR_BANDS
    found: NDArray[np.float64] = together / np.sqrt(own * np.maximum(inside, least))
    return found


def _between(values: NDArray[np.float64], low: int, high: int) -> NDArray[np.float64]:
    """values[low:high], with zeros where there are none."""
    cut = values[max(low, 0) : max(high, 0)]
    before = min(max(-low, 0), high - low)
    return np.pad(cut, (before, high - low - before - len(cut)))


def _peak_offset(values: NDArray[np.float64], at: int) -> float:
    """How far beside a sample a parabola through it and its neighbours has its top."""
    if not 0 < at < len(values) - 1:
        return 0.0
    left, top, right = values[at - 1], values[at], values[at + 1]
    bend = left - 2.0 * top + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0.0 else 0.0
