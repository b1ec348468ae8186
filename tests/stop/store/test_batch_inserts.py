"""Rows that several threads insert in one transaction: none is lost or reported too early."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from entrenous.stop.nouns import BankUnreachable
from entrenous.stop.store.prepared_statements import BatchInserter, RowValues


@dataclass
class BlockingWriter:
    """A writer that waits until ``allowed`` is set and refuses batches with a bad row."""

    started: threading.Event = field(default_factory=threading.Event)
    allowed: threading.Event = field(default_factory=threading.Event)
    written: list[list[int]] = field(default_factory=list)

    def write(self, rows: Sequence[RowValues]) -> None:
        self.started.set()
        assert self.allowed.wait(20)
        if any(row["bad"] for row in rows):
            raise ValueError("a bad row")
        self.written.append([row["number"] for row in rows])


def add_ten_rows(writer: BlockingWriter, bad: set[int]) -> list[BaseException | None]:
    """Add ten rows, nine while the first is being written; return the exception of each or None."""
    inserter = BatchInserter(writer.write)
    with ThreadPoolExecutor(10) as threads:
        first = threads.submit(inserter.add, {"number": 0, "bad": 0 in bad})
        assert writer.started.wait(20)
        rest = [threads.submit(inserter.add, {"number": n, "bad": n in bad}) for n in range(1, 10)]
        while len(inserter._pending) < 9:
            assert not any(one.done() for one in (first, *rest))
        writer.allowed.set()
        return [one.exception() for one in (first, *rest)]


def test_waiting_rows_are_written_in_one_batch() -> None:
    writer = BlockingWriter()
    assert add_ten_rows(writer, set()) == [None] * 10
    first, rest = writer.written
    assert (first, sorted(rest)) == ([0], list(range(1, 10)))


@pytest.mark.parametrize("bad", [{0}, {4}, {1, 9}])
def test_failing_row_raises_and_others_are_written(bad: set[int]) -> None:
    writer = BlockingWriter()
    errors = add_ten_rows(writer, bad)
    assert {number for number, error in enumerate(errors) if isinstance(error, ValueError)} == bad
    assert sorted(n for batch in writer.written for n in batch) == sorted(set(range(10)) - bad)


def test_waiting_for_a_killed_writer_raises() -> None:
    """The thread of one of the two waiting rows writes both."""
    writer = BlockingWriter()

    def write(rows: Sequence[RowValues]) -> None:
        writer.write(rows)
        if len(rows) > 1:
            raise SystemExit

    inserter = BatchInserter(write)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(inserter.add, {"number": 0, "bad": False})
        assert writer.started.wait(20)
        rest = [threads.submit(inserter.add, {"number": n, "bad": False}) for n in (1, 2)]
        while len(inserter._pending) < 2:
            assert not first.done()
        writer.allowed.set()
        assert first.exception() is None
        assert {type(one.exception()) for one in rest} == {SystemExit, BankUnreachable}
