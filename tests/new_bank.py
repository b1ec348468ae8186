"""Bank stores for tests: the production code on temporary databases that are deleted.

Each process creates the tables once and then copies them. The databases do not sync to disk: no
test cuts the machine's power.
"""

import sqlite3
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from entrenous.base.environment import Clock, SystemClock
from entrenous.stop.banks import create_built_in_banks
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine
from entrenous.stop.store.review_queue import ReviewQueue

_open_engines: weakref.WeakSet[sa.Engine] = weakref.WeakSet()


def new_engine() -> sa.Engine:
    """Return the engine of a new, empty database in a folder that is removed with the engine."""
    return _temporary_engine(_empty_database())


def engine_at(path: Path) -> sa.Engine:
    """Open a database as ``open_engine`` does, but without syncs; create it if it is missing."""
    if not path.exists():
        path.touch(0o600)
        path.write_bytes(_empty_database())
    engine = open_engine(path)
    engine.dispose()  # close connections that were opened before the listener is added
    sa.event.listen(engine, "connect", _do_not_wait_for_disk)
    return engine


def new_bank(clock: Clock | None = None) -> BankStore:
    """Return a bank store on a new database."""
    return BankStore(new_engine(), clock or SystemClock())


def prepared_bank(clock: Clock) -> BankStore:
    """Return a bank store with the built-in banks, which were created at the clock's time."""
    return BankStore(_temporary_engine(_prepared_database(clock.now())), clock)


def copy_bank(bank: BankStore) -> BankStore:
    """Return a copy of a bank store in another database, like a restored backup."""
    copied = new_bank(bank.clock)
    with _sqlite_connection(bank) as source, _sqlite_connection(copied) as target:
        source.backup(target)
    return copied


def review_queue_of(bank: BankStore) -> ReviewQueue:
    """Return the review queue in the bank's database."""
    return ReviewQueue(_engine_of(bank), bank.clock)


def index_of(bank: BankStore) -> FileIndex:
    """Return an index of the bank. The index's files are in a folder beside the database."""
    database = _engine_of(bank).url.database
    assert database is not None
    return FileIndex(Path(database).with_name("index"), bank)


@contextmanager
def fail_statements(bank: BankStore, statement: str) -> Iterator[None]:
    """Fail each SQL statement that begins with ``statement``, as if the database was locked."""

    def refuse(_db: object, _cursor: object, sql: str, *_more: object) -> None:
        if sql.startswith(statement):
            raise sqlite3.OperationalError("database is locked")

    sa.event.listen(_engine_of(bank), "before_cursor_execute", refuse)
    try:
        yield
    finally:
        sa.event.remove(_engine_of(bank), "before_cursor_execute", refuse)


def close_connections() -> None:
    """Close the idle connections of all temporary databases, which stay usable."""
    for engine in list(_open_engines):
        engine.dispose()


def _temporary_engine(contents: bytes) -> sa.Engine:
    folder = _temporary_folder()
    path = Path(folder.name) / "bank.db"
    path.write_bytes(contents)
    engine = engine_at(path)
    weakref.finalize(engine, folder.cleanup)
    _open_engines.add(engine)
    return engine


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="bank-", ignore_cleanup_errors=True)


def _engine_of(bank: BankStore) -> sa.Engine:
    assert isinstance(bank.engine, sa.Engine)
    return bank.engine


@contextmanager
def _sqlite_connection(bank: BankStore) -> Iterator[sqlite3.Connection]:
    with closing(_engine_of(bank).raw_connection()) as pooled:
        connection = pooled.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        yield connection


def _do_not_wait_for_disk(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF").close()


@cache
def _empty_database() -> bytes:
    with _temporary_folder() as folder:
        path = Path(folder) / "bank.db"
        open_engine(path).dispose()
        return path.read_bytes()


@dataclass(frozen=True)
class _FixedClock:
    """A clock that always shows the same time."""

    time: datetime

    def now(self) -> datetime:
        return self.time


@cache
def _prepared_database(time: datetime) -> bytes:
    with _temporary_folder() as folder:
        path = Path(folder) / "bank.db"
        engine = engine_at(path)
        create_built_in_banks(BankStore(engine, _FixedClock(time)))
        engine.dispose()
        return path.read_bytes()
