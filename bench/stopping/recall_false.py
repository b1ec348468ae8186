"""How often a stranger's picture is taken for one that was registered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from bench.attacks.kinds import Rgb, Rng
from bench.stopping.recall_edits import EDITS
from bench.stopping.recall_looks import (
    Registered,
    Words,
    bits_of,
    look,
    nearest,
    nearest_each,
    picture_of,
    tell,
    words,
)
from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.spec import PDQ_QUALITY_MIN, PDQ_RADIUS
from entrenous.stop.look import fast_views

_TILES_PER_SIDE: Final = 5


@dataclass(slots=True)
class Counted:
    """Pairs of strangers, and those among them that fit."""

    false: int = 0
    pairs: int = 0

    def add(self, more: "Counted") -> None:
        """And these."""
        self.false += more.false
        self.pairs += more.pairs

    def told(self) -> Mapping[str, int]:
        """As it is printed."""
        return {"false": self.false, "pairs": self.pairs}


@dataclass(frozen=True, slots=True)
class Pieces:
    """Tiles of all photographs as if each were registered: hashes (N, 4), and whose (N,)."""

    hashes: Words
    owner: NDArray[np.int64]

    @classmethod
    def of(cls, bank: Sequence[Registered]) -> Self:
        """Those that are not too flat."""
        known = [
            (place, fingerprint(picture_of(tile)))
            for place, one in enumerate(bank)
            for tile in tiles(one.subject.rgb)
        ]
        kept = [(place, one) for place, one in known if one.quality >= PDQ_QUALITY_MIN]
        owner = np.array([place for place, _ in kept])
        return cls(words(b"".join(one.bits for _, one in kept)), owner)

    def fitting(self, place: int, views: Words) -> Counted:
        """How many of the others' fit these views of an upload of one's own, and how many are."""
        stranger = self.owner != place
        fits = nearest_each(self.hashes[stranger], views) <= PDQ_RADIUS
        return Counted(int(fits.sum()), int(stranger.sum()))


def false_fast(bank: Sequence[Registered], known: Pieces, every: int) -> Counted:
    """Tiles of different photographs against each other, in all fast views: all are strangers."""
    count = Counted()
    for place, one in list(enumerate(bank))[::every]:
        for tile in tiles(one.subject.rgb):
            count.add(known.fitting(place, bits_of(fast_views(picture_of(tile)).whole)))
    return count


def false_deep(
    bank: Sequence[Registered], known: Pieces, every: int, edits: Sequence[str], rng: Rng
) -> tuple[Counted, Counted]:
    """Edited uploads in all slow views against everybody else's photographs and windows; and the
    views of wholes alone against everybody else's tiles.
    """
    count, of_wholes = Counted(), Counted()
    for edit in edits:
        for place, one in list(enumerate(bank))[::every]:
            seen = look(EDITS[edit](one.subject.rgb, rng))
            of_wholes.add(known.fitting(place, seen.deep))
            for other in bank:
                if other is not one:
                    bits = min(
                        nearest(seen.deep, other.whole), nearest(seen.deep_parts, other.parts)
                    )
                    count.add(Counted(int(bits <= PDQ_RADIUS), 1))
                    if bits <= PDQ_RADIUS:
                        tell(f"FALSE {edit}: {one.subject.name} as {other.subject.name}, {bits}")
    return count, of_wholes


def tiles(rgb: Rgb) -> Iterator[Rgb]:
    """A photograph and its pieces, 5 x 5, none over another but for the whole."""
    yield rgb
    high, wide = (side // _TILES_PER_SIDE for side in rgb.shape[:2])
    for row in range(_TILES_PER_SIDE):
        for column in range(_TILES_PER_SIDE):
            yield rgb[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
