"""Track a found sound through the sent one, window by window, to a fraction of a sample.

A window is a part of the found sound that is correlated with the sent sound. A knot is a pair of
positions, in the sent sound and in the found one, that a window has confirmed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import median_filter, uniform_filter1d

from entrenous.watermark.audio_location import (
    TEMPO_HALF_STEP,
    SoundPlace,
    peak_offset,
    zero_padded_slice,
)
from entrenous.watermark.audio_mark import RATE_HZ, FractionalSamples

LAG_OVERSAMPLING: Final = 2  # correlations are computed at this many lags per sample
# exponent of the whitening; with 1 (PHAT), bins without sound would count as much as others
_EQUALISATION_EXPONENT: Final = 0.7
_LOW_HZ: Final = 250.0
_HIGH_HZ: Final = 3700.0


@dataclass(frozen=True, slots=True)
class TrackingWindow:
    """A part of the found sound around ``found``; all numbers except ``pitch`` are in samples.

    It is expected in the sent sound within ``slack`` of ``sent``.
    """

    found: float
    sent: float
    pitch: float
    size: int
    slack: int


def correlate_lags(
    found_samples: FractionalSamples,
    sent: NDArray[np.float32],
    window: TrackingWindow,
    finer: int = LAG_OVERSAMPLING,
) -> NDArray[np.float32]:
    """Return the correlations at lags from -slack to slack around the *rounded* ``window.sent``.

    There are ``finer`` lags per sample. Values are in units of the root mean square over all lags.
    """
    half = window.size // 2
    steps = np.arange(-half, half, dtype=np.float64)
    taper = np.hanning(window.size).astype(np.float32)
    found = found_samples.read(window.found + steps / window.pitch) * taper
    span = half + window.slack
    own = zero_padded_slice(sent, round(window.sent) - span, round(window.sent) + span)
    points = next_fast_len(len(own) + window.size, real=True)
    cross = rfft(own, points) * np.conj(rfft(found, points))
    cross *= _bandpass(points) / (np.abs(cross) ** _EQUALISATION_EXPONENT + 1e-12)
    lags = irfft(cross, points * finer)
    wanted: NDArray[np.float32] = lags[: 2 * window.slack * finer + 1]
    scaled: NDArray[np.float32] = wanted / (np.sqrt(np.mean(lags**2)) + 1e-20)
    return scaled


def _bandpass(points: int) -> NDArray[np.float32]:
    hertz = np.arange(points // 2 + 1) * (RATE_HZ / points)
    return ((hertz > _LOW_HZ) & (hertz < _HIGH_HZ)).astype(np.float32)


_WINDOW_SAMPLES: Final = 4096  # 0.26 s
_LONG_WINDOW_SAMPLES: Final = 8192
_CORRELATION_PEAK_MIN: Final = (
    6.0  # minimum height of a peak, in units of the root mean square over all lags
)
_PROBES_MAX: Final = 6
# probes are at most this many seconds from the middle of the part that shows the sent sound
_PROBE_DISTANCE_S_MAX: Final = 4.0
_TEMPO_STEP: Final = 5e-4
_TEMPO_STEPS_EACH_WAY: Final = 24
_SLACK_S: Final = 0.05
# at constant speed, windows deviate from their neighbours by at most this many samples
_JITTER_SAMPLES_MAX: Final = 16.0
# the same for a changed tempo with preserved pitch, which shifts pieces of the sound: 25 ms
_JITTER_SAMPLES_MAX_PITCH_KEPT: Final = 400.0
_UNCHANGED_TEMPO_TOLERANCE: Final = 0.015
# weight of the hypothesis of unchanged speed; if a played sound was recorded, the hypotheses differ
# little
_UNCHANGED_SPEED_WEIGHT: Final = 1.3
_POOL_DECAY: Final = 0.8
# knots that deviate by at most this many samples are on a straight line
_STRAIGHT_DEVIATION_MAX: Final = 2.0


@dataclass(frozen=True, slots=True)
class TimePath:
    """Maps positions in the sent sound to positions in the found one.

    ``sent`` and ``found`` are the positions of knots, in samples at 16 kHz; both ascend. The found
    sound is ``pitch`` times as high. ``windows`` is the number of windows that agreed.
    """

    sent: NDArray[np.float64]
    found: NDArray[np.float64]
    pitch: float
    windows: int

    @property
    def speed(self) -> float:
        """The speed, as seconds of the sent sound per second of the found one."""
        return float((self.sent[-1] - self.sent[0]) / (self.found[-1] - self.found[0]))

    def found_position(self, sent: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions in the found sound for positions in the sent one, even beyond knots."""
        inside = np.interp(sent, self.sent, self.found)
        before = np.minimum(sent - self.sent[0], 0.0) / self.speed
        after = np.maximum(sent - self.sent[-1], 0.0) / self.speed
        placed: NDArray[np.float64] = inside + before + after
        return placed


def find_time_path(
    found_samples: FractionalSamples, sent: NDArray[np.float32], places: Sequence[SoundPlace]
) -> TimePath | None:
    """Return the time path of a found sound, starting from the best of ``places``.

    Returns: None if the windows disagree.
    """
    parts = [_part_inside_sent(found_samples, len(sent), place) for place in places]
    probes = {part: _probe_centres(found_samples, part) for part in parts}
    lines = [
        line
        for place, part in zip(places, parts, strict=True)
        for line in _line_hypotheses(part, place)
    ]
    line = max(
        lines,
        key=lambda one: one.weight * _line_agreement(found_samples, sent, one, probes[one.part]),
    )
    path = _track_from_middle(found_samples, sent, line)
    for _ in range(0 if line.pitch_kept else 2):
        if path is None or abs(path.speed / path.pitch - 1.0) < 1e-6:
            break
        line = _line_through_path(path, line)
        path = _track_from_middle(found_samples, sent, line) or path
    return path


@dataclass(frozen=True, slots=True)
class _FoundPart:
    """The part of the found sound that may show the sent one; all numbers are in samples.

    Its position in the sent sound may be wrong by ``slack``.
    """

    start: float
    stop: float
    slack: float

    @property
    def middle(self) -> float:
        return 0.5 * (self.start + self.stop)

    @property
    def length(self) -> float:
        return self.stop - self.start


def _part_inside_sent(
    found_samples: FractionalSamples, sent_samples: int, place: SoundPlace
) -> _FoundPart:
    """Return the part of the found sound that lies inside the sent one if it is at ``place``.

    The place is that of the middle of the whole found sound, and its tempo is known to
    ``TEMPO_HALF_STEP``. So the slack grows with the distance from that middle.
    """
    begin, length = place.start_s * RATE_HZ, float(found_samples.length)
    start = max(0.0, -begin / place.tempo)
    stop = min(length, (sent_samples - begin) / place.tempo)
    if stop <= start:
        start, stop = 0.0, length
    distance = abs(0.5 * (start + stop) - 0.5 * length)
    return _FoundPart(start, stop, _SLACK_S * RATE_HZ + TEMPO_HALF_STEP * distance)


@dataclass(frozen=True, slots=True)
class _LineHypothesis:
    """A hypothesis: the middle of a part of the found sound lies at ``centre`` in the sent one.

    From there, the found sound runs at ``tempo`` in both directions; it is ``pitch`` times as high.
    ``weight`` is larger for unchanged speed.
    """

    part: _FoundPart
    centre: float
    tempo: float
    pitch: float
    weight: float = 1.0

    @property
    def pitch_kept(self) -> bool:
        """Whether the pitch was preserved while the tempo changed."""
        return self.pitch != self.tempo

    def sent_position(self, found: float) -> float:
        return self.centre + self.tempo * (found - self.part.middle)


def _line_hypotheses(part: _FoundPart, place: SoundPlace) -> list[_LineHypothesis]:
    """Return hypotheses with preserved pitch, and with pitch and tempo changed together.

    The tempo is known to 1 % from the contours.
    """
    centre = place.start_s * RATE_HZ + place.tempo * part.middle
    tempos = [
        place.tempo + _TEMPO_STEP * step
        for step in range(-_TEMPO_STEPS_EACH_WAY, _TEMPO_STEPS_EACH_WAY + 1)
    ]
    lines = [_LineHypothesis(part, centre, tempo, tempo) for tempo in tempos]
    lines += [
        _LineHypothesis(part, centre, tempo, 1.0) for tempo in tempos[4::8] if abs(tempo - 1) > 5e-3
    ]
    if abs(place.tempo - 1.0) < _UNCHANGED_TEMPO_TOLERANCE:
        lines.append(_LineHypothesis(part, centre, 1.0, 1.0, _UNCHANGED_SPEED_WEIGHT))
    return lines


def _line_through_path(path: TimePath, line: _LineHypothesis) -> _LineHypothesis:
    centre = float(path.sent[0] + path.speed * (line.part.middle - path.found[0]))
    return _LineHypothesis(line.part, centre, path.speed, path.speed)


def _line_agreement(
    found_samples: FractionalSamples,
    sent: NDArray[np.float32],
    line: _LineHypothesis,
    probes: Sequence[float],
) -> float:
    """Return how well a line agrees: the sum of the correlation peaks of windows at ``probes``."""
    total = 0.0
    for centre in probes:
        window = TrackingWindow(
            centre, line.sent_position(centre), line.pitch, _WINDOW_SAMPLES, round(line.part.slack)
        )
        total += float(correlate_lags(found_samples, sent, window, 1).max())
    return total


def _probe_centres(found_samples: FractionalSamples, part: _FoundPart) -> list[float]:
    """Return the centres of the loudest windows near the middle of a part of the found sound."""
    reach = min(0.5 * (part.length - _WINDOW_SAMPLES), _PROBE_DISTANCE_S_MAX * RATE_HZ)
    if reach <= 0:
        return [part.middle]
    centres = np.arange(-reach, reach + 1, _WINDOW_SAMPLES / 2) + part.middle
    loud = np.mean(found_samples.read(centres[:, None] + np.arange(-512.0, 512.0)) ** 2, axis=1)
    best = np.argsort(loud)[::-1][:_PROBES_MAX]
    return [float(centres[one]) for one in sorted(best)]


def _track_from_middle(
    found_samples: FractionalSamples, sent: NDArray[np.float32], line: _LineHypothesis
) -> TimePath | None:
    """Track in both directions from the middle; each window is predicted from the one before."""
    size = _WINDOW_SAMPLES if line.pitch_kept else _LONG_WINDOW_SAMPLES
    hop = size / 4 if line.pitch_kept else size / 2
    # at least three windows, so that a sound of one second has a path
    steps = max(1, int((line.part.length - size) / 2 / hop))
    knots = []
    for direction in (range(steps + 1), range(-1, -steps - 1, -1)):
        tracker = _Tracker(
            line,
            _JITTER_SAMPLES_MAX_PITCH_KEPT if line.pitch_kept else _JITTER_SAMPLES_MAX * 4,
            line.part.slack,
        )
        for step in direction:
            centre = line.part.middle + step * hop
            window = tracker.next_window(centre, size)
            at = tracker.locate_window(window, correlate_lags(found_samples, sent, window))
            if at is not None:
                knots.append((centre, at))
    return _path_from_knots(np.array(sorted(knots)).reshape(-1, 2), line)


@dataclass(slots=True)
class _Tracker:
    """Predicts the next window's position.

    If pitch and tempo changed together, the correlations of windows are added up. The echoes of a
    room blur the peak in each window, and they are the same in all windows.
    """

    line: _LineHypothesis
    reach: float
    slack: float
    shift: float = 0.0
    pool: NDArray[np.float32] | None = None
    weight: float = 0.0

    def next_window(self, centre: float, size: int) -> TrackingWindow:
        expected, slack = self.line.sent_position(centre) + self.shift, round(self.line.part.slack)
        return TrackingWindow(centre, expected, self.line.pitch, size, slack)

    def locate_window(self, window: TrackingWindow, lags: NDArray[np.float32]) -> float | None:
        """Return the position of the window's centre in the sent sound; None if it is uncertain."""
        pooled = self._pool_lags(lags)
        middle = len(pooled) // 2
        reach = min(middle, round(self.slack * LAG_OVERSAMPLING))
        near = pooled[middle - reach : middle + reach + 1]
        best = int(np.argmax(near)) - reach
        if near[best + reach] < _CORRELATION_PEAK_MIN:
            self.slack = min(self.slack * 1.2, self.line.part.slack)
            return None
        at = round(window.sent) + (best + peak_offset(near, best + reach)) / LAG_OVERSAMPLING
        moved = at - window.sent
        self.shift += moved
        if self.pool is not None:
            self.pool = np.roll(self.pool, -round(moved * LAG_OVERSAMPLING))
        self.slack = max(self.slack * 0.5, self.reach)
        return at

    def _pool_lags(self, lags: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.line.pitch_kept:
            return lags
        before = np.zeros_like(lags) if self.pool is None else self.pool
        self.pool = _POOL_DECAY * before + lags
        self.weight = _POOL_DECAY**2 * self.weight + 1.0
        pooled: NDArray[np.float32] = self.pool / np.float32(np.sqrt(self.weight))
        return pooled


def _path_from_knots(knots: NDArray[np.float64], line: _LineHypothesis) -> TimePath | None:
    """Return the path through the knots without outliers; None if fewer than two knots are left."""
    if len(knots) < 2:
        return None
    found, sent = knots.T
    residual = sent - line.tempo * found
    deviation = np.abs(residual - median_filter(residual, 5, mode="nearest"))
    good = deviation <= (_JITTER_SAMPLES_MAX_PITCH_KEPT if line.pitch_kept else _JITTER_SAMPLES_MAX)
    found, sent = found[good], sent[good]
    if len(found) < 2:
        return None
    if not line.pitch_kept:
        sent = _smooth_knots(found, sent, line.tempo)
    rising = np.concatenate([[True], np.diff(np.maximum.accumulate(sent)) > 0.0])
    found, sent = found[rising], sent[rising]
    return TimePath(sent, found, line.pitch, len(found)) if len(found) > 1 else None


def _smooth_knots(
    found: NDArray[np.float64], sent: NDArray[np.float64], tempo: float
) -> NDArray[np.float64]:
    """Return smoothed positions of the knots in the sent sound.

    They are on a straight line if most knots lie on one. Otherwise they follow a running mean or,
    where echoes scatter the knots, a line with the expected tempo.
    """
    slope, offset = _fit_robust_line(found, sent)
    deviation = sent - slope * found - offset
    scatter = float(np.percentile(np.abs(deviation), 80))
    if scatter <= _STRAIGHT_DEVIATION_MAX:
        return slope * found + offset
    jumps = float(np.median(np.abs(np.diff(deviation)))) if len(deviation) > 2 else scatter
    if scatter > _JITTER_SAMPLES_MAX or jumps > 0.5 * scatter:
        return tempo * found + float(np.median(sent - tempo * found))
    smooth: NDArray[np.float64] = sent - deviation + uniform_filter1d(deviation, 3, mode="nearest")
    return smooth


def _fit_robust_line(found: NDArray[np.float64], sent: NDArray[np.float64]) -> tuple[float, float]:
    """Return the slope and offset of a line fitted by least squares.

    It is fitted again three times, each time to the nearest four fifths of the knots.
    """
    slope = float(np.median(np.diff(sent) / np.diff(found)))
    offset = float(np.median(sent - slope * found))
    for _ in range(3):
        residual = np.abs(sent - slope * found - offset)
        near = residual <= max(0.1, float(np.percentile(residual, 80)))
        if near.sum() < 3:
            break
        slope, offset = (float(one) for one in np.polyfit(found[near], sent[near], 1))
    return slope, offset
