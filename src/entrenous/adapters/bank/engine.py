"""Open the platform's SQLite file: durable on commit, deleted rows overwritten."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from entrenous.adapters.bank.tables import METADATA, SCHEMA_VERSION, VERSION
from entrenous.model.bank import BankUnreachable

_BUSY_S: Final = 10.0  # as long as another process may hold the file before we give up
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",  # readers and one writer at a time
    "PRAGMA synchronous=FULL",  # what was acknowledged survives a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # a withdrawn hash does not linger in free pages
)


def open_engine(path: Path) -> sa.Engine:
    """The database at ``path``, made if it is missing.

    Raises:
        BankUnreachable: it cannot be opened, or a newer Entrenous made it.
    """
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_S})
    sa.event.listen(engine, "connect", _on_connect)
    sa.event.listen(engine, "begin", _on_begin)
    with writing(engine) as db:
        METADATA.create_all(db)
        version = db.execute(sa.select(sa.func.max(SCHEMA_VERSION.c.version))).scalar()
        if version is None:
            db.execute(SCHEMA_VERSION.insert().values(version=VERSION))
        elif version != VERSION:
            raise BankUnreachable(why=f"its tables have version {version}, not {VERSION}")
    return engine


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that nobody else writes beside; all of it or nothing."""
    with _in_our_words(), engine.connect() as db:
        db.execution_options(immediate=True)
        with db.begin():
            yield db


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One moment of the database."""
    with _in_our_words(), engine.connect() as db, db.begin():
        yield db


def scrub(engine: sa.Engine) -> None:
    """Overwrite what was deleted: move the write-ahead log into the file's pages and empty it.

    When a reader is in the way for long, the log is emptied by the next call instead.
    """
    with _in_our_words(), closing(engine.raw_connection()) as db:
        cursor = db.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.fetchall()


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except DBAPIError as problem:
        raise BankUnreachable(why=str(problem.orig)) from problem


def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, see _on_begin
    for pragma in _PRAGMAS:
        connection.execute(pragma).close()


def _on_begin(db: sa.Connection) -> None:
    immediate = db.get_execution_options().get("immediate", False)
    db.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
