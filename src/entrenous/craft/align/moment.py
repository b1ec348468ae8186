"""Which moment of a sent clip a found one shows, and how fast it plays.

The found frames are laid over the sent ones first. Then a hypothesis (it starts here, it plays this
fast) is judged by two correlations: of the pictures, and of what *changes* between them, in which
everything that stands still has no vote. No key, stream or score is known here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.geometry import Homography, resizing, scale_at

Grey = NDArray[np.uint8]
Rows = NDArray[np.float32]  # one flattened picture per row
Times = NDArray[np.float64]

_SIDE_PX: Final = 160
_SPEED_RANGE: Final = (0.7, 1.45)
_ROUGH_SPEEDS: Final = 75
_FINE_SPEEDS: Final = 41
_FINE_SHIFTS: Final = 25
_COVERED_MIN: Final = 0.05  # of the frame
_CALM: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Moment:
    """The found clip's time 0 is ``start_s`` of the sent one; ``speed`` sent seconds pass in each
    of its own. ``likeness`` runs from -1 to 2: both correlations, added up.
    """

    start_s: float
    speed: float
    likeness: float


def small(luma: Grey, side_px: int = _SIDE_PX) -> Grey:
    """A frame at the size at which moments are compared."""
    factor = side_px / max(luma.shape)
    if factor >= 1.0:
        return luma
    size = (max(1, round(luma.shape[1] * factor)), max(1, round(luma.shape[0] * factor)))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)


def laid_small(
    found: Grey, homography: Homography, sent_size: tuple[int, int], shape: tuple[int, int]
) -> tuple[Rows, NDArray[np.bool_]]:
    """A found frame on a small sent frame's grid, flattened, and where it shows something.

    Args:
        found: (h, w).
        homography: from pixels of the sent frames, at ``sent_size``, to those of the found ones.
        sent_size: (width, height).
        shape: (rows, columns) of small sent frames.
    """
    rows, columns = shape
    way = homography @ resizing((columns, rows), sent_size)
    scale = max(1.0, scale_at(way, np.array([columns / 2.0, rows / 2.0])))
    size = (max(1, round(found.shape[1] / scale)), max(1, round(found.shape[0] / scale)))
    thin = cv2.resize(found, size, interpolation=cv2.INTER_AREA)
    way = resizing((found.shape[1], found.shape[0]), size) @ way
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpPerspective(thin.astype(np.float32), way, (columns, rows), flags=flags)
    inside = cv2.warpPerspective(np.ones(thin.shape, np.float32), way, (columns, rows), flags=flags)
    return np.asarray(laid.ravel(), np.float32), inside.ravel() > 0.999


@dataclass(frozen=True, slots=True, eq=False)
class Strips:
    """Frames of both clips on one small grid, flattened, and their times.

    ``found`` is (P, pixels), laid over the sent frames' grid, at ``found_times`` (P,) seconds;
    ``sent`` is (N, pixels) at ``sent_times`` (N,), rising; ``covered`` (pixels,) says where found
    frames show something.
    """

    found: Rows
    found_times: Times
    sent: Rows
    sent_times: Times
    covered: NDArray[np.bool_]

    def pinned(self, near: Moment, found_s: float, sent_s: float) -> Moment:
        """The best moment near this one at which the found time ``found_s`` is ``sent_s``."""
        speeds = near.speed + np.linspace(-self._turn(), self._turn(), _FINE_SPEEDS)
        return self._best(sent_s - speeds * found_s, speeds)

    def anywhere(self) -> Moment:
        """The best moment of all."""
        speeds = np.geomspace(*_SPEED_RANGE, _ROUGH_SPEEDS)
        middles, speed = (
            grid.ravel() for grid in np.meshgrid(self.sent_times, speeds, indexing="ij")
        )
        return self._best(middles - speed * float(np.mean(self.found_times)), speed)

    def refined(self, near: Moment) -> Moment:
        """The best moment within a few frames and a few per cent of ``near``."""
        frame_s = self._frame_s()
        middle = float(np.mean(self.found_times))
        shifts = np.linspace(-3.0 * frame_s, 3.0 * frame_s, _FINE_SHIFTS)
        turns = near.speed + np.linspace(-self._turn(), self._turn(), _FINE_SPEEDS)
        shift, speed = (grid.ravel() for grid in np.meshgrid(shifts, turns, indexing="ij"))
        return self._best(near.start_s + near.speed * middle + shift - speed * middle, speed)

    def _best(self, starts: Times, speeds: Times) -> Moment:
        wanted = starts[:, None] + speeds[:, None] * self.found_times[None, :]
        likeness = _Likeness.of(self.found, self.sent, self.covered)
        judged = likeness.at(nearest(self.sent_times, wanted))
        frame_s = self._frame_s()
        outside = (wanted < self.sent_times[0] - frame_s) | (wanted > self.sent_times[-1] + frame_s)
        judged -= outside.mean(axis=1)
        best = int(judged.argmax())
        return Moment(float(starts[best]), float(speeds[best]), float(judged[best]))

    def _turn(self) -> float:
        """How far the speed may be off, when both ends may be off by a few frames."""
        frame_s = self._frame_s()
        return min(0.03, 3.0 * frame_s / max(float(np.ptp(self.found_times)), frame_s))

    def _frame_s(self) -> float:
        steps = np.diff(self.sent_times)
        return float(np.median(steps)) if len(steps) else 0.04


def nearest(times: Times, wanted: Times) -> NDArray[np.int64]:
    """For each wanted time, the number of the nearest of ``times`` (rising)."""
    after = np.clip(np.searchsorted(times, wanted), 1, max(1, len(times) - 1))
    if len(times) == 1:
        return np.zeros(np.shape(wanted), np.int64)
    earlier = wanted - times[after - 1] < times[after] - wanted
    return np.asarray(after - earlier, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Likeness:
    """Inner products: found with sent (P, N), sent with sent (N, N), found with found (P, P)."""

    cross: NDArray[np.float64]
    sent: NDArray[np.float64]
    found: NDArray[np.float64]

    @classmethod
    def of(cls, found: Rows, sent: Rows, covered: NDArray[np.bool_]) -> "_Likeness":
        x, y = _level(found[:, covered]), _level(sent[:, covered])
        return cls(*(np.asarray(one, np.float64) for one in (x @ y.T, y @ y.T, x @ x.T)))

    def at(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Likeness of hypotheses: ``places`` is (K, P), which sent frame each found one shows."""
        number = np.arange(places.shape[1])
        cross = self.cross[number, places]
        power = self.sent[places, places].sum(axis=1) * np.trace(self.found)
        still = cross.sum(axis=1) / np.sqrt(np.maximum(power, _CALM))
        return np.asarray(still + self._moving(places, number), np.float64)

    def _moving(self, places: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.float64]:
        one, other = places[:, :-1], places[:, 1:]
        first, second = number[:-1], number[1:]
        product = (
            self.cross[second, other]
            - self.cross[second, one]
            - self.cross[first, other]
            + self.cross[first, one]
        ).sum(axis=1)
        sent = self.sent[one, one] + self.sent[other, other] - 2.0 * self.sent[one, other]
        found = (
            self.found[first, first] + self.found[second, second] - 2.0 * self.found[first, second]
        )
        power = np.maximum(sent, 0.0).sum(axis=1) * max(float(found.sum()), 0.0)
        return np.asarray(product / np.sqrt(np.maximum(power, _CALM)), np.float64)


def _level(rows: Rows) -> Rows:
    """Brightness and contrast of each picture taken out."""
    if rows.shape[1] == 0:
        return np.zeros((len(rows), 1), np.float32)
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.mean(np.square(centred), axis=1, keepdims=True)) + 1.0
    return np.asarray(centred / spread, np.float32)


def likeness(one: Rows, other: Rows, covered: NDArray[np.bool_]) -> float:
    """Correlation of two flattened frames where one covers the other."""
    x, y = (_level(rows[None, covered])[0] for rows in (one, other))
    return float(np.dot(x, y) / max(float(np.linalg.norm(x) * np.linalg.norm(y)), _CALM))


def detail(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is finer than two pixels or so: it tells one frame from the next."""
    return np.asarray(plane - cv2.GaussianBlur(plane, (0, 0), 1.5), np.float32)


def enough(covered: NDArray[np.bool_]) -> bool:
    """Whether so much is covered that a comparison says something."""
    return bool(covered.mean() >= _COVERED_MIN)


def stacked(frames: Sequence[Grey]) -> Rows:
    """Small frames as rows."""
    return np.stack([small(frame).ravel().astype(np.float32) for frame in frames])
