"""Multi-index hashing: exact search within 31 bits in a large immutable set of hashes.

A hash is cut into substrings, and for each substring a table lists the hashes by its value. If two
hashes are near each other, at least one pair of corresponding substrings is near as well. So a
query looks up the cells of its own substrings and of those near them (the probes), and no match is
missed. In a folded plan, a hash and its complement are in the same cells.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.base.limits import PDQ_BYTES, PDQ_RADIUS_BITS
from entrenous.fingerprint.linear_scan import HashPairs, Numbers, ScanIndex, Words

Keys = NDArray[np.int64]
_HASH_BITS: Final = 8 * PDQ_BYTES
_WORD_BITS: Final = 64
# The largest set of hashes for each plan, measured on random hashes (python -m bench.stop --sizes).
_LINEAR_SCAN_HASHES_MAX: Final = 10_000
_SIXTEEN_SUBSTRINGS_HASHES_MAX: Final = 300_000
_THIRTEEN_SUBSTRINGS_HASHES_MAX: Final = 2_000_000
_FOLDED_SUBSTRINGS: Final = 12  # substrings in the folded plan


@dataclass(frozen=True, slots=True, eq=False)
class SubstringPlan:
    """The positions of substrings in a hash, and the table cells that a query looks up.

    All tables are one array of ``buckets`` cells; ``first`` says where each substring's table
    begins. Each of P probes is a substring (``which``), and the bits to change in it (``flips``).
    Wider substrings come first. So every table begins at a multiple of its size, and changing bits
    of a cell's number leads to a cell of the same table. ``high`` is the highest bit of each
    substring if the plan is folded, and otherwise 0.
    """

    substrings: int
    buckets: int
    first: Keys
    which: Keys
    flips: Keys
    word: Keys
    shift: NDArray[np.uint64]
    mask: NDArray[np.uint64]
    high: NDArray[np.uint64]

    @classmethod
    def of(cls, substrings: int, radius: int = PDQ_RADIUS_BITS, *, folded: bool = False) -> Self:
        width, longer = divmod(_HASH_BITS, substrings)
        widths = [width + (place < longer) for place in range(substrings)]
        starts = np.cumsum([0, *widths[:-1]])
        radii = _substring_radii(substrings, radius)
        flips = [_flip_patterns(*one) for one in zip(widths, radii, strict=True)]
        if folded:
            flips = [_folded_cells(*one) for one in zip(flips, widths, strict=True)]
        tables = np.cumsum([0, *(1 << one - folded for one in widths)])
        return cls(
            substrings,
            int(tables[-1]),
            tables[:-1].astype(np.int64),
            np.repeat(np.arange(substrings), [len(one) for one in flips]),
            np.concatenate(flips),
            starts // _WORD_BITS,
            (starts % _WORD_BITS).astype(np.uint64),
            np.asarray([(1 << one) - 1 for one in widths], dtype=np.uint64),
            np.asarray([folded << one - 1 for one in widths], dtype=np.uint64),
        )

    @property
    def is_folded(self) -> bool:
        """True if a hash and its complement are in the same cells."""
        return bool(self.high[0])

    @property
    def table_sizes(self) -> tuple[int, ...]:
        return tuple(int(mask) + 1 >> self.is_folded for mask in self.mask)

    def cells(self, words: Words) -> Keys:
        """Return the cell of each substring of each hash: (N, 4) words -> (N, substrings)."""
        after = np.minimum(self.word + 1, words.shape[1] - 1)
        low = words.take(self.word, axis=1) >> self.shift
        # If a substring lies within one word, this only adds bits that the mask removes.
        high = words.take(after, axis=1) << (np.uint64(_WORD_BITS) - self.shift)
        found = (low | high) & self.mask
        if self.is_folded:
            found = np.where(found & self.high, found ^ self.mask, found)
        return np.asarray(found.astype(np.int64) + self.first)

    def substring_column(self, words: Words, place: int) -> NDArray[np.uint64]:
        """Return the substring at index ``place`` of each hash: (N, 4) words -> (N,)."""
        word, shift = int(self.word[place]), self.shift[place]
        low = words[:, word] >> shift
        if int(shift) + int(self.mask[place]).bit_length() > _WORD_BITS:
            low |= words[:, word + 1] << (np.uint64(_WORD_BITS) - shift)
        low &= self.mask[place]
        if self.is_folded:
            np.bitwise_xor(low, self.mask[place], out=low, where=(low & self.high[place]) != 0)
        return np.asarray(low)

    def cells_to_probe(self, cells: Keys) -> Keys:
        """Return all cells to look up: (Q, substrings) -> (Q, P)."""
        keys = cells.take(self.which, axis=1)
        keys ^= self.flips
        return keys


@cache
def substring_plan(substrings: int) -> SubstringPlan:
    """Return :meth:`SubstringPlan.of` for radius 31, cached; with 12 substrings, it is folded."""
    return SubstringPlan.of(substrings, folded=substrings == _FOLDED_SUBSTRINGS)


def substring_count_for(hashes: int, *, inverted: bool = False) -> int:
    """Return the number of substrings for a bank of this size; 0 means to compare all hashes.

    ``inverted`` says that most queries come with their complements.
    """
    if hashes <= _LINEAR_SCAN_HASHES_MAX:
        return 0
    if hashes <= _SIXTEEN_SUBSTRINGS_HASHES_MAX:
        return 16
    if hashes <= _THIRTEEN_SUBSTRINGS_HASHES_MAX:
        return _FOLDED_SUBSTRINGS if inverted else 13
    return 11


def _substring_radii(substrings: int, radius: int) -> list[int]:
    """Return the search radius for each substring; -1 means no search."""
    each, rest = divmod(radius, substrings)
    return [each if place <= rest else each - 1 for place in range(substrings)]


def _flip_patterns(width: int, radius: int) -> Keys:
    """Return all patterns of ``width`` bits of which at most ``radius`` are set.

    The patterns ascend, so that memory is read in order.
    """
    patterns = (
        sum(1 << place for place in places)
        for ones in range(radius + 1)
        for places in combinations(range(width), ones)
    )
    return np.asarray(sorted(patterns), dtype=np.int64)


def _folded_cells(flips: Keys, width: int) -> Keys:
    """Return the patterns for a folded table: those with the highest bit set are complemented."""
    mask, high = (1 << width) - 1, 1 << width - 1
    return np.sort(np.where(flips & high, flips ^ mask, flips))


_TOP_BIT_SHIFT: Final = np.uint64(63)


@dataclass(frozen=True, slots=True, eq=False)
class FoldedQueries:
    """Queries without duplicates and complements.

    Each query is one of ``words`` (U, 4), or the complement of one.

    ``keys`` (Q,) has a number for each query: twice its row in ``words``, plus one if the query is
    the complement.
    """

    words: Words
    keys: Numbers

    @classmethod
    def without_duplicates(cls, queries: Words) -> Self:
        is_complement = queries[:, 0] >> _TOP_BIT_SHIFT
        upright = np.where(is_complement[:, None], ~queries, queries)
        rows: dict[bytes, int] = {}
        keys = [
            2 * rows.setdefault(one.tobytes(), len(rows)) + turn
            for one, turn in zip(upright, is_complement.tolist(), strict=True)
        ]
        words = np.frombuffer(b"".join(rows), dtype=np.uint64).reshape(-1, 4)
        return cls(words, np.asarray(keys, dtype=np.int64))

    def unfold(self, found: HashPairs) -> HashPairs:
        """Distribute the pairs that were found for ``words`` to the original queries.

        Distances in ``found`` are from ``words``, and range up to 256.
        """
        if not found.query.size:
            return found
        is_complement = found.distance > _HASH_BITS // 2
        keys = 2 * found.query + is_complement
        distance = np.where(is_complement, _HASH_BITS - found.distance, found.distance)
        order = np.argsort(self.keys, kind="stable")
        first = np.searchsorted(self.keys[order], keys, side="left")
        counts = np.searchsorted(self.keys[order], keys, side="right") - first
        of = np.arange(keys.size).repeat(counts)
        within = np.arange(of.size) - (np.cumsum(counts) - counts).repeat(counts)
        return HashPairs(order[first[of] + within], found.entry[of], distance[of])


# the memory for looking up this many cells at a time fits into the processor's cache
_PROBES_AT_ONCE: Final = 1 << 14
# this many candidates are compared at a time, to limit memory if cells are crowded
_CANDIDATES_AT_ONCE: Final = 1 << 18
_BYTE_SUM_FACTOR: Final = np.uint32(0x01010101)
_LOW_BYTE_MASK: Final = np.uint32(0xFF)
_ROW_BITS: Final = np.uint64(32)
_ROWS_MAX: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True, eq=False)
class IndexSegment:
    """A set of hashes ``words`` (N, 4), their distinct numbers ``entries`` (N,), and tables.

    ``order`` (substrings * N,) lists the rows of all cells one after another. The rows in cell c
    of the plan's tables are ``order[starts[c]:starts[c + 1]]``.
    """

    plan: SubstringPlan
    entries: NDArray[np.int64]
    words: Words
    starts: NDArray[np.uint32]
    order: NDArray[np.uint32]

    @classmethod
    def built(cls, plan: SubstringPlan, entries: NDArray[np.int64], words: Words) -> Self:
        """Build the tables by sorting the rows by each substring.

        Raises: ValueError: the tables would list more than 2**32 rows; divide the bank by hash
        (docs/stop.md).
        """
        count = len(words)
        if plan.substrings * count > _ROWS_MAX:
            raise ValueError("too many hashes for one index")
        starts = np.zeros(plan.buckets + 1, dtype=np.uint32)
        order = np.empty(plan.substrings * count, dtype=np.uint32)
        for place, (first, size) in enumerate(_table_starts_and_sizes(plan)):
            listed = slice(place * count, (place + 1) * count)
            ends, order[listed] = _sort_rows_by_cell(plan.substring_column(words, place), size)
            starts[first + 1 : first + size + 1] = ends + np.uint32(place * count)
        return cls(plan, entries, words, starts, order)

    def pairs(self, queries: Words, radius: int) -> HashPairs:
        """Return all pairs of (Q, 4) queries and entries that differ in at most ``radius`` bits.

        Raises: ValueError: the radius is above 31, for which the plan was made.
        """
        if radius > PDQ_RADIUS_BITS:
            raise ValueError("the largest radius is 31 bits")
        if self.plan.is_folded:
            folded = FoldedQueries.without_duplicates(queries)
            return folded.unfold(self._find_all_pairs(folded.words, radius))
        return self._find_all_pairs(queries, radius)

    def _find_all_pairs(self, queries: Words, radius: int) -> HashPairs:
        at_once = max(1, _PROBES_AT_ONCE // max(1, len(self.plan.flips)))
        found = [
            self._find_pairs_in_batch(queries[start : start + at_once], radius).with_query_offset(
                start
            )
            for start in range(0, len(queries), at_once)
        ]
        return HashPairs.joined(found)

    def _find_pairs_in_batch(self, queries: Words, radius: int) -> HashPairs:
        cells = self.plan.cells_to_probe(self.plan.cells(queries))
        lows = self.starts.take(cells, mode="clip")
        cells += 1
        sizes = self.starts.take(cells, mode="clip")
        sizes -= lows
        found = [
            self._verify_candidates(queries, query, places, radius)
            for query, places in _candidate_batches(lows, sizes)
        ]
        return HashPairs.joined(found).distinct()

    def _verify_candidates(
        self, queries: Words, query: Keys, places: Keys, radius: int
    ) -> HashPairs:
        rows = self.order.take(places, mode="clip")
        changed = self.words.take(rows, axis=0, mode="clip")
        changed ^= queries if len(queries) == 1 else queries.take(query, axis=0)
        bits = _count_bits_modulo_256(changed)
        # an entry is near the query or its complement if the distance modulo 256 is from -31 to 31
        if self.plan.is_folded:
            kept = np.flatnonzero((bits + np.uint32(radius)) & _LOW_BYTE_MASK <= 2 * radius)
            distance = bits[kept].astype(np.int64)
            distance[(distance == 0) & (changed[kept, 0] != 0)] = 256
        else:
            kept = np.flatnonzero(bits <= radius)
            distance = bits[kept].astype(np.int64)
        return HashPairs(query[kept], self.entries[rows[kept]], distance)


def _count_bits_modulo_256(changed: Words) -> NDArray[np.uint32]:
    """Return the number of set bits in each row: (N, 4) -> (N,).

    A result of 0 may also mean 256, because the sum is kept in one byte. Without folding, it always
    means 0: a substring nearly matches, so not all bits are set. One multiplication adds four
    bytes, which is three times as fast as summing along an axis.
    """
    counts = np.bitwise_count(changed).view(np.uint32).ravel()
    counts *= _BYTE_SUM_FACTOR
    counts >>= np.uint32(24)
    return counts


def _candidate_batches(
    lows: NDArray[np.uint32], sizes: NDArray[np.uint32]
) -> Iterator[tuple[Keys, Keys]]:
    """Yield all candidates in batches: their queries, and their indices in ``order``.

    ``lows`` and ``sizes`` (Q, P) give the range in ``order`` for each probe.
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    total = int(ends[-1]) if ends.size else 0
    shift = lows.ravel() - (ends - sizes.ravel())
    of_query = np.arange(len(sizes)).repeat(sizes.shape[1]) if len(sizes) > 1 else None
    for start in range(0, total, _CANDIDATES_AT_ONCE):
        stop = min(total, start + _CANDIDATES_AT_ONCE)
        first, last = np.searchsorted(ends, [start, stop - 1], side="right")
        here = slice(int(first), int(last) + 1)
        within = np.clip(ends[here], start, stop)
        counts = within - np.concatenate([[start], within[:-1]])
        places = np.arange(start, stop) + shift[here].repeat(counts)
        query = (
            np.zeros(len(places), np.int64) if of_query is None else of_query[here].repeat(counts)
        )
        yield query, places


def _table_starts_and_sizes(plan: SubstringPlan) -> list[tuple[int, int]]:
    return list(zip(map(int, plan.first), plan.table_sizes, strict=True))


def _sort_rows_by_cell(
    column: NDArray[np.uint64], size: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return where each cell of a table ends, and the rows sorted by cell.

    A substring and its row are sorted as one number, which is several times faster in NumPy than
    argsort.
    """
    joined = column << _ROW_BITS
    joined |= np.arange(len(column), dtype=np.uint64)
    joined.sort()
    rows = joined.astype(np.uint32)  # the lower half of each number is the row
    joined >>= _ROW_BITS
    return _cell_ends(joined.view(np.int64), size), rows


def _cell_ends(cells: Keys, size: int) -> NDArray[np.uint32]:
    """Return, for each of ``size`` cells, how many of the sorted ``cells`` are at most its number.

    Only the last row of each cell is written, and then spread over the empty cells that follow.
    This takes a fifth of the time of counting, and blocks no other threads.
    """
    ends = np.zeros(size, dtype=np.uint32)
    if cells.size:
        last = np.append(np.flatnonzero(cells[1:] != cells[:-1]), cells.size - 1)
        ends[cells[last]] = last + 1
    return np.maximum.accumulate(ends, out=ends)


HashIndex = ScanIndex | IndexSegment


def build_hash_index(
    entries: NDArray[np.int64], words: Words, *, inverted: bool = False
) -> HashIndex:
    """Return an index of distinct ``entries`` (N,) and their hashes, (N, 4) words.

    ``inverted`` is as in :func:`substring_count_for`. For large sets, this takes about 0.8 s per
    million hashes, and temporarily twice the memory.
    """
    substrings = substring_count_for(len(entries), inverted=inverted)
    if not substrings:
        return ScanIndex(entries, np.ascontiguousarray(words.T))
    return IndexSegment.built(substring_plan(substrings), entries, words)
