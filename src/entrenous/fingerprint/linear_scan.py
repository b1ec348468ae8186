"""Compare a query with every registered hash, which is fastest for a few thousand hashes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.base.limits import PDQ_BYTES, PDQ_RADIUS_BITS
from entrenous.fingerprint.nouns import NearHash

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class HashPairs:
    """Pair i is query ``query[i]`` and entry ``entry[i]``; they differ in ``distance[i]`` bits."""

    query: Numbers
    entry: Numbers
    distance: Numbers

    @classmethod
    def none(cls) -> Self:
        return cls(*(np.zeros(0, dtype=np.int64) for _ in range(3)))

    @classmethod
    def joined(cls, several: Sequence["HashPairs"]) -> "HashPairs":
        several = [one for one in several if one.query.size]
        if len(several) < 2:
            return several[0] if several else cls.none()
        return cls(
            np.concatenate([one.query for one in several]),
            np.concatenate([one.entry for one in several]),
            np.concatenate([one.distance for one in several]),
        )

    def with_query_offset(self, by: int) -> "HashPairs":
        return HashPairs(self.query + by, self.entry, self.distance) if by else self

    def distinct(self) -> "HashPairs":
        """Return each pair of query and entry once."""
        if self.query.size < 2:
            return self
        order = np.lexsort((self.entry, self.query))
        query, entry = self.query[order], self.entry[order]
        first = np.r_[True, (np.diff(query) != 0) | (np.diff(entry) != 0)]
        return HashPairs(query[first], entry[first], self.distance[order[first]])

    def to_near_hashes(self) -> list[NearHash]:
        columns = (self.query.tolist(), self.entry.tolist(), self.distance.tolist())
        return [NearHash(*one) for one in zip(*columns, strict=True)]


Words = NDArray[np.uint64]
Counts = NDArray[np.uint8]
# this many pairs at a time fit into the processor's cache
PAIRS_AT_ONCE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class _ComparisonBuffers:
    """Buffers for batches of comparisons; reused, because allocating takes longer than counting."""

    changed: Words
    counts: Counts
    total: Counts

    @classmethod
    def of(cls, rows: int, entries: int) -> Self:
        shape = (rows, entries)
        counts = np.empty(shape, dtype=np.uint8), np.empty(shape, dtype=np.uint8)
        return cls(np.empty(shape, dtype=np.uint64), *counts)

    def differing_bits(self, queries: Words, words: Words) -> Counts:
        """Return (Q, N): how many of 128 bits differ between (Q, 2) and (2, N) words."""
        rows = slice(0, len(queries))
        np.bitwise_xor(queries[:, :1], words[:1], out=self.changed[rows])
        np.bitwise_count(self.changed[rows], out=self.total[rows])
        np.bitwise_xor(queries[:, 1:], words[1:], out=self.changed[rows])
        np.bitwise_count(self.changed[rows], out=self.counts[rows])
        self.total[rows] += self.counts[rows]
        return self.total[rows]


@dataclass(frozen=True, slots=True)
class ScanIndex:
    """An immutable set of hashes, ``words`` (4, N), each with an entry number, ``entries`` (N,)."""

    entries: NDArray[np.int64]
    words: Words

    @classmethod
    def empty(cls) -> Self:
        return cls(np.zeros(0, dtype=np.int64), np.zeros((4, 0), dtype=np.uint64))

    def with_added(self, entries: Sequence[int], hashes: Sequence[bytes]) -> Self:
        """Return a new index with these hashes added, 32 bytes each; entry numbers may repeat."""
        more = np.asarray(entries, dtype=np.int64)
        words = np.concatenate([self.words, hashes_as_words(hashes).T], axis=1)
        return type(self)(np.concatenate([self.entries, more]), np.ascontiguousarray(words))

    def find_near_hashes(
        self, queries: Sequence[bytes], radius: int = PDQ_RADIUS_BITS
    ) -> list[NearHash]:
        """Return every pair of a query and an entry that differ in at most ``radius`` bits."""
        return self.pairs(hashes_as_words(queries), radius).to_near_hashes()

    def pairs(self, queries: Words, radius: int) -> HashPairs:
        """Return the same pairs as :meth:`find_near_hashes` for (Q, 4) words, as arrays."""
        if not self.entries.size:
            return HashPairs.none()
        rows = max(1, PAIRS_AT_ONCE // self.entries.size)
        scratch = _ComparisonBuffers.of(rows, self.entries.size)
        found = [
            self._find_in_batch(queries[start : start + rows], radius, scratch).with_query_offset(
                start
            )
            for start in range(0, len(queries), rows)
        ]
        return HashPairs.joined(found)

    def _find_in_batch(self, queries: Words, radius: int, scratch: _ComparisonBuffers) -> HashPairs:
        """Return the same as :meth:`pairs` for one batch.

        Half of the bits are compared first. That excludes nearly all pairs, since unrelated hashes
        differ in about 64 of these 128 bits.
        """
        half = scratch.differing_bits(queries[:, :2], self.words[:2])
        query, row = np.divmod(np.flatnonzero(half.ravel() <= radius), self.entries.size)
        if not query.size:
            return HashPairs.none()
        rest = np.bitwise_count(queries[query, 2:] ^ self.words[2:, row].T).sum(axis=1)
        bits = half[query, row].astype(np.int64) + rest.astype(np.int64)
        kept = np.flatnonzero(bits <= radius)
        return HashPairs(query[kept], self.entries[row[kept]], bits[kept])


def hashes_as_words(hashes: Sequence[bytes]) -> Words:
    """Return hashes of 32 bytes as an array (N, 4) of 64-bit words."""
    if set(map(len, hashes)) - {PDQ_BYTES}:
        raise ValueError("a PDQ hash has 32 bytes")
    return np.frombuffer(b"".join(hashes), dtype=np.uint64).reshape(-1, 4)
