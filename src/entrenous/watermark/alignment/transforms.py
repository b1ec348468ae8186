"""Transforms between pixel grids: homographies, perhaps with distortions by a lens or a bend."""

import math
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.watermark.verdict import PictureWarp

Homography = NDArray[np.float64]  # 3 x 3
Points = NDArray[np.float64]  # N x 2, x and y
Size = tuple[int, int]
_STRETCH_MAX: Final = 3.0  # largest ratio between the scales in two directions
_SCALE_RANGE: Final = (0.02, 20.0)  # found pixels per sent pixel
_VISIBLE_SHARE_MIN: Final = 0.002


def scaling(along_x: float, along_y: float) -> Homography:
    """Return the homography that resizes by these factors.

    The picture's left and top edges stay in place; the centres of the first pixels move.
    """
    return np.array(
        [[along_x, 0.0, 0.5 * along_x - 0.5], [0.0, along_y, 0.5 * along_y - 0.5], [0.0, 0.0, 1.0]]
    )


def resizing(before: Size, after: Size) -> Homography:
    return scaling(after[0] / before[0], after[1] / before[1])


def mirroring(size: Size) -> Homography:
    return np.array([[-1.0, 0.0, size[0] - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def invert_homography(homography: Homography) -> Homography:
    return np.asarray(np.linalg.inv(homography), np.float64)


def apply_homography(homography: Homography, points: Points) -> Points:
    x, y, w = homography @ np.column_stack([points, np.ones(len(points))]).T
    return np.column_stack([x / w, y / w])


def picture_corners(size: Size) -> Points:
    """Return the corners of a picture of this size, clockwise from the top left.

    These are the outer corners of the corner pixels.
    """
    right, bottom = size[0] - 0.5, size[1] - 0.5
    return np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])


def is_plausible(homography: Homography, sent: Size, found: Size) -> bool:
    """Return whether a homography is plausible.

    It must have no fold and no extreme stretch or scale, and must show some of the sent picture.
    """
    if not np.isfinite(homography).all() or abs(np.linalg.det(homography)) < 1e-12:
        return False
    if (np.column_stack([picture_corners(sent), np.ones(4)]) @ homography[2] <= 1e-6).any():
        return False
    slopes = [jacobian_at(homography, point) for point in (*picture_corners(sent), centre_of(sent))]
    orientations = {math.copysign(1.0, float(np.linalg.det(slope))) for slope in slopes}
    stretches = np.array([np.linalg.svd(slope, compute_uv=False) for slope in slopes])
    return (
        len(orientations) == 1
        and bool((stretches[:, 0] <= _STRETCH_MAX * stretches[:, 1]).all())
        and bool((stretches >= _SCALE_RANGE[0]).all() and (stretches <= _SCALE_RANGE[1]).all())
        and visible_share(homography, sent, found) >= _VISIBLE_SHARE_MIN
    )


def jacobian_at(homography: Homography, point: Points) -> NDArray[np.float64]:
    """Return the 2 x 2 Jacobian at one point of the sent picture."""
    x, y, w = homography @ np.append(point, 1.0)
    top = homography[:2, :2] * w - np.outer([x, y], homography[2, :2])
    return np.asarray(top / w**2, np.float64)


def scale_at(homography: Homography, point: Points) -> float:
    """Return the local scale at this point: the number of found pixels per sent pixel."""
    return math.sqrt(abs(float(np.linalg.det(jacobian_at(homography, point)))))


def visible_share(homography: Homography, sent: Size, found: Size) -> float:
    """Return the share of the sent picture's area that lies inside the found one, in [0, 1]."""
    frame = apply_homography(invert_homography(homography), picture_corners(found)).astype(
        np.float32
    )
    area, _ = cv2.intersectConvexConvex(frame, picture_corners(sent).astype(np.float32))
    return min(1.0, max(0.0, float(area) / (sent[0] * sent[1])))


def visible_box(homography: Homography, sent: Size, found: Size) -> tuple[int, int, int, int]:
    """Return the box of the sent picture that the found one shows.

    The box is (left, top, right, bottom) in pixels. If the found picture shows no part of the sent
    one, the box is the whole sent picture.
    """
    frame = apply_homography(invert_homography(homography), picture_corners(found)).astype(
        np.float32
    )
    area, shown = cv2.intersectConvexConvex(frame, picture_corners(sent).astype(np.float32))
    if area <= 0.0:
        return 0, 0, sent[0], sent[1]
    outline = np.asarray(shown, np.float64).reshape(-1, 2)
    low = np.maximum(np.floor(outline.min(axis=0) + 0.5), 0)
    high = np.minimum(np.ceil(outline.max(axis=0) + 0.5), sent)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def nearest_similarity(homography: Homography, points: Points) -> Homography:
    """Return the nearest similarity transform at N points; it mirrors if the homography does."""
    after = apply_homography(homography, points)
    middles = points.mean(axis=0), after.mean(axis=0)
    p, q = points - middles[0], after - middles[1]
    sign = float(np.sign(np.linalg.det(jacobian_at(homography, middles[0]))))
    p = p * np.array([sign, 1.0])
    turn = ((p * q).sum() + 1j * (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum()) / (p**2).sum()
    slope = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]]) @ np.diag([sign, 1.0])
    return np.vstack([np.column_stack([slope, middles[1] - slope @ middles[0]]), [0.0, 0.0, 1.0]])


def fit_homography(before: Points, after: Points) -> tuple[Homography, float]:
    """Return the homography nearest to N point pairs, and its largest error."""
    fitted, _ = cv2.findHomography(before, after, 0)
    homography = np.asarray(fitted, np.float64)
    return homography, float(np.hypot(*(apply_homography(homography, before) - after).T).max())


def describe_warp(
    homography: Homography, sent: Size, found: Size, *, bent_px: float = 0.0
) -> PictureWarp:
    """Describe a homography by quantities that people can check."""
    slope = jacobian_at(homography, centre_of(sent))
    mirrored = float(np.linalg.det(slope)) < 0.0
    upright = slope @ np.diag([-1.0, 1.0]) if mirrored else slope
    # y grows downwards, so a positive angle is clockwise
    clockwise = math.atan2(upright[1, 0] - upright[0, 1], upright[0, 0] + upright[1, 1])
    turned_deg = round(-math.degrees(clockwise), 3)
    return PictureWarp(
        homography=tuple(float(number) for number in (homography / homography[2, 2]).ravel()),
        kept=visible_share(homography, sent, found),
        # adding 0.0 turns -0.0 into 0.0
        turned_deg=180.0 if turned_deg <= -180.0 else turned_deg + 0.0,
        mirrored=mirrored,
        scale=scale_at(homography, centre_of(sent)),
        bent_px=bent_px,
    )


def centre_of(size: Size) -> Points:
    return np.array([(size[0] - 1) / 2.0, (size[1] - 1) / 2.0])


Field = NDArray[np.float32]  # rows x columns x 2, x and y
_INVERSION_STEPS: Final = 40
# in units of ``reach``; a radius of 1 is the corner of the picture
_RADIUS_MAX_IN_REACHES: Final = 8.0
_SETTLED_PX: Final = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Bend:
    """Displacements in pixels of the sent picture: point x maps to homography(x + bend(x)).

    ``lattice`` has the control points of cubic B-splines with m x n spans over ``box``. Its shape
    is (m + 3) x (n + 3) x 2 (rows, columns, x and y). ``box`` is (left, top, right, bottom) in
    pixels of the sent picture. Beyond the box, the displacement at its border continues.
    """

    lattice: NDArray[np.float64]
    box: tuple[float, float, float, float]

    def displacement_at(self, points: Points) -> Points:
        """Return the displacements (N, 2) at N points of the sent picture."""
        rows, columns = self.lattice.shape[:2]
        along_x = b_spline_weights(points[:, 0], self.box[0], self.box[2], columns - 3)
        along_y = b_spline_weights(points[:, 1], self.box[1], self.box[3], rows - 3)
        return np.asarray(
            np.einsum("ni,ijk,nj->nk", along_y, self.lattice, along_x, optimize=True), np.float64
        )

    def displacement_grid(self, x: NDArray[Any], y: NDArray[Any]) -> Field:
        """Return the displacements on a grid of columns x and rows y, len(y) x len(x) x 2."""
        rows, columns = self.lattice.shape[:2]
        along_x = b_spline_weights(x, self.box[0], self.box[2], columns - 3).astype(np.float32)
        along_y = b_spline_weights(y, self.box[1], self.box[3], rows - 3).astype(np.float32)
        lattice = self.lattice.astype(np.float32)
        return np.stack([along_y @ lattice[:, :, k] @ along_x.T for k in range(2)], axis=-1)

    def undistort(self, points: Points) -> Points:
        """Invert the displacement: return the x with x + bend(x) = point, found by fixed-point
        iteration.
        """
        source = points - self.displacement_at(points)
        for _ in range(_INVERSION_STEPS):
            step = points - self.displacement_at(source) - source
            source = source + step
            if float(np.abs(step).max(initial=0.0)) < _SETTLED_PX:
                break
        return source

    def resized(self, sent_resizing: Homography) -> "Bend":
        """Return the same deformation after resizing and cropping the sent picture."""
        scale = np.array([sent_resizing[0, 0], sent_resizing[1, 1]])
        shift = np.tile(sent_resizing[:2, 2], 2)
        left, top, right, bottom = np.array(self.box) * np.tile(scale, 2) + shift
        return Bend(self.lattice * scale, (float(left), float(top), float(right), float(bottom)))


def empty_second_map() -> Field:
    """Return the empty second map that ``cv2.remap`` needs if the first map has both x and y."""
    return np.empty((0,), np.float32)


def b_spline_weights(at: NDArray[Any], low: float, high: float, spans: int) -> NDArray[np.float64]:
    """Return the cubic B-spline weights of the control points at N positions, N x (spans + 3)."""
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
    """Radial distortion in the found picture: u maps to c + (u - c)(1 + k1 r^2 + k2 r^4).

    Here c is the centre, and r is the distance from it divided by ``reach``. Lengths are in found
    pixels (Brown 1966).
    """

    centre: tuple[float, float]
    reach: float
    k1: float = 0.0
    k2: float = 0.0

    def distort(self, points: Points) -> Points:
        from_centre = points - np.array(self.centre)
        square = (from_centre**2).sum(axis=1, keepdims=True) / self.reach**2
        return np.asarray(
            points + from_centre * (self.k1 * square + self.k2 * square**2), np.float64
        )

    def undistort(self, points: Points) -> Points:
        """Undistort N points, by fixed-point iteration.

        Where the lens folds the picture, there is no solution. Such points end up at
        ``_RADIUS_MAX_IN_REACHES`` times the reach, which is out of view.
        """
        source = points
        low, high = (
            np.array(self.centre) + side * _RADIUS_MAX_IN_REACHES * self.reach for side in (-1, 1)
        )
        for _ in range(_INVERSION_STEPS):
            step = points - self.distort(source)
            source = np.clip(source + step, low, high)
            if float(np.abs(step).max(initial=0.0)) < _SETTLED_PX:
                break
        return source

    def distort_grid(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> Field:
        """Distort a whole grid of float32 coordinates."""
        across, down = x - np.float32(self.centre[0]), y - np.float32(self.centre[1])
        square = (across * across + down * down) * np.float32(self.reach**-2)
        factor = square * (np.float32(self.k1) + np.float32(self.k2) * square)
        return np.stack([x + across * factor, y + down * factor], axis=-1)

    def resized(self, found_resizing: Homography) -> "Lens":
        """Return the same lens for a resized found picture of nearly the same proportions."""
        centre = apply_homography(found_resizing, np.array([self.centre]))[0]
        reach = self.reach * math.sqrt(abs(found_resizing[0, 0] * found_resizing[1, 1]))
        return Lens((float(centre[0]), float(centre[1])), reach, self.k1, self.k2)


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """The mapping from sent to found picture: lens(homography(x + bend(x))).

    ``bend`` and ``lens`` are None unless the picture is distorted.
    """

    homography: Homography
    bend: Bend | None = None
    lens: Lens | None = None

    @property
    def is_straight(self) -> bool:
        """Whether there is neither bend nor lens, so that the homography alone is the mapping."""
        return self.bend is None and self.lens is None

    def sent_to_found(self, points: Points) -> Points:
        bent = points if self.bend is None else points + self.bend.displacement_at(points)
        undistorted_points = apply_homography(self.homography, bent)
        return undistorted_points if self.lens is None else self.lens.distort(undistorted_points)

    def found_to_sent(self, points: Points) -> Points:
        undistorted_points = points if self.lens is None else self.lens.undistort(points)
        straight = apply_homography(invert_homography(self.homography), undistorted_points)
        return straight if self.bend is None else self.bend.undistort(straight)

    def resized(self, sent_resizing: Homography, found_resizing: Homography) -> "Pose":
        """Return the same pose between resized pictures.

        ``sent_resizing`` and ``found_resizing`` map each picture's pixels before resizing to those
        after it.
        """
        bend = None if self.bend is None else self.bend.resized(sent_resizing)
        lens = None if self.lens is None else self.lens.resized(found_resizing)
        return Pose(found_resizing @ self.homography @ invert_homography(sent_resizing), bend, lens)

    def map_grid(self, x: NDArray[Any], y: NDArray[Any]) -> Field:
        """Map a grid of columns and rows of the sent picture; the result is for ``cv2.remap``."""
        at_x, at_y = np.meshgrid(np.asarray(x, np.float32), np.asarray(y, np.float32))
        if self.bend is not None:
            offset = self.bend.displacement_grid(x, y)
            at_x, at_y = at_x + offset[..., 0], at_y + offset[..., 1]
        h = (self.homography / self.homography[2, 2]).astype(np.float32)
        depth = h[2, 0] * at_x + h[2, 1] * at_y + h[2, 2]
        across = (h[0, 0] * at_x + h[0, 1] * at_y + h[0, 2]) / depth
        down = (h[1, 0] * at_x + h[1, 1] * at_y + h[1, 2]) / depth
        if self.lens is not None:
            return self.lens.distort_grid(across, down)
        return np.stack([across, down], axis=-1)
