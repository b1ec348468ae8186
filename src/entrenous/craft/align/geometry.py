"""Homographies between pixel grids, with pixel centres at whole numbers.

A homography here always maps the sent picture's pixels to the found one's. Sizes are (width,
height) in pixels.
"""

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.model.verdict import Warp

Homography = NDArray[np.float64]  # 3 x 3
Points = NDArray[np.float64]  # N x 2, x and y
Size = tuple[int, int]

_STRETCH_MAX: Final = 3.0  # of one direction over the other: beyond, a picture is a needle
_SCALE_RANGE: Final = (0.02, 20.0)  # found pixels per sent pixel
_KEPT_MIN: Final = 0.002


def scaling(along_x: float, along_y: float) -> Homography:
    """Resize by these factors; edges, not centres, stay where they are."""
    return np.array(
        [
            [along_x, 0.0, 0.5 * along_x - 0.5],
            [0.0, along_y, 0.5 * along_y - 0.5],
            [0.0, 0.0, 1.0],
        ]
    )


def resizing(before: Size, after: Size) -> Homography:
    """Resize a grid of one size to another."""
    return scaling(after[0] / before[0], after[1] / before[1])


def mirroring(size: Size) -> Homography:
    """Flip left to right."""
    return np.array([[-1.0, 0.0, size[0] - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def inverse(homography: Homography) -> Homography:
    """The way back."""
    return np.asarray(np.linalg.inv(homography), np.float64)


def carried(homography: Homography, points: Points) -> Points:
    """Where the points go."""
    x, y, w = homography @ np.column_stack([points, np.ones(len(points))]).T
    return np.column_stack([x / w, y / w])


def corners(size: Size) -> Points:
    """Outer corners of the four corner pixels, clockwise from the top left."""
    right, bottom = size[0] - 0.5, size[1] - 0.5
    return np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])


def plausible(homography: Homography, sent: Size, found: Size) -> bool:
    """No fold, no needle, no absurd scale, and something of the sent picture is still seen."""
    if not np.isfinite(homography).all() or abs(np.linalg.det(homography)) < 1e-12:
        return False
    if (np.column_stack([corners(sent), np.ones(4)]) @ homography[2] <= 1e-6).any():
        return False
    slopes = [slope_at(homography, point) for point in (*corners(sent), middle(sent))]
    turns = {math.copysign(1.0, float(np.linalg.det(slope))) for slope in slopes}
    stretches = np.array([np.linalg.svd(slope, compute_uv=False) for slope in slopes])
    return (
        len(turns) == 1
        and bool((stretches[:, 0] <= _STRETCH_MAX * stretches[:, 1]).all())
        and bool((stretches >= _SCALE_RANGE[0]).all() and (stretches <= _SCALE_RANGE[1]).all())
        and kept(homography, sent, found) >= _KEPT_MIN
    )


def slope_at(homography: Homography, point: Points) -> NDArray[np.float64]:
    """The 2 x 2 Jacobian at one point of the sent picture."""
    x, y, w = homography @ np.append(point, 1.0)
    top = homography[:2, :2] * w - np.outer([x, y], homography[2, :2])
    return np.asarray(top / w**2, np.float64)


def scale_at(homography: Homography, point: Points) -> float:
    """Pixels after per pixel before, along a side."""
    return math.sqrt(abs(float(np.linalg.det(slope_at(homography, point)))))


def kept(homography: Homography, sent: Size, found: Size) -> float:
    """Share of the sent picture's area that lies inside the found one, in [0, 1]."""
    frame = carried(inverse(homography), corners(found)).astype(np.float32)
    area, _ = cv2.intersectConvexConvex(frame, corners(sent).astype(np.float32))
    return min(1.0, max(0.0, float(area) / (sent[0] * sent[1])))


def seen_box(homography: Homography, sent: Size, found: Size) -> tuple[int, int, int, int]:
    """The box of the sent picture that the found one shows: left, top, right, bottom, in pixels."""
    frame = carried(inverse(homography), corners(found)).astype(np.float32)
    area, shown = cv2.intersectConvexConvex(frame, corners(sent).astype(np.float32))
    if area <= 0.0:
        return 0, 0, sent[0], sent[1]
    outline = np.asarray(shown, np.float64).reshape(-1, 2)
    low = np.maximum(np.floor(outline.min(axis=0) + 0.5), 0)
    high = np.minimum(np.ceil(outline.max(axis=0) + 0.5), sent)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def similar(homography: Homography, points: Points) -> Homography:
    """The nearest similarity, mirrored or not as the homography is, judged at N points."""
    after = carried(homography, points)
    middles = points.mean(axis=0), after.mean(axis=0)
    p, q = points - middles[0], after - middles[1]
    sign = float(np.sign(np.linalg.det(slope_at(homography, middles[0]))))
    p = p * np.array([sign, 1.0])
    turn = ((p * q).sum() + 1j * (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum()) / (p**2).sum()
    slope = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]]) @ np.diag([sign, 1.0])
    return np.vstack([np.column_stack([slope, middles[1] - slope @ middles[0]]), [0.0, 0.0, 1.0]])


def nearest(before: Points, after: Points) -> tuple[Homography, float]:
    """The homography that carries N points nearest to where they lie, and its largest error."""
    fitted, _ = cv2.findHomography(before, after, 0)
    homography = np.asarray(fitted, np.float64)
    return homography, float(np.hypot(*(carried(homography, before) - after).T).max())


def described(homography: Homography, sent: Size, found: Size, *, bent_px: float = 0.0) -> Warp:
    """The homography in words that a person can check."""
    slope = slope_at(homography, middle(sent))
    mirrored = float(np.linalg.det(slope)) < 0.0
    upright = slope @ np.diag([-1.0, 1.0]) if mirrored else slope
    # rows run downwards, so a positive angle of the matrix is a clockwise turn
    clockwise = math.atan2(upright[1, 0] - upright[0, 1], upright[0, 0] + upright[1, 1])
    turned_deg = round(-math.degrees(clockwise), 3)
    return Warp(
        homography=tuple(float(number) for number in (homography / homography[2, 2]).ravel()),
        kept=kept(homography, sent, found),
        turned_deg=180.0 if turned_deg <= -180.0 else turned_deg + 0.0,  # never -0.0
        mirrored=mirrored,
        scale=scale_at(homography, middle(sent)),
        bent_px=bent_px,
    )


def middle(size: Size) -> Points:
    """The centre of a picture."""
    return np.array([(size[0] - 1) / 2.0, (size[1] - 1) / 2.0])
