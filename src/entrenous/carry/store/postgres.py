"""The relay's rows and wake-ups in PostgreSQL, for several relay processes at once."""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

import psycopg
import sqlalchemy as sql

from entrenous.base.errors import DatabaseAway, DiskFailed, DiskFull
from entrenous.base.identifiers import ID_BYTES, MailboxId
from entrenous.carry.relay import RowTransaction, RowView
from entrenous.carry.relay_rows import KEY_FIELDS, StoredLetter
from entrenous.carry.relay_settings import LongPollLimits
from entrenous.carry.store.group_commit import GroupCommit, PrefetchRead
from entrenous.carry.store.statements import (
    PostgresStatements,
    Query,
    Statement,
    combine_letter_queries,
    split_by_query,
)
from entrenous.carry.store.tables import SCHEMA_VERSION, create_tables_if_empty, table_name
from entrenous.carry.store.unit_of_work import Key, UnitOfWork
from entrenous.carry.wake_ups import LocalWakeUps
from entrenous.serving.postgres_address import refuse_invalid_address

RELAY_WRITE_LOCK_ID: Final = (
    1  # for pg_advisory_xact_lock: a process holds it while it writes to a relay's tables
)
#: The isolation level is named here and not left to the server's configuration. At a stricter
#: level, the snapshot would be taken before the wait for the lock, and would lack what other
#: processes committed during that wait.
BEGIN_STATEMENT: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_DATABASE_WAIT_S_MAX: Final = 12.0  # requests wait this long for a database that is restarting
_RECONNECT_INTERVAL_S: Final = 0.2
_RETRY_AFTER_S: Final = 5
#: Returns the end of the write-ahead log. All commits that the current transaction can see are
#: before this position.
_LOG_POSITION_QUERY: Final = "SELECT pg_current_wal_insert_lsn()::text"
#: Writes an empty record to the write-ahead log. Its synchronous commit flushes all records before
#: it.
_FLUSH_LOG_STATEMENT: Final = "SELECT pg_logical_emit_message(true, 'entrenous', '')"
#: Does the same, unless the log is already flushed up to the position in its parameter.
_FLUSH_LOG_UNTIL_STATEMENT: Final = (
    f"{_FLUSH_LOG_STATEMENT} WHERE pg_current_wal_flush_lsn() < %b::text::pg_lsn"
)
#: A connection that flushes, and the position in the log up to which it flushes; None means the
#: whole log.
_PendingFlush = tuple[psycopg.Connection[Any], str | None]
ConnectFunction = Callable[[], psycopg.Connection[Any]]


class PostgresConnection:
    """Implements :class:`.group_commit.GroupConnection`; a reading connection takes no lock."""

    errors: tuple[type[Exception], ...] = (psycopg.Error,)

    def __init__(self, connect: ConnectFunction, *, writes: bool) -> None:
        self._connect = connect
        self._writes = self.is_shared = writes
        self._statements = PostgresStatements()
        self._connection: psycopg.Connection[Any] | None = None
        self._flushing: psycopg.Connection[Any] | None = None
        self._unreachable_since: float | None = None
        self._stopping = threading.Event()
        self._begun = False
        self._flushes: set[_PendingFlush] = set()
        self._connect_both()

    def begin(self, hints: list[PrefetchRead], *, writes: bool = True) -> UnitOfWork:  # noqa: ARG002 -- fixed for each connection
        connection, tx = self._ensure_connected(), UnitOfWork(self, pages_ahead=True)
        with connection.pipeline():
            if not self._begun:
                self._begin(connection)
            tx.prefetch(hints)
        return tx

    def wait_for_turn(self) -> None:
        """Take the write lock; requests queue while another process has it."""
        connection = self._ensure_connected()
        with connection.pipeline():
            self._begin(connection)

    def can_begin_at_once(self) -> bool:
        """Return whether the database is connected, and the write lock taken if one is needed."""
        return self._is_connected() and (self._begun or not self._writes)

    def _begin(self, connection: psycopg.Connection[Any]) -> None:
        if self._writes:
            connection.execute(BEGIN_STATEMENT)
            connection.execute("SET LOCAL synchronous_commit = off")
            connection.execute("SELECT pg_advisory_xact_lock(%b)", [RELAY_WRITE_LOCK_ID])
        else:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._begun = True

    def commit(self, tx: UnitOfWork) -> None:
        connection = self._group_connection()
        with connection.pipeline():
            tx.flush()
            position = None if self._writes else connection.execute(_LOG_POSITION_QUERY)
            connection.execute("COMMIT")
        self._begun = False
        seen = position and position.fetchone()
        if self._flushing is not None:
            self._flushes.add((self._flushing, seen[0] if seen else None))

    def take_sync_ticket(self) -> frozenset[_PendingFlush]:
        ticket, self._flushes = frozenset(self._flushes), set()
        return ticket

    def sync(self, ticket: frozenset[_PendingFlush]) -> None:
        """Flush the write-ahead log.

        The flushing connection is older than the commits that it flushes. If the server crashes and
        loses those commits, this connection breaks too, so the flush fails.
        """
        for connection, position in ticket:
            if position is None:
                connection.execute(_FLUSH_LOG_STATEMENT)
            else:
                connection.execute(_FLUSH_LOG_UNTIL_STATEMENT, [position])

    def roll_back(self) -> None:
        """Roll back the transaction, if there is one; close a broken connection."""
        self._begun = False
        connection = self._connection
        if connection is not None and not connection.broken and not connection.closed:
            with contextlib.suppress(psycopg.Error):
                connection.execute("ROLLBACK")
                return
        self.close()

    def execute_alone(self, statement: str) -> list[Any]:
        answer = self._ensure_connected().execute(statement)
        return answer.fetchall() if answer.description else []

    def translate_error(self, why: Exception) -> Exception:
        if isinstance(why, psycopg.errors.DiskFull):
            return DiskFull()
        if isinstance(why, psycopg.OperationalError):
            return DatabaseAway(retry_after_s=_RETRY_AFTER_S)
        mistakes = psycopg.IntegrityError | psycopg.ProgrammingError | psycopg.DataError
        return why if isinstance(why, mistakes) else DiskFailed()

    def checkpoint(self) -> None:
        """Do nothing: PostgreSQL checkpoints by itself."""

    def stop_retrying(self) -> None:
        """From now on, try to reach the database only once, because the relay is stopping."""
        self._stopping.set()

    def close(self) -> None:
        self._begun = False
        for connection in (self._connection, self._flushing):
            if connection is not None:
                with contextlib.suppress(psycopg.Error):
                    connection.close()
        self._connection = self._flushing = None

    def run_queries(self, queries: Sequence[Query]) -> list[Any]:
        of_pages = [query for query in queries if query.how == "letters"]
        others = [query for query in queries if query.how != "letters"]
        with self._pipeline(len(others) + bool(of_pages)) as connection:
            asked = [
                self._execute(connection, next(self._statements.selects(query))) for query in others
            ]
            paged = (
                self._execute(connection, combine_letter_queries(of_pages)) if of_pages else None
            )
        found = iter(split_by_query(paged.fetchall() if paged else (), len(of_pages)))
        other_rows = iter(asked)
        return [
            query.convert_rows(
                next(found) if query.how == "letters" else next(other_rows).fetchall()
            )
            for query in queries
        ]

    def write(self, kind: type, puts: Sequence[Any], drops: Sequence[Key]) -> None:
        connection = self._group_connection()
        if drops:
            self._execute(connection, next(self._statements.drops(kind, drops)))
        if puts:
            self._execute(connection, next(self._statements.puts(kind, puts)))

    @contextmanager
    def _pipeline(self, questions: int) -> Iterator[psycopg.Connection[Any]]:
        connection = self._group_connection()
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

    def _group_connection(self) -> psycopg.Connection[Any]:
        """Return the connection inside a group; never reconnect, since a new connection would lack
        the group's transaction.
        """
        if self._connection is None:
            raise psycopg.OperationalError("the connection was lost in the middle of a group")
        return self._connection

    def _ensure_connected(self) -> psycopg.Connection[Any]:
        """Return the connection, reconnecting if it was lost.

        This waits for a database that is restarting, so call it in the worker thread, or when the
        connection is ready.
        """
        if self._connection is not None and self._is_connected():
            return self._connection
        self.close()
        self._unreachable_since = self._unreachable_since or time.monotonic()
        while True:
            try:
                connection = self._connect_both()
            except psycopg.OperationalError:
                if time.monotonic() - self._unreachable_since > _DATABASE_WAIT_S_MAX:
                    raise
                if self._stopping.wait(_RECONNECT_INTERVAL_S):
                    raise
            else:
                self._unreachable_since = None
                return connection

    def _connect_both(self) -> psycopg.Connection[Any]:
        """Open two connections, first the one for flushes.

        If either fails, close both, so that the two always belong to the same run of the server.
        """
        try:
            self._flushing = self._connect()
            self._connection = self._connect()
        except psycopg.Error:
            self.close()
            raise
        return self._connection

    def _is_connected(self) -> bool:
        """Return whether both connections are open, as far as this process knows."""
        both = (self._connection, self._flushing)
        return all(one is not None and not one.broken for one in both)


AnswerT = TypeVar("AnswerT")
#: Options of every connection. Each statement of a relay can use a key or an index, so PostgreSQL
#: is told to avoid query plans that scan tables.
_CONNECTION_OPTIONS: Final = (
    "-c synchronous_commit=on -c lock_timeout=15s -c idle_in_transaction_session_timeout=60s "
    "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off"
)
#: Give up on an unresponsive server after 12 s, since the event loop waits for its answer.
_TIMEOUT_OPTIONS: Final[dict[str, Any]] = {
    "tcp_user_timeout": 12_000,
    "keepalives_idle": 6,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
#: The first statement makes PostgreSQL store a letter inside its row if the row fits into a page,
#: which halves the number of pages that the letters take. The second switches off compression,
#: since sealed bytes cannot be compressed.
_STORAGE_STATEMENTS: Final = (
    f"ALTER TABLE {table_name(StoredLetter)} SET (toast_tuple_target = 8160)",
    f"ALTER TABLE {table_name(StoredLetter)} ALTER COLUMN sealed SET STORAGE EXTERNAL",
)
#: The table for the schema's version, which SQLite stores in the header of its file.
_VERSION_TABLE_STATEMENTS: Final = (
    "CREATE TABLE held_schema (version bigint NOT NULL)",
    f"INSERT INTO held_schema VALUES ({SCHEMA_VERSION})",  # noqa: S608 -- the number is a constant of ours
)


class PostgresRows:
    """Implements :class:`entrenous.carry.relay.RowStore`; :func:`open_postgres` creates it."""

    def __init__(self, writing: PostgresConnection, reading: PostgresConnection) -> None:
        self._lines = (writing, reading)
        self._writer = GroupCommit(writing)
        self._reader = GroupCommit(reading)

    async def transact(
        self, work: Callable[[RowTransaction], AnswerT], hint: PrefetchRead | None = None
    ) -> AnswerT:
        return await self._writer.submit(work, hint)

    async def read(
        self, work: Callable[[RowView], AnswerT], hint: PrefetchRead | None = None
    ) -> AnswerT:
        return await self._reader.submit(work, hint)

    async def clear_deleted_rows(self) -> None:
        """Vacuum all tables, so that the space of deleted rows can be reused.

        Until it is reused, the bytes of deleted rows remain in the tables; they also remain for a
        while in the write-ahead log (docs/spec/relay.md section 8).
        """
        every = ", ".join(table_name(kind) for kind in KEY_FIELDS)
        await self._reader.submit_exclusive(f"VACUUM (SKIP_LOCKED) {every}")

    def close(self) -> None:
        """Finish what is queued if the database is reachable, then close the connections."""
        for line in self._lines:
            line.stop_retrying()
        self._reader.close()
        self._writer.close()


def connect_postgres(url: str) -> psycopg.Connection[Any]:
    """Open a connection in autocommit mode; raises psycopg.Error."""
    return psycopg.connect(
        url, autocommit=True, connect_timeout=5, options=_CONNECTION_OPTIONS, **_TIMEOUT_OPTIONS
    )


def open_postgres(url: str, *, create: bool = True) -> PostgresRows:
    """Open a database by its libpq URI; passwords belong in ~/.pgpass.

    ``create`` allows creating the tables if no relay has used the database yet.

    Raises:
        NewerDatabase, OlderDatabase: another version of Entrenous wrote it; nothing was changed.
        UnusedDatabase: it has no relay's tables, and ``create`` is False.
        DatabaseAway: it cannot be reached, or refuses the login.
        BadDatabaseAddress: libpq cannot parse the ``url``.
    """
    refuse_invalid_address(url)
    connect = partial(connect_postgres, url)
    try:
        _ensure_schema(connect, create=create)
        return PostgresRows(
            PostgresConnection(connect, writes=True), PostgresConnection(connect, writes=False)
        )
    except (psycopg.OperationalError, sql.exc.OperationalError):
        raise DatabaseAway(retry_after_s=_RETRY_AFTER_S) from None


def _ensure_schema(connect: Callable[[], psycopg.Connection[Any]], *, create: bool) -> None:
    """Ensure that the tables exist and have the version of the schema that this program uses.

    If several processes start at the same time, the lock lets only one of them create the tables.
    """
    engine = sql.create_engine("postgresql+psycopg://", creator=connect, poolclass=sql.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(BEGIN_STATEMENT)
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({RELAY_WRITE_LOCK_ID})")
        if create_tables_if_empty(connection, _schema_version(connection), create=create):
            for statement in (*_VERSION_TABLE_STATEMENTS, *_STORAGE_STATEMENTS):
                connection.exec_driver_sql(statement)
        connection.exec_driver_sql("COMMIT")


def _schema_version(connection: sql.Connection) -> int:
    if connection.exec_driver_sql("SELECT to_regclass('held_schema')").scalar() is None:
        return 0
    return int(connection.exec_driver_sql("SELECT version FROM held_schema").scalar_one())


_NOTIFY_CHANNEL: Final = "entrenous_bell"
_CLOSING_CHECK_INTERVAL_S: Final = 0.5
_WAKE_UPS_RECONNECT_INTERVAL_S: Final = 1.0
_UNSENT_WAKE_UPS_MAX: Final = (
    10_000  # at most this many wake-ups are kept while the database is unreachable
)


class PostgresWakeUps:
    """Implements :class:`.relay.WakeUps`; ``connect`` opens an autocommitting connection."""

    def __init__(self, connect: ConnectFunction, bounds: LongPollLimits | None = None) -> None:
        self._connect = connect
        self._local = LocalWakeUps(bounds)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rung: queue.Queue[MailboxId | None] = queue.Queue(maxsize=_UNSENT_WAKE_UPS_MAX)
        self._ended = threading.Event()
        self._listening = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep_running_with_database, args=(work,), daemon=True)
            for work in (self._listen_to_database, self._notify_database)
        ]
        for thread in self._threads:
            thread.start()

    def wake(self, mailbox: MailboxId) -> None:
        self._local.wake(mailbox)
        with contextlib.suppress(queue.Full):
            self._rung.put_nowait(mailbox)

    @contextmanager
    def listen(
        self, mailbox: MailboxId, network: bytes = b""
    ) -> Iterator[Callable[[float], Awaitable[bool]]]:
        self._loop = asyncio.get_running_loop()
        with self._local.listen(mailbox, network) as rings:
            yield rings

    def make_room(self) -> bool:
        return self._local.make_room()

    def stop_waiting(self) -> None:
        """Wake all listeners of this process only, because other processes are not stopping."""
        self._local.stop_waiting()

    def wait_until_listening(self, seconds: float) -> bool:
        """Wait at most that long; return whether this process is listening to the database."""
        return self._listening.wait(seconds)

    def close(self) -> None:
        self._ended.set()
        with contextlib.suppress(queue.Full):
            self._rung.put_nowait(None)
        for thread in self._threads:
            thread.join()

    def _keep_running_with_database(self, work: Callable[[psycopg.Connection[Any]], None]) -> None:
        """Run ``work`` on a connection; if the connection is lost, run it again on a new one."""
        while not self._ended.is_set():
            with contextlib.suppress(psycopg.Error), self._connect() as connection:
                work(connection)
            self._ended.wait(_WAKE_UPS_RECONNECT_INTERVAL_S)

    def _listen_to_database(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"LISTEN {_NOTIFY_CHANNEL}")
        self._listening.set()
        while not self._ended.is_set():
            for notice in connection.notifies(timeout=_CLOSING_CHECK_INTERVAL_S):
                self._wake_locally(notice.payload)
                if self._ended.is_set():
                    return

    def _wake_locally(self, untrusted_payload: str) -> None:
        with contextlib.suppress(ValueError, RuntimeError):  # not hexadecimal, or the loop closed
            mailbox = MailboxId(bytes.fromhex(untrusted_payload))
            if len(mailbox) == ID_BYTES and self._loop is not None:
                self._loop.call_soon_threadsafe(self._local.wake, mailbox)

    def _notify_database(self, connection: psycopg.Connection[Any]) -> None:
        while not self._ended.is_set():
            rung = {self._rung.get()}
            with contextlib.suppress(queue.Empty):
                while len(rung) < _UNSENT_WAKE_UPS_MAX:
                    rung.add(self._rung.get_nowait())
            # None comes from close(). It is sent as an empty payload, which wakes the thread of
            # this process that listens, so that both threads can end at once.
            parameters = [
                _NOTIFY_CHANNEL,
                ["" if mailbox is None else mailbox.hex() for mailbox in rung],
            ]
            connection.execute("SELECT pg_notify(%s, one) FROM unnest(%s::text[]) one", parameters)
