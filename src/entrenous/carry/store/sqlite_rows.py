"""The relay's rows in SQLite: one writer that commits in groups, and one reader beside it.

Other threads sync and checkpoint the writer's write-ahead log.
"""

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sql

from entrenous.base.errors import DiskFailed, DiskFull
from entrenous.base.files import sync_folder
from entrenous.carry.relay import RowTransaction, RowView
from entrenous.carry.relay_rows import StoredEnvelope, StoredLetter, StoredMailbox, StoredToken
from entrenous.carry.store.group_commit import GroupCommit, PrefetchRead
from entrenous.carry.store.statements import Query, SqliteStatements
from entrenous.carry.store.tables import SCHEMA_VERSION, create_tables_if_empty
from entrenous.carry.store.unit_of_work import Key, ReadOnlyView, UnitOfWork


class WriteAheadLog:
    """The write-ahead log of a database; its file exists once something has been committed.

    After a failed sync, nothing counts as durable any more, because a later successful sync proves
    nothing about pages that the kernel could not write (danluu.com/fsyncgate). The relay has to be
    restarted; it then reads what is on the disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._failed: OSError | None = None

    def sync(self) -> None:
        """Block until everything committed before is durable; raises OSError."""
        if self._failed is not None:
            raise OSError(self._failed.errno, "the log could not be synced before")
        try:
            os.fdatasync(self._open_file())
        except OSError as why:
            self._failed = why
            raise

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open_file(self) -> int:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR)
            sync_folder(self._path.parent)  # without this, a crash could lose the new file
        return self._file


_CHECKPOINT_STATEMENT: Final = "PRAGMA wal_checkpoint(PASSIVE)"


class WalCheckpointer:
    """Checkpoints the log whenever about ``pages`` pages have been written, and holds ``lock``
    during each checkpoint.
    """

    def __init__(self, connection: sqlite3.Connection, pages: int) -> None:
        self.lock = threading.Lock()
        self._connection = connection
        self._pages = pages
        self._written = 0
        self._copying: threading.Thread | None = None
        self._is_rest_due = False

    def count_written_pages(self, pages: int) -> None:
        """Count pages that the writer wrote, and start a checkpoint if it is time."""
        self._written += pages
        if self._written >= self._pages and self._copying is None:
            self._written = 0
            self._copying = threading.Thread(target=self._copy_most, daemon=True)
            self._copying.start()

    def finish_checkpoint(self) -> None:
        """Copy the rest of the log after a checkpoint; call this only while nobody writes."""
        if self._is_rest_due:
            self._is_rest_due = False
            self._copy()
            self._copying = None

    def close(self) -> None:
        if self._copying is not None:
            self._copying.join()
        self._connection.close()

    def _copy_most(self) -> None:
        self._copy()
        self._is_rest_due = True

    def _copy(self) -> None:
        # If the disk failed, the next commit fails too, and reports that.
        with self.lock, contextlib.suppress(sqlite3.Error):
            self._connection.execute(_CHECKPOINT_STATEMENT)


_CACHED_ROWS_MAX: Final = 4096  # cached between groups
_CACHED_SEALED_BYTES_MAX: Final = 8192
_PAGE_BYTES_LOG2: Final = 12


class SqliteConnection:
    """A :class:`entrenous.carry.store.group_commit.GroupConnection` that caches rows between
    groups.

    From its start, a writing transaction keeps other writers out; a reading one sees a single
    snapshot. So after the check for writes by others, nothing changes until the transaction ends.
    """

    errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError)
    is_shared = False

    def __init__(
        self, connection: sqlite3.Connection, log: Path, checkpoints: WalCheckpointer
    ) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._log = WriteAheadLog(log)
        self._checkpoints = checkpoints
        self._statements = SqliteStatements()
        self._work_unit = UnitOfWork(self, pages_ahead=False)
        self._version: object = None

    def wait_for_turn(self) -> None:
        """Return at once: SQLite locks the database when :meth:`begin` is called."""

    def can_begin_at_once(self) -> bool:
        return True

    def begin(self, hints: list[PrefetchRead], *, writes: bool = True) -> UnitOfWork:
        """Begin a transaction, and drop the cached rows if another connection has written."""
        self._cursor.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        self._drop_stale_rows()
        self._work_unit.prefetch(hints)
        return self._work_unit

    def _drop_stale_rows(self) -> None:
        version = self._cursor.execute("PRAGMA data_version").fetchone()
        if version != self._version or len(self._work_unit) > _CACHED_ROWS_MAX:
            self._work_unit, self._version = UnitOfWork(self, pages_ahead=False), version

    def commit(self, tx: UnitOfWork) -> None:
        tx.flush()
        self._cursor.execute("COMMIT")
        tx.drop_cache(_CACHED_KINDS)

    def take_sync_ticket(self) -> None:
        """Return None: :meth:`sync` needs no ticket, since it always flushes the whole log."""

    def sync(self, _: object) -> None:
        self._log.sync()

    def checkpoint(self) -> None:
        self._checkpoints.finish_checkpoint()

    def roll_back(self) -> None:
        self._work_unit = UnitOfWork(self, pages_ahead=False)
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._cursor.execute("ROLLBACK")

    def execute_alone(self, statement: str) -> list[Any]:
        with self._checkpoints.lock:
            if statement != _EMPTY_LOG_STATEMENT:
                return self._cursor.execute(statement).fetchall()
            _set_busy_timeout(self._connection, _EMPTY_LOG_TIMEOUT_MS)
            try:
                return self._cursor.execute(statement).fetchall()
            finally:
                _set_busy_timeout(self._connection, _BUSY_TIMEOUT_MS)

    def count_changes(self) -> int:
        """Return how many rows were written or deleted since the connection was opened."""
        return self._connection.total_changes

    def translate_error(self, why: Exception) -> Exception:
        return translate_sqlite_error(why)

    def close(self) -> None:
        self._cursor.close()
        self._connection.close()
        self._checkpoints.close()
        self._log.close()

    def run_queries(self, queries: Sequence[Query]) -> list[Any]:
        return [
            query.convert_rows(self._statements.fetch_rows(query, self._cursor))
            for query in queries
        ]

    def write(self, kind: type, puts: Sequence[Any], drops: Sequence[Key]) -> None:
        for text, given in (
            *self._statements.drops(kind, drops),
            *self._statements.puts(kind, puts),
        ):
            self._cursor.execute(text, given)
        self._checkpoints.count_written_pages(len(puts) + len(drops) + _extra_pages(kind, puts))


def _extra_pages(kind: type, rows: Sequence[Any]) -> int:
    """Return how many pages these rows need in addition to one page each.

    Only letters are counted, because rows of every other kind are few or small.
    """
    return sum(len(row.sealed) >> _PAGE_BYTES_LOG2 for row in rows) if kind is StoredLetter else 0


def _is_small(letter: Any) -> bool:
    return len(letter.sealed) <= _CACHED_SEALED_BYTES_MAX


def _keep_every_row(_: object) -> bool:
    return True


#: For each kind of row that is cached between groups, a predicate for the rows to keep. The next
#: requests for a letter will probably read these rows. No secret and no large row is among them.
_CACHED_KINDS: Final[Mapping[type, Callable[[Any], bool]]] = {
    StoredMailbox: _keep_every_row,
    StoredToken: _keep_every_row,
    StoredEnvelope: _keep_every_row,
    StoredLetter: _is_small,
}


def translate_sqlite_error(why: Exception) -> Exception:
    """Translate a database error for people; an error in our own SQL is returned unchanged."""
    if isinstance(why, OSError):
        return DiskFull() if why.errno in (errno.ENOSPC, errno.EDQUOT) else DiskFailed()
    if not isinstance(why, sqlite3.DatabaseError) or isinstance(
        why, sqlite3.IntegrityError | sqlite3.ProgrammingError
    ):
        return why
    return DiskFull() if why.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL else DiskFailed()


AnswerT = TypeVar("AnswerT")


class SqliteReader:
    """Reads snapshots while the writer works.

    Implements :class:`.unit_of_work.TransactionRows` for reading only.
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

    def run_queries(self, queries: Sequence[Query]) -> list[Any]:
        return [
            query.convert_rows(self._statements.fetch_rows(query, self._cursor))
            for query in queries
        ]

    def write(self, kind: type, puts: Sequence[Any], drops: Sequence[Key]) -> None:  # noqa: ARG002
        raise TypeError("a reader cannot write")


_PAGE_BYTES: Final = 4096
_BUSY_TIMEOUT_MS: Final = 10_000
_EMPTY_LOG_STATEMENT: Final = "PRAGMA wal_checkpoint(TRUNCATE)"
#: How long :meth:`SqliteRows.clear_deleted_rows` waits for readers to finish; all writers wait
#: meanwhile, and a backup may read for hours.
_EMPTY_LOG_TIMEOUT_MS: Final = 250
_CACHE_KIB: Final = 32_768
_CHECKPOINT_PAGES: Final = (
    16_384  # 64 MiB; with a small log, a page that is written often is copied again and again
)
_SMALL_DATABASE_BYTES_MAX: Final = 64 * 1024**2  # a database of this size is rewritten in 0.25 s
_OVERWRITES_PER_LARGE_REWRITE: Final = (
    60  # clear_deleted_rows rewrites a larger database at every 60th call, so once an hour
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

    async def clear_deleted_rows(self) -> None:
        """Rewrite the file without deleted rows, then empty the write-ahead log.

        ``secure_delete`` zeroes a deleted row in place. But SQLite also moves rows between pages to
        balance its trees. This leaves bytes in the free part of a page, which only VACUUM removes.
        Emptying the log waits only briefly for readers, so it is not emptied while a backup reads.

        Raises:
            DiskFull, DiskFailed: the file was not rewritten, or the log not emptied. The next call
                tries again. A large file is rewritten only by a call an hour later, because all
                writers wait during a rewrite.
        """
        try:
            await self._rewrite_if_due()
        finally:
            await self._writer.submit_exclusive(_EMPTY_LOG_STATEMENT)

    async def _rewrite_if_due(self) -> None:
        changes = self._writing.count_changes()
        if changes == self._rewritten_at:
            return
        ((pages,),) = await self._writer.submit_exclusive("PRAGMA page_count")
        self._skipped += 1
        if (
            pages * _PAGE_BYTES > _SMALL_DATABASE_BYTES_MAX
            and self._skipped < _OVERWRITES_PER_LARGE_REWRITE
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
    with contextlib.ExitStack() as closed_on_failure:
        closed_on_failure.callback(connection.close)
        _set_busy_timeout(connection, _BUSY_TIMEOUT_MS)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")  # WriteAheadLog syncs
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint={4 * _CHECKPOINT_PAGES}")
        if bytes_max is not None:
            connection.execute(f"PRAGMA max_page_count={bytes_max // _PAGE_BYTES}")
        closed_on_failure.pop_all()
    return connection


def _set_busy_timeout(connection: sqlite3.Connection, timeout_ms: int) -> None:
    connection.execute(f"PRAGMA busy_timeout={timeout_ms}")


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
    # Read the version again: another process may have created the tables meanwhile.
    if create_tables_if_empty(connection, _schema_version(connection), create=create):
        connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.exec_driver_sql("COMMIT")


def _schema_version(connection: sql.Connection) -> int:
    found: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    return found
