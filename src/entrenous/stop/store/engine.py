"""The platform's database, SQLite or PostgreSQL: durable on commit, deleted rows overwritten.

Short reads share one pinned connection; INSERT ... ON CONFLICT works in both databases. Missing
tables are made when it is opened, and earlier ones brought up to date.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from entrenous.base.errors import EntrenousError
from entrenous.base.files import keep_private, make_private
from entrenous.stop.nouns import BankUnreachable, NewerBank, OlderBank, UnusableBank
from entrenous.stop.store.schema import METADATA, SCHEMA_VERSION, VERSION


def insert_on_conflict(db: sa.Connection, table: sa.Table) -> Any:
    """An INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    dialect = postgresql if db.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


class PinnedConnectionPool(sa.pool.QueuePool):
    """A pool that keeps one of its connections out for glances; closed when the pool is."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._out = threading.Lock()
        self._kept: sa.Connection | None = None

    @contextmanager
    def glance(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        """That connection, or another one. ``engine`` is whose pool this is."""
        if not self._out.acquire(blocking=False):
            with engine.connect() as db:
                yield db
            return
        try:
            if self._kept is None:
                self._kept = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            yield self._kept
        except BaseException:
            self._drop()  # whatever it was: the next glance begins with another one
            raise
        finally:
            self._out.release()

    def dispose(self) -> None:
        """Close all connections."""
        with self._out:
            self._drop()
        super().dispose()

    def _drop(self) -> None:
        if self._kept is not None:
            with suppress(SQLAlchemyError):
                self._kept.close()
            self._kept = None


Where = sa.Engine | sa.Connection  # the database, or a transaction that is open in it
LOCK: Final = 0x656E_7472_6762  # "entrgb": whoever changes banks and claims in PostgreSQL takes it
_REWRITTEN_BYTES_MAX: Final = 64 * 1024 * 1024  # about a quarter of a second
_BUSY_S: Final = 10.0  # as long as another process may hold the file before we give up
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",  # readers and one writer at a time
    "PRAGMA synchronous=FULL",  # what was acknowledged survives a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # a withdrawn hash does not linger in free pages
)
# We say it ourselves. An event of SQLAlchemy's would, but one that is listened to makes each
# statement twice as dear.
_BEGIN_WRITING: Final = "BEGIN IMMEDIATE"
_ASK_MS: Final = 20  # in which SQLite asks after 1, 3, 8 and 18 ms
# Said in the transaction: as an option of the connection it costs twice the time of a small query,
# to set and to put back.
_ONE_MOMENT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_UNUSABLE: Final = {  # asking again would help against neither
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_NOTADB: "it is no database",
}
_VACUUM: Final = "VACUUM (SKIP_LOCKED) hash, claim_hash, frame, sound, claim_sound, listing, upload"


def open_engine(path: Path) -> sa.Engine:
    """The SQLite database at ``path``, created if it is missing.

    Pictures that wait for a person are in it, so only its owner can read it, whatever the umask and
    the folder allow: SQLite makes its logs as it finds the database.

    Raises:
        UnusableBank: it is damaged, or this account may not read or write it.
        NewerBank, OlderBank: another version of Entrenous wrote it; it is as it was.
        BankUnreachable: it cannot be opened.
    """
    with suppress(OSError):  # SQLite says what is wrong when it opens it
        keep_private(path)
        for log in ("-wal", "-shm"):
            make_private(path.with_name(f"{path.name}{log}"))
    engine = sa.create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": _BUSY_S},
        poolclass=PinnedConnectionPool,
        hide_parameters=True,  # hashes and pictures: not for a log
    )
    sa.event.listen(engine, "connect", _on_connect)
    try:
        prepare(engine)
    except BankUnreachable as away:
        why = _UNUSABLE.get(_code(away.__cause__)) or _shut(path)
        if not why:
            raise
        raise UnusableBank(path=path, why=why) from None
    return engine


def prepare(engine: sa.Engine) -> None:
    """Create the tables in an empty database; nobody else holds the engine yet, so dispose of it
    if that fails.

    Raises:
        NewerBank, OlderBank, BankUnreachable.
    """
    try:
        with writing(engine) as db:
            _create_tables(db)
    except EntrenousError:
        engine.dispose()
        raise


def _create_tables(db: sa.Connection) -> None:
    if sa.inspect(db).has_table(SCHEMA_VERSION.name):
        refuse_other_version(db, SCHEMA_VERSION, VERSION)
        return
    METADATA.create_all(db)
    db.execute(SCHEMA_VERSION.insert().values(version=VERSION))


def refuse_other_version(db: sa.Connection, numbered: sa.Table, known: int) -> None:
    """Return only if the table ``numbered`` names the version ``known``.

    Raises:
        NewerBank, OlderBank.
    """
    found = db.execute(sa.select(sa.func.max(numbered.c.version))).scalar_one()
    if found != known:
        raise NewerBank if found > known else OlderBank


def _shut(path: Path) -> str:
    """SQLite writes files beside it, too, and says of all that it could not open something."""
    wanted = ((path, os.R_OK | os.W_OK), (path.parent, os.W_OK | os.X_OK))
    if any(os.access(it, os.F_OK) and not os.access(it, rights) for it, rights in wanted):
        return "this account may not read or write it"
    return ""


def _code(why: BaseException | None) -> int:
    """SQLite's own, or 0 where the failure is none of SQLite's."""
    original = why.orig if isinstance(why, DBAPIError) else why
    return getattr(original, "sqlite_errorcode", 0) & 0xFF


@contextmanager
def writing(engine: Where) -> Iterator[sa.Connection]:
    """One transaction that nobody else writes banks and claims beside; all of it or nothing.

    So what it numbers becomes visible in the order of the numbers, in PostgreSQL too. Given a
    transaction instead of the database, it is that one.
    """
    with adding(engine) as db:
        if not isinstance(engine, sa.Connection) and db.dialect.name == "postgresql":
            db.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        yield db


@contextmanager
def adding(engine: Where) -> Iterator[sa.Connection]:
    """The same for a row that stands alone: in PostgreSQL, others may write beside it."""
    if isinstance(engine, sa.Connection):
        yield engine
        return
    with _in_our_words(), engine.connect() as db, db.begin():
        if db.dialect.name == "sqlite":
            _begin_writing(db)
        yield db


@contextmanager
def reading(engine: Where) -> Iterator[sa.Connection]:
    """One moment of the database, or of the transaction that is given instead."""
    if isinstance(engine, sa.Connection):
        yield engine
        return
    with _in_our_words(), engine.connect() as db, db.begin():
        db.exec_driver_sql("BEGIN" if db.dialect.name == "sqlite" else _ONE_MOMENT)
        yield db


@contextmanager
def glancing(engine: Where) -> Iterator[sa.Connection]:
    """For one statement that reads, and is one moment by itself."""
    if isinstance(engine, sa.Connection):
        yield engine
        return
    pool = engine.pool
    assert isinstance(pool, PinnedConnectionPool)  # noqa: S101 -- who makes an engine of a bank takes it
    with _in_our_words(), pool.glance(engine) as db:
        yield db


@contextmanager
def inserting(engine: sa.Engine) -> Iterator[sa.Connection]:
    """For one insertion that stands alone, of several rows in SQLite alone: as :func:`adding`, on
    the connection that is kept for glances.
    """
    pool = engine.pool
    assert isinstance(pool, PinnedConnectionPool)  # noqa: S101 -- as above
    with _in_our_words(), pool.glance(engine) as db:
        if db.dialect.name != "sqlite":
            # Nothing but words where it is the kept one, which commits by itself.
            with nullcontext() if db.in_transaction() else db.begin():
                yield db
            return
        _begin_writing(db)
        yield db
        _file_of(db).execute("COMMIT").close()


def _begin_writing(db: sa.Connection) -> None:
    """Wait for the file's one writer as long as for anything, but ask every few milliseconds.

    SQLite itself asks less and less often, every tenth of a second in the end: where judges write
    one after the other, whoever came first would find the file taken each time.
    """
    until = time.monotonic() + _BUSY_S
    file = _file_of(db)
    file.execute(f"PRAGMA busy_timeout = {_ASK_MS}").close()
    try:
        while True:
            try:
                file.execute(_BEGIN_WRITING).close()
            except sqlite3.OperationalError as problem:
                if not _is_taken(problem) or time.monotonic() > until:
                    raise
            else:
                return
    finally:
        file.execute(f"PRAGMA busy_timeout = {round(_BUSY_S * 1000)}").close()


def _file_of(db: sa.Connection) -> sqlite3.Connection:
    """The file itself, past SQLAlchemy: each upload writes."""
    file = db.connection.driver_connection
    assert isinstance(file, sqlite3.Connection)  # noqa: S101 -- asked of SQLite alone
    return file


def _is_taken(problem: sqlite3.OperationalError) -> bool:
    return _code(problem) == sqlite3.SQLITE_BUSY


def scrub(engine: Where) -> None:
    """Overwrite what was deleted: rewrite the file, and empty the write-ahead log.

    ``secure_delete`` zeroes a row where it lies, but not what SQLite leaves behind when it moves
    rows between pages; only VACUUM does. A large file is not rewritten here: it would hold up
    uploads. When a reader is in the way for long, the next call does it; inside of a transaction
    whoever ends that does. In PostgreSQL the places of deleted rows are given to others, and its
    own write-ahead log keeps bytes of them for a while.
    """
    if isinstance(engine, sa.Connection):
        return
    if engine.dialect.name == "postgresql":
        with _in_our_words(), engine.connect() as db:
            db.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(_VACUUM)
        return
    with _in_our_words(), closing(engine.raw_connection()) as file:
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
def _in_our_words() -> Iterator[None]:
    """What the database says may repeat values, so only its first line is passed on."""
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
