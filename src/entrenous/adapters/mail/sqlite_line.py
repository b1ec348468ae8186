"""One connection to SQLite, as a line that a group of requests uses together."""

import contextlib
import errno
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from entrenous.adapters.mail.checkpoints import Checkpoints
from entrenous.adapters.mail.durable_log import DurableLog
from entrenous.adapters.mail.group.behind import Behind
from entrenous.adapters.mail.group.job import Look
from entrenous.adapters.mail.group.row_values import Key
from entrenous.adapters.mail.wording import Ask, SqliteWording
from entrenous.model.held import HeldEnvelope, HeldLetter, HeldMailbox, HeldToken
from entrenous.model.relay_problem import DiskFailed, DiskFull

_ROWS_MAX: Final = 4096  # that are remembered from group to group
_SEALED_MAX: Final = 8192
_PAGE_BITS: Final = 12


class SqliteLine:
    """A :class:`entrenous.adapters.mail.group.job.Line`.

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
        self._wording = SqliteWording()
        self._desk = Behind(self, pages_ahead=False)
        self._version: object = None

    def wait_for_turn(self) -> None:
        """Nobody else writes."""

    def ready(self) -> bool:
        """A file is there at once."""
        return True

    def begin(self, ahead: list[Look], *, writes: bool = True) -> Behind:
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
            self._desk, self._version = Behind(self, pages_ahead=False), version

    def commit(self, desk: Behind) -> None:
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
        self._desk = Behind(self, pages_ahead=False)
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
        return named(why)

    def close(self) -> None:
        """Close the connection."""
        self._cursor.close()
        self._connection.close()
        self._checkpoints.close()
        self._log.close()

    def answer(self, asks: Sequence[Ask]) -> list[Any]:
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


def named(why: Exception) -> Exception:
    """The error that a person can read; a mistake in a statement stays what it is."""
    if isinstance(why, OSError):
        return DiskFull() if why.errno in (errno.ENOSPC, errno.EDQUOT) else DiskFailed()
    if not isinstance(why, sqlite3.DatabaseError) or isinstance(
        why, sqlite3.IntegrityError | sqlite3.ProgrammingError
    ):
        return why
    return DiskFull() if why.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL else DiskFailed()
