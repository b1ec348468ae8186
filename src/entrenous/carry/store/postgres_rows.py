"""The relay's rows in PostgreSQL, for several relay processes at once."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

import psycopg
import sqlalchemy as sql

from entrenous.base.errors import DatabaseAway, DiskFailed, DiskFull
from entrenous.carry.relay import RowTransaction, RowView
from entrenous.carry.relay_rows import HELD, HeldLetter
from entrenous.carry.store.group_commit import GroupCommit, Look
from entrenous.carry.store.statements import PostgresStatements, Query, Statement, by_ask, pages
from entrenous.carry.store.tables import VERSION, create_if_empty, table_name
from entrenous.carry.store.unit_of_work import Key, UnitOfWork
from entrenous.serving.postgres_address import refuse_unreadable

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


class PostgresConnection:
    """A :class:`entrenous.carry.store.group_commit.GroupConnection`; one that only reads takes no lock."""

    errors: tuple[type[Exception], ...] = (psycopg.Error,)

    def __init__(self, connect: Connect, *, writes: bool) -> None:
        self._connect = connect
        self._writes = self.shared = writes
        self._wording = PostgresStatements()
        self._connection: psycopg.Connection[Any] | None = None
        self._flushing: psycopg.Connection[Any] | None = None
        self._away_since: float | None = None
        self._stopping = threading.Event()
        self._begun = False
        self._flushes: set[_Flush] = set()
        self._connect_both()

    def begin(self, ahead: list[Look], *, writes: bool = True) -> UnitOfWork:  # noqa: ARG002 -- each line has its own kind
        """Begin a transaction, and read what these will ask for."""
        connection, desk = self._connected(), UnitOfWork(self, pages_ahead=True)
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

    def commit(self, desk: UnitOfWork) -> None:
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

    def answer(self, asks: Sequence[Query]) -> list[Any]:
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


Answer = TypeVar("Answer")
#: Of every connection. Statements of a relay go by a key or an index, so no plan reads a table.
_OPTIONS: Final = (
    "-c synchronous_commit=on -c lock_timeout=15s -c idle_in_transaction_session_timeout=60s "
    "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off"
)
#: A server that fell silent is given up after 12 s: whoever waits for its answer is the event loop.
_PATIENCE: Final[dict[str, Any]] = {
    "tcp_user_timeout": 12_000,
    "keepalives_idle": 6,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
#: A letter in its row and not beside it: half the pages, and sealed bytes do not shrink.
_TUNING: Final = (
    f"ALTER TABLE {table_name(HeldLetter)} SET (toast_tuple_target = 8160)",
    f"ALTER TABLE {table_name(HeldLetter)} ALTER COLUMN sealed SET STORAGE EXTERNAL",
)
#: SQLite keeps this number in the file's header.
_VERSION_TABLE: Final = (
    "CREATE TABLE held_schema (version bigint NOT NULL)",
    f"INSERT INTO held_schema VALUES ({VERSION})",  # noqa: S608 -- our own number
)


class PostgresRows:
    """A :class:`entrenous.carry.relay.RowStore` on one database; :func:`open_postgres` makes it."""

    def __init__(self, writing: PostgresConnection, reading: PostgresConnection) -> None:
        self._lines = (writing, reading)
        self._writer = GroupCommit(writing)
        self._reader = GroupCommit(reading)

    async def together(
        self, work: Callable[[RowTransaction], Answer], ahead: Look | None = None
    ) -> Answer:
        """Run ``work`` in a transaction that is durable when this returns."""
        return await self._writer.submit(work, ahead)

    async def look(self, work: Callable[[RowView], Answer], ahead: Look | None = None) -> Answer:
        """Run ``work`` on what is committed now; answers once that is durable."""
        return await self._reader.submit(work, ahead)

    async def scrub(self) -> None:
        """Vacuum what has dropped rows.

        Their places are given to other rows then; until those come, and in the write-ahead log,
        bytes of them remain (docs/spec/relay.md section 8).
        """
        every = ", ".join(table_name(kind) for kind in HELD)
        await self._reader.submit_alone(f"VACUUM (SKIP_LOCKED) {every}")

    def close(self) -> None:
        """Finish what was asked for, if the database is there; then close the connections."""
        for line in self._lines:
            line.wait_no_more()
        self._reader.close()
        self._writer.close()


def connect_to(url: str) -> psycopg.Connection[Any]:
    """A connection that commits each statement by itself; raises psycopg.Error."""
    return psycopg.connect(url, autocommit=True, connect_timeout=5, options=_OPTIONS, **_PATIENCE)


def open_postgres(url: str, *, create: bool = True) -> PostgresRows:
    """Open a database, ``postgresql://...``, that may be new and empty.

    Args:
        url: as libpq takes it; a password is better left to its own file, ~/.pgpass.
        create: whether the tables are created if no relay used the database yet.

    Raises:
        NewerDatabase, OlderDatabase: another version of Entrenous wrote it; it is as it was.
        UnusedDatabase: it has no tables of a relay, and ``create`` is False.
        DatabaseAway: it cannot be reached, or does not let us in.
        BadDatabaseAddress: libpq cannot read the ``url``.
    """
    refuse_unreadable(url)
    connect = partial(connect_to, url)
    try:
        _prepare(connect, create=create)
        return PostgresRows(
            PostgresConnection(connect, writes=True), PostgresConnection(connect, writes=False)
        )
    except (psycopg.OperationalError, sql.exc.OperationalError):
        raise DatabaseAway(retry_after_s=_RETRY_AFTER_S) from None


def _prepare(connect: Callable[[], psycopg.Connection[Any]], *, create: bool) -> None:
    """Make sure that the tables are there, and of this version; one process creates them."""
    engine = sql.create_engine("postgresql+psycopg://", creator=connect, poolclass=sql.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(BEGIN)
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        if create_if_empty(connection, _version(connection), create=create):
            for statement in (*_VERSION_TABLE, *_TUNING):
                connection.exec_driver_sql(statement)
        connection.exec_driver_sql("COMMIT")


def _version(connection: sql.Connection) -> int:
    """The number of the schema; 0 if the database names none."""
    if connection.exec_driver_sql("SELECT to_regclass('held_schema')").scalar() is None:
        return 0
    return int(connection.exec_driver_sql("SELECT version FROM held_schema").scalar_one())
