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

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.deep.spectra import Edges, between, spectra, waves
from entrenous.craft.fingerprint.parts import grid_edges, registered
from entrenous.craft.fingerprint.spectrum import KEPT, Floats

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
