"""Points that can be found again after a crop, a turn, a resize or a new encoding.

RootSIFT: Lowe's SIFT (2004) compared by the Hellinger kernel (Arandjelovic and Zisserman 2012).
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.geometry import Points, Size, carried, resizing

Pixels = NDArray[np.uint8]

SIDE_PX: Final = 1200
_SIDE_PX_MIN: Final = 1000  # smaller pictures are enlarged to this: SIFT starves on few pixels
_POINTS: Final = 3000
_POINTS_POOR: Final = 300
_RANGE_POOR: Final = 120.0  # grey levels between the darkest and brightest hundredth
_CLAHE_LIMIT: Final = 4.0
_RATIO: Final = 0.85


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Points of one picture of ``size`` (width, height) and what each looks like.

    ``points`` are N x 2 in that picture's pixels; ``looks`` N x 128, rows of Euclidean norm 1.
    """

    size: Size
    points: Points
    looks: NDArray[np.float32]


def features(pixels_rgb: Pixels, *, side_px: int = SIDE_PX, limit: int = _POINTS) -> Features:
    """The ``limit`` strongest points of a picture, looked at ``side_px`` wide (or high)."""
    height, width = pixels_rgb.shape[:2]
    grey = stretched(resized(grey_of(pixels_rgb), looked_at_px(max(width, height), side_px)))
    points, looks = _sift(grey, limit)
    if len(points) < _POINTS_POOR:
        points, looks = _sift(
            np.asarray(cv2.createCLAHE(_CLAHE_LIMIT, (8, 8)).apply(grey), np.uint8), limit
        )
    back = resizing((grey.shape[1], grey.shape[0]), (width, height))
    return Features((width, height), carried(back, points), looks)


def looked_at_px(longest_px: int, side_px: int) -> int:
    """The longest side that a picture is really looked at with."""
    return min(side_px, max(longest_px, _SIDE_PX_MIN))


def matches(found: Features, sent: Features) -> tuple[Points, Points]:
    """Pairs of points, mutually best and clearly better than the second best: (sent, found)."""
    if min(len(found.points), len(sent.points)) < 2:
        return np.empty((0, 2)), np.empty((0, 2))
    alike = sent.looks @ found.looks.T
    best = alike.argmax(axis=1)
    rows = np.arange(len(best))
    mutual = alike.argmax(axis=0)[best] == rows
    first = alike[rows, best]
    alike[rows, best] = -1.0
    second = alike.max(axis=1)
    # for rows of norm 1, the squared distance is 2 - 2 x the cosine
    clear = (1.0 - first) < _RATIO**2 * (1.0 - second)
    keep = mutual & clear
    return sent.points[keep], found.points[best[keep]]


def likeness(found: Features, sent: Features) -> int:
    """How many points of both match; tells which of many sent pictures to try first."""
    return len(matches(found, sent)[0])


def grey_of(pixels_rgb: Pixels) -> Pixels:
    """Luma, rounded."""
    return np.asarray(cv2.cvtColor(pixels_rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def resized(grey: Pixels, side_px: int) -> Pixels:
    """To ``side_px`` on the longest side: averaged when smaller, bicubic when larger."""
    height, width = grey.shape[:2]
    factor = side_px / max(width, height)
    if factor == 1.0:
        return grey
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(grey, size, interpolation=how), np.uint8)


def stretched(grey: Pixels) -> Pixels:
    """A flat contrast pulled apart, so that SIFT's fixed threshold does not starve."""
    dark, bright = np.percentile(grey[::4, ::4], [1, 99])
    if bright - dark >= _RANGE_POOR or bright <= dark:
        return grey
    return np.asarray(np.clip((grey - dark) * (255.0 / (bright - dark)), 0, 255), np.uint8)


def _sift(grey: Pixels, limit: int) -> tuple[Points, NDArray[np.float32]]:
    seen: tuple[Any, Any] = cv2.SIFT.create(nfeatures=limit).detectAndCompute(grey, None)
    keypoints, descriptors = seen
    if descriptors is None:
        return np.empty((0, 2)), np.empty((0, 128), np.float32)
    # SIFT may return more than asked when responses tie
    points = np.array([point.pt for point in keypoints[:limit]], np.float64)
    shares = descriptors[:limit] / np.maximum(descriptors[:limit].sum(axis=1, keepdims=True), 1e-9)
    return points, np.sqrt(shares, dtype=np.float32)
