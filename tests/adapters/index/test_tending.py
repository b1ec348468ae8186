"""An index that looks after itself: merges, goes over to newer bases, drops what was withdrawn."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.index import file_index
from entrenous.adapters.index.base_file import read_base
from entrenous.adapters.index.tending import open_index
from entrenous.model.bank import BankUnreachable, Counts, Entry
from entrenous.model.claim import ClaimEvent
from tests.adapters.index.banks import agrees, fresh, register

ROUND_S = 0.01


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


def soon(true: Callable[[], bool]) -> None:
    """Wait until something that another thread does is done."""
    until = time.monotonic() + 8
    while not true():
        assert time.monotonic() < until
        threading.Event().wait(ROUND_S)


def test_it_merges_by_itself(
    folder: Path, bank: SqlBankStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_index, "_LATER_MAX", 10)
    with open_index(folder, bank, round_s=ROUND_S) as index:
        register(bank, "later", *fresh(11, 3))
        agrees(index, bank)
        soon(lambda: read_base(folder / "base").count == 51)
        agrees(index, bank)


def test_it_drops_withdrawn_hashes_by_itself_from_every_process(
    folder: Path, bank: SqlBankStore
) -> None:
    secret = fresh(1, 5)[0]
    claim = register(bank, "private", secret)
    with (
        open_index(folder, bank, round_s=ROUND_S, withdrawn_s=ROUND_S) as one,
        open_index(folder, bank, round_s=ROUND_S, withdrawn_s=60) as other,
    ):
        bank.move(claim, ClaimEvent.WITHDRAW)
        soon(lambda: secret[:8] not in (folder / "base").read_bytes())
        for index in (one, other):
            soon(lambda tended=index: tended.near([secret], part=False) == [])  # type: ignore[misc]
            agrees(index, bank)


def test_a_bank_with_much_news_is_merged_before_the_first_answer(
    folder: Path, bank: SqlBankStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_index(folder, bank).close()
    register(bank, "later", *fresh(11, 3))
    monkeypatch.setattr(file_index, "_LATER_MAX", 10)
    with open_index(folder, bank, round_s=60) as index:
        assert index.index.state().later == 0
        agrees(index, bank)


def test_closing_does_not_wait_for_the_next_round(folder: Path, bank: SqlBankStore) -> None:
    began = time.monotonic()
    open_index(folder, bank, round_s=60).close()
    assert time.monotonic() - began < 5


@dataclass
class AwayAtTimes:
    """A bank whose counts cannot be asked for, as when its database is away."""

    bank: SqlBankStore
    asked: int = 0

    def entries(self, after: int) -> tuple[Entry, ...]:
        return self.bank.entries(after)

    def counts(self) -> Counts:
        self.asked += 1
        if self.asked < 4:
            raise BankUnreachable(why="it is away")
        return self.bank.counts()


def test_it_goes_on_when_the_bank_was_away(
    folder: Path, bank: SqlBankStore, caplog: pytest.LogCaptureFixture
) -> None:
    away = AwayAtTimes(bank)
    with open_index(folder, away, round_s=ROUND_S, withdrawn_s=ROUND_S) as index:  # type: ignore[arg-type]
        soon(lambda: away.asked > 5)
        agrees(index, bank)
    waits: Sequence[str] = [record.message for record in caplog.records]
    assert waits[:3] == ["index-waits BankUnreachable"] * 3
