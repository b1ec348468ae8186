"""Open the platform's SQLite file: durable on commit, deleted rows overwritten."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from entrenous.adapters.bank.tables import METADATA, SCHEMA_VERSION, VERSION
from entrenous.model.bank import BankUnreachable

Where = sa.Engine | sa.Connection  # the database, or a transaction that is open in it

_REWRITTEN_BYTES_MAX: Final = 64 * 1024 * 1024  # about a quarter of a second
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
def writing(engine: Where) -> Iterator[sa.Connection]:
    """One transaction that nobody else writes beside; all of it or nothing.

    Given a transaction instead of the database, it is that one.
    """
    if isinstance(engine, sa.Connection):
        yield engine
        return
    with _in_our_words(), engine.connect() as db:
        db.execution_options(immediate=True)
        with db.begin():
            yield db


@contextmanager
def reading(engine: Where) -> Iterator[sa.Connection]:
    """One moment of the database, or of the transaction that is given instead."""
    if isinstance(engine, sa.Connection):
        yield engine
        return
    with _in_our_words(), engine.connect() as db, db.begin():
        yield db


def scrub(engine: Where) -> None:
    """Overwrite what was deleted: rewrite the file, and empty the write-ahead log.

    ``secure_delete`` zeroes a row where it lies, but not what SQLite leaves behind when it moves
    rows between pages; only VACUUM does. A large file is not rewritten here: it would hold up
    uploads. When a reader is in the way for long, the next call does it; inside of a transaction
    whoever ends that does.
    """
    if isinstance(engine, sa.Connection):
        return
    with _in_our_words(), closing(engine.raw_connection()) as db:
        cursor = db.cursor()
        pages, page_bytes = (
            cursor.execute(f"PRAGMA {of}").fetchone()[0] for of in ("page_count", "page_size")
        )
        if pages * page_bytes <= _REWRITTEN_BYTES_MAX:
            with suppress(sqlite3.OperationalError):
                cursor.execute("VACUUM")
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
