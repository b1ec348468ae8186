"""Locate a found sound in a sent one by loudness contours of sixteen bands.

The contours of a sound are the logarithms of its bands' powers over time, without slow changes.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from entrenous.watermark.audio_mark import (
    HOP_SAMPLES,
    RATE_HZ,
    WINDOW_SAMPLES,
    bin_powers,
    to_frames,
    whole_spectra,
)

STEP_SAMPLES: Final = 2 * HOP_SAMPLES  # samples at 16 kHz from one step of a contour to the next
STEP_S: Final = STEP_SAMPLES / RATE_HZ
CONTOUR_BANDS: Final = 16
_LOW_HZ: Final = 280.0
_HIGH_HZ: Final = 3600.0
_SMOOTHING_STEPS: Final = 31  # a second; slower changes of the volume are removed
# powers below this share of a band's mean power count as equal, which limits the effect of noise
_POWER_FLOOR_SHARE: Final = 1e-3
_UNITS_PER_DEVIATION: Final = 40.0  # a standard deviation is stored as this many units
_BLOCK_STEPS: Final = 1024


def compute_contour(mono: NDArray[np.float32]) -> bytes:
    """Return the contour of a sound at 16 kHz: one signed byte per step and band."""
    return write_contour(band_levels(step_powers(mono), 1.0))


def read_contour(data: bytes) -> NDArray[np.float32]:
    """Return a stored contour (steps, CONTOUR_BANDS), in standard deviations."""
    steps = np.frombuffer(data, np.int8).reshape(-1, CONTOUR_BANDS)
    return steps.astype(np.float32) / np.float32(_UNITS_PER_DEVIATION)


def write_contour(levels: NDArray[np.float32]) -> bytes:
    """Return a contour (steps, CONTOUR_BANDS) as bytes for storage."""
    data: bytes = (
        np.clip(np.rint(levels * _UNITS_PER_DEVIATION), -127, 127).astype(np.int8).tobytes()
    )
    return data


def step_powers(mono: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the powers (steps, WINDOW_SAMPLES / 2 + 1) of spectra that are STEP_SAMPLES apart."""
    steps = len(mono) // STEP_SAMPLES + 1
    powers = np.zeros((steps, WINDOW_SAMPLES // 2 + 1), np.float32)
    for first in range(0, steps, _BLOCK_STEPS):
        size = min(_BLOCK_STEPS, steps - first)
        frames = to_frames(mono, 2 * first, 2 * size - 1)[::2]
        powers[first : first + size] = bin_powers(whole_spectra(frames))
    return powers


def band_levels(powers: NDArray[np.float32], pitch: float) -> NDArray[np.float32]:
    """Return the logarithms of the bands' powers (steps, CONTOUR_BANDS).

    Slow changes are removed, and the variance is 1.

    ``pitch`` says how many times higher this sound is than the one that it is compared with.
    """
    band_power = powers @ _bin_shares(pitch)
    decibels = np.log(band_power + _POWER_FLOOR_SHARE * band_power.mean(0) + 1e-9)
    fast = decibels - uniform_filter1d(decibels, _SMOOTHING_STEPS, axis=0, mode="nearest")
    spread = np.sqrt(np.mean(fast**2, axis=0)) + 1e-6
    levels: NDArray[np.float32] = np.clip(fast / spread, -3.0, 3.0).astype(np.float32)
    return levels


def _bin_shares(pitch: float) -> NDArray[np.float32]:
    """Return (bins, bands): the share of each bin in each band.

    Neighbouring bands overlap by half.
    """
    edges = np.geomspace(_LOW_HZ, _HIGH_HZ, CONTOUR_BANDS + 2) * pitch
    bins = np.arange(WINDOW_SAMPLES // 2 + 1)[:, None] * (RATE_HZ / WINDOW_SAMPLES)
    up = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(up, down), 0.0, 1.0).astype(np.float32)


_TEMPOS_TRIED: Final = tuple(round(0.90 + 0.01 * step, 2) for step in range(21))
_PIECE_STEPS: Final = 160  # 5 s
_PIECES_MAX: Final = 12
TEMPO_HALF_STEP: Final = 0.005  # half the difference between successive tempos that are tried
_SIMILAR_FIT_SHARE_MIN: Final = 0.75
_PLACES_MAX: Final = 4
_PLACE_DISTANCE_S_MIN: Final = 0.15
_OVERLAP_STEPS_MIN: Final = 24  # a piece must overlap the sent sound by this many steps: 0.8 s


@dataclass(frozen=True, slots=True)
class SoundPlace:
    """A position and speed at which a found sound may match a sent one.

    The found sound starts at ``start_s`` of the sent one, and its middle is at ``middle_s``. It is
    ``tempo`` times as fast and ``pitch`` times as high. ``fit`` is the mean correlation of its
    pieces.
    """

    start_s: float
    middle_s: float
    tempo: float
    pitch: float
    fit: float


@dataclass(frozen=True, slots=True)
class FoundContours:
    """The contours of a found sound: one (steps, CONTOUR_BANDS) array for each pitch."""

    levels: dict[float, NDArray[np.float32]]


def compute_found_contours(mono: NDArray[np.float32]) -> FoundContours:
    """Return the contours of a found sound (16 kHz), one for each pitch shift that is tried."""
    powers = step_powers(mono)
    return FoundContours({pitch: band_levels(powers, pitch) for pitch in _TEMPOS_TRIED})


def locate_sound(found: FoundContours, sent: NDArray[np.float32]) -> tuple[SoundPlace, ...]:
    """Return the best places of a found sound on a sent one's contour (steps, CONTOUR_BANDS).

    The best place is first. Other places, such as further refrains, follow only if they match
    nearly as well.
    """
    tried = []
    for tempo in _TEMPOS_TRIED:
        for pitch in {1.0, tempo}:
            stretched = _stretch_tempo(found.levels[pitch], tempo)
            for start, fit in _vote_on_starts(stretched, sent):
                middle = start + 0.5 * len(stretched)
                tried.append(SoundPlace(start * STEP_S, middle * STEP_S, tempo, pitch, fit))
    return _distinct_places(sorted(tried, key=lambda place: place.fit, reverse=True))


def _distinct_places(places: list[SoundPlace]) -> tuple[SoundPlace, ...]:
    kept: list[SoundPlace] = []
    for place in places:
        if place.fit < _similar_fit_min(places[0].fit) or len(kept) == _PLACES_MAX:
            break
        if all(abs(place.middle_s - other.middle_s) > _PLACE_DISTANCE_S_MIN for other in kept):
            kept.append(place)
    return tuple(kept)


def _similar_fit_min(best: float) -> float:
    """Return the least fit that is nearly as good as the best one, which may be negative."""
    return min(best, _SIMILAR_FIT_SHARE_MIN * best)


def _stretch_tempo(levels: NDArray[np.float32], tempo: float) -> NDArray[np.float32]:
    if tempo == 1.0 or len(levels) < 2:
        return levels
    at = np.arange(0.0, (len(levels) - 1) * tempo + 1e-9) / tempo
    low = np.minimum(at.astype(np.int64), len(levels) - 2)
    share = (at - low)[:, None].astype(np.float32)
    stretched: NDArray[np.float32] = levels[low] * (1.0 - share) + levels[low + 1] * share
    return stretched


def _vote_on_starts(
    found: NDArray[np.float32], sent: NDArray[np.float32]
) -> list[tuple[float, float]]:
    """Return a few pairs (start in steps, fit) for one tempo.

    The correlations of all pieces are added up.
    """
    starts = _piece_starts(len(found))
    size = min(_PIECE_STEPS, len(found))
    low = -len(found) + _OVERLAP_STEPS_MIN  # a found sound may begin before the sent one does
    high = len(sent) - _OVERLAP_STEPS_MIN
    if high <= low:
        low, high = 0, 1
    total = np.zeros(high - low)
    for start in starts:
        correlation = _correlations_at_offsets(found[start : start + size], sent)
        slack = round(TEMPO_HALF_STEP * abs(start + size / 2 - len(found) / 2))
        wide = maximum_filter1d(correlation, 2 * slack + 1) if slack else correlation
        total += zero_padded_slice(wide, low + start + size - 1, high + start + size - 1)
    top = maximum_filter1d(total, 2 * round(_PLACE_DISTANCE_S_MIN / STEP_S) + 1)
    peaks = np.flatnonzero((total == top) & (total >= _similar_fit_min(float(total.max()))))
    best = peaks[np.argsort(total[peaks])[::-1][:_PLACES_MAX]]
    return [
        (low + one + peak_offset(total, int(one)), float(total[one]) / len(starts)) for one in best
    ]


def _piece_starts(length: int) -> list[int]:
    if length <= _PIECE_STEPS:
        return [0]
    count = min(_PIECES_MAX, -(-length // _PIECE_STEPS))
    return [round(one) for one in np.linspace(0, length - _PIECE_STEPS, count)]


def _correlations_at_offsets(
    piece: NDArray[np.float32], sent: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the correlations of a piece with the sent contour at all offsets.

    With n = ``len(piece)``, entry n - 1 + k is the correlation with the part of the sent contour
    that begins at step ``k``. A correlation is divided by the norm of the piece, and by the norm of
    the part of the sent contour that it overlaps. The square of the second norm counts as at least
    half of its average for a whole piece, so that a short overlap does not correlate too well.
    """
    size, length = len(piece), len(sent)
    points = next_fast_len(size + length - 1, real=True)
    product = rfft(sent, points, axis=0) * rfft(piece[::-1], points, axis=0)
    products = irfft(product.sum(1), points)[: size + length - 1]
    energy = np.concatenate([[0.0], np.cumsum(np.sum(sent.astype(np.float64) ** 2, axis=1))])
    ends = np.arange(1, size + length)
    inside = energy[np.minimum(ends, length)] - energy[np.maximum(ends - size, 0)]
    own = float(np.sum(piece.astype(np.float64) ** 2)) + 1e-9
    least = 0.5 * size * CONTOUR_BANDS
    found: NDArray[np.float64] = products / np.sqrt(own * np.maximum(inside, least))
    return found


Array = TypeVar("Array", NDArray[np.float32], NDArray[np.float64])


def zero_padded_slice(values: Array, low: int, high: int) -> Array:
    """Return values[low:high], with zeros for indices outside the array."""
    cut = values[max(low, 0) : max(high, 0)]
    before = min(max(-low, 0), high - low)
    return np.pad(cut, (before, high - low - before - len(cut)))


def peak_offset(values: NDArray[np.float32] | NDArray[np.float64], at: int) -> float:
    """Return the offset from a peak's sample to the peak of the curve.

    The curve is the parabola through the sample and its two neighbours.
    """
    if not 0 < at < len(values) - 1:
        return 0.0
    left, top, right = (float(one) for one in values[at - 1 : at + 2])
    bend = left - 2.0 * top + right
    return min(max(0.5 * (left - right) / bend, -0.5), 0.5) if bend < 0.0 else 0.0
