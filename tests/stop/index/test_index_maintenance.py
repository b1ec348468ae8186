"""Tests of index maintenance: merges, withdrawn hashes, repairs, and an unreachable bank."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from entrenous.stop.index import file_index
from entrenous.stop.index.base_file import read_base
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.index.maintenance import open_index
from entrenous.stop.nouns import BankCounts, BankUnreachable, HashEntry
from entrenous.stop.registration import ClaimEvent
from entrenous.stop.store.bank_store import BankStore
from tests.stop.index.index_banks import (
    assert_index_equals_brute_force,
    random_hashes,
    register_claim,
)

pytestmark = pytest.mark.slow

ROUND_INTERVAL_S = 0.01


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait at most a minute until the condition is true."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(ROUND_INTERVAL_S)


def test_index_merges_automatically(
    folder: Path, bank: BankStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_index, "_UNMERGED_HASHES_MAX", 10)
    with open_index(folder, bank, round_interval_s=ROUND_INTERVAL_S) as index:
        register_claim(bank, "later", *random_hashes(11, 3))
        assert_index_equals_brute_force(index, bank)
        wait_until(lambda: read_base(folder / "base").count == 51)
        assert_index_equals_brute_force(index, bank)


def test_withdrawn_hashes_are_removed_automatically_from_every_index(
    folder: Path, bank: BankStore
) -> None:
    secret = random_hashes(1, 5)[0]
    claim = register_claim(bank, "private", secret)
    with (
        open_index(
            folder,
            bank,
            round_interval_s=ROUND_INTERVAL_S,
            withdrawn_check_interval_s=ROUND_INTERVAL_S,
        ) as one,
        open_index(
            folder, bank, round_interval_s=ROUND_INTERVAL_S, withdrawn_check_interval_s=60
        ) as other,
    ):
        bank.apply_event(claim, ClaimEvent.WITHDRAW)
        wait_until(lambda: secret[:8] not in (folder / "base").read_bytes())
        for index in (one, other):
            wait_until(lambda each=index: each.find_near_hashes([secret], part=False) == [])  # type: ignore[misc]
            assert_index_equals_brute_force(index, bank)


def test_index_far_behind_is_merged_before_the_first_answer(
    folder: Path, bank: BankStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_index(folder, bank).close()
    register_claim(bank, "later", *random_hashes(11, 3))
    monkeypatch.setattr(file_index, "_UNMERGED_HASHES_MAX", 10)
    with open_index(folder, bank, round_interval_s=60) as index:
        assert index.index.counts().added_since_base == 0
        assert_index_equals_brute_force(index, bank)


def overwrite(file: Path, offset: int, data: bytes) -> None:
    """Overwrite bytes in a file that an open index has mapped."""
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(data)


@pytest.mark.parametrize("shards", [1, 2])
def test_damage_to_an_open_index_is_detected_and_repaired(
    folder: Path, bank: BankStore, caplog: pytest.LogCaptureFixture, shards: int
) -> None:
    hashes = random_hashes(10_100, 5)
    register_claim(bank, "many", *hashes)
    with (
        open_index(folder, bank, shards=shards, round_interval_s=ROUND_INTERVAL_S) as one,
        open_index(folder, bank, shards=shards, round_interval_s=ROUND_INTERVAL_S) as other,
    ):
        (file,) = [path for path in folder.glob("base*") if hashes[77] in path.read_bytes()]
        overwrite(file, file.read_bytes().index(hashes[77]), bytes(32))
        for index in (one, other):
            wait_until(lambda each=index: each.find_near_hashes([hashes[77]], part=False) != [])  # type: ignore[misc]
            assert_index_equals_brute_force(index, bank, query_count=33)
    read_base(file)
    messages = [record.message for record in caplog.records if record.name == "entrenous.index"]
    assert messages
    assert set(messages) == {"index-damaged"}


def test_damage_in_every_section_is_found_and_repaired(folder: Path, bank: BankStore) -> None:
    """The sections are the hashes, entry numbers and tables of whole pictures and of parts."""
    register_claim(bank, "many", *random_hashes(10_100, 5), parts=random_hashes(10_100, 6))
    index = FileIndex(folder, bank)
    assert len(read_base(folder / "base").sections) == 8
    for section in range(8):
        sections = read_base(folder / "base").sections
        data, _ = sections[section]
        size = (folder / "base").stat().st_size
        steps = 2 + size // 100_000
        assert not any(index.finds_damage(100_000) for _ in range(2 * steps))
        before = sum(one.size for one, _ in sections[:section])
        header = size - sum(one.size for one, _ in sections)
        middle = data.size // 2
        overwrite(folder / "base", header + before + middle, bytes([data[middle] ^ 4]))
        assert any(index.finds_damage(100_000) for _ in range(2 * steps)), section
        assert index.finds_damage(1)  # damage is reported until the repair
        index.replace_damaged_bases()
        assert not any(index.finds_damage(100_000) for _ in range(steps)), section
    assert_index_equals_brute_force(index, bank, query_count=33)


def test_truncated_file_is_replaced_without_rereading(folder: Path, bank: BankStore) -> None:
    """Reading beyond the end of a truncated mapped file would kill the process."""
    index = FileIndex(folder, bank)
    with (folder / "base").open("r+b") as file:
        file.truncate(64)
    assert index.finds_damage(1_000_000)
    index.replace_damaged_bases()
    assert not index.finds_damage(1_000_000)
    assert_index_equals_brute_force(index, bank)


def test_base_rewritten_by_another_index_is_used(folder: Path, bank: BankStore) -> None:
    one, other = FileIndex(folder, bank), FileIndex(folder, bank)
    one.rebuild()
    written = read_base(folder / "base").file
    other.replace_damaged_bases()
    assert read_base(folder / "base").file == written
    assert_index_equals_brute_force(other, bank)


def test_closing_does_not_wait_for_the_next_round(folder: Path, bank: BankStore) -> None:
    began = time.monotonic()
    open_index(folder, bank, round_interval_s=60).close()
    assert time.monotonic() - began < 5


@dataclass
class InitiallyUnreachableBank:
    """A bank whose first three counts fail, as if its database were unreachable."""

    bank: BankStore
    counts_requested: int = 0

    def entries(self, after: int) -> tuple[HashEntry, ...]:
        return self.bank.entries(after)

    def count_claims_and_hashes(self) -> BankCounts:
        self.counts_requested += 1
        if self.counts_requested < 4:
            raise BankUnreachable(why="it is away")
        return self.bank.count_claims_and_hashes()


def test_maintenance_continues_after_the_bank_was_unreachable(
    folder: Path, bank: BankStore, caplog: pytest.LogCaptureFixture
) -> None:
    unreachable = InitiallyUnreachableBank(bank)
    with open_index(
        folder,
        unreachable,
        round_interval_s=ROUND_INTERVAL_S,
        withdrawn_check_interval_s=ROUND_INTERVAL_S,
    ) as index:  # type: ignore[arg-type]
        wait_until(lambda: unreachable.counts_requested > 5)
        assert_index_equals_brute_force(index, bank)
    messages: Sequence[str] = [record.message for record in caplog.records]
    assert messages[:3] == ["index-waits BankUnreachable"] * 3
