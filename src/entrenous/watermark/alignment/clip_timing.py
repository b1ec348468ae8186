"""Which moment of a sent clip a frame shows, how fast it plays, and how the camera moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import Survey
from entrenous.watermark.alignment.transforms import Homography, resizing, scale_at

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


Motion = NDArray[np.float64]  # 2 x 3
Row = tuple[float, float, float, float]
_CAMERA_SIDE_PX: Final = 320
_POINTS: Final = 200
_QUALITY: Final = 0.01
_APART_PX: Final = 8
_AGREEING_MIN: Final = 20  # points: fewer share no motion, as across a cut
_TOLERANCE_PX: Final = 0.7
_SCALE_RANGE: Final = (0.8, 1.25)  # in one step: beyond, it is no camera
_NOTHING: Final = 1e-9
_STILL_PX: Final = 0.05  # less in one step is taken for none


class Follower:
    """Follows the camera through a clip, frame by frame.

    :meth:`step` gives the similarity from the *first* frame's coordinates to the present one's, in
    units of the longest side, as (a, b, x, y): x' = a x - b y + x0, y' = b x + a y + y0. Across a
    cut the motion is taken as none: what comes after is a different picture anyway.
    """

    def __init__(self) -> None:
        self._before: Grey | None = None
        self._total = np.eye(3)

    def step(self, luma: Grey) -> Row:
        """Take the next frame's luma, (H, W) uint8."""
        small = _small(luma)
        if self._before is not None:
            self._total = _motion(self._before, small) @ self._total
        self._before = small
        (a, _, x), (b, _, y) = self._total[:2]
        return float(a), float(b), float(x), float(y)


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """When a clip's frames come and where the camera is at each: (N,) seconds, (N, 4) motions."""

    times: NDArray[np.float64]
    motions: NDArray[np.float64]

    @classmethod
    def of(cls, survey: Survey) -> Self:
        """As a survey has it."""
        times = np.frombuffer(survey.times, np.float64)
        return cls(times, np.frombuffer(survey.motions, np.float64).reshape(len(times), 4))

    @property
    def length_s(self) -> float:
        """From the first frame to the end of the last, which lasts as long as the one before."""
        last = float(self.times[-1] - self.times[-2]) if len(self.times) > 1 else 0.0
        return float(self.times[-1] - self.times[0]) + last

    def way(self, start_s: float, stop_s: float, size: tuple[int, int]) -> Motion:
        """2 x 3: from pixels of the frame nearest to ``start_s`` to those of the one nearest to
        ``stop_s``, both of ``size``.
        """
        one, other = self.nearest(start_s), self.nearest(stop_s)
        moved = _matrix(self.motions[other]) @ np.linalg.inv(_matrix(self.motions[one]))
        moved[:2, 2] *= max(size)
        if np.abs(moved - np.eye(3)).max() < _NOTHING:
            moved = np.eye(3)  # rounding is no motion
        return np.asarray(moved[:2], np.float64)

    def nearest(self, at_s: float) -> int:
        """Number of the frame that is nearest in time."""
        after = int(np.searchsorted(self.times, at_s))
        around = range(max(0, after - 1), min(len(self.times), after + 1))
        return min(around, key=lambda number: abs(float(self.times[number]) - at_s))


def _matrix(row: Row | NDArray[np.float64]) -> NDArray[np.float64]:
    a, b, x, y = row
    return np.array([[a, -b, x], [b, a, y], [0.0, 0.0, 1.0]])


def _small(luma: Grey) -> Grey:
    factor = _CAMERA_SIDE_PX / max(luma.shape)
    if factor >= 1.0:
        return luma
    size = (max(1, round(luma.shape[1] * factor)), max(1, round(luma.shape[0] * factor)))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)


def _motion(before: Grey, after: Grey) -> NDArray[np.float64]:
    """3 x 3 in units of the longest side; the identity when no motion is shared."""
    points = cv2.goodFeaturesToTrack(before, _POINTS, _QUALITY, _APART_PX)
    if not len(np.atleast_1d(points)) >= _AGREEING_MIN:  # OpenCV gives None for no point
        return np.eye(3)
    moved, known, _ = cv2.calcOpticalFlowPyrLK(before, after, points, np.empty_like(points))
    keep = known.ravel() == 1
    if int(keep.sum()) < _AGREEING_MIN:
        return np.eye(3)
    affine, agree = cv2.estimateAffinePartial2D(
        points[keep], moved[keep], method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE_PX
    )
    if affine is None or int(agree.sum()) < max(_AGREEING_MIN, keep.sum() // 3):
        return np.eye(3)
    return _settled(affine, max(before.shape), (before.shape[1], before.shape[0]))


def _settled(affine: Motion, side: int, size: tuple[int, int]) -> NDArray[np.float64]:
    """A still camera is kept exactly still, so that no drift adds up from noise."""
    corners = np.array([[0.0, 0.0, 1.0], [size[0], 0.0, 1.0], [0.0, size[1], 1.0], [*size, 1.0]])
    strayed = np.abs(corners @ affine.T - corners[:, :2]).max()
    scale = float(np.hypot(affine[0, 0], affine[1, 0]))
    if strayed < _STILL_PX or not _SCALE_RANGE[0] <= scale <= _SCALE_RANGE[1]:
        return np.eye(3)
    whole = np.vstack([affine, [0.0, 0.0, 1.0]])
    whole[:2, 2] /= side
    return np.asarray(whole, np.float64)
