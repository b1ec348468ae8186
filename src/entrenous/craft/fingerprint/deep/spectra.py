"""The 16 x 16 low frequencies of many windows of one picture, by two matrix products."""

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.picture import frequencies, qualities
from entrenous.craft.fingerprint.spectrum import KEPT, Floats, cosines, window_axes

Edges = NDArray[np.float64]


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
