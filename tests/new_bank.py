"""A platform's bank for a test: what ships, on a database of its own that goes with its engine.

The tables are made once in a process and copied, and nothing waits for the disk: no test in a
process of its own can tell what a power cut leaves (tests/stop/index/index_kills.py
starts another).
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

_opened: weakref.WeakSet[sa.Engine] = weakref.WeakSet()


def new_engine() -> sa.Engine:
    """An empty database with all tables, in a temporary folder that is removed with the engine."""
    return _temporary_engine(_empty_database())


def engine_at(path: Path) -> sa.Engine:
    """What ``open_engine`` makes there, but copied if it is missing."""
    if not path.exists():
        path.touch(0o600)
        path.write_bytes(_empty_database())
    engine = open_engine(path)
    engine.dispose()  # so that no connection is left from before the next line
    sa.event.listen(engine, "connect", _do_not_wait_for_disk)
    return engine


def new_bank(clock: Clock | None = None) -> BankStore:
    """A bank store on a new database."""
    return BankStore(new_engine(), clock or SystemClock())


def prepared_bank(clock: Clock) -> BankStore:
    """A bank store on a new database, with the banks that every platform has since this moment."""
    return BankStore(_temporary_engine(_prepared_database(clock.now())), clock)


def copy_of(bank: BankStore) -> BankStore:
    """Another database that holds the same, as one that was put back from a backup does."""
    copied = new_bank(bank.clock)
    with _file_of(bank) as source, _file_of(copied) as target:
        source.backup(target)
    return copied


def reviews_beside(bank: BankStore) -> ReviewQueue:
    """The review queue in the same database."""
    return ReviewQueue(_engine_of(bank), bank.clock)


def index_beside(bank: BankStore) -> FileIndex:
    """An index of the bank, in files in the folder of its database."""
    database = _engine_of(bank).url.database
    assert database is not None
    return FileIndex(Path(database).with_name("index"), bank)


@contextmanager
def busy_at(bank: BankStore, statement: str) -> Iterator[None]:
    """The database is busy at each statement that begins so: those before it are undone."""

    def refuse(_db: object, _cursor: object, said: str, *_more: object) -> None:
        if said.startswith(statement):
            raise sqlite3.OperationalError("database is locked")

    sa.event.listen(_engine_of(bank), "before_cursor_execute", refuse)
    try:
        yield
    finally:
        sa.event.remove(_engine_of(bank), "before_cursor_execute", refuse)


def close_connections() -> None:
    """Close the idle connections of all databases from here; each may still be used afterwards."""
    for engine in list(_opened):
        engine.dispose()


def _temporary_engine(contents: bytes) -> sa.Engine:
    folder = _temporary()
    path = Path(folder.name) / "bank.db"
    path.write_bytes(contents)
    engine = engine_at(path)
    weakref.finalize(engine, folder.cleanup)
    _opened.add(engine)
    return engine


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="bank-", ignore_cleanup_errors=True)


def _engine_of(bank: BankStore) -> sa.Engine:
    assert isinstance(bank.engine, sa.Engine)
    return bank.engine


@contextmanager
def _file_of(bank: BankStore) -> Iterator[sqlite3.Connection]:
    with closing(_engine_of(bank).raw_connection()) as pooled:
        file = pooled.driver_connection
        assert isinstance(file, sqlite3.Connection)
        yield file


def _do_not_wait_for_disk(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF").close()


@cache
def _empty_database() -> bytes:
    with _temporary() as folder:
        path = Path(folder) / "bank.db"
        open_engine(path).dispose()
        return path.read_bytes()


@dataclass(frozen=True)
class _Stopped:
    """A clock that shows one moment."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment


@cache
def _prepared_database(moment: datetime) -> bytes:
    with _temporary() as folder:
        path = Path(folder) / "bank.db"
        engine = engine_at(path)
        create_built_in_banks(BankStore(engine, _Stopped(moment)))
        engine.dispose()
        return path.read_bytes()
