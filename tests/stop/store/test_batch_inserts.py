"""Rows that several threads insert in one transaction: none is lost or reported too early."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from entrenous.stop.nouns import BankUnreachable
from entrenous.stop.store.prepared_statements import BatchInserter, RowValues


@dataclass
class Slow:
    """A writer that waits until ``may`` is set and refuses batches with a bad row."""

    begun: threading.Event = field(default_factory=threading.Event)
    may: threading.Event = field(default_factory=threading.Event)
    written: list[list[int]] = field(default_factory=list)

    def write(self, rows: Sequence[RowValues]) -> None:
        self.begun.set()
        assert self.may.wait(20)
        if any(row["bad"] for row in rows):
            raise ValueError("a bad row")
        self.written.append([row["number"] for row in rows])


def brought(slow: Slow, bad: set[int]) -> list[BaseException | None]:
    """Add ten rows, nine while the first is being written; return the exception of each or None."""
    together = BatchInserter(slow.write)
    with ThreadPoolExecutor(10) as threads:
        first = threads.submit(together.add, {"number": 0, "bad": 0 in bad})
        assert slow.begun.wait(20)
        rest = [threads.submit(together.add, {"number": n, "bad": n in bad}) for n in range(1, 10)]
        while len(together._pending) < 9:
            assert not any(one.done() for one in (first, *rest))
        slow.may.set()
        return [one.exception() for one in (first, *rest)]


def test_waiting_rows_are_written_in_one_batch() -> None:
    slow = Slow()
    assert brought(slow, set()) == [None] * 10
    first, rest = slow.written
    assert (first, sorted(rest)) == ([0], list(range(1, 10)))


@pytest.mark.parametrize("bad", [{0}, {4}, {1, 9}])
def test_failing_row_raises_and_others_are_written(bad: set[int]) -> None:
    slow = Slow()
    became = brought(slow, bad)
    assert {number for number, why in enumerate(became) if isinstance(why, ValueError)} == bad
    assert sorted(n for some in slow.written for n in some) == sorted(set(range(10)) - bad)


def test_waiting_for_a_killed_writer_raises() -> None:
    """The thread of one of the two waiting rows writes both."""
    slow = Slow()

    def write(rows: Sequence[RowValues]) -> None:
        slow.write(rows)
        if len(rows) > 1:
            raise SystemExit

    together = BatchInserter(write)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(together.add, {"number": 0, "bad": False})
        assert slow.begun.wait(20)
        rest = [threads.submit(together.add, {"number": n, "bad": False}) for n in (1, 2)]
        while len(together._pending) < 2:
            assert not first.done()
        slow.may.set()
        assert first.exception() is None
        assert {type(one.exception()) for one in rest} == {SystemExit, BankUnreachable}
