"""Find a video of which somebody has cut a little off the edges.

PDQ forgives an edge that is off by one per cent, not by three. So both sides cut something off, and
meet (as for cut-outs of pictures, but for much less): of each registered frame a second hash is
kept, without 4 per cent at each edge; of an upload, 0.7, 2 or 3.3 per cent are cut off each edge.
If each edge of a video has lost between 0 and 4 per cent, and both axes alike, one of these 19
windows lies within a per cent of the registered one on all four edges.

Whoever cuts a video cuts all of its frames alike, so a few moments of an upload are enough.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Final, Self

import numpy as np

from entrenous.craft.fingerprint.orientation import UPRIGHT, turn
from entrenous.craft.fingerprint.picture import to_bits
from entrenous.craft.fingerprint.reel.blocks import Luma
from entrenous.craft.fingerprint.spectrum import BLOCKS, KEPT, Floats, cosines, reference_axis
from entrenous.model.print import MOMENT_MS, TrimmedView
from entrenous.spec import PDQ_BYTES

INNER: Final = 0.04  # of a side, at each edge of a registered frame
CUTS: Final = (0.007, 0.02, 0.033)  # of a side, at an edge of an upload
MOMENTS: Final = 8  # half seconds of an upload that are looked at in this way
SIDE_PX_MIN: Final = 32  # of a frame: on less, a per cent is no pixel
TRIMMED: Final = "edges cut"

Edges = tuple[float, float]

_EDGES: Final = tuple(product(CUTS, CUTS))
_ALIKE: Final = tuple(
    (down, across)
    for down, across in product(range(len(_EDGES)), repeat=2)
    if abs(sum(_EDGES[down]) - sum(_EDGES[across])) < 1e-6
)


def inner_hash(luma: Luma) -> bytes | None:
    """The hash of an (H, W) frame without its edges, to register; None of a tiny frame."""
    if min(luma.shape) < SIDE_PX_MIN:
        return None
    return to_bits(_spectra(luma, ((INNER, INNER),))[0, 0])


@dataclass(slots=True)
class Trims:
    """Collects the views of an upload's moments; ``apart_ms`` is how far these are apart."""

    apart_ms: int
    views: list[TrimmedView] = field(default_factory=list)
    _moments: set[int] = field(default_factory=set)

    @classmethod
    def over(cls, length_s: float) -> Self:
        """For an upload of so many seconds; the first ones of one that does not say."""
        return cls(max(MOMENT_MS, round(1000 * length_s / MOMENTS)))

    def see(self, luma: Luma, at_ms: int) -> None:
        """Look at this frame, if it is one of the moments."""
        moment = at_ms // MOMENT_MS
        if at_ms % self.apart_ms >= MOMENT_MS or min(luma.shape) < SIDE_PX_MIN:
            return
        if len(self._moments | {moment}) > MOMENTS:
            return
        self._moments.add(moment)
        down, across = zip(*_ALIKE, strict=True)
        spectra = _spectra(luma, _EDGES)[list(down), list(across)]
        for how, turned in turn(spectra).items():
            done = TRIMMED if how == UPRIGHT else f"{how}, {TRIMMED}"
            hashes = to_bits(turned)
            self.views += [
                TrimmedView(at_ms, done, hashes[at : at + PDQ_BYTES])
                for at in range(0, len(hashes), PDQ_BYTES)
            ]


def _spectra(luma: Luma, edges: tuple[Edges, ...]) -> Floats:
    """(K, K, 16, 16) spectra of the windows with these cuts at top and bottom, left and right.

    The scale and offset of narrow-range luma change no bit.
    """
    down, across = _waves(luma.shape[0], edges), _waves(luma.shape[1], edges)
    spectra = np.matmul(np.matmul(down, luma.astype(np.float32)), across.T)
    count = len(edges)
    windows = spectra.reshape(count, KEPT, count, KEPT).transpose(0, 2, 1, 3)
    return np.asarray(windows, dtype=np.float32)


@lru_cache(maxsize=8)
def _waves(length_px: int, edges: tuple[Edges, ...]) -> Floats:
    """(K * 16, length_px): from the pixels of an axis to 16 frequencies of each window on it."""
    waves = []
    for first, last in edges:
        start, stop = round(first * length_px), round((1 - last) * length_px)
        axis = np.zeros((BLOCKS, length_px), dtype=np.float32)
        axis[:, start:stop] = reference_axis(stop - start)
        waves.append(cosines() @ axis)
    return np.concatenate(waves)
