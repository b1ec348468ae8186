"""How often a stranger's picture is taken for one that was registered."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from bench.attacks.kinds import Rgb, Rng
from bench.stopping.recall_edits import EDITS
from bench.stopping.recall_looks import (
    Looked,
    Registered,
    Words,
    bits_of,
    look,
    nearest_each,
    picture_of,
    tell,
    words,
)
from entrenous.base.limits import PDQ_QUALITY_MIN, PDQ_RADIUS_BITS
from entrenous.fingerprint.crops import window_hashes
from entrenous.fingerprint.multi_index import HashIndex, build_hash_index
from entrenous.fingerprint.pdq import fingerprint
from entrenous.stop.judge.scan import hash_whole_picture

_TILES_PER_SIDE: Final = 5
_VIEWS: Final = 2_000  # looked for at a time: an upload's own photograph has many that fit


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
    """Pieces of all photographs as if each were registered, with windows: hashes of the wholes
    (N, 4), and whose (N,); hashes of all windows, found by the gate's own index, which is exact,
    and of which piece each is, as its row among the wholes.
    """

    hashes: Words
    owner: NDArray[np.int64]
    windows: HashIndex
    window_of: NDArray[np.int64]

    @classmethod
    def of(cls, bank: Sequence[Registered], cut: Callable[[Rgb], Iterable[Rgb]]) -> Self:
        """Those that are not too flat: ``cut`` gives the pieces of one."""
        wholes, owner, windows, window_of = list[bytes](), list[int](), list[bytes](), list[int]()
        for place, one in enumerate(bank):
            for picture in map(picture_of, cut(one.subject.rgb)):
                whole = fingerprint(picture)
                if whole.quality >= PDQ_QUALITY_MIN:
                    parts = window_hashes(picture)
                    window_of += [len(wholes)] * len(parts)
                    windows += parts
                    wholes.append(whole.bits)
                    owner.append(place)
        index = build_hash_index(np.arange(len(windows)), words(b"".join(windows)))
        return cls(words(b"".join(wholes)), np.array(owner), index, np.array(window_of))

    def fitting(self, place: int, views: Words) -> Counted:
        """How many of the others' fit these views of an upload of one's own, and how many are."""
        stranger = self.owner != place
        fits = nearest_each(self.hashes[stranger], views) <= PDQ_RADIUS_BITS
        return Counted(int(fits.sum()), int(stranger.sum()))

    def fitting_with_windows(self, place: int, seen: Looked) -> tuple[Counted, set[int]]:
        """The same for all slow views of an upload: of the whole against wholes, of parts against
        windows, as a gate holds it; and whose those are that fit.
        """
        stranger = self.owner != place
        fits = nearest_each(self.hashes, seen.deep) <= PDQ_RADIUS_BITS
        for start in range(0, len(seen.deep_parts), _VIEWS):
            some = np.ascontiguousarray(seen.deep_parts[start : start + _VIEWS])
            fits[self.window_of[self.windows.pairs(some, PDQ_RADIUS_BITS).entry]] = True
        fits &= stranger
        return Counted(int(fits.sum()), int(stranger.sum())), set(self.owner[fits].tolist())


class Strangers:
    """Counts edited uploads that fit another's whole photograph, or a window of it; uploads are of
    every ``every``-th of the bank.
    """

    def __init__(self, bank: Sequence[Registered], every: int) -> None:
        self._bank, self._every = bank, every
        self._known = Pieces.of(bank, lambda rgb: (rgb,))
        self.count = Counted()

    def meet(self, edit: str, number: int, seen: Looked) -> None:
        """One more, of the ``number``-th that is uploaded."""
        place = number * self._every
        counted, whose = self._known.fitting_with_windows(place, seen)
        self.count.add(counted)
        tell_of(edit, self._bank[place], [self._bank[other] for other in sorted(whose)])


def false_fast(bank: Sequence[Registered], known: Pieces, every: int) -> Counted:
    """Tiles of different photographs against each other, in all fast views: all are strangers."""
    count = Counted()
    for place, one in list(enumerate(bank))[::every]:
        for tile in tiles(one.subject.rgb):
            count.add(known.fitting(place, bits_of(hash_whole_picture(picture_of(tile)).whole)))
    return count


def false_deep(
    bank: Sequence[Registered], known: Pieces, every: int, edits: Sequence[str], rng: Rng
) -> tuple[Counted, Counted]:
    """Edited uploads against everybody else's tiles: the slow views of wholes alone, for who
    registered no windows; and all slow views against tiles with windows.
    """
    of_wholes, of_pieces = Counted(), Counted()
    for edit in edits:
        for place, one in list(enumerate(bank))[::every]:
            seen = look(EDITS[edit](one.subject.rgb, rng))
            of_wholes.add(known.fitting(place, seen.deep))
            counted, whose = known.fitting_with_windows(place, seen)
            of_pieces.add(counted)
            tell_of(edit, one, [bank[other] for other in sorted(whose)], "a piece of ")
    return of_wholes, of_pieces


def tell_of(edit: str, one: Registered, others: Sequence[Registered], what: str = "") -> None:
    """Which strangers fit."""
    for other in others:
        tell(f"FALSE {edit}: {one.subject.name} as {what}{other.subject.name}")


def tiles(rgb: Rgb) -> Iterator[Rgb]:
    """A photograph and its pieces, 5 x 5, none over another but for the whole."""
    yield rgb
    high, wide = (side // _TILES_PER_SIDE for side in rgb.shape[:2])
    for row in range(_TILES_PER_SIDE):
        for column in range(_TILES_PER_SIDE):
            yield rgb[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
