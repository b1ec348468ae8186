"""Tests of the SQLite store: the file, durability, full disks, indexes, and overwriting."""

import asyncio
import contextlib
import errno
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from entrenous.base.errors import DiskFailed, DiskFull, NoSuchBlob
from entrenous.base.identifiers import EnvelopeId, MailboxId
from entrenous.carry.relay import RowTransaction, RowView
from entrenous.carry.relay_rows import NewerDatabase, StoredBlob, StoredLetter, StoredUpload
from entrenous.carry.store.sqlite_rows import open_sqlite
from entrenous.carry.store.statements import Query, SqliteStatements
from tests.carry.relays import NOON

pytestmark = pytest.mark.slow

MAILBOX = MailboxId(b"M" * 16)
ENVELOPE = EnvelopeId(b"E" * 16)
STORED_LETTER = StoredLetter(ENVELOPE, MAILBOX, 1, b"sealed", NOON)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_rows_are_stored_in_a_file_that_only_its_owner_can_read(
    tmp_path: Path, runner: asyncio.Runner
) -> None:
    path = tmp_path / "relay" / "mail.db"
    store = open_sqlite(path)
    runner.run(store.transact(lambda tx: tx.put(STORED_LETTER)))
    assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}
    store.close()
    again = open_sqlite(path)
    assert runner.run(again.read(lambda view: view.find(StoredLetter))) == [STORED_LETTER]
    again.close()


@pytest.mark.threat("metadata")
def test_database_file_does_not_reveal_the_order_of_arrival(
    tmp_path: Path, runner: asyncio.Runner
) -> None:
    """Neither rowids nor positions in the rewritten file follow the order of arrival."""
    store = open_sqlite(tmp_path / "mail.db")
    arrival_order = [random.Random(number).randbytes(16) for number in range(40)]
    for number, name in enumerate(arrival_order):
        box, sealed = MailboxId(name[::-1]), b"sealed %d" % number
        letter = StoredLetter(EnvelopeId(name), box, 1, sealed.ljust(4096, b"."), NOON)
        runner.run(store.transact(lambda tx, letter=letter: tx.put(letter)))  # type: ignore[misc]
    runner.run(store.clear_deleted_rows())
    store.close()
    with closing(sqlite3.connect(tmp_path / "mail.db")) as database:
        query = "SELECT envelope FROM stored_letter ORDER BY rowid"
        rowid_order = [name for (name,) in database.execute(query)]
    file = (tmp_path / "mail.db").read_bytes()
    file_order = sorted(arrival_order, key=file.index)
    for order in (rowid_order, file_order):
        assert sorted(order) == sorted(arrival_order)
        successors = sum(
            arrival_order.index(one) + 1 == arrival_order.index(other)
            for one, other in pairwise(order)
        )
        assert successors < 10  # it is 39 in the order of arrival, and about 1 in a random order


def test_every_answer_waits_for_the_disk(
    tmp_path: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the log is being synced, neither the write nor the reads after it are answered."""
    store, syncing, done = open_sqlite(tmp_path / "mail.db"), threading.Event(), threading.Event()
    fdatasync = os.fdatasync

    def slow_sync(file: int) -> None:
        syncing.set()
        assert done.wait(20)
        fdatasync(file)

    async def run_scenario() -> None:
        write = asyncio.create_task(store.transact(lambda tx: tx.put(STORED_LETTER)))
        await asyncio.to_thread(syncing.wait)
        reads = [asyncio.create_task(store.read(work)) for work in (find, refuse)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in (write, *reads))
        done.set()
        assert await reads[0] == [STORED_LETTER]
        with pytest.raises(NoSuchBlob):
            await reads[1]
        await write
        syncing.clear()
        assert await store.read(find) == [STORED_LETTER]
        assert not syncing.is_set()

    def find(view: RowView) -> list[StoredLetter]:
        return view.find(StoredLetter)

    def refuse(_: RowView) -> list[StoredLetter]:
        raise NoSuchBlob

    monkeypatch.setattr(os, "fdatasync", slow_sync)
    runner.run(run_scenario())
    store.close()


def test_read_during_a_sync_cannot_write_and_fails_if_the_sync_fails(
    tmp_path: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read during a sync runs on the writer's connection, before the next transactions."""
    store, syncing, done = open_sqlite(tmp_path / "mail.db"), threading.Event(), threading.Event()
    errors = [None, OSError(errno.EIO, "broken")]

    def slow_sync(_: int) -> None:
        syncing.set()
        assert done.wait(20)
        if error := errors.pop(0):
            raise error

    async def read_during_sync(
        write_work: Callable[[RowTransaction], None], read_work: Callable[[Any], object]
    ) -> list[object]:
        syncing.clear()
        done.clear()
        write = asyncio.create_task(store.transact(write_work))
        await asyncio.to_thread(syncing.wait)
        reading = asyncio.create_task(store.read(read_work))
        await asyncio.sleep(0.05)
        done.set()
        return await asyncio.gather(write, reading, return_exceptions=True)

    def count(view: RowView) -> int:
        return view.count(StoredLetter)

    async def run_scenario() -> None:
        _, refused = await read_during_sync(
            lambda tx: tx.put(STORED_LETTER), lambda tx: tx.drop(StoredLetter, ENVELOPE)
        )
        assert isinstance(refused, AttributeError)
        assert await store.read(count) == 1
        failed = await read_during_sync(lambda tx: tx.drop(StoredLetter, ENVELOPE), count)
        assert [type(one) for one in failed] == [DiskFailed, DiskFailed]

    monkeypatch.setattr(os, "fdatasync", slow_sync)
    runner.run(run_scenario())
    store.close()


def test_nothing_is_acknowledged_after_a_failed_sync(
    tmp_path: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_sqlite(tmp_path / "mail.db")

    def failing_sync(_: int) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", failing_sync)
        with pytest.raises(DiskFailed):
            runner.run(store.transact(lambda tx: tx.put(STORED_LETTER)))
    with pytest.raises(DiskFailed):
        runner.run(store.transact(lambda tx: tx.drop(StoredLetter, ENVELOPE)))
    with pytest.raises(DiskFailed):
        runner.run(store.read(lambda view: view.find(StoredLetter)))
    store.close()


def test_a_reader_cannot_write(tmp_path: Path, runner: asyncio.Runner) -> None:
    store = open_sqlite(tmp_path / "mail.db")
    with pytest.raises(AttributeError, match="put"):
        runner.run(store.read(lambda view: view.put(STORED_LETTER)))  # type: ignore[attr-defined]
    assert runner.run(store.read(lambda view: view.count(StoredLetter))) == 0
    store.close()


def test_full_disk_refuses_large_writes_and_accepts_small_ones(
    tmp_path: Path, runner: asyncio.Runner
) -> None:
    """At least four of six large writes in a group fail, but a deletion in the group succeeds."""
    store = open_sqlite(tmp_path / "mail.db", bytes_max=600_000)
    runner.run(store.transact(lambda tx: tx.put(STORED_LETTER)))

    async def run_group() -> list[object]:
        large = [
            replace(STORED_LETTER, envelope=EnvelopeId(bytes([n]) * 16), sealed=bytes(200_000))
            for n in range(6)
        ]
        puts = [store.transact(lambda tx, row=row: tx.put(row)) for row in large]
        drop = store.transact(lambda tx: tx.drop(StoredLetter, ENVELOPE))
        return await asyncio.gather(*puts, drop, return_exceptions=True)

    *large, small = runner.run(run_group())
    assert small is None
    assert sum(isinstance(outcome, DiskFull) for outcome in large) >= 4
    kept = runner.run(store.read(lambda view: view.count(StoredLetter)))
    assert kept == sum(outcome is None for outcome in large) > 0
    store.close()


def test_mailbox_sums_use_an_index_without_reading_rows(tmp_path: Path) -> None:
    """The relay computes these sums for each upload. Each sum searches a covering index."""
    store = open_sqlite(tmp_path / "mail.db")
    for kind, names, given in (
        (StoredBlob, ("mailbox", "envelope"), (MAILBOX, None)),
        (StoredBlob, ("mailbox", "envelope"), (MAILBOX, ENVELOPE)),
        (StoredUpload, ("mailbox",), (MAILBOX,)),
    ):
        ((text, values),) = SqliteStatements().selects(
            Query("count_and_sum", kind, names, ("size", *given))
        )
        plan = store._writing._connection.execute(f"EXPLAIN QUERY PLAN {text}", values)
        ((*_, step),) = plan.fetchall()
        assert step.startswith("SEARCH")
        assert "COVERING INDEX" in step
    store.close()


def letters_of_different_sizes(rng: random.Random) -> list[StoredLetter]:
    return [
        StoredLetter(EnvelopeId(rng.randbytes(16)), MAILBOX, n, rng.randbytes(300 + n * 97), NOON)
        for n in range(60)
    ]


def count_parts_found(path: Path, letters: list[StoredLetter]) -> int:
    files = [file.read_bytes() for file in path.parent.iterdir()]
    parts = [part for one in letters for part in (one.sealed[:16], one.sealed[-16:])]
    return sum(any(part in file for file in files) for part in parts)


@pytest.mark.parametrize("seed", [0, 33])
def test_row_that_was_moved_before_it_was_dropped_leaves_no_bytes(
    tmp_path: Path, runner: asyncio.Runner, seed: int
) -> None:
    """Deletions make SQLite move other rows between pages, and secure_delete misses their old
    places. With these seeds, SQLite 3.46 leaves the beginning of a deleted row in a file that is
    not rewritten.
    """
    store, rng = open_sqlite(tmp_path / "mail.db"), random.Random(seed)
    letters = letters_of_different_sizes(rng)
    order = letters.copy()
    rng.shuffle(order)
    runner.run(store.transact(lambda tx: [tx.put(one) for one in order]))
    deleted, kept = letters[0::3] + letters[1::3], letters[2::3]
    for one in deleted:
        runner.run(store.transact(lambda tx, one=one: tx.drop(StoredLetter, one.envelope)))
    runner.run(store.clear_deleted_rows())
    assert count_parts_found(tmp_path / "mail.db", deleted) == 0
    assert count_parts_found(tmp_path / "mail.db", kept) == 2 * len(kept)
    assert runner.run(store.read(lambda view: view.count(StoredLetter))) == len(kept)
    store.close()


def test_large_database_is_rewritten_every_third_time(
    tmp_path: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.carry.store.sqlite_rows._SMALL_DATABASE_BYTES_MAX", 0)
    monkeypatch.setattr("entrenous.carry.store.sqlite_rows._OVERWRITES_PER_LARGE_REWRITE", 3)
    store, statements = open_sqlite(tmp_path / "mail.db"), []
    submit_exclusive = store._writer.submit_exclusive

    async def record_pragma(pragma: str) -> list[Any]:
        statements.append(pragma)
        return await submit_exclusive(pragma)

    monkeypatch.setattr(store._writer, "submit_exclusive", record_pragma)
    for n in range(7):
        runner.run(store.transact(lambda tx, n=n: tx.put(replace(STORED_LETTER, sequence=n))))
        runner.run(store.clear_deleted_rows())
    assert statements.count("VACUUM") == 2
    store.close()


@pytest.mark.parametrize(
    ("small_bytes", "expected_minutes"), [(0, [2, 5, 8]), (1 << 30, [*range(9)])]
)
def test_failed_rewrite_is_retried_each_minute_or_if_large_every_third(
    tmp_path: Path,
    runner: asyncio.Runner,
    monkeypatch: pytest.MonkeyPatch,
    small_bytes: int,
    expected_minutes: list[int],
) -> None:
    """A rewrite of a large database blocks all writers for a long time."""
    monkeypatch.setattr("entrenous.carry.store.sqlite_rows._SMALL_DATABASE_BYTES_MAX", small_bytes)
    monkeypatch.setattr("entrenous.carry.store.sqlite_rows._OVERWRITES_PER_LARGE_REWRITE", 3)
    store, rewrite_minutes = open_sqlite(tmp_path / "mail.db"), []
    submit_exclusive = store._writer.submit_exclusive

    async def fail_to_rewrite(statement: str) -> list[Any]:
        if statement == "VACUUM":
            rewrite_minutes.append(minute)
            raise DiskFull
        return await submit_exclusive(statement)

    monkeypatch.setattr(store._writer, "submit_exclusive", fail_to_rewrite)
    for minute in range(9):
        row = replace(STORED_LETTER, sequence=minute)
        runner.run(store.transact(lambda tx, row=row: tx.put(row)))  # type: ignore[misc]
        with contextlib.suppress(DiskFull):
            runner.run(store.clear_deleted_rows())
    assert rewrite_minutes == expected_minutes
    store.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_rewrite_copies_rows_to_no_other_folder(
    tmp_path: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's default folder may be on a disk that the operator does not monitor."""
    monkeypatch.setattr("entrenous.carry.store.sqlite_rows._CACHE_KIB", 64)
    folder = tmp_path / "ana's relay"
    store, copied_to = open_sqlite(folder / "mail.db"), set[Path]()
    for number in range(20):
        name = EnvelopeId(bytes([number]) * 16)
        row = replace(STORED_LETTER, envelope=name, sealed=bytes(100_000))
        runner.run(store.transact(lambda tx, row=row: tx.put(row)))  # type: ignore[misc]

    def record_temporary_files() -> None:
        for descriptor in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                file = descriptor.readlink()
                if file.name.startswith("etilqs_"):
                    copied_to.add(file.parent)

    store._writing._connection.set_progress_handler(record_temporary_files, 10)
    runner.run(store.clear_deleted_rows())
    store.close()
    assert copied_to == {folder}


def test_database_is_rewritten_only_after_a_change(tmp_path: Path, runner: asyncio.Runner) -> None:
    """The first call always rewrites the file: an earlier process may have left deleted rows."""
    path = tmp_path / "mail.db"
    store = open_sqlite(path)
    runner.run(store.clear_deleted_rows())
    written_at = path.stat().st_mtime_ns
    runner.run(store.clear_deleted_rows())
    assert path.stat().st_mtime_ns == written_at
    runner.run(store.transact(lambda tx: tx.put(STORED_LETTER)))
    runner.run(store.clear_deleted_rows())
    assert path.stat().st_mtime_ns > written_at
    store.close()


def test_overwriting_deleted_rows_waits_for_a_reader(
    tmp_path: Path, runner: asyncio.Runner
) -> None:
    """The log is empty afterwards, although a read was running when the overwriting began."""
    path, read_started = tmp_path / "mail.db", threading.Event()
    store = open_sqlite(path)
    runner.run(store.transact(lambda tx: tx.put(STORED_LETTER)))

    def count_slowly(view: RowView) -> int:
        found = view.count(StoredLetter)
        read_started.set()
        time.sleep(0.3)
        return found

    async def drop_and_overwrite_while_reading() -> int:
        reader = asyncio.create_task(store.read(count_slowly))
        await asyncio.to_thread(read_started.wait)
        await store.transact(lambda tx: tx.drop(StoredLetter, ENVELOPE))
        await store.clear_deleted_rows()
        assert path.with_name("mail.db-wal").stat().st_size == 0
        return await reader

    assert runner.run(drop_and_overwrite_while_reading()) == 1
    assert ENVELOPE not in path.read_bytes()
    store.close()


def test_long_read_by_another_process_hardly_delays_writes(
    tmp_path: Path, runner: asyncio.Runner
) -> None:
    """While a backup reads, the log cannot be emptied; the next clean-up after it empties it."""
    path = tmp_path / "mail.db"
    store = open_sqlite(path)

    async def overwrite_and_write() -> None:
        await asyncio.gather(
            store.clear_deleted_rows(),
            store.transact(lambda tx: tx.drop(StoredLetter, ENVELOPE)),
        )

    runner.run(store.transact(lambda tx: tx.put(STORED_LETTER)))
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM stored_letter").fetchone()
        began = time.monotonic()
        runner.run(overwrite_and_write())
        assert time.monotonic() - began < 5
    runner.run(store.clear_deleted_rows())
    assert path.with_name("mail.db-wal").stat().st_size == 0
    assert store._writing.execute_alone("PRAGMA busy_timeout") == [(10_000,)]
    store.close()


def test_newer_database_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "mail.db"
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version=99")
    with pytest.raises(NewerDatabase):
        open_sqlite(path)
    assert newer.execute("PRAGMA user_version").fetchone() == (99,)
    assert newer.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    newer.close()
