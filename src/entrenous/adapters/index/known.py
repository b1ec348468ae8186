"""All that an index knows at one moment: a base, and what was registered since."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from entrenous.adapters.index.base_file import rows_of
from entrenous.craft.fingerprint.index import (
    Pairs,
    ScanIndex,
    Searchable,
    Words,
    as_words,
    searchable,
)
from entrenous.model.bank import Entry
from entrenous.model.fingerprint import Near
from entrenous.spec import PDQ_RADIUS


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """Hashes of whole pictures, or of parts: those in the base, and later ones."""

    base: Searchable
    later: ScanIndex

    @classmethod
    def of(cls, base: Searchable) -> Self:
        """Nothing later."""
        return cls(base, ScanIndex.empty())

    @property
    def count(self) -> int:
        """How many hashes."""
        return self.base.entries.size + self.later.entries.size

    def near(self, wanted: Words) -> list[Near]:
        """All within 31 bits; an entry is in one of the two."""
        found = [one.pairs(wanted, PDQ_RADIUS) for one in (self.base, self.later)]
        return Pairs.joined(found).near()

    def with_news(self, news: Sequence[Entry]) -> Self:
        """And these."""
        if not news:
            return self
        numbers, hashes = [one.number for one in news], [one.bits for one in news]
        return replace(self, later=self.later.with_added(numbers, hashes))

    def rows(self) -> tuple[NDArray[np.int64], Words]:
        """Every entry number, ascending, and its hash."""
        both = (self.base, self.later)
        entries = np.concatenate([one.entries for one in both])
        return entries, np.concatenate([rows_of(one) for one in both])


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Immutable, so that a look-up goes on undisturbed while the next one already knows more.

    ``seen`` is the highest entry number that was read from the bank.
    """

    whole: Kind
    parts: Kind
    seen: int

    @classmethod
    def of(cls, whole: Searchable, parts: Searchable, seen: int) -> Self:
        """What a base knows."""
        return cls(Kind.of(whole), Kind.of(parts), seen)

    @classmethod
    def nothing(cls) -> Self:
        """Before anything was read."""
        return cls.of(ScanIndex.empty(), ScanIndex.empty(), 0)

    @property
    def count(self) -> int:
        """How many hashes."""
        return self.whole.count + self.parts.count

    @property
    def later(self) -> int:
        """How many of them are not in the base."""
        return self.whole.later.entries.size + self.parts.later.entries.size

    def near(self, hashes: Sequence[bytes], *, part: bool) -> list[Near]:
        """All within 31 bits."""
        return (self.parts if part else self.whole).near(as_words(hashes))

    def with_news(self, news: Sequence[Entry]) -> Self:
        """And these entries of the bank, which are in order."""
        if not news:
            return self
        whole = self.whole.with_news([one for one in news if not one.part])
        parts = self.parts.with_news([one for one in news if one.part])
        return replace(self, whole=whole, parts=parts, seen=news[-1].number)

    def sorted(self) -> tuple[Searchable, Searchable]:
        """All of it, ready to be written as a base: whole pictures, and parts."""
        return searchable(*self.whole.rows()), searchable(*self.parts.rows())
