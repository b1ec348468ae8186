"""The relay's rows in SQLite: one writer that commits in groups, and a reader beside it."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import sqlalchemy as sql

from entrenous.base.identifiers import MailboxId
from entrenous.carry.relay import RowTransaction, RowView
from entrenous.carry.relay_rows import HELD, HeldLetter
from entrenous.carry.store.group_commit import GroupCommit, Look
from entrenous.carry.store.sqlite_connection import Checkpoints, SqliteConnection, named_fault
from entrenous.carry.store.statements import Query, SqliteStatements, bound
from entrenous.carry.store.tables import VERSION, create_if_empty, read

Answer = TypeVar("Answer")
Row = TypeVar("Row")


class SqliteReader:
    """A :class:`entrenous.carry.relay.RowView`, within :meth:`look`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._wording = SqliteStatements()
        self._lock = threading.Lock()

    def look(self, work: Callable[[RowView], Answer]) -> Answer:
        """Run ``work`` on one moment of what is committed."""
        with self._lock:
            try:
                self._cursor.execute("BEGIN")
                try:
                    return work(self)
                finally:
                    self._end()
            except sqlite3.Error as why:
                raise named_fault(why) from None

    def close(self) -> None:
        """Close the connection."""
        self._cursor.close()
        self._connection.close()

    def get(self, kind: type[Row], *key: object) -> Row | None:
        """The row, or None."""
        row = self._cursor.execute(_by_key(cast("type", kind)), bound(key)).fetchone()
        return cast("Row", read(kind, row)) if row else None

    def find(self, kind: type[Row], limit: int | None = None, **fields: object) -> list[Row]:
        """Rows whose fields equal these, in the order of their keys."""
        most = -1 if limit is None else limit  # SQLite reads a negative one as none
        given = (*fields.values(), most)
        return cast("list[Row]", self._answer(Query("find", kind, tuple(fields), given)))

    def count(self, kind: type[object], **fields: object) -> int:
        """How many rows have fields that equal these."""
        values = tuple(fields.values())
        found = self._answer(Query("counts", kind, tuple(fields), (values,)))
        return cast("int", found.get(values, 0))

    def weigh(self, kind: type[object], what: str, **fields: object) -> tuple[int, int]:
        """How many rows have fields that equal these or lack them; the sum of ``what``."""
        ask = Query("weigh", kind, tuple(fields), (what, *fields.values()))
        return cast("tuple[int, int]", self._answer(ask))

    def letters(
        self, mailbox: MailboxId, after: int, at: datetime, limit: int, full_bytes: int
    ) -> list[HeldLetter]:
        """Letters that wait in a mailbox."""
        ask = Query("letters", HeldLetter, (), (mailbox, after, at, limit, full_bytes))
        return cast("list[HeldLetter]", self._answer(ask))

    def due(self, kind: type[Row], at: datetime, limit: int) -> list[Row]:
        """Rows whose time has come."""
        return cast("list[Row]", self._answer(Query("due", kind, (), (at, limit))))

    def _answer(self, ask: Query) -> Any:
        return ask.read(self._wording.rows(ask, self._cursor))

    def _end(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._cursor.execute("ROLLBACK")


@cache
def _by_key(kind: type) -> str:
    """The question for one row; keys are bytes, which are written as they are."""
    some = Query("rows", kind, HELD[kind], (tuple(b"" for _ in HELD[kind]),))
    return next(iter(SqliteStatements().asks(some)))[0]


_PAGE_BYTES: Final = 4096
_BUSY_MS: Final = 10_000
_CACHE_KIB: Final = 32_768
_LOG_PAGES: Final = 16_384  # 64 MiB: each page that was written often is copied into the file once
_SMALL_BYTES: Final = 64 * 1024**2  # of a database: rewriting it takes a quarter of a second
_LARGE_EVERY: Final = 60  # scrubs: a larger one is rewritten once an hour
#: Room that a rewrite takes beside the file, in times its size: a copy, then the log. Measured.
REWRITE_COPIES: Final = 2


class SqliteRows:
    """A :class:`entrenous.carry.relay.RowStore` on one SQLite file; :func:`open_mail` makes it."""

    def __init__(self, writing: SqliteConnection, reading: SqliteReader) -> None:
        self._line = writing
        self._writer = GroupCommit(writing)
        self._reader = reading
        self._rewritten_at: int | None = None  # changes that there had been by the last time
        self._skipped = 0

    async def together(
        self, work: Callable[[RowTransaction], Answer], ahead: Look | None = None
    ) -> Answer:
        """Run ``work`` in a transaction that is durable when this returns."""
        return await self._writer.submit(work, ahead)

    async def look(self, work: Callable[[RowView], Answer], ahead: Look | None = None) -> Answer:
        """Run ``work`` on what is committed and durable."""
        if not self._writer.is_alone:
            return await self._writer.look(work, ahead)
        self._writer.refuse_failed()
        return self._reader.look(work)

    async def scrub(self) -> None:
        """Rewrite the file without what was dropped, then empty the write-ahead log.

        ``secure_delete`` zeroes a row where it lies. But SQLite moves rows from page to page to
        keep its trees balanced, and what it then leaves behind in the free part of a page is
        zeroed by nothing but VACUUM. Emptying the log waits for readers (``busy_timeout``).

        Raises:
            DiskFull, DiskFailed: the file was not rewritten; that is tried again by the next scrub,
                of a large one an hour later, since all who write wait for it.
        """
        try:
            await self._rewrite()
        finally:
            await self._writer.submit_alone("PRAGMA wal_checkpoint(TRUNCATE)")

    async def _rewrite(self) -> None:
        changes = self._line.changes()
        if changes == self._rewritten_at:
            return
        ((pages,),) = await self._writer.submit_alone("PRAGMA page_count")
        self._skipped += 1
        if pages * _PAGE_BYTES > _SMALL_BYTES and self._skipped < _LARGE_EVERY:
            return
        self._skipped = 0
        await self._writer.submit_alone("VACUUM")
        self._rewritten_at = changes

    def close(self) -> None:
        """Finish what was asked for, then close the file."""
        self._reader.close()
        self._writer.close()


def open_sqlite(path: Path, *, bytes_max: int | None = None, create: bool = True) -> SqliteRows:
    """Open the database file, or make it, readable by its owner alone.

    Args:
        path: the file; its folder is made if need be.
        bytes_max: how large the file may grow; beyond, DiskFull.
        create: whether the tables are created if the file is empty.

    Raises:
        NewerDatabase, OlderDatabase: another version of Entrenous wrote it; it is as it was.
        UnusedDatabase: it is empty, and ``create`` is False.
        DiskFull, DiskFailed: the tables could not be created; the file has none of them.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    _prepare(path, bytes_max, create=create)
    log = path.with_name(f"{path.name}-wal")
    reading = _connect(path)
    reading.execute("PRAGMA query_only=ON")
    checkpoints = Checkpoints(_connect(path, bytes_max), _LOG_PAGES)
    writing = _connect(path, bytes_max)
    _keep_copies_in(path.parent, writing)
    return SqliteRows(SqliteConnection(writing, log, checkpoints), SqliteReader(reading))


def _connect(path: Path, bytes_max: int | None = None) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")  # and durable_log.py
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint={4 * _LOG_PAGES}")
    if bytes_max is not None:
        connection.execute(f"PRAGMA max_page_count={bytes_max // _PAGE_BYTES}")
    return connection


def _keep_copies_in(folder: Path, connection: sqlite3.Connection) -> None:
    """Have SQLite put its temporary files there: a rewrite copies every row into one.

    Else they lie in /var/tmp, on a disk that is maybe smaller, and whose freed blocks nobody thinks
    of as the relay's. This holds for the process; its variable SQLITE_TMPDIR would be read too
    early. It is deprecated, so a SQLite may have been built without it, which then goes on as ever.
    """
    quoted = str(folder.resolve()).replace("'", "''")
    connection.execute(f"PRAGMA temp_store_directory='{quoted}'")


def _prepare(path: Path, bytes_max: int | None, *, create: bool) -> None:
    """Make sure that the tables are there, and of this version."""
    connect = partial(_connect, path, bytes_max)
    engine = sql.create_engine("sqlite://", creator=connect, poolclass=sql.NullPool)
    try:
        with engine.connect() as connection:
            if _version(connection) != VERSION:
                _create(connection, create=create)
    except sql.exc.DBAPIError as why:
        raise named_fault(why.orig) if isinstance(why.orig, sqlite3.Error) else why from None


def _create(connection: sql.Connection, *, create: bool) -> None:
    """Create all tables in one transaction: if this process is killed, the file has none."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    # Read again, since another process may have created them meanwhile.
    if create_if_empty(connection, _version(connection), create=create):
        connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")
    connection.exec_driver_sql("COMMIT")


def _version(connection: sql.Connection) -> int:
    found: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    return found
