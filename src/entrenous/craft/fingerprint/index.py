"""Which registered hashes lie within 31 bits of these? Exactly: none missed, none invented.

A plain scan, meant for banks of up to about 200,000 hashes: a bank of one hash or of sixteen equal
ones is searched like any other. The interface (grow by adding, ask for all near ones, decide
afterwards whether an entry still counts) is the one of a log-structured index, which can take its
place without anybody noticing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.model.fingerprint import Near
from entrenous.spec import PDQ_BYTES, PDQ_RADIUS

Words = NDArray[np.uint64]
Counts = NDArray[np.uint8]

CELLS: Final = 1 << 16  # pairs compared at a time, so that the work stays in the processor's cache


@dataclass(frozen=True, slots=True)
class _Scratch:
    """Room for a batch of comparisons, used again for each: allocating costs more than counting."""

    changed: Words
    counts: Counts
    total: Counts

    @classmethod
    def of(cls, rows: int, entries: int) -> Self:
        shape = (rows, entries)
        counts = np.empty(shape, dtype=np.uint8), np.empty(shape, dtype=np.uint8)
        return cls(np.empty(shape, dtype=np.uint64), *counts)

    def differing(self, wanted: Words, words: Words) -> Counts:
        """In how many of 128 bits each of (Q, 2) and each of (2, N) words differ: (Q, N)."""
        rows = slice(0, len(wanted))
        np.bitwise_xor(wanted[:, :1], words[:1], out=self.changed[rows])
        np.bitwise_count(self.changed[rows], out=self.total[rows])
        np.bitwise_xor(wanted[:, 1:], words[1:], out=self.changed[rows])
        np.bitwise_count(self.changed[rows], out=self.counts[rows])
        self.total[rows] += self.counts[rows]
        return self.total[rows]


@dataclass(frozen=True, slots=True)
class ScanIndex:
    """An immutable set of hashes, each with an entry number: ``entries`` (N,), ``words`` (4, N)."""

    entries: NDArray[np.int64]
    words: Words

    @classmethod
    def empty(cls) -> Self:
        """An index of nothing."""
        return cls(np.zeros(0, dtype=np.int64), np.zeros((4, 0), dtype=np.uint64))

    def with_added(self, entries: Sequence[int], hashes: Sequence[bytes]) -> Self:
        """This index and some more hashes, 32 bytes each; entry numbers need not differ."""
        more = np.asarray(entries, dtype=np.int64)
        words = np.concatenate([self.words, as_words(hashes).T], axis=1)
        return type(self)(np.concatenate([self.entries, more]), np.ascontiguousarray(words))

    def near(self, queries: Sequence[bytes], radius: int = PDQ_RADIUS) -> list[Near]:
        """Every pair of a query and an entry that differ in at most ``radius`` bits."""
        wanted = as_words(queries)
        rows = max(1, CELLS // max(1, self.entries.size))
        scratch = _Scratch.of(rows, self.entries.size)
        found: list[Near] = []
        for start in range(0, len(wanted), rows):
            found += self._near(wanted[start : start + rows], start, radius, scratch)
        return found

    def _near(self, wanted: Words, start: int, radius: int, scratch: _Scratch) -> list[Near]:
        """Half of the bits settle nearly all pairs, since unrelated hashes differ in 64 of 128."""
        half = scratch.differing(wanted[:, :2], self.words[:2])
        if not (half <= radius).any():
            return []
        query, row = np.nonzero(half <= radius)
        rest = np.bitwise_count(wanted[query, 2:] ^ self.words[2:, row].T).sum(axis=1)
        bits = half[query, row].astype(np.int64) + rest.astype(np.int64)
        return [
            Near(start + int(query[i]), int(self.entries[row[i]]), int(bits[i]))
            for i in np.flatnonzero(bits <= radius)
        ]


def as_words(hashes: Sequence[bytes]) -> Words:
    """Hashes of 32 bytes as an array (N, 4) of 64-bit words."""
    if any(len(one) != PDQ_BYTES for one in hashes):
        raise ValueError("a PDQ hash has 32 bytes")
    return np.frombuffer(b"".join(hashes), dtype=np.uint64).reshape(-1, 4)
