"""How a hash is cut for multi-index hashing, and why nothing within the radius is missed.

After Norouzi, Punjani and Fleet, "Fast Exact Search in Hamming Space with Multi-Index Hashing"
(IEEE TPAMI 36(6), 2014; CVPR 2012), section 3.

*Claim.* Cut 256 bits into m substrings and write the radius as r = m q + a with 0 <= a < m. If two
hashes differ in at most r bits, then they differ in at most q bits in one of the first a + 1
substrings, or in at most q - 1 bits in one of the others.

*Proof.* Suppose not. Each of the first a + 1 substrings then differs in at least q + 1 bits, each
of the m - a - 1 others in at least q. That is (a + 1)(q + 1) + (m - a - 1) q = m q + a + 1 = r + 1
bits at least, more than r.

So it is enough to look up, for every substring of a query, the table entries that differ from it in
so few bits ("probes"), and to count bits for what is found there ("candidates"). With r = 31:

    substrings   width in bits   probes   candidates per million random hashes
    16           16                 272   4,150
    13           19 or 20         1,409   1,420
    11           23 or 24         2,866     290

Fewer substrings need larger tables (4 bytes times 2 to the width, each) and more probes, and find
fewer candidates: right for larger banks.

*Folded.* A gate asks for each hash and for its complement, the hash of the picture in inverted
colours. A substring of a hash differs from one of the other in q bits where the complements of both
do. So a folded plan lists a substring and its complement in one cell: by whichever of the two has
the highest bit clear. A cell that is q bits away from one of them is so from the other, and asking
once answers both. Its tables are half as large, and twice as many candidates are found, in a
million random hashes:

    12           21 or 22         2,032   1,450

for two queries, where 13 substrings need 2 x 1,409 probes for 2 x 1,420 candidates.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.index.scan import Words
from entrenous.spec import PDQ_BYTES, PDQ_RADIUS

Keys = NDArray[np.int64]

_BITS: Final = 8 * PDQ_BYTES
_WORD: Final = 64
# Up to so many hashes each; measured on random ones (again: python -m bench.stop --sizes).
_SCANNED_MAX: Final = 10_000
_SIXTEEN_MAX: Final = 300_000
_THIRTEEN_MAX: Final = 2_000_000
_FOLDED: Final = 12  # substrings of the one plan that is


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Where ``substrings`` substrings lie in a hash, and which table entries a query looks up.

    All tables are one array of ``buckets`` cells; a substring's table begins at its ``first``. Each
    probe (P of them) is a substring (``which``) and the bits to change in it (``flips``). Wider
    substrings come first, so that every table begins at a multiple of its size: changing bits of a
    cell's number stays inside the table. ``high`` is the highest bit of each substring where the
    plan is folded, else 0.
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
    def of(cls, substrings: int, radius: int = PDQ_RADIUS, *, folded: bool = False) -> Self:
        """The plan that finds everything up to ``radius`` bits away."""
        width, longer = divmod(_BITS, substrings)
        widths = [width + (place < longer) for place in range(substrings)]
        starts = np.cumsum([0, *widths[:-1]])
        radii = _radii(substrings, radius)
        flips = [_flips(*one) for one in zip(widths, radii, strict=True)]
        if folded:
            flips = [_folded(*one) for one in zip(flips, widths, strict=True)]
        tables = np.cumsum([0, *(1 << one - folded for one in widths)])
        return cls(
            substrings,
            int(tables[-1]),
            tables[:-1].astype(np.int64),
            np.repeat(np.arange(substrings), [len(one) for one in flips]),
            np.concatenate(flips),
            starts // _WORD,
            (starts % _WORD).astype(np.uint64),
            np.asarray([(1 << one) - 1 for one in widths], dtype=np.uint64),
            np.asarray([folded << one - 1 for one in widths], dtype=np.uint64),
        )

    @property
    def is_folded(self) -> bool:
        """Whether a hash and its complement lie in the same cells."""
        return bool(self.high[0])

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many cells each substring's table has."""
        return tuple(int(mask) + 1 >> self.is_folded for mask in self.mask)

    def cells(self, words: Words) -> Keys:
        """The cell of each substring of each hash: (N, 4) words -> (N, substrings)."""
        after = np.minimum(self.word + 1, words.shape[1] - 1)
        low = words.take(self.word, axis=1) >> self.shift
        # Where a substring ends inside its word this adds only bits that the mask takes away.
        high = words.take(after, axis=1) << (np.uint64(_WORD) - self.shift)
        found = (low | high) & self.mask
        if self.is_folded:
            found = np.where(found & self.high, found ^ self.mask, found)
        return np.asarray(found.astype(np.int64) + self.first)

    def column(self, words: Words, place: int) -> NDArray[np.uint64]:
        """The substring at ``place`` of each hash: (N, 4) words -> (N,), counted from 0."""
        word, shift = int(self.word[place]), self.shift[place]
        low = words[:, word] >> shift
        if int(shift) + int(self.mask[place]).bit_length() > _WORD:
            low |= words[:, word + 1] << (np.uint64(_WORD) - shift)
        low &= self.mask[place]
        if self.is_folded:
            np.bitwise_xor(low, self.mask[place], out=low, where=(low & self.high[place]) != 0)
        return np.asarray(low)

    def probes(self, cells: Keys) -> Keys:
        """Every cell to look into: (Q, substrings) -> (Q, P)."""
        keys = cells.take(self.which, axis=1)
        keys ^= self.flips
        return keys


@cache
def plan_of(substrings: int) -> Plan:
    """:meth:`Plan.of` at radius 31, made once; that of 12 substrings is folded."""
    return Plan.of(substrings, folded=substrings == _FOLDED)


def substrings_for(hashes: int, *, inverted: bool = False) -> int:
    """Into how many substrings to cut in a bank of this size; 0: compare with every hash.

    ``inverted`` says that most queries come with their complements.
    """
    if hashes <= _SCANNED_MAX:
        return 0
    if hashes <= _SIXTEEN_MAX:
        return 16
    if hashes <= _THIRTEEN_MAX:
        return _FOLDED if inverted else 13
    return 11


def _radii(substrings: int, radius: int) -> list[int]:
    """How far to look in each substring; -1 where there is nothing to look for."""
    each, rest = divmod(radius, substrings)
    return [each if place <= rest else each - 1 for place in range(substrings)]


def _flips(width: int, radius: int) -> Keys:
    """Every pattern of at most ``radius`` of ``width`` bits, ascending, as memory is laid out."""
    patterns = (
        sum(1 << place for place in places)
        for ones in range(radius + 1)
        for places in combinations(range(width), ones)
    )
    return np.asarray(sorted(patterns), dtype=np.int64)


def _folded(flips: Keys, width: int) -> Keys:
    """From a cell to where what differs in these bits is listed, itself or by its complement."""
    mask, high = (1 << width) - 1, 1 << width - 1
    return np.sort(np.where(flips & high, flips ^ mask, flips))
