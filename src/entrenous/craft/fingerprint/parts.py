"""Find a cut-out of a registered picture, when only hashes of the registered one are known.

PDQ forgives an edge that is off by one per cent, not by five: the hash of a picture never fits a
crop of it. So two coarse searches meet in the middle (docs/spec/gate.md section 3):

* the person's device hashes windows of her picture whose edges lie on a grid of 1/15 of a side,
  about 500 of them, and sends these hashes along when she agrees;
* the gate cuts 0, 2, 4, 6 or 8 per cent off each edge of the upload: 625 windows, in all eight
  orientations. Whatever rectangle the leaker cut out, some grid window lies inside it by less than
  one grid step on each edge, and one of the 625 is within one per cent of that window.

All windows of a picture come from a few matrix products on its thumbnail.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.orientation import turn
from entrenous.craft.fingerprint.picture import Pixels, frequencies, qualities, seen_pixels, to_bits
from entrenous.craft.fingerprint.spectrum import BLOCKS, KEPT, Floats, cosines, window_axes
from entrenous.craft.fingerprint.thumbnail import thumbnail
from entrenous.model.picture import Picture
from entrenous.spec import PART_QUALITY_MIN, PDQ_BYTES

Edges = NDArray[np.float64]

GRID: Final = 15  # grid steps per side
SIDE_MIN: Final = 9  # the shortest window, in grid steps: 60 % of a side
AREA_MIN: Final = 0.36  # of the picture: serves crops down to half of its area
STRETCH_MAX: Final = 2  # grid steps by which a window's two sides may differ
TRIM: Final = 0.02  # one step that the gate cuts off an edge, of the upload's side
TRIMS: Final = 5  # 0 to 8 %: more than one grid step of the smallest crop that is served


def part_hashes(picture: Picture) -> tuple[bytes, ...]:
    """Hashes of windows of a picture to register: at most 534, distinct, 32 bytes each.

    Windows with next to no detail are left out: they would fit other pictures.
    """
    found: dict[bytes, None] = {}
    for blocks in _windows(thumbnail(seen_pixels(picture))):
        detailed = blocks[qualities(blocks) >= PART_QUALITY_MIN]
        hashes = to_bits(frequencies(detailed))
        found |= dict.fromkeys(
            hashes[start : start + PDQ_BYTES] for start in range(0, len(hashes), PDQ_BYTES)
        )
    return tuple(found)


def part_views(pixels: Pixels) -> dict[str, bytes]:
    """For an upload's (H, W, 3) pixels: by orientation, its 625 hashes one after the other."""
    grey = thumbnail(pixels)
    cut = np.arange(TRIMS) * TRIM
    edges = np.stack(np.broadcast_arrays(cut[:, None], 1 - cut[None, :]), axis=-1).reshape(-1, 2)
    down, across = _waves(grey.shape[0], edges), _waves(grey.shape[1], edges)
    spectra = np.matmul(np.matmul(down, grey), across.T)
    spectra = spectra.reshape(len(edges), KEPT, len(edges), KEPT).transpose(0, 2, 1, 3)
    return {how: to_bits(turned) for how, turned in turn(spectra).items()}


def _waves(length_px: int, edges: Edges) -> Floats:
    """From an axis of pixels to 16 frequencies of each window: (K * 16, length_px)."""
    waves = np.tensordot(window_axes(length_px, edges), cosines(), axes=([1], [1]))
    return np.asarray(waves.transpose(0, 2, 1).reshape(-1, length_px), dtype=np.float32)


def _windows(grey: Floats) -> Iterator[Floats]:
    """The blocks (K, 64, 64) of all registered windows that share their upper and lower edge."""
    edges = _grid()
    side = edges[:, 1] - edges[:, 0]
    across = window_axes(grey.shape[1], edges)
    for height, down in zip(side, window_axes(grey.shape[0], edges), strict=True):
        alike = np.abs(side - height) <= STRETCH_MAX / GRID + 1e-9
        wanted = across[alike & (side * height >= AREA_MIN - 1e-9)]
        blocks = np.matmul(np.matmul(down, grey), wanted.reshape(-1, grey.shape[1]).T)
        yield blocks.reshape(BLOCKS, len(wanted), BLOCKS).transpose(1, 0, 2)


def _grid() -> Edges:
    """(K, 2) first and last edges of the registered windows of one axis, as shares of it."""
    pairs = [(first, last) for first in range(GRID) for last in range(first + SIDE_MIN, GRID + 1)]
    return np.array(pairs, dtype=np.float64) / GRID
