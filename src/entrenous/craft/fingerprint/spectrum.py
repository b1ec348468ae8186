"""From pixels to the 16 x 16 low frequencies that PDQ looks at, as two matrix products.

PDQ shrinks a picture to 64 x 64 by two box filters per axis and a decimation, then takes a cosine
transform and keeps rows and columns 1 to 16. Each of these steps is linear and works on one axis
at a time, so a whole axis is one matrix of 16 rows: ``vertical @ luma @ horizontal.T``.

Two families of such matrices live here, both with 64 rows (the cosines follow). `reference_axis`
reproduces Meta's filter to the pixel: the window is ``ceil(n / 128)``, clipped and renormalised at
the edges, and the sample of block i sits at ``floor((i + 1/2) n / 64)``. `window_axes` is its limit
for windows with fractional edges on a thumbnail: two box filters in a row are a tent.
docs/spec/gate.md section 1.
"""

import math
from functools import cache, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BLOCKS: Final = 64  # PDQ, section "downsampling"
_COMMON_PX: Final = 8192  # longer ones are not kept: 64 weights a pixel are 16 MB for the longest
_ROUNDING: Final = 1e-12  # what sums that should cancel leave behind; true weights are far larger
KEPT: Final = 16  # frequencies 1 to 16 of each axis; 0, the brightness, is left out


@cache
def cosines() -> Floats:
    """The (16, 64) part of the orthonormal cosine transform that PDQ keeps; not to be written."""
    frequency = np.arange(1, KEPT + 1)[:, None]
    place = 2 * np.arange(BLOCKS)[None, :] + 1
    wave = np.cos(math.pi / 2 / BLOCKS * frequency * place)
    made = np.asarray(math.sqrt(2 / BLOCKS) * wave, dtype=np.float32)
    made.flags.writeable = False
    return made


def reference_axis(length_px: int, shrunk_by: int = 1, *, from_end: bool = False) -> Floats:
    """Meta's two box filters and decimation along an axis of ``length_px``: shape (64, length_px).

    Where a decoder made one pixel of each ``shrunk_by``, as their mean, (64, the pixels left): each
    weighs what all of its would. ``from_end`` says that it began at the other end.

    An axis of exactly 64 pixels is still filtered here with a window of 1, which changes nothing.
    """
    made = _kept_axis if length_px <= _COMMON_PX else _axis
    return made(length_px, shrunk_by, from_end=from_end)


def _axis(length_px: int, shrunk_by: int, *, from_end: bool) -> Floats:
    window = -(-length_px // (2 * BLOCKS))
    ahead = (window + 2) // 2 - 1  # the window reaches this far to the right
    behind = window - 1 - ahead
    centre = ((2 * np.arange(BLOCKS) + 1) * length_px) // (2 * BLOCKS)
    middle = centre[:, None] + np.arange(-behind, ahead + 1)[None, :]
    inside = (middle >= 0) & (middle < length_px)
    first = np.maximum(middle - behind, 0)
    last = np.minimum(middle + ahead, length_px - 1)
    span = np.where(inside, last - first + 1, 1)
    weight = np.where(inside, 1.0 / span, 0.0) / inside.sum(axis=1, keepdims=True)
    steps = np.zeros((BLOCKS, length_px + 1))
    block = np.broadcast_to(np.arange(BLOCKS)[:, None], middle.shape)
    np.add.at(steps, (block[inside], first[inside]), weight[inside])
    np.add.at(steps, (block[inside], last[inside] + 1), -weight[inside])
    matrix = np.cumsum(steps, axis=1)[:, :length_px]
    matrix[np.abs(matrix) < _ROUNDING] = 0.0
    beside = (-length_px % shrunk_by, 0) if from_end else (0, -length_px % shrunk_by)
    matrix = np.pad(matrix, ((0, 0), beside)).reshape(BLOCKS, -1, shrunk_by)
    axis: Floats = matrix.sum(axis=2).astype(np.float32)
    axis.flags.writeable = False
    return axis


_kept_axis = lru_cache(maxsize=32)(_axis)  # of the sides that uploads have, some are common


@lru_cache(maxsize=32)
def reference_spans(
    length_px: int, shrunk_by: int = 1, *, from_end: bool = False
) -> tuple[tuple[int, int], ...]:
    """First and last pixel, half open, that have a weight in each row of :func:`reference_axis`."""
    axis = reference_axis(length_px, shrunk_by, from_end=from_end)
    used = [np.flatnonzero(row) for row in axis]
    return tuple((int(some[0]), int(some[-1]) + 1) for some in used)


def window_axes(length_px: int, edges: NDArray[np.float64]) -> Floats:
    """The tent filter and decimation for many windows of one axis at once.

    Args:
        length_px: pixels along the axis.
        edges: (K, 2) first and last edge of each window, as shares of the axis in [0, 1].

    Returns:
        (K, 64, length_px): nothing outside a window has a weight, as if it had been cut out.
    """
    start, stop = edges[:, :1] * length_px, edges[:, 1:] * length_px
    block = (stop - start) / BLOCKS
    centre = start + (np.arange(BLOCKS) + 0.5) * block
    reach = np.maximum(block, 1.0)[..., None]  # never sharper than one pixel
    pixel_edge = np.arange(length_px + 1, dtype=np.float64)
    seen = np.clip(pixel_edge, start[..., None], stop[..., None])
    place = seen - centre[..., None]
    place /= reach
    mass = np.diff(_tent_below(place), axis=-1)
    mass /= mass.sum(axis=-1, keepdims=True)
    return mass.astype(np.float32)


def _tent_below(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mass of the tent ``1 - |x|`` on [-1, 1] that lies below x, which is used up."""
    np.clip(x, -1.0, 1.0, out=x)
    bend = np.abs(x)
    bend *= x
    bend *= -0.5
    bend += x
    bend += 0.5
    return bend
