"""One connection to PostgreSQL, as a line that a group of requests uses together.

A group takes an advisory lock first, whatever process it runs in: so groups are one after the
other, each sees all that was committed before it, and no rule is ever run twice because of another
(docs/decisions/0015-postgresql-serial.md). What it asks goes there and back together (pipeline
mode): once to read, once to write. The commit does not wait for the disk, so the lock is not held
meanwhile; then, on a second connection, the log is flushed before anybody is answered. Whoever only
reads sees what any process has committed so, and is answered when the log is flushed as far.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from entrenous.adapters.mail.group.behind import Behind
from entrenous.adapters.mail.group.job import Look
from entrenous.adapters.mail.group.row_values import Key
from entrenous.adapters.mail.pages import by_ask, pages
from entrenous.adapters.mail.wording import Ask, PostgresWording, Statement
from entrenous.model.relay_problem import DatabaseAway, DiskFailed, DiskFull

LOCK: Final = 1  # for pg_advisory_xact_lock: whoever writes to a relay's tables holds it
#: Whatever the server's default is: at any other level the snapshot is that of the moment in which
#: the lock was asked for, so whoever waited would not see what the others committed meanwhile.
BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_PATIENCE_S: Final = 12.0  # requests wait as long for a database that comes back
_AGAIN_S: Final = 0.2
_RETRY_AFTER_S: Final = 5

#: How far the log goes that has all which a transaction can see.
_PLACE: Final = "SELECT pg_current_wal_insert_lsn()::text"
#: An empty record that is committed synchronously takes all before it to the disk.
_FLUSH: Final = "SELECT pg_logical_emit_message(true, 'entrenous', '')"
#: The same, unless the log is there already.
_FLUSH_UNTIL: Final = f"{_FLUSH} WHERE pg_current_wal_flush_lsn() < %b::text::pg_lsn"

#: A connection that flushes, and the place in the log; None: all of it.
_Flush = tuple[psycopg.Connection[Any], str | None]
Connect = Callable[[], psycopg.Connection[Any]]


class PostgresLine:
    """A :class:`entrenous.adapters.mail.group.job.Line`; one that only reads takes no lock."""

    errors: tuple[type[Exception], ...] = (psycopg.Error,)

    def __init__(self, connect: Connect, *, writes: bool) -> None:
        self._connect = connect
        self._writes = self.shared = writes
        self._wording = PostgresWording()
        self._connection: psycopg.Connection[Any] | None = None
        self._flushing: psycopg.Connection[Any] | None = None
        self._away_since: float | None = None
        self._stopping = threading.Event()
        self._begun = False
        self._flushes: set[_Flush] = set()
        self._connect_both()

    def begin(self, ahead: list[Look], *, writes: bool = True) -> Behind:  # noqa: ARG002 -- each line has its own kind
        """Begin a transaction, and read what these will ask for."""
        connection, desk = self._connected(), Behind(self, pages_ahead=True)
        with connection.pipeline():
            if not self._begun:
                self._begin(connection)
            desk.look_ahead(ahead)
        return desk

    def wait_for_turn(self) -> None:
        """Take the lock; more requests come while another process has it."""
        connection = self._connected()
        with connection.pipeline():
            self._begin(connection)

    def ready(self) -> bool:
        """Whether the database is there, and has given the turn where one is needed."""
        return self._whole() and (self._begun or not self._writes)

    def _begin(self, connection: psycopg.Connection[Any]) -> None:
        if self._writes:
            connection.execute(BEGIN)
            connection.execute("SET LOCAL synchronous_commit = off")
            connection.execute("SELECT pg_advisory_xact_lock(%b)", [LOCK])
        else:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._begun = True

    def commit(self, desk: Behind) -> None:
        """Write what the desk holds, and end the transaction."""
        connection = self._there()
        with connection.pipeline():
            desk.flush()
            place = None if self._writes else connection.execute(_PLACE)
            connection.execute("COMMIT")
        self._begun = False
        seen = place and place.fetchone()
        if self._flushing is not None:
            self._flushes.add((self._flushing, seen[0] if seen else None))

    def ticket(self) -> frozenset[_Flush]:
        """What has to be flushed of what was committed, or seen, since the last ticket."""
        ticket, self._flushes = frozenset(self._flushes), set()
        return ticket

    def sync(self, ticket: frozenset[_Flush]) -> None:
        """Flush the log.

        Each was connected before the commits that it flushes, so a server that crashed and came
        back in between, without them, is not asked.
        """
        for connection, place in ticket:
            if place is None:
                connection.execute(_FLUSH)
            else:
                connection.execute(_FLUSH_UNTIL, [place])

    def roll_back(self) -> None:
        """Undo the transaction, if there is one; let a connection go that is broken."""
        self._begun = False
        connection = self._connection
        if connection is not None and not connection.broken and not connection.closed:
            with contextlib.suppress(psycopg.Error):
                connection.execute("ROLLBACK")
                return
        self.close()

    def alone(self, statement: str) -> list[Any]:
        """Run one statement outside of any transaction; its rows."""
        answer = self._connected().execute(statement)
        return answer.fetchall() if answer.description else []

    def named(self, why: Exception) -> Exception:
        """The error that a person can read; a mistake in a statement stays what it is."""
        if isinstance(why, psycopg.errors.DiskFull):
            return DiskFull()
        if isinstance(why, psycopg.OperationalError):
            return DatabaseAway(retry_after_s=_RETRY_AFTER_S)
        mistakes = psycopg.IntegrityError | psycopg.ProgrammingError | psycopg.DataError
        return why if isinstance(why, mistakes) else DiskFailed()

    def tidy(self) -> None:
        """PostgreSQL does that by itself."""

    def wait_no_more(self) -> None:
        """From now on a database that is away is tried once: who stops does not wait for it."""
        self._stopping.set()

    def close(self) -> None:
        """Close the connection."""
        self._begun = False
        for connection in (self._connection, self._flushing):
            if connection is not None:
                with contextlib.suppress(psycopg.Error):
                    connection.close()
        self._connection = self._flushing = None

    def answer(self, asks: Sequence[Ask]) -> list[Any]:
        """What each question's rows say."""
        of_pages = [ask for ask in asks if ask.how == "letters"]
        others = [ask for ask in asks if ask.how != "letters"]
        with self._together(len(others) + bool(of_pages)) as connection:
            asked = [self._execute(connection, next(self._wording.asks(ask))) for ask in others]
            paged = self._execute(connection, pages(of_pages)) if of_pages else None
        found = iter(by_ask(paged.fetchall() if paged else (), len(of_pages)))
        told = iter(asked)
        return [
            ask.read(next(found) if ask.how == "letters" else next(told).fetchall()) for ask in asks
        ]

    def write(self, kind: type, puts: Sequence[Any], drops: Sequence[Key]) -> None:
        """Store or replace rows; forget those of these keys."""
        connection = self._there()
        if drops:
            self._execute(connection, next(self._wording.drops(kind, drops)))
        if puts:
            self._execute(connection, next(self._wording.puts(kind, puts)))

    @contextmanager
    def _together(self, questions: int) -> Iterator[psycopg.Connection[Any]]:
        connection = self._there()
        if questions == 1:
            yield connection
            return
        with connection.pipeline():
            yield connection

    def _execute(
        self, connection: psycopg.Connection[Any], statement: Statement
    ) -> psycopg.Cursor[Any]:
        text, given = statement
        return connection.cursor(binary=True).execute(text, given, prepare=True)

    def _there(self) -> psycopg.Connection[Any]:
        """The connection in the midst of a group, which a new one knows nothing of."""
        if self._connection is None:
            raise psycopg.OperationalError("the connection was lost amid a group")
        return self._connection

    def _connected(self) -> psycopg.Connection[Any]:
        """The connection, made anew if it was lost; a database that restarts is waited for, so this
        is for the thread, or for a line that is ready.
        """
        if self._connection is not None and self._whole():
            return self._connection
        self.close()
        self._away_since = self._away_since or time.monotonic()
        while True:
            try:
                connection = self._connect_both()
            except psycopg.OperationalError:
                if time.monotonic() - self._away_since > _PATIENCE_S:
                    raise
                if self._stopping.wait(_AGAIN_S):
                    raise
            else:
                self._away_since = None
                return connection

    def _connect_both(self) -> psycopg.Connection[Any]:
        """The connection, and with it that which flushes: both or none were there before a crash.
        One that would be left without the other is closed.
        """
        try:
            self._flushing = self._connect()
            self._connection = self._connect()
        except psycopg.Error:
            self.close()
            raise
        return self._connection

    def _whole(self) -> bool:
        """Whether neither connection is known to be lost."""
        both = (self._connection, self._flushing)
        return all(one is not None and not one.broken for one in both)
