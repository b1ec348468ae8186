"""How a found picture lies on the sent one when a homography alone does not say it.

What curled paper or a wave adds is a :class:`Bend`, a uniform cubic B-spline surface of
displacements of the sent picture's grid; what a camera adds is a :class:`Lens` in the found one.
Together with the homography between them they are the pose that layings obey, both ways.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.geometry import Homography, Points, carried, inverse

Field = NDArray[np.float32]  # rows x columns x 2, x and y

_INVERSIONS: Final = 40
_FARTHEST: Final = 8.0  # reaches from the centre; a picture ends at one
_SETTLED_PX: Final = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Bend:
    """Displacements in pixels of the sent picture: what is at x lies at homography(x + bend(x)).

    ``lattice`` is (m + 3) x (n + 3) x 2 (rows, columns, x and y), the control points of m x n
    spans over ``box`` (left, top, right, bottom, in pixels of the sent picture). Beyond the box the
    displacement of its border goes on.
    """

    lattice: NDArray[np.float64]
    box: tuple[float, float, float, float]

    def at(self, points: Points) -> Points:
        """The displacement at each of N points of the sent picture, N x 2."""
        rows, columns = self.lattice.shape[:2]
        along_x = weights(points[:, 0], self.box[0], self.box[2], columns - 3)
        along_y = weights(points[:, 1], self.box[1], self.box[3], rows - 3)
        return np.asarray(
            np.einsum("ni,ijk,nj->nk", along_y, self.lattice, along_x, optimize=True), np.float64
        )

    def over(self, x: NDArray[Any], y: NDArray[Any]) -> Field:
        """The displacements on the grid of these columns and rows, len(y) x len(x) x 2."""
        rows, columns = self.lattice.shape[:2]
        along_x = weights(x, self.box[0], self.box[2], columns - 3).astype(np.float32)
        along_y = weights(y, self.box[1], self.box[3], rows - 3).astype(np.float32)
        lattice = self.lattice.astype(np.float32)
        return np.stack([along_y @ lattice[:, :, k] @ along_x.T for k in range(2)], axis=-1)

    def undone(self, points: Points) -> Points:
        """Where the displaced points came from: the x with x + bend(x) = point (fixed point)."""
        came = points - self.at(points)
        for _ in range(_INVERSIONS):
            step = points - self.at(came) - came
            came = came + step
            if float(np.abs(step).max(initial=0.0)) < _SETTLED_PX:
                break
        return came

    def resized(self, sent: Homography) -> "Bend":
        """The same deformation after the sent picture was resized and cut (scales and shifts)."""
        scale = np.array([sent[0, 0], sent[1, 1]])
        left, top, right, bottom = np.array(self.box) * np.tile(scale, 2) + np.tile(sent[:2, 2], 2)
        return Bend(self.lattice * scale, (float(left), float(top), float(right), float(bottom)))


def no_second_map() -> Field:
    """For ``cv2.remap``, when the first map holds x and y already."""
    return np.empty((0,), np.float32)


def weights(at: NDArray[Any], low: float, high: float, spans: int) -> NDArray[np.float64]:
    """The cubic B-spline weights of each control point at N places, N x (spans + 3)."""
    place = np.clip((np.asarray(at, np.float64) - low) / (high - low), 0.0, 1.0) * spans
    span = np.minimum(place.astype(np.int64), spans - 1)
    t = place - span
    basis = np.stack(
        [
            (1.0 - t) ** 3,
            3.0 * t**3 - 6.0 * t**2 + 4.0,
            -3.0 * t**3 + 3.0 * t**2 + 3.0 * t + 1.0,
            t**3,
        ],
        axis=1,
    )
    full = np.zeros((len(place), spans + 3))
    np.put_along_axis(full, span[:, None] + np.arange(4), basis / 6.0, axis=1)
    return full


@dataclass(frozen=True, slots=True)
class Lens:
    """Radial distortion in the found picture: u comes out at c + (u - c)(1 + k1 r^2 + k2 r^4).

    r is the distance from the centre c over ``reach``, both in found pixels (Brown 1966).
    """

    centre: tuple[float, float]
    reach: float
    k1: float = 0.0
    k2: float = 0.0

    def swelled(self, points: Points) -> Points:
        """Where N straight points come out."""
        away = points - np.array(self.centre)
        square = (away**2).sum(axis=1, keepdims=True) / self.reach**2
        return np.asarray(points + away * (self.k1 * square + self.k2 * square**2), np.float64)

    def undone(self, points: Points) -> Points:
        """The straight points that come out here (fixed point).

        Where the lens folds there is none: such points stop at ``_FARTHEST`` reaches, out of sight.
        """
        came = points
        low, high = (np.array(self.centre) + side * _FARTHEST * self.reach for side in (-1, 1))
        for _ in range(_INVERSIONS):
            step = points - self.swelled(came)
            came = np.clip(came + step, low, high)
            if float(np.abs(step).max(initial=0.0)) < _SETTLED_PX:
                break
        return came

    def swell(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> Field:
        """The same for a whole grid of float32 coordinates."""
        across, down = x - np.float32(self.centre[0]), y - np.float32(self.centre[1])
        square = (across * across + down * down) * np.float32(self.reach**-2)
        more = square * (np.float32(self.k1) + np.float32(self.k2) * square)
        return np.stack([x + across * more, y + down * more], axis=-1)

    def resized(self, found: Homography) -> "Lens":
        """The same in a resized found picture; proportions must be nearly kept."""
        centre = carried(found, np.array([self.centre]))[0]
        reach = self.reach * math.sqrt(abs(found[0, 0] * found[1, 1]))
        return Lens((float(centre[0]), float(centre[1])), reach, self.k1, self.k2)


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """How a found picture lies on the sent one: what is at x lies at lens(homography(x + bend(x))).

    The bend and the lens are there only when they are needed.
    """

    homography: Homography
    bend: Bend | None = None
    lens: Lens | None = None

    @property
    def straight(self) -> bool:
        """Whether the homography says it all."""
        return self.bend is None and self.lens is None

    def sent_to_found(self, points: Points) -> Points:
        """Where N points of the sent picture lie in the found one."""
        bent = points if self.bend is None else points + self.bend.at(points)
        seen = carried(self.homography, bent)
        return seen if self.lens is None else self.lens.swelled(seen)

    def found_to_sent(self, points: Points) -> Points:
        """Where N points of the found picture come from."""
        seen = points if self.lens is None else self.lens.undone(points)
        straight = carried(inverse(self.homography), seen)
        return straight if self.bend is None else self.bend.undone(straight)

    def resized(self, sent: Homography, found: Homography) -> "Pose":
        """The same between resized pictures; both homographies lead from before to after."""
        bend = None if self.bend is None else self.bend.resized(sent)
        lens = None if self.lens is None else self.lens.resized(found)
        return Pose(found @ self.homography @ inverse(sent), bend, lens)

    def over(self, x: NDArray[Any], y: NDArray[Any]) -> Field:
        """Where the grid of these columns and rows of the sent picture lies, for ``cv2.remap``."""
        at_x, at_y = np.meshgrid(np.asarray(x, np.float32), np.asarray(y, np.float32))
        if self.bend is not None:
            off = self.bend.over(x, y)
            at_x, at_y = at_x + off[..., 0], at_y + off[..., 1]
        h = (self.homography / self.homography[2, 2]).astype(np.float32)
        depth = h[2, 0] * at_x + h[2, 1] * at_y + h[2, 2]
        across = (h[0, 0] * at_x + h[0, 1] * at_y + h[0, 2]) / depth
        down = (h[1, 0] * at_x + h[1, 1] * at_y + h[1, 2]) / depth
        if self.lens is not None:
            return self.lens.swell(across, down)
        return np.stack([across, down], axis=-1)
