"""Queries of which some are the complements of others: each pair is asked about once.

What lies d bits from a hash lies 256 - d bits from its complement.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from entrenous.craft.fingerprint.index.pairs import Numbers, Pairs
from entrenous.craft.fingerprint.index.scan import Words

_BITS: Final = 256
_HIGHEST: Final = np.uint64(63)


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """``words`` (U, 4) stand for the queries: each query is one of them or its complement.

    ``keys`` (Q,) say which: twice its row, and one more for the complement.
    """

    words: Words
    keys: Numbers

    @classmethod
    def of(cls, wanted: Words) -> Self:
        """Of (Q, 4) queries."""
        turned = wanted[:, 0] >> _HIGHEST
        upright = np.where(turned[:, None], ~wanted, wanted)
        rows: dict[bytes, int] = {}
        keys = [
            2 * rows.setdefault(one.tobytes(), len(rows)) + turn
            for one, turn in zip(upright, turned.tolist(), strict=True)
        ]
        words = np.frombuffer(b"".join(rows), dtype=np.uint64).reshape(-1, 4)
        return cls(words, np.asarray(keys, dtype=np.int64))

    def unfolded(self, found: Pairs) -> Pairs:
        """What was found near ``words`` or their complements, by the queries that wanted it;
        distances in ``found`` are those from ``words``, up to 256.
        """
        if not found.query.size:
            return found
        turned = found.distance > _BITS // 2
        keys = 2 * found.query + turned
        distance = np.where(turned, _BITS - found.distance, found.distance)
        order = np.argsort(self.keys, kind="stable")
        first = np.searchsorted(self.keys[order], keys, side="left")
        many = np.searchsorted(self.keys[order], keys, side="right") - first
        of = np.arange(keys.size).repeat(many)
        within = np.arange(of.size) - (np.cumsum(many) - many).repeat(many)
        return Pairs(order[first[of] + within], found.entry[of], distance[of])
