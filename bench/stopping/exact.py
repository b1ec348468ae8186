"""Check that our index misses and invents no pair, with queries at each distance from 0 to 32 bits.

Its results are compared with those of an exhaustive comparison: faiss's scan if faiss is installed,
and otherwise one in NumPy that shares no code with the index.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from bench.stopping import peers
from bench.stopping.hashes import changes, random_hashes
from entrenous.fingerprint.linear_scan import HashPairs, Words
from entrenous.fingerprint.multi_index import HashIndex, IndexSegment, substring_plan

DISTANCES: Final = 33
_AT_ONCE: Final = 2048


@dataclass(frozen=True, slots=True)
class Differences:
    """How many of ``there`` true pairs are ``missing``; ``extra`` results are wrong or repeated."""

    there: int
    missing: int
    extra: int

    def __add__(self, other: "Differences") -> "Differences":
        return Differences(
            self.there + other.there, self.missing + other.missing, self.extra + other.extra
        )

    @classmethod
    def none(cls) -> Self:
        return cls(0, 0, 0)


def queries_at_every_distance(bank: Words, each: int, rng: np.random.Generator) -> Words:
    """Return ``each`` queries at each distance from 0 to 32 bits from hashes in the bank."""
    distances = np.repeat(np.arange(DISTANCES), each)
    return bank[rng.integers(0, len(bank), len(distances))] ^ changes(distances, rng)


def compared(indexes: Sequence[HashIndex], bank: Words, wanted: Words) -> Differences:
    """Compare the results of all queries in all indexes.

    The number of an entry is its row in ``bank``, counted from 1.
    """
    judge = peers.flat(bank)
    total = Differences.none()
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        there = judge.found(some) if judge else counted(bank, some)
        for index in indexes:
            total += _difference(there, index.pairs(some, peers.RADIUS))
    return total


def every_plan(
    count: int, each: int, rng: np.random.Generator, plans: Sequence[int] = (11, 12, 13, 16)
) -> Differences:
    """Check indexes of one bank that cut its hashes into different numbers of substrings.

    One hundredth of the hashes are at most 127 bits from the same hash. There are ``each`` queries
    at each distance.
    """
    bank = random_hashes(count, rng)
    bank[: count // 100] = bank[0] ^ changes(rng.integers(0, 128, count // 100), rng)
    numbers = np.arange(1, count + 1)
    indexes = [IndexSegment.built(substring_plan(cut), numbers, bank) for cut in plans]
    return compared(indexes, bank, queries_at_every_distance(bank, each, rng))


def counted(bank: Words, wanted: Words) -> peers.Pairs:
    """Return all pairs within the radius, by NumPy.

    With bits as +1 and -1, the dot product of two hashes is 256 minus twice their distance.
    """
    signs = [
        np.unpackbits(one.view(np.uint8), axis=1) * np.float32(2) - 1 for one in (wanted, bank)
    ]
    distance = (256 - signs[0] @ signs[1].T) / 2
    query, row = np.nonzero(distance <= peers.RADIUS)
    return np.stack([query, row, distance[query, row].astype(np.int64)], axis=1)


def _difference(there: peers.Pairs, ours: HashPairs) -> Differences:
    found = np.stack([ours.query, ours.entry - 1, ours.distance], axis=1)
    right, returned = set(map(tuple, there.tolist())), list(map(tuple, found.tolist()))
    return Differences(
        len(right), len(right - set(returned)), len(returned) - len(right & set(returned))
    )
