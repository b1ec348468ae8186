"""The relay's rows in SQLite: one writer that commits in groups, and one reader beside it."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sql

from entrenous.carry.relay import RowTransaction, RowView
from entrenous.carry.store.group_commit import GroupCommit, PrefetchRead
from entrenous.carry.store.sqlite_connection import (
    SqliteConnection,
    WalCheckpointer,
    translate_sqlite_error,
)
from entrenous.carry.store.statements import Query, SqliteStatements
from entrenous.carry.store.tables import SCHEMA_VERSION, create_if_empty
from entrenous.carry.store.unit_of_work import Key, ReadOnlyView, UnitOfWork

AnswerT = TypeVar("AnswerT")


class SqliteReader:
    """Reads snapshots while the writer works; implements :class:`.unit_of_work.Rows` for reading
    only.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._statements = SqliteStatements()
        self._lock = threading.Lock()

    def read(self, work: Callable[[RowView], AnswerT]) -> AnswerT:
        """Run ``work`` on a snapshot of what is committed."""
        with self._lock:
            try:
                self._cursor.execute("BEGIN")
                try:
                    return work(ReadOnlyView(UnitOfWork(self, pages_ahead=False)))
                finally:
                    with contextlib.suppress(sqlite3.Error):
                        self._cursor.execute("ROLLBACK")
            except sqlite3.Error as why:
                raise translate_sqlite_error(why) from None

    def close(self) -> None:
        self._cursor.close()
        self._connection.close()

    def answer(self, queries: Sequence[Query]) -> list[Any]:
        return [query.read(self._statements.rows(query, self._cursor)) for query in queries]

    def write(self, kind: type, puts: Sequence[Any], drops: Sequence[Key]) -> None:  # noqa: ARG002
        raise TypeError("a reader cannot write")


_PAGE_BYTES: Final = 4096
_BUSY_TIMEOUT_MS: Final = 10_000
_CACHE_KIB: Final = 32_768
_CHECKPOINT_PAGES: Final = (
    16_384  # 64 MiB; with a small log, a page that is written often is copied again and again
)
_SMALL_DATABASE_BYTES_MAX: Final = 64 * 1024**2  # a database of this size is rewritten in 0.25 s
_SCRUBS_PER_LARGE_REWRITE: Final = (
    60  # a larger database is rewritten at every 60th scrub, once an hour
)
#: Free space that a rewrite needs, as a multiple of the file's size (measured). One part is for the
#: copy, and one for the write-ahead log.
REWRITE_SPACE_FACTOR: Final = 2


class SqliteRows:
    """Implements :class:`.relay.RowStore` on a file; :func:`open_sqlite` creates it."""

    def __init__(self, writing: SqliteConnection, reading: SqliteReader) -> None:
        self._writing = writing
        self._writer = GroupCommit(writing)
        self._reader = reading
        # The change counter at the time of the last rewrite; None if there was none.
        self._rewritten_at: int | None = None
        self._skipped = 0

    async def transact(
        self, work: Callable[[RowTransaction], AnswerT], hint: PrefetchRead | None = None
    ) -> AnswerT:
        return await self._writer.submit(work, hint)

    async def read(
        self, work: Callable[[RowView], AnswerT], hint: PrefetchRead | None = None
    ) -> AnswerT:
        if not self._writer.allows_separate_reads:
            return await self._writer.submit_read(work, hint)
        self._writer.raise_failed_sync()
        return self._reader.read(work)

    async def overwrite_deleted(self) -> None:
        """Rewrite the file without deleted rows, then empty the write-ahead log.

        ``secure_delete`` zeroes a row in place. But SQLite moves rows between pages to balance its
        trees, and only VACUUM zeroes the bytes that remain in the free part of a page after that.
        Emptying the log waits for readers (``busy_timeout``).

        Raises:
            DiskFull, DiskFailed: the file was not rewritten. The next scrub tries again. A large
                file is tried only after an hour, because all writers wait during a rewrite.
        """
        try:
            await self._rewrite()
        finally:
            await self._writer.submit_exclusive("PRAGMA wal_checkpoint(TRUNCATE)")

    async def _rewrite(self) -> None:
        changes = self._writing.changes()
        if changes == self._rewritten_at:
            return
        ((pages,),) = await self._writer.submit_exclusive("PRAGMA page_count")
        self._skipped += 1
        if (
            pages * _PAGE_BYTES > _SMALL_DATABASE_BYTES_MAX
            and self._skipped < _SCRUBS_PER_LARGE_REWRITE
        ):
            return
        self._skipped = 0
        await self._writer.submit_exclusive("VACUUM")
        self._rewritten_at = changes

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


def open_sqlite(path: Path, *, bytes_max: int | None = None, create: bool = True) -> SqliteRows:
    """Open or create the database file, and its folder, readable by its owner alone.

    ``bytes_max`` limits the file's size; a write beyond it raises DiskFull. ``create`` allows
    creating the tables in an empty file.

    Raises:
        NewerDatabase, OlderDatabase: another version of Entrenous wrote it; nothing was changed.
        UnusedDatabase: it is empty, and ``create`` is False.
        DiskFull, DiskFailed: the tables could not be created; the file has none of them.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    _ensure_schema(path, bytes_max, create=create)
    log = path.with_name(f"{path.name}-wal")
    reading = _connect(path)
    reading.execute("PRAGMA query_only=ON")
    checkpoints = WalCheckpointer(_connect(path, bytes_max), _CHECKPOINT_PAGES)
    writing = _connect(path, bytes_max)
    _set_temporary_folder(path.parent, writing)
    return SqliteRows(SqliteConnection(writing, log, checkpoints), SqliteReader(reading))


def _connect(path: Path, bytes_max: int | None = None) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")  # WriteAheadLog syncs
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint={4 * _CHECKPOINT_PAGES}")
    if bytes_max is not None:
        connection.execute(f"PRAGMA max_page_count={bytes_max // _PAGE_BYTES}")
    return connection


def _set_temporary_folder(folder: Path, connection: sqlite3.Connection) -> None:
    """Make SQLite put its temporary files into ``folder``.

    A rewrite copies every row into such a file. The default folder, /var/tmp, may be on a smaller
    or less protected disk. The setting applies to the whole process. The environment variable
    SQLITE_TMPDIR is no alternative, because SQLite has read it before we can set it. The setting is
    deprecated, and a SQLite that was built without it ignores it.
    """
    quoted = str(folder.resolve()).replace("'", "''")
    connection.execute(f"PRAGMA temp_store_directory='{quoted}'")


def _ensure_schema(path: Path, bytes_max: int | None, *, create: bool) -> None:
    connect = partial(_connect, path, bytes_max)
    engine = sql.create_engine("sqlite://", creator=connect, poolclass=sql.NullPool)
    try:
        with engine.connect() as connection:
            if _schema_version(connection) != SCHEMA_VERSION:
                _create_tables(connection, create=create)
    except sql.exc.DBAPIError as why:
        raise (
            translate_sqlite_error(why.orig) if isinstance(why.orig, sqlite3.Error) else why
        ) from None


def _create_tables(connection: sql.Connection, *, create: bool) -> None:
    """Create all tables in one transaction, so that a killed process leaves none."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    # Read the version again: another process may have created them meanwhile.
    if create_if_empty(connection, _schema_version(connection), create=create):
        connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.exec_driver_sql("COMMIT")


def _schema_version(connection: sql.Connection) -> int:
    found: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    return found
