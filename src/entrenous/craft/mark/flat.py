"""Places of one exact colour, which carry no mark.

In a drawing, a screenshot or a page the plain areas hide nothing at all: there the faintest mark is
seen as clouds, by who looks for them at twice the size, and wiped off with one click of a paint
bucket. A camera's sky, wall or night is hardly ever of one colour over a whole window: a photograph
without such a place keeps its mark bit for bit. docs/spec/mark.md, section 5.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from entrenous.craft.mark.code import Shape
from entrenous.craft.mark.luma import Pixels, Plane, shrink

_WINDOW_PX: Final = 15
_ROWS: Final = 256  # a strip's planes stay in a processor's cache
_AROUND: Final = np.ones((3, 3), np.uint8)


def spared(masks: Sequence[Plane], pixels_rgb: Pixels, working: Shape) -> tuple[Plane, ...]:
    """Masks that are 0 in flat places, and so near them that no pixel in one is changed.

    The same arrays for a picture without any flat place, and for one that is nothing else: its
    copies must differ, and it has no other place for that.

    Args:
        masks: one per band, finest first, each at its level's size.
        pixels_rgb: (H, W, 3) uint8.
        working: size of the finest level; smaller than the picture where that is large.
    """
    flat = flat_places(pixels_rgb)
    if not flat.any():
        return tuple(masks)
    touched = (shrink(flat, working) > 0).astype(np.float32)
    left = tuple(mask * _beyond(touched, _shape(mask)) for mask in masks)
    return left if any(mask.any() for mask in left) else tuple(masks)


def flat_places(pixels_rgb: Pixels) -> Pixels:
    """(H, W) uint8: 255 where the 15 x 15 pixels around (fewer at a border) are equal, else 0."""
    half, high = _WINDOW_PX // 2, len(pixels_rgb)
    flat = np.empty(pixels_rgb.shape[:2], np.uint8)
    for top in range(0, high, _ROWS):
        first, last = max(0, top - half), min(high, top + _ROWS + half)
        equal = _equal(pixels_rgb[first:last])
        flat[top : top + _ROWS] = equal[top - first : top - first + _ROWS]
    return flat


def _equal(pixels_rgb: Pixels) -> Pixels:
    """As :func:`flat_places`, without strips: the largest and the smallest sample are the same."""
    window = np.ones((_WINDOW_PX, _WINDOW_PX), np.uint8)
    largest, smallest = cv2.dilate(pixels_rgb, window), cv2.erode(pixels_rgb, window)
    return np.asarray(cv2.inRange(cv2.subtract(largest, smallest), (0, 0, 0), (0, 0, 0)), np.uint8)


def _beyond(touched: Plane, shape: Shape) -> Plane:
    """1 for a level's pixels that neither hold a flat place nor lie beside one that does, else 0:
    what is laid on a level reaches about one of its pixels farther when it is enlarged.
    """
    near = cv2.dilate(shrink(touched, shape), _AROUND)
    return np.asarray(near == 0, np.float32)


def _shape(plane: Plane) -> Shape:
    return plane.shape[0], plane.shape[1]
