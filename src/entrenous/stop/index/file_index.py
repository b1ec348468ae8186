"""An IndexStore in a folder: a base that all processes map, and recent hashes in memory.

A look-up searches a snapshot, which has the base and the hashes that were registered since.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.base.limits import PDQ_RADIUS_BITS
from entrenous.fingerprint.linear_scan import HashPairs, ScanIndex, Words, hashes_as_words
from entrenous.fingerprint.multi_index import HashIndex, build_hash_index
from entrenous.fingerprint.nouns import NearHash
from entrenous.stop.index.base_file import (
    SINGLE_SHARD,
    BaseVerifier,
    DamagedBase,
    MappedBase,
    Shard,
    build_from_bank,
    entries_not_in_base,
    file_identity,
    has_file_size_changed,
    hash_words,
    highest_entry_number,
    lock_and_clean_folder,
    read_base,
    read_entry_pages,
    remove_files_of_other_shard_counts,
    remove_leftovers,
    write_base,
)
from entrenous.stop.nouns import HashEntry, IndexSize

if TYPE_CHECKING:
    from entrenous.stop.store.bank_store import BankStore

MapSearch = Callable[[Callable[[HashIndex], HashPairs], Iterable[HashIndex]], Iterable[HashPairs]]
# The number of cached results; it must exceed the number of uploads judged at once.
_CACHED_RESULTS_MAX: Final = 32


@dataclass(frozen=True, slots=True, eq=False)
class HashesOfKind:
    """The hashes of one kind, of whole pictures or of parts: those in the base of each shard, and
    later ones.
    """

    bases: tuple[HashIndex, ...]
    later: ScanIndex

    @classmethod
    def from_bases(cls, *bases: HashIndex) -> Self:
        return cls(bases, ScanIndex.empty())

    @property
    def count(self) -> int:
        return sum(one.entries.size for one in (*self.bases, self.later))

    def find_near_hashes(self, queries: Words, map_search: MapSearch = map) -> list[NearHash]:
        """Return all registered hashes that differ from a query in at most 31 bits.

        ``map_search`` applies the search to all shards, one after another or at the same time.
        """
        found = map_search(partial(_find_pairs, queries), self.bases)
        return HashPairs.joined([*found, _find_pairs(queries, self.later)]).to_near_hashes()

    def with_added_entries(self, new_entries: Sequence[HashEntry]) -> Self:
        if not new_entries:
            return self
        numbers, hashes = [one.number for one in new_entries], [one.bits for one in new_entries]
        return replace(self, later=self.later.with_added(numbers, hashes))

    def sorted_entries_of_shard(self, shard: Shard) -> tuple[NDArray[np.int64], Words]:
        """Return the entry numbers of a shard, ascending, and their hashes."""
        base = self.bases[shard.number]
        entries, words = shard.select(self.later.entries, hash_words(self.later))
        return np.concatenate([base.entries, entries]), np.concatenate([hash_words(base), words])


@dataclass(frozen=True, slots=True, eq=False)
class IndexSnapshot:
    """Everything that an index knows at one time; immutable, so that look-ups are undisturbed.

    ``seen`` is the highest entry number that was read from the bank, ``upto`` the highest in the
    base of each shard. Shards are written one after another, so these may differ.
    ``cached_results`` has results for whole pictures. A gate looks up each upload twice. If nothing
    was added in between, the second look-up takes its result from the cache.
    """

    whole: HashesOfKind
    parts: HashesOfKind
    seen: int
    upto: tuple[int, ...]
    cached_results: dict[tuple[bytes, ...], list[NearHash]] = field(
        default_factory=dict, init=False
    )

    @classmethod
    def from_bases(cls, *bases: tuple[HashIndex, HashIndex]) -> Self:
        """Make a snapshot of these bases, one for each shard; each has the hashes of whole pictures
        and of parts.
        """
        wholes, parts = zip(*bases, strict=True)
        upto = tuple(highest_entry_number(kinds) for kinds in bases)
        return cls(
            HashesOfKind.from_bases(*wholes), HashesOfKind.from_bases(*parts), min(upto), upto
        )

    @classmethod
    def empty_snapshot(cls) -> Self:
        return cls.from_bases((ScanIndex.empty(), ScanIndex.empty()))

    @property
    def count(self) -> int:
        return self.whole.count + self.parts.count

    @property
    def hash_count_outside_base(self) -> int:
        """Return how many hashes are not in the base."""
        return self.whole.later.entries.size + self.parts.later.entries.size

    def find_near_hashes(
        self, hashes: Sequence[bytes], *, part: bool, map_search: MapSearch = map
    ) -> list[NearHash]:
        """Return all registered hashes that differ from one of ``hashes`` in at most 31 bits."""
        if part:
            return self.parts.find_near_hashes(hashes_as_words(hashes), map_search)
        same = tuple(hashes)
        found = self.cached_results.pop(same, None)
        if found is None:
            found = self.whole.find_near_hashes(hashes_as_words(hashes), map_search)
            if len(self.cached_results) >= _CACHED_RESULTS_MAX:
                self.cached_results.clear()  # left over from uploads without a second look-up
            self.cached_results[same] = found
        return found

    def with_added_entries(self, new_entries: Sequence[HashEntry]) -> Self:
        """Return a snapshot that also has these entries of the bank, which are in order."""
        if not new_entries:
            return self
        unknown = entries_not_in_base(new_entries, self.upto)
        whole = self.whole.with_added_entries([one for one in unknown if not one.part])
        parts = self.parts.with_added_entries([one for one in unknown if one.part])
        return replace(self, whole=whole, parts=parts, seen=new_entries[-1].number)

    def sorted_shard(self, shard: Shard = SINGLE_SHARD) -> tuple[HashIndex, HashIndex]:
        """Return all hashes of a shard, of whole pictures and of parts, ready to be written as a
        base.
        """
        whole, parts = (
            self.whole.sorted_entries_of_shard(shard),
            self.parts.sorted_entries_of_shard(shard),
        )
        return build_hash_index(*whole, inverted=True), build_hash_index(*parts)


def _find_pairs(queries: Words, index: HashIndex) -> HashPairs:
    return index.pairs(queries, PDQ_RADIUS_BITS)


_UNMERGED_HASHES_MAX: Final = 32_768  # hashes in memory; a search through them takes 0.03 ms
# In a large index, more may be in memory: one hundredth of all hashes, so that a large base is not
# rewritten too often.
_UNMERGED_SHARE_DIVISOR: Final = 100
_RECOUNTS_MAX: Final = 5  # a bank that grows while it is counted is counted at most this often
WholesAndParts = tuple[HashIndex, HashIndex]  # whole pictures, and parts
Bases = tuple[MappedBase, ...]  # one for each shard


@dataclass(frozen=True, slots=True)
class IndexCounts:
    """The size of an index: how many hashes it knows, and how many of them are in the base."""

    whole: int
    parts: int
    in_base: int
    base_bytes: int

    @property
    def added_since_base(self) -> int:
        """Return how many hashes were added since the base was written."""
        return self.whole + self.parts - self.in_base


class FileIndex:
    """The index in a folder, made by ``open_index``.

    It may be used by several threads, and by several processes with the same number of shards.
    """

    __slots__ = ("_bank", "_bases", "_folder", "_known", "_lock", "_map", "_reread", "_shards")

    def __init__(self, folder: Path, bank: BankStore, shards: int = 1) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._shards, self._bank = folder, Shard.all_shards(shards), bank
        self._lock = threading.Lock()  # held while ``_known`` changes, never during a search
        self._map: MapSearch = map if shards == 1 else ThreadPoolExecutor(shards, "shard").map
        remove_leftovers(folder)
        self._bases = self._usable_bases() or self._find_or_make_bases()
        self._known, self._reread = IndexSnapshot.empty_snapshot(), BaseVerifier(self._bases)
        self._switch_to_bases(self._bases)

    def find_near_hashes(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[NearHash]:
        """Return all registered hashes that differ from one of ``hashes`` in at most 31 bits.

        The newest are included.
        """
        return self._catch_up().find_near_hashes(hashes, part=part, map_search=self._map)

    def part_hash_count(self) -> int:
        """Return the number of part hashes known at the last look-up."""
        return self._known.parts.count

    def switch_to_newer_bases(self) -> None:
        """Switch to the bases that another process has written, if there are any."""
        there = [file_identity(self._folder / shard.file_name) for shard in self._shards]
        if None in there or there == [base.file for base in self._bases]:
            return
        bases = self._usable_bases()
        if bases is None:
            self.rebuild()
        else:
            self._switch_to_bases(bases)

    def finds_damage(self, most_bytes: int) -> bool:
        """Verify at most ``most_bytes`` more bytes of the bases in use; return whether any have
        changed.

        Repeated calls verify everything.
        """
        if self._reread.bases is not self._bases:
            self._reread = BaseVerifier(self._bases)
        paths = (self._folder / shard.file_name for shard in self._shards)
        if any(has_file_size_changed(*one) for one in zip(paths, self._bases, strict=True)):
            return True
        return not self._reread.verify_some(most_bytes)

    def replace_damaged_bases(self) -> None:
        """Replace the present bases by those of another process, or by new ones from the bank."""
        before = [base.file for base in self._bases]
        with lock_and_clean_folder(self._folder, wait=True):
            bases = self._usable_bases()
            if bases is None or [base.file for base in bases] == before:
                self._write_and_use(self._base_from_bank)
            else:
                self._switch_to_bases(bases)

    def is_merge_due(self) -> bool:
        """Return whether a new base is due because enough hashes were added since the last one."""
        return self._known.hash_count_outside_base > max(
            _UNMERGED_HASHES_MAX, self._known.count // _UNMERGED_SHARE_DIVISOR
        )

    def merge(self) -> bool:
        """Write a base with all known hashes; return False if another process is writing one."""
        with lock_and_clean_folder(self._folder, wait=False) as locked:
            if locked:
                # Read the bases again, since damage must not be copied.
                bases = self._usable_bases()
                if bases is None:
                    self._write_and_use(self._base_from_bank)
                else:
                    self._switch_to_bases(bases)
                    self._write_and_use(self._catch_up().sorted_shard)
        return locked

    def rebuild(self) -> None:
        """Write a base from the bank alone."""
        with lock_and_clean_folder(self._folder, wait=True):
            self._write_and_use(self._base_from_bank)

    def has_withdrawn_hashes(self) -> bool:
        """Return whether the index has hashes that the bank no longer has, so that it has to be
        rebuilt.
        """
        for _ in range(_RECOUNTS_MAX):
            before = self._catch_up().count
            in_bank = self._bank.count_claims_and_hashes().hashes
            after = self._catch_up().count
            if before == after or in_bank < before:
                return in_bank != after
        return in_bank < after

    def counts(self) -> IndexCounts:
        known = self._catch_up()
        count = sum(base.count for base in self._bases)
        size = sum(base.size_bytes for base in self._bases)
        return IndexCounts(known.whole.count, known.parts.count, count, size)

    def size(self) -> IndexSize:
        """Return the present state for a gate's figures."""
        counts = self.counts()
        at = min(base.written_at for base in self._bases)
        return IndexSize(counts.in_base, counts.added_since_base, counts.base_bytes, at)

    def _catch_up(self) -> IndexSnapshot:
        with self._lock:
            for news in read_entry_pages(self._bank, self._known.seen):
                self._known = self._known.with_added_entries(news)
            return self._known

    def _switch_to_bases(self, bases: Bases) -> None:
        """Use these bases, and read later entries again, since the bank may have been restored."""
        known = IndexSnapshot.from_bases(*(base.segments for base in bases))
        for news in read_entry_pages(self._bank, known.seen):
            known = known.with_added_entries(news)
        with self._lock:
            self._bases, self._known = bases, known

    def _write_and_use(self, make_segments: Callable[[Shard], WholesAndParts]) -> None:
        """Write and use bases; call it only with the write lock."""
        self._switch_to_bases(self._write_shards(make_segments))

    def _write_shards(self, make_segments: Callable[[Shard], WholesAndParts]) -> Bases:
        """Make and write shards one by one, to save memory, and map them from the disk."""
        for shard in self._shards:
            write_base(self._folder / shard.file_name, *make_segments(shard), shard)
        remove_files_of_other_shard_counts(self._folder, self._shards)
        return tuple(read_base(self._folder / shard.file_name) for shard in self._shards)

    def _base_from_bank(self, shard: Shard) -> WholesAndParts:
        return build_from_bank(self._bank, shard)

    def _find_or_make_bases(self) -> Bases:
        """Make bases, unless another process has just made them."""
        with lock_and_clean_folder(self._folder, wait=True):
            return self._usable_bases() or self._write_shards(self._base_from_bank)

    def _usable_bases(self) -> Bases | None:
        """Return the bases on the disk if all are undamaged and of this bank, else None."""
        bases = [self._usable_base(shard) for shard in self._shards]
        usable = tuple(base for base in bases if base is not None)
        return usable if len(usable) == len(bases) else None

    def _usable_base(self, shard: Shard) -> MappedBase | None:
        try:
            base = read_base(self._folder / shard.file_name)
        except (FileNotFoundError, DamagedBase):
            return None
        return base if base.shard == shard and _belongs_to_bank(base, self._bank) else None


def index_condition(folder: Path, shards: int = 1) -> str:
    """Check the bases in ``folder``: "sound", "damaged" or "missing". Changes nothing."""
    try:
        for shard in Shard.all_shards(shards):
            read_base(folder / shard.file_name)
    except FileNotFoundError:
        return "missing"
    except DamagedBase:
        return "damaged"
    return "sound"


def index_written_at(folder: Path, shards: int = 1) -> datetime:
    """Return when the oldest base in ``folder`` was written."""
    first = min((folder / shard.file_name).stat().st_mtime for shard in Shard.all_shards(shards))
    return datetime.fromtimestamp(first, UTC)


def _belongs_to_bank(base: MappedBase, bank: BankStore) -> bool:
    """Return whether the last entry in the base is in the bank, with the same number and bits.

    If that entry was withdrawn, the base has to be rewritten anyway. If an older bank was restored,
    its new entries reuse numbers that the base has already.
    """
    last = base.last_entry
    return last is None or last in bank.entries(last.number - 1)[:1]
