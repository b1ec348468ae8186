"""How a camera moves from frame to frame: pans, turns and zooms, as similarities of the plane.

Points are tracked by pyramidal Lucas-Kanade (Bouguet 2000) between small versions of neighbouring
frames, and the motion that most of them share is taken by RANSAC: what moves inside the picture is
outvoted. Motions add up, so one row of numbers per frame tells how any two frames lie.
"""

from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.model.clip import Survey

Grey = NDArray[np.uint8]
Motion = NDArray[np.float64]  # 2 x 3
Row = tuple[float, float, float, float]

_SIDE_PX: Final = 320
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
    factor = _SIDE_PX / max(luma.shape)
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
