"""An upload that is a part of a registered picture, or whose parts are parts of it.

Three families of windows. *Trimmed*: a little cut off each edge of the upload, to meet a registered
window that lies inside a cut-out. *Wider*: a little added to each edge, as if the picture went on
as it ends, to meet the hash of the whole although no windows were registered. *Same*: the windows
that are registered, cut out of the upload, of which some avoid what was written or stuck over it.

How much is cut off which edge is a point in four dimensions. Every second point of the grid is
enough, those with an even sum (the lattice D4): the farthest that anything is from the nearest
point is then the same as with all of them (Conway and Sloane, Sphere Packings, Lattices and Groups,
chapter 4, table 4.8).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.deep.spectra import Edges, spectra
from entrenous.craft.fingerprint.parts import grid_edges, registered
from entrenous.craft.fingerprint.spectrum import KEPT, Floats

TRIM: Final = 0.03  # one step that is cut off an edge, as a share of the upload's side
TRIMS: Final = 5  # 0 to 12 %: a grid step of the smallest cut-out that is served
WIDEN: Final = 0.02
WIDENS: Final = 4  # 0 to 6 %: more has to be guessed than PDQ forgives


def trimmed(grey: Floats) -> Floats:
    """The spectra (N, 16, 16) of pictures (..., H, W) without 0 to 12 % at each edge: 313 each."""
    return _cut(grey, np.arange(TRIMS, dtype=np.float64) * TRIM)


def wider(grey: Floats) -> Floats:
    """The spectra (128, 16, 16) of a picture with 0 to 6 % more at each edge."""
    more = WIDEN * (WIDENS - 1)
    down, across = (round(more * side) for side in grey.shape)
    padded = np.pad(grey, ((down, down), (across, across)), mode="edge")
    cut = np.arange(WIDENS, dtype=np.float64) * WIDEN
    return _cut(padded, cut / (1 + 2 * more))


def same(grey: Floats) -> Floats:
    """The spectra (525, 16, 16) of the windows of a picture that would be registered of it."""
    edges = grid_edges()
    return spectra(grey, edges, edges)[registered(edges, edges)]


def _cut(grey: Floats, cut: NDArray[np.float64]) -> Floats:
    """Each edge loses one of these shares; those with an even sum of places."""
    edges: Edges = np.stack(np.broadcast_arrays(cut[:, None], 1 - cut[None, :]), axis=-1)
    place = np.add.outer(np.arange(len(cut)), np.arange(len(cut))).reshape(-1)
    even = np.add.outer(place, place) % 2 == 0
    every = spectra(grey, edges.reshape(-1, 2), edges.reshape(-1, 2))
    return every[..., even, :, :].reshape(-1, KEPT, KEPT)
