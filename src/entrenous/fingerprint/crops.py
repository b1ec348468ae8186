"""Windows of a picture, an upload that is a part of a registered picture, and slight rotations."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.base.limits import PDQ_BYTES, WINDOW_QUALITY_MIN
from entrenous.base.picture import Picture
from entrenous.fingerprint.borders import thumbnail
from entrenous.fingerprint.pdq import (
    BLOCKS,
    KEPT,
    Floats,
    cosines,
    frequencies,
    qualities,
    seen_pixels,
    to_bits,
    window_axes,
)

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


def spectra(grey: Floats, rows: Edges, columns: Edges) -> Floats:
    """The spectra (..., K, M, 16, 16) of all windows with these rows (K, 2) and columns (M, 2).

    Edges are shares of the sides, in [0, 1]; grey is one picture (H, W), or several of one size.
    """
    return between(grey, waves(grey.shape[-2], rows), waves(grey.shape[-1], columns))


def between(grey: Floats, down: Floats, across: Floats) -> Floats:
    """:func:`spectra` by the :func:`waves` of K rows and M columns."""
    found = np.matmul(np.matmul(down, grey), across.T)
    found = found.reshape(*grey.shape[:-2], len(down) // KEPT, KEPT, len(across) // KEPT, KEPT)
    return np.swapaxes(found, -3, -2)


def box_spectra(grey: Floats, boxes: NDArray[np.float64], least: int) -> Floats:
    """The spectra (N, 16, 16) of those boxes that have a PDQ quality of at least ``least``.

    Boxes are (B, 4): first and last row, first and last column, in pixels.
    """
    height_px, width_px = grey.shape
    if not len(boxes):
        return np.zeros((0, KEPT, KEPT), dtype=np.float32)
    blocks = np.stack(
        [
            window_axes(height_px, box[None, :2] / height_px)[0]
            @ grey
            @ window_axes(width_px, box[None, 2:] / width_px)[0].T
            for box in boxes
        ]
    )
    return frequencies(blocks[qualities(blocks) >= least])


def waves(length_px: int, edges: Edges) -> Floats:
    """From an axis of pixels to 16 frequencies of each window: (K * 16, length_px)."""
    waves = np.tensordot(window_axes(length_px, edges), cosines(), axes=([1], [1]))
    return np.asarray(waves.transpose(0, 2, 1).reshape(-1, length_px), dtype=np.float32)


TRIM: Final = 0.03  # one step that is cut off an edge, as a share of the upload's side
TRIMS: Final = 5  # 0 to 12 %: a grid step of the smallest cut-out that is served
WIDEN: Final = 0.02
WIDENS: Final = 4  # 0 to 6 %: what PDQ nearly always forgives to have been guessed
FAR: Final = 7  # 0 to 12 %: what it forgives about every second time


def trimmed(grey: Floats) -> Floats:
    """The spectra (N, 16, 16) of pictures (..., H, W) without 0 to 12 % at each edge: 313 each."""
    return _cut(grey, np.arange(TRIMS, dtype=np.float64) * TRIM)


def wider(grey: Floats, steps: int = WIDENS) -> Floats:
    """The spectra (N, 16, 16) of a picture with 0 to so many steps of 2 % more at each edge, zero
    counted: 128 of ``WIDENS``, 1,201 of ``FAR``.
    """
    more = WIDEN * (steps - 1)
    down, across = (round(more * side) for side in grey.shape)
    padded = np.pad(grey, ((down, down), (across, across)), mode="edge")
    cut = np.arange(steps, dtype=np.float64) * WIDEN
    return _cut(padded, cut / (1 + 2 * more))


def same(grey: Floats) -> Floats:
    """The spectra (525, 16, 16) of the windows of a picture that would be registered of it."""
    edges = grid_edges()
    return spectra(grey, edges, edges)[registered(edges, edges)]


def _cut(grey: Floats, cut: NDArray[np.float64]) -> Floats:
    """Each edge loses one of these shares; those with an even sum of places."""
    down, across = (_cut_waves(side, tuple(cut.tolist())) for side in grey.shape[-2:])
    place = np.add.outer(np.arange(len(cut)), np.arange(len(cut))).reshape(-1) % 2
    alike = [np.flatnonzero(place == parity) for parity in (0, 1)]
    halves = [_between(grey, down[some], across[some]) for some in alike]
    number = np.arange(place.size**2).reshape(place.size, -1)
    order = np.argsort(np.concatenate([number[np.ix_(some, some)].reshape(-1) for some in alike]))
    return np.concatenate(halves, axis=-3)[..., order, :, :].reshape(-1, KEPT, KEPT)


def _between(grey: Floats, down: Floats, across: Floats) -> Floats:
    """The spectra (..., K * M, 16, 16) of windows with these rows (K, 16, H) and columns."""
    found = between(grey, down.reshape(-1, grey.shape[-2]), across.reshape(-1, grey.shape[-1]))
    return found.reshape(*grey.shape[:-2], -1, KEPT, KEPT)


@lru_cache(maxsize=16)  # of one upload's sides, the longer one is nearly always 512
def _cut_waves(length_px: int, cut: tuple[float, ...]) -> Floats:
    """Frequencies of an axis without one of these shares at each end: (K, 16, length_px)."""
    first, last = np.broadcast_arrays(np.array(cut)[:, None], 1 - np.array(cut)[None, :])
    edges: Edges = np.stack([first, last], axis=-1).reshape(-1, 2)
    made = waves(length_px, edges).reshape(-1, KEPT, length_px)
    made.flags.writeable = False
    return made


ANGLES: Final = (-10.0, -7.5, -5.0, -2.5, 2.5, 5.0, 7.5, 10.0)  # degrees; PDQ forgives one or so
SLIGHT: Final = (-3.5, -2.0, 2.0, 3.5)  # beyond, so much was cut off that the whole does not fit


def turned_back(grey: Floats, angles: Sequence[float] = ANGLES) -> Floats:
    """A grey picture turned about its middle by each of A angles, as large as before: (A, H, W).

    What comes in at the corners goes on as the picture ends there.
    """
    height, width = grey.shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    matrices = [cv2.getRotationMatrix2D(middle, angle, 1.0) for angle in angles]
    size = (width, height)
    turned = [cv2.warpAffine(grey, m, size, borderMode=cv2.BORDER_REPLICATE) for m in matrices]
    return np.stack(turned).astype(np.float32)
