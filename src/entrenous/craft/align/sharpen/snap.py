"""Homographies that programs make exactly: whole-pixel crops, resized to whole pixels.

An estimate is never exact; these are, where they apply. Mirrors and quarter turns are included.
"""

from typing import Final

import cv2
import numpy as np

from entrenous.craft.align.geometry import (
    Homography,
    Points,
    Size,
    carried,
    corners,
    inverse,
    middle,
    slope_at,
)

_SKEW_MAX: Final = 0.003  # of a box's diagonal: beyond, it does not stand upright
_UNIT_TOLERANCE: Final = 0.003  # of the scale: beyond, pixels were resampled
_BORDER: Final = 0.01  # of a side: an edge this near to the border may be the border


def snaps(homography: Homography, sent: Size, found: Size) -> list[Homography]:
    """Exact neighbours of an estimate; the misfit decides whether one of them is better."""
    exact: list[Homography] = []
    frame = upright(carried(inverse(homography), corners(found)))
    if frame is not None:  # the found picture is a box of the sent one, resized
        exact += [between(box, corners(found)) for box in _rounded(frame, sent)]
    placed = upright(carried(homography, corners(sent)))
    if placed is not None:  # the sent picture, resized, is a box of the found one: a screenshot
        exact += [between(corners(sent), box) for box in _rounded(placed, found)]
    return exact + _moved(homography, sent)


def upright(box: Points, *, skew_max: float = _SKEW_MAX) -> Points | None:
    """The nearest box with upright edges, or None when this one leans.

    Args:
        box: four corners, in turn.
        skew_max: how far a corner may be off, as a share of the diagonal.
    """
    diagonal = float(np.linalg.norm(box[2] - box[0]))
    after = np.roll(box, -1, axis=0)
    level = np.argmin(np.abs(after - box), axis=1)  # 1: this edge runs along x; 0: along y
    if not (level[0] == level[2] != level[1] == level[3]):
        return None
    straight = box.copy()
    for edge, axis in enumerate(level):
        ends = [edge, (edge + 1) % 4]
        straight[ends, axis] = box[ends, axis].mean()
    return straight if np.abs(straight - box).max() <= skew_max * diagonal else None


def _rounded(box: Points, into: Size) -> list[Points]:
    """Edges on pixel edges; and once more with those near the border of ``into`` put on it."""
    near = np.rint(box + 0.5) - 0.5
    low, high = np.array([-0.5, -0.5]), np.array(into) - 0.5
    slack = _BORDER * np.array(into)
    bordered = np.where(np.abs(near - low) <= slack, low, near)
    bordered = np.where(np.abs(near - high) <= slack, high, bordered)
    return [near] if np.array_equal(near, bordered) else [near, bordered]


def between(before: Points, after: Points) -> Homography:
    """The homography that carries four points to four others."""
    return np.asarray(
        cv2.getPerspectiveTransform(before.astype(np.float32), after.astype(np.float32)), np.float64
    )


def _moved(homography: Homography, sent: Size) -> list[Homography]:
    """The pixel grid moved by whole pixels, perhaps mirrored or turned by quarters."""
    centre = middle(sent)
    slope = slope_at(homography, centre)
    unit = np.rint(slope)
    if np.abs(slope - unit).max() > _UNIT_TOLERANCE or abs(np.linalg.det(unit)) != 1.0:
        return []
    shift = np.rint(carried(homography, centre[None])[0] - unit @ centre)
    return [np.vstack([np.column_stack([unit, shift]), [0.0, 0.0, 1.0]])]
