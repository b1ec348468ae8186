"""One SQLite connection that a group of requests shares: its log is synced and checkpointed beside
the writer.
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
from entrenous.carry.relay_rows import HeldEnvelope, HeldLetter, HeldMailbox, HeldToken
from entrenous.carry.store.group_commit import Look
from entrenous.carry.store.statements import Query, SqliteStatements
from entrenous.carry.store.unit_of_work import Key, UnitOfWork


class DurableLog:
    """The log of one database, which is there as soon as something was committed.

    After one sync that failed nothing is called durable any more: what the kernel then does with
    pages that it could not write is not known (danluu.com/fsyncgate), and a second sync that
    succeeds says nothing of them. The relay has to be started again, which reads what is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._failed: OSError | None = None

    def sync(self) -> None:
        """Return when all is durable that was committed before; raises OSError."""
        if self._failed is not None:
            raise OSError(self._failed.errno, "the log could not be synced before")
        try:
            os.fdatasync(self._opened())
        except OSError as why:
            self._failed = why
            raise

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # so that the log itself is found again
            finally:
                os.close(folder)
        return self._file


_COPY: Final = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpoints:
    """Copies whenever about ``pages`` pages were written; ``lock`` is held meanwhile."""

    def __init__(self, connection: sqlite3.Connection, pages: int) -> None:
        self.lock = threading.Lock()
        self._connection = connection
        self._pages = pages
        self._written = 0
        self._copying: threading.Thread | None = None
        self._is_rest_due = False

    def count(self, pages: int) -> None:
        """So many more were written; called by the writer."""
        self._written += pages
        if self._written >= self._pages and self._copying is None:
            self._written = 0
            self._copying = threading.Thread(target=self._copy_most, daemon=True)
            self._copying.start()

    def finish(self) -> None:
        """Copy the rest, if most is copied; called where nobody writes."""
        if self._is_rest_due:
            self._is_rest_due = False
            self._copy()
            self._copying = None

    def close(self) -> None:
        """Close the connection."""
        if self._copying is not None:
            self._copying.join()
        self._connection.close()

    def _copy_most(self) -> None:
        self._copy()
        self._is_rest_due = True

    def _copy(self) -> None:
        # A disk that fails fails the next commit too, and there somebody is told.
        with self.lock, contextlib.suppress(sqlite3.Error):
            self._connection.execute(_COPY)


_ROWS_MAX: Final = 4096  # that are remembered from group to group
_SEALED_MAX: Final = 8192
_PAGE_BITS: Final = 12


class SqliteConnection:
    """A :class:`entrenous.carry.store.group_commit.GroupConnection`.

    It remembers rows from group to group: each begins by keeping everybody else from writing, or if
    it only reads sees one moment to its end, so that nothing changes between the question whether
    anybody else has written, and its end.
    """

    errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError)
    shared = False

    def __init__(self, connection: sqlite3.Connection, log: Path, checkpoints: Checkpoints) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._log = DurableLog(log)
        self._checkpoints = checkpoints
        self._wording = SqliteStatements()
        self._desk = UnitOfWork(self, pages_ahead=False)
        self._version: object = None

    def wait_for_turn(self) -> None:
        """Nobody else writes."""

    def ready(self) -> bool:
        """A file is there at once."""
        return True

    def begin(self, ahead: list[Look], *, writes: bool = True) -> UnitOfWork:
        """Begin a transaction, and read what these will ask for.

        What earlier groups read and wrote is still known, unless anybody else wrote since.
        """
        self._cursor.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        self._remember()
        self._desk.look_ahead(ahead)
        return self._desk

    def _remember(self) -> None:
        version = self._cursor.execute("PRAGMA data_version").fetchone()
        if version != self._version or len(self._desk) > _ROWS_MAX:
            self._desk, self._version = UnitOfWork(self, pages_ahead=False), version

    def commit(self, desk: UnitOfWork) -> None:
        """Write what the desk holds, and end the transaction."""
        desk.flush()
        self._cursor.execute("COMMIT")
        desk.settle(_STAY)

    def ticket(self) -> None:
        """There is one log."""

    def sync(self, _: object) -> None:
        """Return when all is durable that was committed before."""
        self._log.sync()

    def tidy(self) -> None:
        """Empty the log, if it is time; nobody writes."""
        self._checkpoints.finish()

    def roll_back(self) -> None:
        """Undo the transaction, if there is one."""
        self._desk = UnitOfWork(self, pages_ahead=False)
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._cursor.execute("ROLLBACK")

    def alone(self, statement: str) -> list[Any]:
        """Run one statement outside of any transaction; its rows."""
        with self._checkpoints.lock:
            return self._cursor.execute(statement).fetchall()

    def changes(self) -> int:
        """How many rows were written or dropped since the connection was opened."""
        return self._connection.total_changes

    def named(self, why: Exception) -> Exception:
        """The error that a person can read."""
        return named_fault(why)

    def close(self) -> None:
        """Close the connection."""
        self._cursor.close()
        self._connection.close()
        self._checkpoints.close()
        self._log.close()

    def answer(self, asks: Sequence[Query]) -> list[Any]:
        """What each question's rows say."""
        return [ask.read(self._wording.rows(ask, self._cursor)) for ask in asks]

    def write(self, kind: type, puts: Sequence[Any], drops: Sequence[Key]) -> None:
        """Store or replace rows; forget those of these keys."""
        for text, given in (*self._wording.drops(kind, drops), *self._wording.puts(kind, puts)):
            self._cursor.execute(text, given)
        self._checkpoints.count(len(puts) + len(drops) + _pages_beyond(kind, puts))


def _pages_beyond(kind: type, rows: Sequence[Any]) -> int:
    """How many pages rows take beyond one each; only letters are many and large."""
    return sum(len(row.sealed) >> _PAGE_BITS for row in rows) if kind is HeldLetter else 0


def _is_small(letter: Any) -> bool:
    return len(letter.sealed) <= _SEALED_MAX


def _always(_: object) -> bool:
    return True


#: What the next requests for a letter ask about; nothing secret, and nothing large.
_STAY: Final[Mapping[type, Callable[[Any], bool]]] = {
    HeldMailbox: _always,
    HeldToken: _always,
    HeldEnvelope: _always,
    HeldLetter: _is_small,
}


def named_fault(why: Exception) -> Exception:
    """The error that a person can read; a mistake in a statement stays what it is."""
    if isinstance(why, OSError):
        return DiskFull() if why.errno in (errno.ENOSPC, errno.EDQUOT) else DiskFailed()
    if not isinstance(why, sqlite3.DatabaseError) or isinstance(
        why, sqlite3.IntegrityError | sqlite3.ProgrammingError
    ):
        return why
    return DiskFull() if why.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL else DiskFailed()
