"""Which of ten thousand sent pictures share points with a found one, and agree how it lies?

An inverted file over visual words, with 64 signs a point (words.py). A point of the found picture
speaks for every stored one that has one of its words and nearly its signs; what it says is
weighed by how rare that is, and counted per picture, turn and scale (weak geometric consistency).
The pictures with the most are looked at closely (lie.py). Nothing here knows a key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.landmarks.lie import Pairs, agreeing
from entrenous.craft.fingerprint.landmarks.packed import ENTRY, TURN, Entries, place_in
from entrenous.craft.fingerprint.landmarks.points import Points, points_of
from entrenous.craft.fingerprint.landmarks.words import WORDS, Vocabulary
from entrenous.craft.fingerprint.picture import Pixels

SEEN: Final = 1800  # points of a found picture
_ASSIGNED: Final = 3  # words that a found point is looked up under
_SIGNS_MAX: Final = 22  # of 64 that may differ; Jegou et al. take 22 to 24
_SIGNS_SPREAD: Final = 16.0
_ANGLES: Final = 16
_SCALES: Final = 10  # octaves by which found and sent sizes may differ, -5 to 5
_SHARED: Final = 9  # points; strangers share fewer
_CLOSELY: Final = 100  # pictures whose points are looked at one by one


@dataclass(frozen=True, slots=True)
class Vote:
    """Points of the found picture lie on picture number ``row`` in one way.

    ``where`` are the cells of the found picture that they lie in, one point each; ``weight`` says
    how rare and how close they are.
    """

    row: int
    where: frozenset[int]
    weight: float
    mirrored: bool


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Entries sorted by word; those of word w are ``starts[w]`` to ``starts[w + 1]``."""

    entries: Entries
    signs: NDArray[np.uint64]
    rows: NDArray[np.int32]
    starts: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, kept: Sequence[bytes]) -> Self:
        """A gallery of packed points, one item per picture; rows are numbered as given."""
        entries = np.frombuffer(b"".join(kept), ENTRY)
        sizes = [len(one) // ENTRY.itemsize for one in kept]
        rows = np.repeat(np.arange(len(kept), dtype=np.int32), sizes)
        words = np.minimum(entries["word"], WORDS - 1)
        order = np.argsort(words, kind="stable")
        starts = np.zeros(WORDS + 1, np.int64)
        np.cumsum(np.bincount(words, minlength=WORDS), out=starts[1:])
        # NumPy moves plain bytes eight times faster than records with unaligned fields
        entries = np.take(entries.view(f"V{ENTRY.itemsize}"), order).view(ENTRY)
        return cls(entries, np.ascontiguousarray(entries["signs"]), rows[order], starts, len(kept))

    def votes(self, pixels: Pixels, vocabulary: Vocabulary) -> list[Vote]:
        """Pictures that share points with (H, W, 3) pixels, the likeliest first.

        Mirrored too; and where next to nothing is shared, with the colours inverted.
        """
        seen = points_of(pixels, SEEN)
        votes = self._both_ways(seen, vocabulary)
        if all(len(vote.where) < _SHARED for vote in votes):
            votes += self._both_ways(seen.inverted(), vocabulary)
        best: dict[int, Vote] = {}
        for vote in sorted(votes, key=lambda one: -one.weight):
            best.setdefault(vote.row, vote)
        return list(best.values())

    def _both_ways(self, seen: Points, vocabulary: Vocabulary) -> list[Vote]:
        plain = self._votes(seen, vocabulary, mirrored=False)
        return plain + self._votes(seen.mirrored(), vocabulary, mirrored=True)

    def _votes(self, seen: Points, vocabulary: Vocabulary, *, mirrored: bool) -> list[Vote]:
        if not len(seen.looks) or not len(self.rows):
            return []
        pairs, weight = self._pairs(seen, vocabulary)
        rows = self.rows[pairs.sent]
        strongest = _consistent(rows, pairs, weight, self.count)
        order = np.argsort(rows, kind="stable")
        edges = np.searchsorted(rows[order], [strongest, strongest + 1])
        return [
            Vote(
                int(row),
                *agreeing(pairs.some(order[start:stop]), weight[order[start:stop]]),
                mirrored,
            )
            for row, start, stop in zip(strongest, *edges, strict=True)
        ]

    def _pairs(self, seen: Points, vocabulary: Vocabulary) -> tuple[Pairs, NDArray[np.float32]]:
        """Which found point speaks for which entry, and how firmly."""
        words = vocabulary.nearest(seen.looks, _ASSIGNED)
        query = np.repeat(np.arange(len(words)), _ASSIGNED)
        words = words.ravel()
        signs = vocabulary.signs(seen.looks[query], words)
        order = np.argsort(words, kind="stable")
        groups = np.flatnonzero(np.diff(words[order], prepend=-1))
        found, sent, differ = [], [], []
        for some in np.split(order, groups[1:]):
            start, stop = self.starts[words[some[0]] : words[some[0]] + 2]
            bits = np.bitwise_count(signs[some, None] ^ self.signs[None, start:stop])
            one, other = np.nonzero(bits <= _SIGNS_MAX)
            found.append(query[some[one]])
            sent.append(other + start)
            differ.append(bits[one, other])
        at_found, at_sent = np.concatenate(found), np.concatenate(sent)
        far = np.concatenate(differ).astype(np.float32) / np.float32(_SIGNS_SPREAD)
        common = np.bincount(at_found, minlength=len(seen.looks)).astype(np.float32)
        rare = np.log1p(np.float32(self.count) / common[at_found])
        own = np.zeros(len(seen.looks), ENTRY)
        place_in(own, seen)
        return Pairs(own, self.entries, at_found, at_sent), np.exp(-np.square(far)) * rare


def _consistent(
    rows: NDArray[np.int32], pairs: Pairs, weight: NDArray[np.float32], count: int
) -> NDArray[np.int64]:
    """The pictures with the most weight in one class of turn and scale, best first."""
    angle = pairs.turns.astype(np.int64) * _ANGLES // TURN
    scale = np.clip(pairs.octaves + _SCALES // 2, 0, _SCALES - 1).astype(np.int64)
    place = (rows.astype(np.int64) * _SCALES + scale) * _ANGLES + angle
    said = np.bincount(place, weight, count * _SCALES * _ANGLES).astype(np.float32)
    said = said.reshape(count, _SCALES, _ANGLES)
    said += np.roll(said, 1, axis=2)
    said[:, 1:] += said[:, :-1].copy()
    most = said.reshape(count, -1).max(axis=1)
    some = np.argpartition(-most, min(_CLOSELY, count - 1))[:_CLOSELY]
    return np.asarray(some[np.argsort(-most[some])])
