"""Find which moments of a sent clip the found frames show, how fast the found clip plays, and how
the camera moves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import ClipMeasurements
from entrenous.watermark.alignment.transforms import Homography, resizing, scale_at

Grey = NDArray[np.uint8]
Rows = NDArray[np.float32]  # each row is a flattened picture
Times = NDArray[np.float64]
_TIMING_SIDE_PX: Final = 160
_SPEED_RANGE: Final = (0.7, 1.45)
_ROUGH_SPEED_COUNT: Final = 75
_FINE_SPEED_COUNT: Final = 41
_FINE_SHIFT_COUNT: Final = 25
_COVERED_SHARE_MIN: Final = 0.05  # found frames must cover at least this share of the sent frame
_POWER_MIN: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Timing:
    """A time mapping: found time t corresponds to sent time ``start_s`` + ``speed`` x t.

    ``likeness`` is the sum of two correlations, of pictures and of their changes over time, minus
    the share of found frames that this mapping places outside the sent clip. It is at most 2.
    """

    start_s: float
    speed: float
    likeness: float


def shrink_for_timing(luma: Grey, side_px: int = _TIMING_SIDE_PX) -> Grey:
    """Scale a frame down to the size at which timings are compared."""
    factor = side_px / max(luma.shape)
    if factor >= 1.0:
        return luma
    size = (max(1, round(luma.shape[1] * factor)), max(1, round(luma.shape[0] * factor)))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)


def warp_to_thumbnail(
    found: Grey, homography: Homography, sent_size: tuple[int, int], shape: tuple[int, int]
) -> tuple[Rows, NDArray[np.bool_]]:
    """Warp a found frame to a sent thumbnail's grid.

    Args:
        found: (h, w).
        homography: maps pixels of sent frames, at ``sent_size``, to pixels of found frames.
        sent_size: (width, height).
        shape: (rows, columns) of the thumbnails.

    Returns: the flattened pixels, and a mask of the pixels that the found frame covers.
    """
    rows, columns = shape
    onto = homography @ resizing((columns, rows), sent_size)
    scale = max(1.0, scale_at(onto, np.array([columns / 2.0, rows / 2.0])))
    size = (max(1, round(found.shape[1] / scale)), max(1, round(found.shape[0] / scale)))
    thin = cv2.resize(found, size, interpolation=cv2.INTER_AREA)
    onto = resizing((found.shape[1], found.shape[0]), size) @ onto
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpPerspective(thin.astype(np.float32), onto, (columns, rows), flags=flags)
    inside = cv2.warpPerspective(
        np.ones(thin.shape, np.float32), onto, (columns, rows), flags=flags
    )
    return np.asarray(warped.ravel(), np.float32), inside.ravel() > 0.999


@dataclass(frozen=True, slots=True, eq=False)
class FrameRows:
    """Thumbnails of frames of both clips, flattened, with their times in seconds.

    ``found`` (P, pixels) are found frames, warped to the sent frames' grid; ``found_times`` (P,)
    are their times. ``sent`` (N, pixels) are sent frames at the ascending times ``sent_times``
    (N,). ``covered`` (pixels,) is the mask of the pixels that found frames cover.
    """

    found: Rows
    found_times: Times
    sent: Rows
    sent_times: Times
    covered: NDArray[np.bool_]

    def best_timing_through(self, near: Timing, found_s: float, sent_s: float) -> Timing:
        """Return the best timing near ``near`` that maps found time ``found_s`` to ``sent_s``."""
        speeds = near.speed + np.linspace(
            -self._speed_slack(), self._speed_slack(), _FINE_SPEED_COUNT
        )
        return self._best_timing(sent_s - speeds * found_s, speeds)

    def best_timing_anywhere(self) -> Timing:
        speeds = np.geomspace(*_SPEED_RANGE, _ROUGH_SPEED_COUNT)
        middles, speed = (
            grid.ravel() for grid in np.meshgrid(self.sent_times, speeds, indexing="ij")
        )
        return self._best_timing(middles - speed * float(np.mean(self.found_times)), speed)

    def refine_timing(self, near: Timing) -> Timing:
        """Return the best timing within a few frames and a few per cent of ``near``."""
        frame_s = self._seconds_per_frame()
        middle = float(np.mean(self.found_times))
        shifts = np.linspace(-3.0 * frame_s, 3.0 * frame_s, _FINE_SHIFT_COUNT)
        speeds = near.speed + np.linspace(
            -self._speed_slack(), self._speed_slack(), _FINE_SPEED_COUNT
        )
        shift, speed = (grid.ravel() for grid in np.meshgrid(shifts, speeds, indexing="ij"))
        return self._best_timing(near.start_s + near.speed * middle + shift - speed * middle, speed)

    def _best_timing(self, starts: Times, speeds: Times) -> Timing:
        wanted = starts[:, None] + speeds[:, None] * self.found_times[None, :]
        likeness = _FrameInnerProducts.of(self.found, self.sent, self.covered)
        scores = likeness.likeness_of_hypotheses(nearest_indices(self.sent_times, wanted))
        frame_s = self._seconds_per_frame()
        outside = (wanted < self.sent_times[0] - frame_s) | (wanted > self.sent_times[-1] + frame_s)
        scores -= outside.mean(axis=1)
        best = int(scores.argmax())
        return Timing(float(starts[best]), float(speeds[best]), float(scores[best]))

    def _speed_slack(self) -> float:
        """Return the error of the speed if one end of the found frames is off by three frames; at
        most 0.03.
        """
        frame_s = self._seconds_per_frame()
        return min(0.03, 3.0 * frame_s / max(float(np.ptp(self.found_times)), frame_s))

    def _seconds_per_frame(self) -> float:
        steps = np.diff(self.sent_times)
        return float(np.median(steps)) if len(steps) else 0.04


def nearest_indices(times: Times, wanted_times: Times) -> NDArray[np.int64]:
    """Return, for each wanted time, the index of the nearest of the ascending ``times``."""
    after = np.clip(np.searchsorted(times, wanted_times), 1, max(1, len(times) - 1))
    if len(times) == 1:
        return np.zeros(np.shape(wanted_times), np.int64)
    earlier = wanted_times - times[after - 1] < times[after] - wanted_times
    return np.asarray(after - earlier, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _FrameInnerProducts:
    """Inner products of found frames with sent ones (``cross``, (P, N)), of sent frames with each
    other (N, N), and of found frames with each other (P, P).
    """

    cross: NDArray[np.float64]
    sent: NDArray[np.float64]
    found: NDArray[np.float64]

    @classmethod
    def of(cls, found: Rows, sent: Rows, covered: NDArray[np.bool_]) -> "_FrameInnerProducts":
        x, y = (
            _normalise_brightness_and_contrast(found[:, covered]),
            _normalise_brightness_and_contrast(sent[:, covered]),
        )
        return cls(*(np.asarray(one, np.float64) for one in (x @ y.T, y @ y.T, x @ x.T)))

    def likeness_of_hypotheses(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the likeness of K hypotheses.

        ``places`` (K, P) says for each hypothesis which sent frame each found frame shows.
        """
        number = np.arange(places.shape[1])
        cross = self.cross[number, places]
        power = self.sent[places, places].sum(axis=1) * np.trace(self.found)
        picture_likeness = cross.sum(axis=1) / np.sqrt(np.maximum(power, _POWER_MIN))
        return np.asarray(picture_likeness + self._motion_likeness(places, number), np.float64)

    def _motion_likeness(
        self, places: NDArray[np.int64], number: NDArray[np.int64]
    ) -> NDArray[np.float64]:
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
        return np.asarray(product / np.sqrt(np.maximum(power, _POWER_MIN)), np.float64)


def _normalise_brightness_and_contrast(rows: Rows) -> Rows:
    """Normalise all pictures to the same brightness and contrast."""
    if rows.shape[1] == 0:
        return np.zeros((len(rows), 1), np.float32)
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.mean(np.square(centred), axis=1, keepdims=True)) + 1.0
    return np.asarray(centred / spread, np.float32)


def frame_correlation(one: Rows, other: Rows, covered: NDArray[np.bool_]) -> float:
    """Return the correlation of two flattened frames in the covered area."""
    x, y = (_normalise_brightness_and_contrast(rows[None, covered])[0] for rows in (one, other))
    return float(np.dot(x, y) / max(float(np.linalg.norm(x) * np.linalg.norm(y)), _POWER_MIN))


def fine_detail(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the detail finer than about two pixels, which distinguishes neighbouring frames."""
    return np.asarray(plane - cv2.GaussianBlur(plane, (0, 0), 1.5), np.float32)


def covers_enough(covered: NDArray[np.bool_]) -> bool:
    return bool(covered.mean() >= _COVERED_SHARE_MIN)


def thumbnail_rows(frames: Sequence[Grey]) -> Rows:
    return np.stack([shrink_for_timing(frame).ravel().astype(np.float32) for frame in frames])


AffineMatrix = NDArray[np.float64]  # 2 x 3
CameraMotionRow = tuple[float, float, float, float]
_CAMERA_SIDE_PX: Final = 320
_TRACKED_POINTS_MAX: Final = 200
_CORNER_QUALITY_MIN: Final = 0.01
_POINT_DISTANCE_PX_MIN: Final = 8
# with fewer agreeing points, as across a cut, no motion of the camera is assumed
_AGREEING_POINTS_MIN: Final = 20
_TOLERANCE_PX: Final = 0.7
# scale from one frame to the next; a change beyond this is not a camera motion
_SCALE_RANGE: Final = (0.8, 1.25)
_MATRIX_ROUNDING_ERROR: Final = 1e-9
_STILL_PX: Final = 0.05  # a smaller motion from one frame to the next counts as none


class CameraTracker:
    """Tracks the camera through a clip, frame by frame.

    :meth:`add_frame` returns the similarity transform from the *first* frame's coordinates to the
    current frame's, as (a, b, x0, y0): x' = a x - b y + x0, y' = b x + a y + y0. Lengths are in
    units of the longest side. A cut counts as no motion, because the frames before and after it
    show different scenes.
    """

    def __init__(self) -> None:
        self._before: Grey | None = None
        self._total = np.eye(3)

    def add_frame(self, luma: Grey) -> CameraMotionRow:
        """Add the next frame's luma, (H, W) uint8."""
        frame = shrink_for_timing(luma, _CAMERA_SIDE_PX)
        if self._before is not None:
            self._total = _estimate_motion(self._before, frame) @ self._total
        self._before = frame
        (a, _, x), (b, _, y) = self._total[:2]
        return float(a), float(b), float(x), float(y)


@dataclass(frozen=True, slots=True, eq=False)
class CameraMotion:
    """The times of a clip's frames, (N,) in seconds, and the camera's motion at each, (N, 4)."""

    times: NDArray[np.float64]
    motions: NDArray[np.float64]

    @classmethod
    def of(cls, survey: ClipMeasurements) -> Self:
        times = np.frombuffer(survey.times, np.float64)
        return cls(times, np.frombuffer(survey.motions, np.float64).reshape(len(times), 4))

    @property
    def length_s(self) -> float:
        """The time from the first frame to the end of the last one.

        The last frame is assumed to last as long as the one before it.
        """
        last = float(self.times[-1] - self.times[-2]) if len(self.times) > 1 else 0.0
        return float(self.times[-1] - self.times[0]) + last

    def motion_between(self, start_s: float, stop_s: float, size: tuple[int, int]) -> AffineMatrix:
        """Return the motion (2 x 3) between the frames nearest to two times, at this size."""
        one, other = self.nearest_frame_index(start_s), self.nearest_frame_index(stop_s)
        motion = _motion_matrix(self.motions[other]) @ np.linalg.inv(
            _motion_matrix(self.motions[one])
        )
        motion[:2, 2] *= max(size)
        if np.abs(motion - np.eye(3)).max() < _MATRIX_ROUNDING_ERROR:
            motion = np.eye(3)  # removes rounding errors
        return np.asarray(motion[:2], np.float64)

    def nearest_frame_index(self, at_s: float) -> int:
        after = int(np.searchsorted(self.times, at_s))
        around = range(max(0, after - 1), min(len(self.times), after + 1))
        return min(around, key=lambda number: abs(float(self.times[number]) - at_s))


def _motion_matrix(row: CameraMotionRow | NDArray[np.float64]) -> NDArray[np.float64]:
    a, b, x, y = row
    return np.array([[a, -b, x], [b, a, y], [0.0, 0.0, 1.0]])


def _estimate_motion(before: Grey, after: Grey) -> NDArray[np.float64]:
    """Return the motion (3 x 3) in units of the longest side; the identity if there is none."""
    points = cv2.goodFeaturesToTrack(
        before, _TRACKED_POINTS_MAX, _CORNER_QUALITY_MIN, _POINT_DISTANCE_PX_MIN
    )
    # OpenCV returns None if there are no points
    if not len(np.atleast_1d(points)) >= _AGREEING_POINTS_MIN:
        return np.eye(3)
    motion, known, _ = cv2.calcOpticalFlowPyrLK(before, after, points, np.empty_like(points))
    keep = known.ravel() == 1
    if int(keep.sum()) < _AGREEING_POINTS_MIN:
        return np.eye(3)
    affine, agree = cv2.estimateAffinePartial2D(
        points[keep], motion[keep], method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE_PX
    )
    if affine is None or int(agree.sum()) < max(_AGREEING_POINTS_MIN, keep.sum() // 3):
        return np.eye(3)
    return _motion_or_identity_if_still(
        affine, max(before.shape), (before.shape[1], before.shape[0])
    )


def _motion_or_identity_if_still(
    affine: AffineMatrix, side: int, size: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the motion as a 3 x 3 matrix, in units of the longest side.

    Return the identity if the camera is still, so that noise does not add up to drift, or if the
    scale changes too much for a motion of the camera.
    """
    corners = np.array([[0.0, 0.0, 1.0], [size[0], 0.0, 1.0], [0.0, size[1], 1.0], [*size, 1.0]])
    displacement = np.abs(corners @ affine.T - corners[:, :2]).max()
    scale = float(np.hypot(affine[0, 0], affine[1, 0]))
    if displacement < _STILL_PX or not _SCALE_RANGE[0] <= scale <= _SCALE_RANGE[1]:
        return np.eye(3)
    whole = np.vstack([affine, [0.0, 0.0, 1.0]])
    whole[:2, 2] /= side
    return np.asarray(whole, np.float64)
