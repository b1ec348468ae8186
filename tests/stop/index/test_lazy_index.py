"""Tests of LazyIndex, which opens the index at the first look-up."""

from pathlib import Path

import pytest

from entrenous.stop.index.maintenance import LazyIndex, MaintainedIndex, open_index
from entrenous.stop.nouns import BankUnreachable
from entrenous.stop.store.bank_store import BankStore
from tests.stop.index.index_banks import assert_index_equals_brute_force, random_hashes


def test_lazy_index_is_opened_once_by_the_first_look_up(tmp_path: Path, bank: BankStore) -> None:
    opened = list[MaintainedIndex]()

    def open_and_record() -> MaintainedIndex:
        opened.append(open_index(tmp_path / "index", bank))
        return opened[-1]

    index = LazyIndex(open_and_record)
    assert opened == []
    assert_index_equals_brute_force(index, bank)
    assert index.get_open_index() is opened[0]
    assert len(opened) == 1
    index.close()


def test_failed_opening_is_tried_again(tmp_path: Path, bank: BankStore) -> None:
    failures = [BankUnreachable(why="it is away")]

    def open_after_failures() -> MaintainedIndex:
        while failures:
            raise failures.pop()
        return open_index(tmp_path / "index", bank)

    index = LazyIndex(open_after_failures)
    with pytest.raises(BankUnreachable):
        index.find_near_hashes(random_hashes(1, 1), part=False)
    assert_index_equals_brute_force(index, bank)
    index.close()


def test_closing_an_unopened_index_opens_nothing(tmp_path: Path, bank: BankStore) -> None:
    LazyIndex(lambda: open_index(tmp_path / "index", bank)).close()
    assert not (tmp_path / "index").exists()
