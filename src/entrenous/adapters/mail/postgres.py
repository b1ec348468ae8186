"""The relay's rows in PostgreSQL, for several relay processes side by side."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import psycopg
import sqlalchemy as sql

from entrenous.adapters.mail.group.group_commit import GroupCommit
from entrenous.adapters.mail.group.job import Look
from entrenous.adapters.mail.postgres_line import BEGIN, LOCK, PostgresLine
from entrenous.adapters.mail.tables import VERSION, create_if_empty, table_name
from entrenous.adapters.postgres_address import refuse_unreadable
from entrenous.model.held import HELD, HeldLetter
from entrenous.model.relay_problem import DatabaseAway
from entrenous.ports import MailDesk, MailView

Answer = TypeVar("Answer")

_RETRY_AFTER_S: Final = 5
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


class PostgresMail:
    """A :class:`entrenous.ports.MailStore` on one database; :func:`open_postgres` makes it."""

    def __init__(self, writing: PostgresLine, reading: PostgresLine) -> None:
        self._lines = (writing, reading)
        self._writer = GroupCommit(writing)
        self._reader = GroupCommit(reading)

    async def together(
        self, work: Callable[[MailDesk], Answer], ahead: Look | None = None
    ) -> Answer:
        """Run ``work`` in a transaction that is durable when this returns."""
        return await self._writer.submit(work, ahead)

    async def look(self, work: Callable[[MailView], Answer], ahead: Look | None = None) -> Answer:
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


def open_postgres(url: str, *, create: bool = True) -> PostgresMail:
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
        return PostgresMail(PostgresLine(connect, writes=True), PostgresLine(connect, writes=False))
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
