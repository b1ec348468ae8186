"""The writing SQLite connection of a group commit; other threads sync and checkpoint its
write-ahead log.
"""

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from entrenous.base.errors import DiskFailed, DiskFull
from entrenous.base.files import sync_folder
from entrenous.carry.relay_rows import StoredEnvelope, StoredLetter, StoredMailbox, StoredToken
from entrenous.carry.store.group_commit import PrefetchRead
from entrenous.carry.store.statements import Query, SqliteStatements
from entrenous.carry.store.unit_of_work import Key, UnitOfWork


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
            sync_folder(self._path.parent)  # so that the file of the log survives a crash
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

    def count(self, pages: int) -> None:
        """Count pages that the writer wrote, and start a checkpoint if it is time."""
        self._written += pages
        if self._written >= self._pages and self._copying is None:
            self._written = 0
            self._copying = threading.Thread(target=self._copy_most, daemon=True)
            self._copying.start()

    def finish(self) -> None:
        """Copy the rest of the log after a checkpoint; call it only while nobody writes."""
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
_PAGE_BITS: Final = 12


class SqliteConnection:
    """A :class:`entrenous.carry.store.group_commit.GroupConnection` that caches rows between
    groups.

    A writing transaction excludes other writers from its start, and a reading one sees one
    snapshot. So after the check for writes by others, nothing changes until the transaction ends.
    """

    errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError)
    shared = False

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
        """Return at once: nobody else writes."""

    def ready(self) -> bool:
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

    def ticket(self) -> None:
        """Return None, since there is only one log."""

    def sync(self, _: object) -> None:
        self._log.sync()

    def checkpoint(self) -> None:
        self._checkpoints.finish()

    def roll_back(self) -> None:
        self._work_unit = UnitOfWork(self, pages_ahead=False)
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._cursor.execute("ROLLBACK")

    def execute_alone(self, statement: str) -> list[Any]:
        with self._checkpoints.lock:
            return self._cursor.execute(statement).fetchall()

    def changes(self) -> int:
        """Return how many rows were written or deleted since the connection was opened."""
        return self._connection.total_changes

    def translate_error(self, why: Exception) -> Exception:
        return translate_sqlite_error(why)

    def close(self) -> None:
        self._cursor.close()
        self._connection.close()
        self._checkpoints.close()
        self._log.close()

    def answer(self, queries: Sequence[Query]) -> list[Any]:
        return [query.read(self._statements.rows(query, self._cursor)) for query in queries]

    def write(self, kind: type, puts: Sequence[Any], drops: Sequence[Key]) -> None:
        for text, given in (
            *self._statements.drops(kind, drops),
            *self._statements.puts(kind, puts),
        ):
            self._cursor.execute(text, given)
        self._checkpoints.count(len(puts) + len(drops) + _extra_pages(kind, puts))


def _extra_pages(kind: type, rows: Sequence[Any]) -> int:
    """Return how many pages these rows need in addition to one page each.

    Only letters are numerous and large.
    """
    return sum(len(row.sealed) >> _PAGE_BITS for row in rows) if kind is StoredLetter else 0


def _is_small(letter: Any) -> bool:
    return len(letter.sealed) <= _CACHED_SEALED_BYTES_MAX


def _keep_every_row(_: object) -> bool:
    return True


#: For each kind of row that is cached, which rows to keep: those that the next requests for a
#: letter will read. No secret and no large row is among them.
_CACHED_KINDS: Final[Mapping[type, Callable[[Any], bool]]] = {
    StoredMailbox: _keep_every_row,
    StoredToken: _keep_every_row,
    StoredEnvelope: _keep_every_row,
    StoredLetter: _is_small,
}


def translate_sqlite_error(why: Exception) -> Exception:
    """Translate a database error for people; an error in our own SQL stays as it is."""
    if isinstance(why, OSError):
        return DiskFull() if why.errno in (errno.ENOSPC, errno.EDQUOT) else DiskFailed()
    if not isinstance(why, sqlite3.DatabaseError) or isinstance(
        why, sqlite3.IntegrityError | sqlite3.ProgrammingError
    ):
        return why
    return DiskFull() if why.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL else DiskFailed()
