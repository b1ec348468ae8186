"""What a search finds: pairs of a query and an entry, with their distance, as three arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from entrenous.model.fingerprint import Near

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The i-th pair is query ``query[i]`` and entry ``entry[i]``, ``distance[i]`` bits apart."""

    query: Numbers
    entry: Numbers
    distance: Numbers

    @classmethod
    def none(cls) -> Self:
        """No pair."""
        return cls(*(np.zeros(0, dtype=np.int64) for _ in range(3)))

    @classmethod
    def joined(cls, some: Sequence["Pairs"]) -> "Pairs":
        """One after the other."""
        some = [one for one in some if one.query.size]
        if len(some) < 2:
            return some[0] if some else cls.none()
        return cls(
            np.concatenate([one.query for one in some]),
            np.concatenate([one.entry for one in some]),
            np.concatenate([one.distance for one in some]),
        )

    def later(self, by: int) -> "Pairs":
        """The same with every query's number raised by ``by``."""
        return Pairs(self.query + by, self.entry, self.distance) if by else self

    def distinct(self) -> "Pairs":
        """Each pair of a query and an entry once."""
        if self.query.size < 2:
            return self
        order = np.lexsort((self.entry, self.query))
        query, entry = self.query[order], self.entry[order]
        fresh = np.r_[True, (np.diff(query) != 0) | (np.diff(entry) != 0)]
        return Pairs(query[fresh], entry[fresh], self.distance[order[fresh]])

    def near(self) -> list[Near]:
        """As the nouns that the port speaks of."""
        columns = (self.query.tolist(), self.entry.tolist(), self.distance.tolist())
        return [Near(*one) for one in zip(*columns, strict=True)]
