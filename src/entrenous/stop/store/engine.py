"""The gate's database, SQLite or PostgreSQL: durable on commit, deleted rows overwritten.

Opening an empty database creates the tables; a database of another version is refused.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from entrenous.base.errors import EntrenousError
from entrenous.base.files import ensure_private_file, make_file_private
from entrenous.stop.nouns import (
    BankUnreachable,
    NewerBank,
    OlderBank,
    PsycopgMissing,
    UnusableBank,
)
from entrenous.stop.store.schema import METADATA, SCHEMA_VERSION, SCHEMA_VERSION_TABLE


def insert_on_conflict_statement(db: sa.Connection, table: sa.Table) -> Any:
    """Return an INSERT statement with ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    dialect = postgresql if db.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


class PinnedConnectionPool(sa.pool.QueuePool):
    """A pool that pins one connection for single statements, and closes it with the pool."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lock = threading.Lock()
        self._pinned: sa.Connection | None = None

    @contextmanager
    def pinned_or_pooled(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        """Yield the pinned connection of ``engine``'s pool, or another connection while that one is
        in use.
        """
        if not self._lock.acquire(blocking=False):
            with engine.connect() as db:
                yield db
            return
        try:
            if self._pinned is None:
                self._pinned = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            yield self._pinned
        except BaseException:
            self._close_pinned()  # after any error, the next caller gets a new connection
            raise
        finally:
            self._lock.release()

    def dispose(self) -> None:
        with self._lock:
            self._close_pinned()
        super().dispose()

    def _close_pinned(self) -> None:
        if self._pinned is not None:
            with suppress(SQLAlchemyError):
                self._pinned.close()
            self._pinned = None


EngineOrTransaction = sa.Engine | sa.Connection  # the database, or an open transaction in it
CLAIMS_LOCK_ID: Final = (
    # "entrgb" in ASCII: the number of PostgreSQL's advisory lock for changes of banks and claims.
    0x656E_7472_6762
)
# Bytes; a database of this size is rewritten in about a quarter of a second.
_REWRITTEN_BYTES_MAX: Final = 64 * 1024 * 1024
_LOCK_WAIT_S_MAX: Final = 10.0  # seconds to wait for another process's lock on the file
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",  # readers and one writer at a time
    "PRAGMA synchronous=FULL",  # an acknowledged commit survives a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # a withdrawn hash does not linger in free pages
)
# Executed by our own code, since a listener for SQLAlchemy's "begin" event would double the cost of
# each statement.
_BEGIN_WRITING: Final = "BEGIN IMMEDIATE"
_SQLITE_BUSY_TIMEOUT_MS: Final = (
    20  # busy timeout, within which SQLite retries after 1, 3, 8 and 18 ms
)
# Executed in the transaction, since setting and resetting it as an option of the connection takes
# twice the time of a small query.
_BEGIN_SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_PERMANENT_ERRORS: Final = {  # errors that do not go away on retry
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_NOTADB: "it is not a database",
}
_POOLED_CONNECTIONS: Final = 8  # connections per process; up to as many more are opened if needed
# A session that is idle in a transaction is ended before others, which wait for its locks, give up.
_POSTGRES_OPTIONS: Final = (
    "-c synchronous_commit=on -c lock_timeout=15s -c idle_in_transaction_session_timeout=10s "
    # The level is set explicitly, whatever the server's default. With it, a statement sees what was
    # committed while it waited for a lock.
    r"-c jit=off -c default_transaction_isolation=read\ committed"
)
# All tables, so that none from which something is deleted can be forgotten.
_VACUUM: Final = "VACUUM (SKIP_LOCKED) " + ", ".join(table.name for table in METADATA.sorted_tables)


def open_engine(path: Path) -> sa.Engine:
    """Open the SQLite database at ``path``; create it if it is missing.

    It contains quarantined pictures, so the file and its logs are made readable by the owner alone,
    whatever the umask and the folder allow.

    Raises:
        UnusableBank: the database is damaged, or this account may not read or write it.
        NewerBank, OlderBank: another version of Entrenous wrote it; nothing is changed.
        BankUnreachable: it cannot be opened.
    """
    with suppress(OSError):  # SQLite reports the problem when it opens the file
        ensure_private_file(path)
        for log in ("-wal", "-shm"):
            make_file_private(path.with_name(f"{path.name}{log}"))
    engine = sa.create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": _LOCK_WAIT_S_MAX},
        poolclass=PinnedConnectionPool,
        hide_parameters=True,  # keep hashes and pictures out of logs
    )
    sa.event.listen(engine, "connect", _on_connect)
    try:
        prepare_database(engine)
    except BankUnreachable as away:
        why = _PERMANENT_ERRORS.get(_sqlite_error_code(away.__cause__)) or _access_problem(path)
        if not why:
            raise
        raise UnusableBank(path=path, why=why) from None
    return engine


def open_postgres_engine(url: str) -> sa.Engine:
    """Open the database at ``postgresql://...``, for several gate processes; create missing tables.

    Keep a password in libpq's own file, ~/.pgpass, not in the URL.

    Raises:
        PsycopgMissing: the optional driver is not installed.
        BadDatabaseAddress: libpq cannot parse the ``url``.
        NewerBank, OlderBank: another version of Entrenous wrote it; nothing is changed.
        BankUnreachable: it cannot be reached, or refuses the login.
    """
    try:
        import psycopg  # noqa: PLC0415

        from entrenous.serving.postgres_address import refuse_invalid_address  # noqa: PLC0415
    except ImportError:
        raise PsycopgMissing from None
    refuse_invalid_address(url)
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=partial(psycopg.connect, url, connect_timeout=5, options=_POSTGRES_OPTIONS),
        poolclass=PinnedConnectionPool,
        pool_size=_POOLED_CONNECTIONS,
        max_overflow=_POOLED_CONNECTIONS,
        hide_parameters=True,  # keep hashes and pictures out of logs
    )
    prepare_database(engine)
    return engine


def prepare_database(engine: sa.Engine) -> None:
    """Create the tables in an empty database. Dispose of the engine on failure, since no caller has
    it yet.

    Raises:
        NewerBank, OlderBank, BankUnreachable.
    """
    try:
        with exclusive_write(engine) as db:
            _create_tables(db)
    except EntrenousError:
        engine.dispose()
        raise


def _create_tables(db: sa.Connection) -> None:
    if sa.inspect(db).has_table(SCHEMA_VERSION_TABLE.name):
        refuse_other_version(db, SCHEMA_VERSION_TABLE, SCHEMA_VERSION)
        return
    METADATA.create_all(db)
    db.execute(SCHEMA_VERSION_TABLE.insert().values(version=SCHEMA_VERSION))


def refuse_other_version(db: sa.Connection, version_table: sa.Table, known: int) -> None:
    """Check that the version in the table ``version_table`` is ``known``.

    Raises:
        NewerBank, OlderBank.
    """
    stored_version = db.execute(sa.select(sa.func.max(version_table.c.version))).scalar_one()
    if stored_version != known:
        raise NewerBank if stored_version > known else OlderBank


def _access_problem(path: Path) -> str:
    """Explain why SQLite could not open ``path`` or create files beside it, or return ""."""
    wanted = ((path, os.R_OK | os.W_OK), (path.parent, os.W_OK | os.X_OK))
    if any(os.access(it, os.F_OK) and not os.access(it, rights) for it, rights in wanted):
        return "this account is not allowed to read and write it"
    return ""


def _sqlite_error_code(why: BaseException | None) -> int:
    """Return SQLite's primary result code; 0 if the error is not SQLite's."""
    original = why.orig if isinstance(why, DBAPIError) else why
    return getattr(original, "sqlite_errorcode", 0) & 0xFF


@contextmanager
def exclusive_write(engine: EngineOrTransaction) -> Iterator[sa.Connection]:
    """Begin a transaction in which no other process changes banks and claims.

    Change numbers assigned in it become visible in ascending order, in PostgreSQL too. An open
    transaction is used unchanged.
    """
    with concurrent_write(engine) as db:
        if not isinstance(engine, sa.Connection) and db.dialect.name == "postgresql":
            db.execute(sa.select(sa.func.pg_advisory_xact_lock(CLAIMS_LOCK_ID)))
        yield db


@contextmanager
def concurrent_write(engine: EngineOrTransaction) -> Iterator[sa.Connection]:
    """Begin a write transaction for independent rows.

    In PostgreSQL, others may write at the same time.
    """
    if isinstance(engine, sa.Connection):
        yield engine
        return
    with _translate_database_errors(), engine.connect() as db, db.begin():
        if db.dialect.name == "sqlite":
            _begin_writing(db)
        yield db


@contextmanager
def snapshot_read(engine: EngineOrTransaction) -> Iterator[sa.Connection]:
    """Read from one snapshot of the database, or in the open transaction given in its place."""
    if isinstance(engine, sa.Connection):
        yield engine
        return
    with _translate_database_errors(), engine.connect() as db, db.begin():
        db.exec_driver_sql("BEGIN" if db.dialect.name == "sqlite" else _BEGIN_SNAPSHOT)
        yield db


@contextmanager
def single_read(engine: EngineOrTransaction) -> Iterator[sa.Connection]:
    """Execute a single SELECT, without the cost of a transaction."""
    if isinstance(engine, sa.Connection):
        yield engine
        return
    pool = engine.pool
    assert isinstance(pool, PinnedConnectionPool)  # noqa: S101 -- both openers of engines use it
    with _translate_database_errors(), pool.pinned_or_pooled(engine) as db:
        yield db


@contextmanager
def single_insert(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Execute one independent insertion on the pinned connection.

    Insert several rows only in SQLite; in PostgreSQL, insert one.
    """
    pool = engine.pool
    assert isinstance(pool, PinnedConnectionPool)  # noqa: S101 -- as above
    with _translate_database_errors(), pool.pinned_or_pooled(engine) as db:
        if db.dialect.name != "sqlite":
            # The pinned connection commits by itself; any other one needs a transaction.
            with nullcontext() if db.in_transaction() else db.begin():
                yield db
            return
        _begin_writing(db)
        yield db
        _sqlite_connection(db).execute("COMMIT").close()


def _begin_writing(db: sa.Connection) -> None:
    """Wait for the write lock of the file, and retry every few milliseconds.

    SQLite's own retries slow down to every tenth of a second, so a waiting process could starve.
    """
    until = time.monotonic() + _LOCK_WAIT_S_MAX
    file = _sqlite_connection(db)
    file.execute(f"PRAGMA busy_timeout = {_SQLITE_BUSY_TIMEOUT_MS}").close()
    try:
        while True:
            try:
                file.execute(_BEGIN_WRITING).close()
            except sqlite3.OperationalError as problem:
                if not _is_busy(problem) or time.monotonic() > until:
                    raise
            else:
                return
    finally:
        file.execute(f"PRAGMA busy_timeout = {round(_LOCK_WAIT_S_MAX * 1000)}").close()


def _sqlite_connection(db: sa.Connection) -> sqlite3.Connection:
    """Return the raw SQLite connection.

    Using it directly is faster than SQLAlchemy, which matters because each upload writes.
    """
    file = db.connection.driver_connection
    assert isinstance(file, sqlite3.Connection)  # noqa: S101 -- only called for SQLite
    return file


def _is_busy(problem: sqlite3.OperationalError) -> bool:
    return _sqlite_error_code(problem) == sqlite3.SQLITE_BUSY


def overwrite_deleted_data(engine: EngineOrTransaction) -> None:
    """Overwrite deleted data: rewrite the SQLite file and empty its write-ahead log.

    ``secure_delete`` zeroes a deleted row, but not the copies that SQLite leaves when it moves rows
    between pages; only VACUUM does. A large file is not rewritten, since that would block uploads.
    A file that readers keep busy is rewritten by the next call. Inside a transaction nothing is
    done; the caller that ends the transaction overwrites the data. PostgreSQL frees the space of
    deleted rows for reuse; its write-ahead log keeps their bytes for a while.
    """
    if isinstance(engine, sa.Connection):
        return
    if engine.dialect.name == "postgresql":
        with _translate_database_errors(), engine.connect() as db:
            db.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(_VACUUM)
        return
    with _translate_database_errors(), closing(engine.raw_connection()) as file:
        cursor = file.cursor()
        pages, page_bytes = (
            cursor.execute(f"PRAGMA {of}").fetchone()[0] for of in ("page_count", "page_size")
        )
        if pages * page_bytes <= _REWRITTEN_BYTES_MAX:
            with suppress(sqlite3.OperationalError):
                cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.fetchall()


@contextmanager
def _translate_database_errors() -> Iterator[None]:
    """Turn errors of the database into BankUnreachable.

    Only the first line of an error's message is kept, since the other lines may quote values.
    """
    try:
        yield
    except DBAPIError as problem:
        said = str(problem.orig).partition("\n")[0]
        raise BankUnreachable(why=said) from problem
    except sqlite3.Error as problem:
        raise BankUnreachable(why=str(problem).partition("\n")[0]) from problem


def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves
    for pragma in _PRAGMAS:
        connection.execute(pragma).close()
