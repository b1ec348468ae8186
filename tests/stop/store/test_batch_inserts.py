"""Tests of BatchInserter: threads' rows are written together, and failures are raised."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from entrenous.stop.nouns import BankUnreachable
from entrenous.stop.store.prepared_statements import BatchInserter, RowValues


@dataclass
class BlockingWriter:
    """A writer that waits until ``may_write`` is set, and raises for a batch with a bad row."""

    started: threading.Event = field(default_factory=threading.Event)
    may_write: threading.Event = field(default_factory=threading.Event)
    written_batches: list[list[int]] = field(default_factory=list)

    def write(self, rows: Sequence[RowValues]) -> None:
        self.started.set()
        assert self.may_write.wait(20)
        if any(row["bad"] for row in rows):
            raise ValueError("a bad row")
        self.written_batches.append([row["number"] for row in rows])


def add_ten_rows(writer: BlockingWriter, failing_rows: set[int]) -> list[BaseException | None]:
    """Add ten rows, nine while the first is being written; return each row's exception or None."""
    inserter = BatchInserter(writer.write)
    with ThreadPoolExecutor(10) as threads:
        first = threads.submit(inserter.add, {"number": 0, "bad": 0 in failing_rows})
        assert writer.started.wait(20)
        rest = [
            threads.submit(inserter.add, {"number": n, "bad": n in failing_rows})
            for n in range(1, 10)
        ]
        while len(inserter._pending) < 9:
            assert not any(one.done() for one in (first, *rest))
        writer.may_write.set()
        return [one.exception() for one in (first, *rest)]


def test_waiting_rows_are_written_in_one_batch() -> None:
    writer = BlockingWriter()
    assert add_ten_rows(writer, set()) == [None] * 10
    first, rest = writer.written_batches
    assert (first, sorted(rest)) == ([0], list(range(1, 10)))


@pytest.mark.parametrize("failing_rows", [{0}, {4}, {1, 9}])
def test_failing_row_raises_and_others_are_written(failing_rows: set[int]) -> None:
    writer = BlockingWriter()
    errors = add_ten_rows(writer, failing_rows)
    assert {
        number for number, error in enumerate(errors) if isinstance(error, ValueError)
    } == failing_rows
    assert sorted(n for batch in writer.written_batches for n in batch) == sorted(
        set(range(10)) - failing_rows
    )


def test_waiting_for_a_writer_that_exits_raises() -> None:
    """Two threads wait. One of them writes the rows of both, but exits before it reports success.

    Both threads get an error.
    """
    writer = BlockingWriter()

    def write_then_exit(rows: Sequence[RowValues]) -> None:
        writer.write(rows)
        if len(rows) > 1:
            raise SystemExit

    inserter = BatchInserter(write_then_exit)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(inserter.add, {"number": 0, "bad": False})
        assert writer.started.wait(20)
        rest = [threads.submit(inserter.add, {"number": n, "bad": False}) for n in (1, 2)]
        while len(inserter._pending) < 2:
            assert not first.done()
        writer.may_write.set()
        assert first.exception() is None
        assert {type(one.exception()) for one in rest} == {SystemExit, BankUnreachable}
