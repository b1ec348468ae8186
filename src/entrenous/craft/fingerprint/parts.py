"""Hashes of windows of a picture that a person registers along with the hash of the whole.

PDQ forgives an edge that is off by one or two per cent, not by five: the hash of a picture never
fits a cut-out of it. So two coarse searches meet in the middle (docs/spec/gate.md section 3). The
person's device hashes windows of her picture, when she agrees: edges on a grid of 1/12 of a side,
each side at least 7/12 long in any shape, and halves. The gate cuts a little off the upload's edges
(:mod:`.deep`). Whatever rectangle of at least two thirds of each side was cut out, some window lies
inside it by less than one grid step on each edge.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.picture import frequencies, qualities, seen_pixels, to_bits
from entrenous.craft.fingerprint.spectrum import BLOCKS, Floats, window_axes
from entrenous.craft.fingerprint.thumbnail import thumbnail
from entrenous.model.picture import Picture
from entrenous.spec import PDQ_BYTES, WINDOW_QUALITY_MIN

Edges = NDArray[np.float64]

GRID: Final = 12  # grid steps per side
SIDE_MIN: Final = 7  # of most windows, in grid steps: a cut-out of 2/3 has 8, and loses less than 2
HALF: Final = 6  # a side of halves: what is left beside a sticker
HALF_ACROSS: Final = 10  # the other side of a half, at least


def part_hashes(picture: Picture) -> tuple[bytes, ...]:
    """Hashes of windows of a picture to register: at most 525, distinct, 32 bytes each.

    Windows with next to no detail, or with fewer pixels than PDQ has blocks, are left out: they
    would fit other pictures.
    """
    found: dict[bytes, None] = {}
    pixels = seen_pixels(picture)
    for blocks in _windows(thumbnail(pixels), (pixels.shape[0], pixels.shape[1])):
        detailed = blocks[qualities(blocks) >= WINDOW_QUALITY_MIN]
        hashes = to_bits(frequencies(detailed))
        found |= dict.fromkeys(
            hashes[start : start + PDQ_BYTES] for start in range(0, len(hashes), PDQ_BYTES)
        )
    return tuple(found)


def grid_edges() -> Edges:
    """(K, 2) first and last edges of windows along one axis, as shares of it."""
    pairs = [(first, last) for first in range(GRID) for last in range(first + HALF, GRID + 1)]
    return np.array(pairs, dtype=np.float64) / GRID


def registered(down: Edges, across: Edges) -> NDArray[np.bool_]:
    """Which windows with these rows (K, 2) and columns (M, 2) are registered: (K, M)."""
    high, wide = (np.rint(GRID * (one[:, 1] - one[:, 0])) for one in (down, across))
    shorter = np.minimum(high[:, None], wide[None, :])
    longer = np.maximum(high[:, None], wide[None, :])
    return np.asarray((shorter >= SIDE_MIN) | ((shorter == HALF) & (longer >= HALF_ACROSS)))


def _windows(grey: Floats, sides_px: tuple[int, int]) -> Iterator[Floats]:
    """The blocks (K, 64, 64) of all registered windows that share their upper and lower edge."""
    edges = grid_edges()
    across = window_axes(grey.shape[1], edges)
    length = edges[:, 1] - edges[:, 0]
    tall, broad = (length * side >= BLOCKS for side in sides_px)
    wanted = registered(edges, edges) & tall[:, None] & broad
    for chosen, down in zip(wanted, window_axes(grey.shape[0], edges), strict=True):
        columns = across[chosen]
        blocks = np.matmul(np.matmul(down, grey), columns.reshape(-1, grey.shape[1]).T)
        yield blocks.reshape(BLOCKS, len(columns), BLOCKS).transpose(1, 0, 2)
