"""A large immutable set of hashes, searched exactly by multi-index hashing (see ``plan``).

Nothing here is written to after it was built, so the arrays may as well lie in a file that several
processes map. Each look-up is a few gathers in NumPy, over several queries at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.index.folded import Folded
from entrenous.craft.fingerprint.index.pairs import Pairs
from entrenous.craft.fingerprint.index.plan import Keys, Plan
from entrenous.craft.fingerprint.index.scan import Words
from entrenous.spec import PDQ_RADIUS

_PROBES: Final = 1 << 14  # looked up at a time, so that the work stays in the processor's cache
_CANDIDATES: Final = 1 << 18  # compared at a time, so that a crowded bucket takes no more memory
_BYTE_SUM: Final = np.uint32(0x01010101)
_BYTE: Final = np.uint32(0xFF)
_ROW_BITS: Final = np.uint64(32)
_ROWS_MAX: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """``entries`` (N,) are numbers, all different, and their hashes, ``words`` (N, 4).

    ``order`` (substrings * N,) lists the rows by their substrings, all those in cell c of the
    plan's tables being ``order[starts[c]:starts[c + 1]]``.
    """

    plan: Plan
    entries: NDArray[np.int64]
    words: Words
    starts: NDArray[np.uint32]
    order: NDArray[np.uint32]

    @classmethod
    def built(cls, plan: Plan, entries: NDArray[np.int64], words: Words) -> Self:
        """Sort the rows by each substring.

        Raises:
            ValueError: more than 2**32 places to list: divide the bank by hash (docs/stop.md).
        """
        count = len(words)
        if plan.substrings * count > _ROWS_MAX:
            raise ValueError("too many hashes for one index")
        starts = np.zeros(plan.buckets + 1, dtype=np.uint32)
        order = np.empty(plan.substrings * count, dtype=np.uint32)
        for place, (first, size) in enumerate(_tables(plan)):
            listed = slice(place * count, (place + 1) * count)
            ends, order[listed] = _sorted(plan.column(words, place), size)
            starts[first + 1 : first + size + 1] = ends + np.uint32(place * count)
        return cls(plan, entries, words, starts, order)

    def pairs(self, wanted: Words, radius: int) -> Pairs:
        """Every pair of one of (Q, 4) queries and an entry that differ in at most ``radius`` bits.

        Raises:
            ValueError: a radius above 31, for which the plan was not made.
        """
        if radius > PDQ_RADIUS:
            raise ValueError("an index finds what is at most 31 bits away")
        if self.plan.is_folded:
            folded = Folded.of(wanted)
            return folded.unfolded(self._all(folded.words, radius))
        return self._all(wanted, radius)

    def _all(self, wanted: Words, radius: int) -> Pairs:
        at_once = max(1, _PROBES // max(1, len(self.plan.flips)))
        found = [
            self._some(wanted[start : start + at_once], radius).later(start)
            for start in range(0, len(wanted), at_once)
        ]
        return Pairs.joined(found)

    def _some(self, wanted: Words, radius: int) -> Pairs:
        cells = self.plan.probes(self.plan.cells(wanted))
        lows = self.starts.take(cells, mode="clip")
        cells += 1
        sizes = self.starts.take(cells, mode="clip")
        sizes -= lows
        found = [
            self._verified(wanted, query, places, radius) for query, places in _spread(lows, sizes)
        ]
        return Pairs.joined(found).distinct()

    def _verified(self, wanted: Words, query: Keys, places: Keys, radius: int) -> Pairs:
        rows = self.order.take(places, mode="clip")
        changed = self.words.take(rows, axis=0, mode="clip")
        changed ^= wanted if len(wanted) == 1 else wanted.take(query, axis=0)
        bits = _counted(changed)
        if self.plan.is_folded:  # near it or near its complement: modulo 256, from -31 to 31
            kept = np.flatnonzero((bits + np.uint32(radius)) & _BYTE <= 2 * radius)
            distance = bits[kept].astype(np.int64)
            distance[(distance == 0) & (changed[kept, 0] != 0)] = 256
        else:
            kept = np.flatnonzero(bits <= radius)
            distance = bits[kept].astype(np.int64)
        return Pairs(query[kept], self.entries[rows[kept]], distance)


def _counted(changed: Words) -> NDArray[np.uint32]:
    """How many of 256 bits are set, (N, 4) -> (N,), with 0 for 256.

    One multiplication adds up four bytes. Adding along an axis of four would take three times as
    long. Where the plan is not folded a substring nearly agrees, so that never all are set.
    """
    counts = np.bitwise_count(changed).view(np.uint32).ravel()
    counts *= _BYTE_SUM
    counts >>= np.uint32(24)
    return counts


def _spread(lows: NDArray[np.uint32], sizes: NDArray[np.uint32]) -> Iterator[tuple[Keys, Keys]]:
    """The query and the place in ``order`` of every candidate, some at a time.

    ``lows`` and ``sizes`` (Q, P) say which stretch of ``order`` each probe found.
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    total = int(ends[-1]) if ends.size else 0
    shift = lows.ravel() - (ends - sizes.ravel())
    of_query = np.arange(len(sizes)).repeat(sizes.shape[1]) if len(sizes) > 1 else None
    for start in range(0, total, _CANDIDATES):
        stop = min(total, start + _CANDIDATES)
        first, last = np.searchsorted(ends, [start, stop - 1], side="right")
        here = slice(int(first), int(last) + 1)
        within = np.clip(ends[here], start, stop)
        many = within - np.concatenate([[start], within[:-1]])
        places = np.arange(start, stop) + shift[here].repeat(many)
        query = np.zeros(len(places), np.int64) if of_query is None else of_query[here].repeat(many)
        yield query, places


def _tables(plan: Plan) -> list[tuple[int, int]]:
    """First cell and size of each substring's table."""
    return list(zip(map(int, plan.first), plan.sizes, strict=True))


def _sorted(column: NDArray[np.uint64], size: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Where each bucket of a table ends, and the rows by bucket.

    Substring and row are sorted as one number, which NumPy does several times faster than it finds
    the order of substrings.
    """
    joined = column << _ROW_BITS
    joined |= np.arange(len(column), dtype=np.uint64)
    joined.sort()
    rows = joined.astype(np.uint32)  # the lower half
    joined >>= _ROW_BITS
    return _ends(joined.view(np.int64), size), rows


def _ends(cells: Keys, size: int) -> NDArray[np.uint32]:
    """How many of these sorted cells come up to each of ``size`` cells, itself included.

    Only the last of each bucket is written, and spread over the empty ones behind it: a fifth of
    the time that counting takes, and other threads are not held up.
    """
    ends = np.zeros(size, dtype=np.uint32)
    if cells.size:
        last = np.append(np.flatnonzero(cells[1:] != cells[:-1]), cells.size - 1)
        ends[cells[last]] = last + 1
    return np.maximum.accumulate(ends, out=ends)
