"""The relay's rows in SQLite: a writer that commits in groups, and a reader beside its rewrites."""

import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import sqlalchemy as sql

from entrenous.adapters.mail.checkpoints import Checkpoints
from entrenous.adapters.mail.group.group_commit import GroupCommit
from entrenous.adapters.mail.group.job import Look
from entrenous.adapters.mail.looking import Looking
from entrenous.adapters.mail.sqlite_line import SqliteLine, named
from entrenous.adapters.mail.tables import VERSION, create_if_empty
from entrenous.ports import MailDesk, MailView

Answer = TypeVar("Answer")

_PAGE_BYTES: Final = 4096
_BUSY_MS: Final = 10_000
_CACHE_KIB: Final = 32_768
_LOG_PAGES: Final = 16_384  # 64 MiB: each page that was written often is copied into the file once

_SMALL_BYTES: Final = 64 * 1024**2  # of a database: rewriting it takes a quarter of a second
_LARGE_EVERY: Final = 60  # scrubs: a larger one is rewritten once an hour
#: Room that a rewrite takes beside the file, in times its size: a copy, then the log. Measured.
REWRITE_COPIES: Final = 2


class SqliteMail:
    """A :class:`entrenous.ports.MailStore` on one SQLite file; :func:`open_mail` makes it."""

    def __init__(self, writing: SqliteLine, reading: Looking) -> None:
        self._line = writing
        self._writer = GroupCommit(writing)
        self._reader = reading
        self._rewritten_at: int | None = None  # changes that there had been by the last time
        self._skipped = 0

    async def together(
        self, work: Callable[[MailDesk], Answer], ahead: Look | None = None
    ) -> Answer:
        """Run ``work`` in a transaction that is durable when this returns."""
        return await self._writer.submit(work, ahead)

    async def look(self, work: Callable[[MailView], Answer], ahead: Look | None = None) -> Answer:
        """Run ``work`` on what is committed and durable."""
        if not self._writer.is_alone:
            return await self._writer.look(work, ahead)
        self._writer.refuse_failed()
        return self._reader.look(work)

    async def scrub(self) -> None:
        """Rewrite the file without what was dropped, then empty the write-ahead log.

        ``secure_delete`` zeroes a row where it lies. But SQLite moves rows from page to page to
        keep its trees balanced, and what it then leaves behind in the free part of a page is
        zeroed by nothing but VACUUM. Emptying the log waits for readers (``busy_timeout``).

        Raises:
            DiskFull, DiskFailed: the file was not rewritten; that is tried again by the next scrub,
                of a large one an hour later, since all who write wait for it.
        """
        try:
            await self._rewrite()
        finally:
            await self._writer.submit_alone("PRAGMA wal_checkpoint(TRUNCATE)")

    async def _rewrite(self) -> None:
        changes = self._line.changes()
        if changes == self._rewritten_at:
            return
        ((pages,),) = await self._writer.submit_alone("PRAGMA page_count")
        self._skipped += 1
        if pages * _PAGE_BYTES > _SMALL_BYTES and self._skipped < _LARGE_EVERY:
            return
        self._skipped = 0
        await self._writer.submit_alone("VACUUM")
        self._rewritten_at = changes

    def close(self) -> None:
        """Finish what was asked for, then close the file."""
        self._reader.close()
        self._writer.close()


def open_mail(path: Path, *, bytes_max: int | None = None, create: bool = True) -> SqliteMail:
    """Open the database file, or make it, readable by its owner alone.

    Args:
        path: the file; its folder is made if need be.
        bytes_max: how large the file may grow; beyond, DiskFull.
        create: whether the tables are created if the file is empty.

    Raises:
        NewerDatabase, OlderDatabase: another version of Entrenous wrote it; it is as it was.
        UnusedDatabase: it is empty, and ``create`` is False.
        DiskFull, DiskFailed: the tables could not be created; the file has none of them.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    _prepare(path, bytes_max, create=create)
    log = path.with_name(f"{path.name}-wal")
    reading = _connect(path)
    reading.execute("PRAGMA query_only=ON")
    checkpoints = Checkpoints(_connect(path, bytes_max), _LOG_PAGES)
    writing = _connect(path, bytes_max)
    _keep_copies_in(path.parent, writing)
    return SqliteMail(SqliteLine(writing, log, checkpoints), Looking(reading))


def _connect(path: Path, bytes_max: int | None = None) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")  # and durable_log.py
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint={4 * _LOG_PAGES}")
    if bytes_max is not None:
        connection.execute(f"PRAGMA max_page_count={bytes_max // _PAGE_BYTES}")
    return connection


def _keep_copies_in(folder: Path, connection: sqlite3.Connection) -> None:
    """Have SQLite put its temporary files there: a rewrite copies every row into one.

    Else they lie in /var/tmp, on a disk that is maybe smaller, and whose freed blocks nobody thinks
    of as the relay's. This holds for the process; its variable SQLITE_TMPDIR would be read too
    early. It is deprecated, so a SQLite may have been built without it, which then goes on as ever.
    """
    quoted = str(folder.resolve()).replace("'", "''")
    connection.execute(f"PRAGMA temp_store_directory='{quoted}'")


def _prepare(path: Path, bytes_max: int | None, *, create: bool) -> None:
    """Make sure that the tables are there, and of this version."""
    connect = partial(_connect, path, bytes_max)
    engine = sql.create_engine("sqlite://", creator=connect, poolclass=sql.NullPool)
    try:
        with engine.connect() as connection:
            if _version(connection) != VERSION:
                _create(connection, create=create)
    except sql.exc.DBAPIError as why:
        raise named(why.orig) if isinstance(why.orig, sqlite3.Error) else why from None


def _create(connection: sql.Connection, *, create: bool) -> None:
    """Create all tables in one transaction: if this process is killed, the file has none."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    # Read again, since another process may have created them meanwhile.
    if create_if_empty(connection, _version(connection), create=create):
        connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")
    connection.exec_driver_sql("COMMIT")


def _version(connection: sql.Connection) -> int:
    found: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    return found
