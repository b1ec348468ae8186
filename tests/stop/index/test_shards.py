"""Tests of sharded indexes: look-ups, files, a changed number of shards, merges, and damage."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from entrenous.fingerprint import multi_index
from entrenous.fingerprint.linear_scan import hashes_as_words
from entrenous.fingerprint.multi_index import HashIndex
from entrenous.stop.index import file_index
from entrenous.stop.index.base_file import Shard, hash_words, read_base, shard_of, write_base
from entrenous.stop.index.file_index import FileIndex, index_condition
from entrenous.stop.registration import ClaimEvent
from entrenous.stop.store.bank_store import BankStore
from tests.new_bank import new_bank
from tests.stop.index.brute_force import clustered_hashes
from tests.stop.index.index_banks import (
    assert_index_equals_brute_force,
    random_hashes,
    register_claim,
)


@pytest.fixture
def bank() -> BankStore:
    store = new_bank()
    register_claim(
        store, "first", *clustered_hashes(80, np.random.default_rng(1)), parts=random_hashes(40, 2)
    )
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


def index_file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"lock"}


@pytest.mark.parametrize("shards", [1, 2, 4, 7])
@pytest.mark.parametrize("linear_scan_max", [10, 10_000], ids=["with tables", "scanned"])
def test_sharded_index_equals_brute_force(
    folder: Path,
    bank: BankStore,
    shards: int,
    linear_scan_max: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(multi_index, "_LINEAR_SCAN_HASHES_MAX", linear_scan_max)
    index = FileIndex(folder, bank, shards)
    assert_index_equals_brute_force(index, bank, query_count=33)
    register_claim(bank, "later", *random_hashes(30, 3), parts=random_hashes(30, 4))
    assert_index_equals_brute_force(index, bank, query_count=33)
    assert index.counts().added_since_base == 60
    assert index.merge()
    assert index.counts().added_since_base == 0
    for one in (index, FileIndex(folder, bank, shards)):
        assert_index_equals_brute_force(one, bank, query_count=33)
    assert len(index_file_names(folder)) == shards


def test_every_hash_is_in_the_file_of_its_shard(folder: Path, bank: BankStore) -> None:
    FileIndex(folder, bank, 4)
    hash_count = 0
    for shard in Shard.all_shards(4):
        for kind in read_base(folder / shard.file_name).segments:
            rows = hash_words(kind)
            hash_count += len(rows)
            assert {shard_of(row.tobytes(), 4) for row in rows} <= {shard.number}
            assert shard.contains(rows).all()
    assert hash_count == bank.count_claims_and_hashes().hashes


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1), (2, 3)])
def test_another_number_of_shards_rewrites_all_files(
    folder: Path, bank: BankStore, before: int, after: int
) -> None:
    FileIndex(folder, bank, before)
    index = FileIndex(folder, bank, after)
    assert_index_equals_brute_force(index, bank)
    assert index_file_names(folder) == {shard.file_name for shard in Shard.all_shards(after)}
    assert index.counts().in_base == bank.count_claims_and_hashes().hashes


def test_a_merge_that_was_killed_between_two_shards_misses_nothing(
    folder: Path, bank: BankStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = FileIndex(folder, bank, 4)
    register_claim(bank, "later", *random_hashes(40, 5), parts=random_hashes(40, 6))
    writes_left = [2]

    def write_two_shards_then_fail(
        path: Path, whole: HashIndex, parts: HashIndex, shard: Shard
    ) -> None:
        if not writes_left[0]:
            raise KeyboardInterrupt
        writes_left[0] -= 1
        write_base(path, whole, parts, shard)

    monkeypatch.setattr(file_index, "write_base", write_two_shards_then_fail)
    with pytest.raises(KeyboardInterrupt):
        index.merge()
    monkeypatch.undo()
    again = FileIndex(folder, bank, 4)
    assert 0 < again.counts().added_since_base < 80
    assert_index_equals_brute_force(again, bank)
    assert_index_equals_brute_force(index, bank)
    assert again.merge()
    assert_index_equals_brute_force(again, bank)


def test_a_withdrawn_hash_leaves_its_shard(folder: Path, bank: BankStore) -> None:
    (secret,) = random_hashes(1, 8)
    claim = register_claim(bank, "private", secret)
    index = FileIndex(folder, bank, 4)
    shard_file = folder / Shard.all_shards(4)[shard_of(secret, 4)].file_name
    before = read_base(shard_file).count
    bank.apply_event(claim, ClaimEvent.WITHDRAW)
    assert index.has_withdrawn_hashes()
    index.rebuild()
    assert read_base(shard_file).count == before - 1
    assert index.find_near_hashes([secret], part=False) == []
    assert_index_equals_brute_force(index, bank)


@pytest.mark.parametrize("damage", ["gone", "cut", "of another shard"])
def test_index_with_one_damaged_shard_equals_brute_force(
    folder: Path, bank: BankStore, damage: str
) -> None:
    FileIndex(folder, bank, 2)
    one, other = (folder / shard.file_name for shard in Shard.all_shards(2))
    match damage:
        case "gone":
            one.unlink()
            assert index_condition(folder, 2) == "missing"
        case "cut":
            one.write_bytes(one.read_bytes()[:-64])
            assert index_condition(folder, 2) == "damaged"
        case _:
            shutil.copyfile(other, one)
    assert_index_equals_brute_force(FileIndex(folder, bank, 2), bank)


def test_open_index_switches_to_newer_shards(folder: Path, bank: BankStore) -> None:
    one, other = FileIndex(folder, bank, 4), FileIndex(folder, bank, 4)
    register_claim(bank, "later", *random_hashes(20, 3))
    one.merge()
    assert_index_equals_brute_force(other, bank)
    other.switch_to_newer_bases()
    assert other.counts() == one.counts()
    assert_index_equals_brute_force(other, bank)


def test_shard_of_a_hash_is_the_same_as_bytes_and_as_words() -> None:
    hashes = random_hashes(500, 9)
    for count in (1, 2, 3, 64):
        numbers = [shard_of(bits, count) for bits in hashes]
        contained = np.stack(
            [shard.contains(hashes_as_words(hashes)) for shard in Shard.all_shards(count)]
        )
        assert (contained.sum(axis=0) == 1).all()
        assert contained.argmax(axis=0).tolist() == numbers


@pytest.mark.parametrize("count", [0, 65])
def test_number_of_shards_outside_1_to_64_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="shards"):
        Shard(0, count)
