"""Add a finished mark to a picture's pixels.

This is most of what a copy of a large picture costs, so it is done in strips that stay in a
processor's cache, on bytes wherever they can hold the numbers. docs/spec/mark.md, section 4.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.mark.luma import Pixels, Plane

_STEPS: Final = 256  # of the dither: one byte per pixel
_MIDDLE: Final = 128
_STRIP_PX: Final = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """Room to paint one copy in: ``pixels`` is (H, W, 4) uint8, and its fourth channel means
    nothing; ``fine`` is (H, W) int16, for what comes between.
    """

    pixels: Pixels
    fine: NDArray[np.int16]


def canvas(rows: int, columns: int) -> Canvas:
    """A new one for a picture of this size."""
    return Canvas(np.empty((rows, columns, 4), np.uint8), np.empty((rows, columns), np.int16))


def lay_on(colours: Sequence[Pixels], mark: Plane, dither: Pixels, onto: Canvas) -> None:
    """Paint the picture with a mark onto a canvas.

    Args:
        colours: the picture's red, green and blue, (H, W) uint8 each.
        mark: grey levels, at the picture's size or smaller; enlarged here (bicubic).
        dither: (H, W) uint8, 256ths of a grey level: the sum of both is rounded down.
        onto: written over.
    """
    rows, columns = dither.shape
    fine = _in_256ths(mark)
    if fine.shape != (rows, columns):
        cv2.resize(fine, (columns, rows), dst=onto.fine, interpolation=cv2.INTER_CUBIC)
        fine = onto.fine
    for strip in _strips(rows, columns):
        steps = fine[strip] + dither[strip]
        steps >>= 8  # an arithmetic shift rounds down, for negative numbers too
        _add([colour[strip] for colour in colours], steps, onto.pixels[strip])


def _in_256ths(mark: Plane) -> NDArray[np.int16]:
    return np.asarray(cv2.addWeighted(mark, _STEPS, mark, 0.0, 0.0, dtype=cv2.CV_16S), np.int16)


def _add(colours: Sequence[Pixels], steps: NDArray[np.int16], pixels: Pixels) -> None:
    """The same step to red, green and blue; saturating, first up, then down. No step leaves the
    range of a signed byte: the mask ends at 6 grey levels a band (docs/spec/mark.md, section 5).
    """
    middle = np.full(steps.shape, _MIDDLE, np.uint8)
    shifted = steps.astype(np.uint8)
    shifted ^= _MIDDLE  # of a signed byte: the same as adding 128
    up, down = cv2.subtract(shifted, middle), cv2.subtract(middle, shifted)
    marked = [cv2.subtract(cv2.add(colour, up), down) for colour in colours]
    cv2.merge([*marked, marked[0]], dst=pixels)


def _strips(rows: int, columns: int) -> Iterator[slice]:
    height = max(1, _STRIP_PX // columns)
    for top in range(0, rows, height):
        yield slice(top, min(top + height, rows))
