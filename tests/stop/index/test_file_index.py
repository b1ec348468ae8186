"""Tests of FileIndex: look-ups, files, merges, repairs, and the cache."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from entrenous.stop.index import file_index
from entrenous.stop.index.base_file import lock_and_clean_folder, read_base
from entrenous.stop.index.file_index import FileIndex, IndexSnapshot
from entrenous.stop.nouns import BankCounts, HashEntry
from entrenous.stop.registration import ClaimEvent
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine
from tests.new_bank import copy_bank, new_bank
from tests.stop.index.index_banks import (
    assert_index_equals_brute_force,
    random_hashes,
    register_claim,
)


@pytest.fixture
def bank() -> BankStore:
    store = new_bank()
    register_claim(store, "first", *random_hashes(30, 1), parts=random_hashes(40, 2))
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


def folder_contents(folder: Path) -> bytes:
    """Return the concatenated bytes of every file in the folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_first_index_is_built_from_the_bank(folder: Path, bank: BankStore) -> None:
    index = FileIndex(folder, bank)
    assert_index_equals_brute_force(index, bank)
    assert (index.counts().whole, index.counts().parts, index.counts().added_since_base) == (
        30,
        40,
        0,
    )


def test_index_folder_and_files_are_private(folder: Path, bank: BankStore) -> None:
    FileIndex(folder, bank).merge()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert {path.name for path in folder.iterdir()} == {"base", "lock"}


def test_later_hashes_are_found_before_and_after_a_merge(folder: Path, bank: BankStore) -> None:
    index = FileIndex(folder, bank)
    register_claim(bank, "later", *random_hashes(5, 3), parts=random_hashes(6, 4))
    assert_index_equals_brute_force(index, bank)
    assert index.counts().added_since_base == 11
    assert index.merge()
    assert index.counts().added_since_base == 0
    assert_index_equals_brute_force(index, bank)
    again = FileIndex(folder, bank)
    assert again.counts() == index.counts()
    assert_index_equals_brute_force(again, bank)


@pytest.mark.slow
def test_index_of_a_large_bank_equals_brute_force(folder: Path, bank: BankStore) -> None:
    register_claim(bank, "many", *random_hashes(12_000, 5))
    index = FileIndex(folder, bank)
    register_claim(bank, "more", *random_hashes(100, 6), parts=random_hashes(10_500, 7))
    assert_index_equals_brute_force(index, bank, query_count=33)
    index.merge()
    assert_index_equals_brute_force(FileIndex(folder, bank), bank, query_count=33)


def test_merge_is_due_only_after_enough_new_hashes(
    folder: Path, bank: BankStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_index, "_UNMERGED_HASHES_MAX", 4)
    index = FileIndex(folder, bank)
    register_claim(bank, "four", *random_hashes(4, 3))
    index.find_near_hashes([], part=False)
    assert not index.is_merge_due()
    register_claim(bank, "five", *random_hashes(1, 4))
    index.find_near_hashes([], part=False)
    assert index.is_merge_due()
    index.merge()
    assert not index.is_merge_due()


def test_a_withdrawn_hash_leaves_the_disk(folder: Path, bank: BankStore) -> None:
    secret, part = random_hashes(2, 8)
    claim = register_claim(bank, "private", secret, parts=(part,))
    index = FileIndex(folder, bank)
    assert secret in folder_contents(folder) or secret[:8] in folder_contents(folder)
    assert not index.has_withdrawn_hashes()
    bank.apply_event(claim, ClaimEvent.WITHDRAW)
    assert index.has_withdrawn_hashes()
    index.rebuild()
    assert not index.has_withdrawn_hashes()
    disk = folder_contents(folder)
    assert not any(bits[at : at + 8] in disk for bits in (secret, part) for at in (0, 8, 16, 24))
    assert index.find_near_hashes([secret], part=False) == []  # the hash is not in memory either
    assert_index_equals_brute_force(index, bank)


@pytest.mark.slow
def test_a_withdrawn_hash_leaves_a_base_with_tables(folder: Path, bank: BankStore) -> None:
    secret = random_hashes(1, 8)[0]
    claim = register_claim(bank, "private", secret)
    register_claim(bank, "many", *random_hashes(10_001, 9))
    index = FileIndex(folder, bank)
    assert secret in folder_contents(folder)
    before = index.counts()
    bank.apply_event(claim, ClaimEvent.WITHDRAW)
    index.rebuild()
    assert secret[:8] not in folder_contents(folder)
    assert index.counts().in_base == before.in_base - 1
    assert_index_equals_brute_force(index, bank, query_count=33)


def test_withdrawn_hash_that_is_registered_again_is_found_before_and_after_a_merge(
    folder: Path, bank: BankStore
) -> None:
    bits = random_hashes(1, 8)[0]
    claim = register_claim(bank, "one", bits)
    index = FileIndex(folder, bank)
    bank.apply_event(claim, ClaimEvent.WITHDRAW)
    register_claim(bank, "two", bits)
    for _ in range(2):
        near = index.find_near_hashes([bits], part=False)
        assert [found.id for _, found in bank.claims_on_pictures({one.entry for one in near})] == [
            "two"
        ]
        index.merge()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "noise", "gone", "other version"])
def test_damaged_or_missing_base_or_one_of_another_version_is_rebuilt(
    folder: Path, bank: BankStore, damage: str
) -> None:
    FileIndex(folder, bank)
    base = folder / "base"
    data = bytearray(base.read_bytes())
    match damage:
        case "cut":
            base.write_bytes(data[: len(data) // 2])
        case "flip":
            data[len(data) // 2] ^= 4
            base.write_bytes(data)
        case "empty":
            base.write_bytes(b"")
        case "noise":
            base.write_bytes(os.urandom(len(data)))
        case "gone":
            base.unlink()
        case _:
            data[8] += 1
            base.write_bytes(data)
    index = FileIndex(folder, bank)
    assert_index_equals_brute_force(index, bank)
    assert read_base(base).count == 70


@pytest.mark.slow
def test_damage_to_an_open_base_is_not_merged(folder: Path, bank: BankStore) -> None:
    """A damaged page of the mapped file must not be copied under a new checksum."""
    hashes = random_hashes(10_100, 5)
    register_claim(bank, "many", *hashes)
    index = FileIndex(folder, bank)
    place = (folder / "base").read_bytes().index(hashes[77])
    with (folder / "base").open("r+b") as file:
        file.seek(place)
        file.write(bytes(32))
    # The mapped file has the damaged bytes.
    assert index.find_near_hashes([hashes[77]], part=False) == []
    index.merge()
    for one in (index, FileIndex(folder, bank)):
        assert [near.distance for near in one.find_near_hashes([hashes[77]], part=False)] == [0]
        assert_index_equals_brute_force(one, bank, query_count=33)


def test_a_base_of_another_bank_is_not_used(folder: Path, bank: BankStore) -> None:
    FileIndex(folder, bank)
    other = new_bank()
    register_claim(other, "other", *random_hashes(200, 77))
    assert_index_equals_brute_force(FileIndex(folder, other), other)


def test_restored_bank_that_reuses_entry_numbers_is_read_again(folder: Path) -> None:
    bank = new_bank()
    register_claim(bank, "kept", *random_hashes(10, 1))
    older = copy_bank(bank)
    register_claim(bank, "lost", *random_hashes(5, 2))
    FileIndex(folder, bank)
    register_claim(older, "new", *random_hashes(3, 3))
    assert_index_equals_brute_force(FileIndex(folder, older), older)


def test_open_index_switches_to_the_newer_base(folder: Path, bank: BankStore) -> None:
    one, other = FileIndex(folder, bank), FileIndex(folder, bank)
    register_claim(bank, "later", *random_hashes(5, 3))
    one.merge()
    assert_index_equals_brute_force(other, bank)
    assert other.counts().in_base == 70
    other.switch_to_newer_bases()
    assert other.counts() == one.counts()
    assert_index_equals_brute_force(other, bank)


def test_merge_is_skipped_while_the_folder_is_locked(folder: Path, bank: BankStore) -> None:
    index = FileIndex(folder, bank)
    with lock_and_clean_folder(folder, wait=False) as locked:
        assert locked
        assert not index.merge()
    assert index.merge()


def test_files_of_a_killed_process_are_removed(folder: Path, bank: BankStore) -> None:
    index = FileIndex(folder, bank)
    leftover = folder / ".entrenous-00112233"
    leftover.write_bytes(b"half a base with hashes")
    index.merge()
    assert not leftover.exists()
    leftover.write_bytes(b"half a base with hashes")
    FileIndex(folder, bank)
    assert not leftover.exists()


@pytest.mark.parametrize("claim_count", [1, 2, 4, 8, 16])
def test_hash_is_found_for_each_of_its_claims_after_a_restart(
    folder: Path, claim_count: int
) -> None:
    bank = new_bank()
    bits = random_hashes(1, 9)[0]
    names = [f"{number:02}" for number in range(claim_count)]
    for name in names:
        register_claim(bank, name, bits)
    FileIndex(folder, bank)
    near = FileIndex(folder, bank).find_near_hashes([bits], part=False)
    claims = bank.claims_on_pictures({one.entry for one in near})
    assert sorted(claim.id for _, claim in claims) == names


def test_index_of_an_empty_bank_matches_nothing_until_a_hash_is_registered(folder: Path) -> None:
    bank = new_bank()
    assert FileIndex(folder, bank).find_near_hashes([bytes(32)], part=False) == []
    again = FileIndex(folder, bank)
    assert not again.has_withdrawn_hashes()
    register_claim(bank, "first", bytes(32))
    assert len(again.find_near_hashes([bytes(32)], part=False)) == 1


@pytest.fixture
def sqlite_bank(tmp_path: Path) -> Iterator[BankStore]:
    engine = open_engine(tmp_path / "bank.db")
    yield BankStore(engine)
    engine.dispose()


@pytest.mark.slow
def test_look_ups_during_merges_miss_nothing(folder: Path, sqlite_bank: BankStore) -> None:
    """A look-up finds every earlier registration while another thread merges all the time."""
    register_claim(sqlite_bank, "first", *random_hashes(200, 1))
    index = FileIndex(folder, sqlite_bank)
    stop = threading.Event()
    merges = []

    def merge_until_stopped() -> None:
        while not stop.is_set():
            merges.append(index.merge())

    merging = threading.Thread(target=merge_until_stopped)
    merging.start()
    try:
        registered: list[bytes] = []
        for turn in range(60):
            bits = random_hashes(1, 100 + turn)
            register_claim(sqlite_bank, f"claim-{turn}", *bits)
            registered += bits
            found = {one.query for one in index.find_near_hashes(registered, part=False)}
            assert found == set(range(len(registered)))
    finally:
        stop.set()
        merging.join()
    assert len(merges) > 3
    assert_index_equals_brute_force(index, sqlite_bank)


@dataclass
class PagedBank:
    """A bank that returns its entries in pages of at most seven."""

    bank: BankStore

    def entries(self, after: int) -> tuple[HashEntry, ...]:
        return self.bank.entries(after)[:7]

    def count_claims_and_hashes(self) -> BankCounts:
        return self.bank.count_claims_and_hashes()


def test_entries_that_the_bank_returns_in_pages_are_all_indexed(
    folder: Path, bank: BankStore
) -> None:
    paged = cast("BankStore", PagedBank(bank))
    index = FileIndex(folder, paged)
    assert_index_equals_brute_force(index, bank)
    register_claim(bank, "later", *random_hashes(20, 3))
    assert_index_equals_brute_force(index, bank)
    index.rebuild()
    assert_index_equals_brute_force(index, bank)
    assert_index_equals_brute_force(FileIndex(folder, paged), bank)


_RNG = np.random.default_rng(9)
SNAPSHOT_HASHES = [_RNG.bytes(32) for _ in range(4)]


def snapshot_of_three_hashes() -> IndexSnapshot:
    entries = [
        HashEntry(number, bits, part=False)
        for number, bits in enumerate(SNAPSHOT_HASHES[:3], start=1)
    ]
    return IndexSnapshot.empty_snapshot().with_added_entries(entries)


def test_cached_result_is_returned_only_once() -> None:
    one = snapshot_of_three_hashes()
    first = one.find_near_hashes(SNAPSHOT_HASHES[:2], part=False)
    assert [(near.query, near.entry) for near in first] == [(0, 1), (1, 2)]
    assert one.find_near_hashes(SNAPSHOT_HASHES[:2], part=False) is first
    again = one.find_near_hashes(SNAPSHOT_HASHES[:2], part=False)
    assert again == first
    assert again is not first


def test_cache_is_not_used_after_new_entries() -> None:
    one = snapshot_of_three_hashes()
    assert one.find_near_hashes(SNAPSHOT_HASHES[3:], part=False) == []
    more = one.with_added_entries([HashEntry(4, SNAPSHOT_HASHES[3], part=False)])
    assert [near.entry for near in more.find_near_hashes(SNAPSHOT_HASHES[3:], part=False)] == [4]


def test_cache_of_unrepeated_look_ups_is_bounded() -> None:
    one = snapshot_of_three_hashes()
    for number in range(100):
        one.find_near_hashes([number.to_bytes(32, "big")], part=False)
    assert len(one.cached_results) <= 32
