"""A snapshot of an index: its bases, and the hashes registered since."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.base.limits import PDQ_RADIUS
from entrenous.fingerprint.linear_scan import Pairs, ScanIndex, Words, as_words
from entrenous.fingerprint.multi_index import Searchable, build_searchable
from entrenous.fingerprint.nouns import NearHash
from entrenous.stop.index.base_file import SINGLE_SHARD, Shard, highest_number, not_in_base, rows_of
from entrenous.stop.nouns import Entry

MapSearch = Callable[[Callable[[Searchable], Pairs], Iterable[Searchable]], Iterable[Pairs]]
# Results that are cached: more than the uploads that are judged at the same time.
_CACHED_RESULTS_MAX: Final = 32


@dataclass(frozen=True, slots=True, eq=False)
class HashKind:
    """The hashes of one kind, of whole pictures or of parts: those in the base of each shard, and
    later ones.
    """

    bases: tuple[Searchable, ...]
    later: ScanIndex

    @classmethod
    def of(cls, *bases: Searchable) -> Self:
        return cls(bases, ScanIndex.empty())

    @property
    def count(self) -> int:
        return sum(one.entries.size for one in (*self.bases, self.later))

    def near(self, queries: Words, map_search: MapSearch = map) -> list[NearHash]:
        """Return all registered hashes within 31 bits.

        ``map_search`` applies the search to all shards, one after the other or at the same time.
        """
        found = map_search(partial(_find_pairs, queries), self.bases)
        return Pairs.joined([*found, _find_pairs(queries, self.later)]).to_near_hashes()

    def with_added_entries(self, new_entries: Sequence[Entry]) -> Self:
        if not new_entries:
            return self
        numbers, hashes = [one.number for one in new_entries], [one.bits for one in new_entries]
        return replace(self, later=self.later.with_added(numbers, hashes))

    def rows(self, shard: Shard) -> tuple[NDArray[np.int64], Words]:
        """Return the entry numbers of a shard, ascending, and their hashes."""
        base = self.bases[shard.number]
        entries, words = shard.select(self.later.entries, rows_of(self.later))
        return np.concatenate([base.entries, entries]), np.concatenate([rows_of(base), words])


@dataclass(frozen=True, slots=True, eq=False)
class IndexSnapshot:
    """Everything that an index knows at one time; immutable, so that look-ups are undisturbed.

    ``seen`` is the highest entry number that was read from the bank, ``upto`` the highest in the
    base of each shard. Shards are written one after the other, so these may differ. ``asked``
    caches results for whole pictures. A gate looks up each upload twice. If nothing was added in
    between, the second look-up takes its result from the cache.
    """

    whole: HashKind
    parts: HashKind
    seen: int
    upto: tuple[int, ...]
    cached_results: dict[tuple[bytes, ...], list[NearHash]] = field(
        default_factory=dict, init=False
    )

    @classmethod
    def of(cls, *bases: tuple[Searchable, Searchable]) -> Self:
        """Make a snapshot of these bases, which have whole pictures and parts of each shard."""
        wholes, parts = zip(*bases, strict=True)
        upto = tuple(highest_number(kinds) for kinds in bases)
        return cls(HashKind.of(*wholes), HashKind.of(*parts), min(upto), upto)

    @classmethod
    def nothing(cls) -> Self:
        return cls.of((ScanIndex.empty(), ScanIndex.empty()))

    @property
    def count(self) -> int:
        return self.whole.count + self.parts.count

    @property
    def later(self) -> int:
        """Return how many hashes are not in the base."""
        return self.whole.later.entries.size + self.parts.later.entries.size

    def near(
        self, hashes: Sequence[bytes], *, part: bool, map_search: MapSearch = map
    ) -> list[NearHash]:
        """Return all registered hashes within 31 bits."""
        if part:
            return self.parts.near(as_words(hashes), map_search)
        same = tuple(hashes)
        found = self.cached_results.pop(same, None)
        if found is None:
            found = self.whole.near(as_words(hashes), map_search)
            if len(self.cached_results) >= _CACHED_RESULTS_MAX:
                self.cached_results.clear()  # left over from uploads without a second look-up
            self.cached_results[same] = found
        return found

    def with_added_entries(self, new_entries: Sequence[Entry]) -> Self:
        """Return a snapshot that also has these entries of the bank, which are in order."""
        if not new_entries:
            return self
        unknown = not_in_base(new_entries, self.upto)
        whole = self.whole.with_added_entries([one for one in unknown if not one.part])
        parts = self.parts.with_added_entries([one for one in unknown if one.part])
        return replace(self, whole=whole, parts=parts, seen=new_entries[-1].number)

    def sorted(self, shard: Shard = SINGLE_SHARD) -> tuple[Searchable, Searchable]:
        """Return all hashes of a shard, ready to be written as a base: whole pictures, and
        parts.
        """
        whole, parts = self.whole.rows(shard), self.parts.rows(shard)
        return build_searchable(*whole, inverted=True), build_searchable(*parts)


def _find_pairs(queries: Words, index: Searchable) -> Pairs:
    return index.pairs(queries, PDQ_RADIUS)
