"""Open a relay: its database and its blobs, in a folder, PostgreSQL or S3.

A folder records which database it belongs to. A different database would have none of the relay's
mailboxes, so no device could unlock its vault (docs/spec/relay.md section 12).
"""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from entrenous.base.environment import SystemClock, SystemRandomSource, UnusableFolder
from entrenous.base.errors import DiskFailed, EntrenousError
from entrenous.base.files import translate_folder_errors, write_private_file
from entrenous.carry.relay import BlobStore, Relay, RowStore, RowTransaction, RowView, WakeUps
from entrenous.carry.relay_rows import BrokenDatabase, StoredMailbox, StoredRelayId, UnusedDatabase
from entrenous.carry.relay_settings import (
    FolderUsedWithOtherDatabase,
    LongPollLimits,
    PostgresqlLibraryMissing,
    RelayLimits,
    RelayNotFound,
    RelaySettings,
    S3LibraryMissing,
)
from entrenous.carry.store.file_blobs import FileBlobs
from entrenous.carry.store.sqlite_rows import open_sqlite
from entrenous.carry.wake_ups import LocalWakeUps
from entrenous.serving.host_checks import describe_database_fault, open_read_only

DATABASE_NAME: Final = "mail.db"


@contextmanager
def open_relay(
    folder: Path,
    limits: RelayLimits | None = None,
    *,
    create: bool = True,
    database: str | None = None,
    blobs: str | None = None,
) -> Iterator[Relay]:
    """Open the relay whose database and blobs are in ``folder``, and create them if they are
    missing.

    ``database`` (``postgresql://...``) and ``blobs`` (``s3://...``, a bucket) are used instead of
    the folder; several relays may share them. With ``create``, tables are created in an empty
    database.

    Raises:
        UnusableFolder, DiskFull, DiskFailed, NewerDatabase, OlderDatabase, UnusedDatabase.
        BrokenDatabase: the disk failed (when opening, or inside the block), and the database in the
            folder is damaged.
        DatabaseAway: the ``database`` cannot be reached.
        BadDatabaseAddress: the address in ``database`` cannot be parsed.
        PostgresqlLibraryMissing, S3LibraryMissing: a library is missing.
    """
    limits = limits or RelayLimits()
    with explain_disk_failure(folder) if database is None else nullcontext():
        with translate_folder_errors(folder), ExitStack() as opened:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            store = FileBlobs(folder / "blobs") if blobs is None else _open_bucket(blobs)
            mail, bell = (
                _open_sqlite_in_folder(folder, opened, limits.wakes, create=create)
                if database is None
                else _open_in_postgresql(database, opened, limits.wakes, create=create)
            )
            going = opened.pop_all()
        with going:
            yield Relay(mail, store, SystemClock(), SystemRandomSource(), limits, bell)


@contextmanager
def explain_disk_failure(folder: Path) -> Iterator[None]:
    """Replace DiskFailed by its cause: a damaged database, or wrong permissions.

    Raises:
        BrokenDatabase, UnusableFolder, DiskFailed.
    """
    try:
        yield
    except DiskFailed:
        mail = folder / DATABASE_NAME
        fault = describe_database_fault(mail) if os.access(mail, os.R_OK) else ""
        if fault:
            raise BrokenDatabase(path=mail, why=fault) from None
        for path, wanted in ((folder, os.W_OK | os.X_OK), (mail, os.R_OK | os.W_OK)):
            if not os.access(path, wanted):
                raise UnusableFolder(path=path) from None
        raise


def _open_bucket(url: str) -> BlobStore:
    """Open a bucket, importing its optional library."""
    try:
        from entrenous.carry.store.s3_blobs import open_s3  # noqa: PLC0415
    except ImportError:
        raise S3LibraryMissing from None
    return open_s3(url)


def find_postgres_fault(url: str) -> str | None:
    """Return, in words, why a relay cannot use that PostgreSQL database; None if it can."""
    try:
        with ExitStack() as opened:
            _open_in_postgresql(url, opened, LongPollLimits(), create=False)
    except UnusedDatabase:
        return None  # not a fault, because a relay creates the tables when it starts
    except EntrenousError as why:
        return " ".join(str(why).split())
    return None


def _open_sqlite_in_folder(
    folder: Path, opened: ExitStack, wakes: LongPollLimits, *, create: bool
) -> tuple[RowStore, WakeUps]:
    mail = opened.enter_context(closing(open_sqlite(folder / DATABASE_NAME, create=create)))
    return mail, LocalWakeUps(wakes)


def _open_in_postgresql(
    url: str, opened: ExitStack, wakes: LongPollLimits, *, create: bool
) -> tuple[RowStore, WakeUps]:
    """Open rows and wake-ups in PostgreSQL, importing its optional library."""
    try:
        from entrenous.carry.store.postgres import (  # noqa: PLC0415
            PostgresWakeUps,
            connect_postgres,
            open_postgres,
        )
    except ImportError:
        raise PostgresqlLibraryMissing from None
    mail = opened.enter_context(closing(open_postgres(url, create=create)))
    return mail, opened.enter_context(
        closing(PostgresWakeUps(partial(connect_postgres, url), wakes))
    )


@contextmanager
def open_existing_relay(
    folder: Path, database: str | None = None, blobs: str | None = None
) -> Iterator[Relay]:
    """Open an existing relay, which may be running; create no database and no tables.

    Raises:
        RelayNotFound: there is no relay in the folder.
        UnusedDatabase: the tables have not been created yet; a relay creates them when it starts.
        UnusableFolder, DiskFull, DiskFailed, BrokenDatabase, NewerDatabase, OlderDatabase.
        DatabaseAway: the ``database`` cannot be reached.
        BadDatabaseAddress: the address in ``database`` cannot be parsed.
        PostgresqlLibraryMissing, S3LibraryMissing: a library is missing.
    """
    if database is None and not (folder / DATABASE_NAME).is_file():
        raise RelayNotFound(path=folder)
    with open_relay(folder, create=False, database=database, blobs=blobs) as relay:
        yield relay


_ONLY_ROW_KEY: Final = 1
_RELAY_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class DatabaseSummary:
    """The relay id in a database, and whether the database has mailboxes.

    The id is None until a relay has been started with the database.
    """

    relay: bytes | None
    is_filled: bool


def read_database_summary(view: RowView) -> DatabaseSummary:
    stored = view.get(StoredRelayId, _ONLY_ROW_KEY)
    return DatabaseSummary(stored.name if stored else None, bool(view.find(StoredMailbox, 1)))


async def read_or_generate_relay_id(relay: Relay) -> bytes:
    """Return the relay id: 16 bytes that identify this relay's database.

    The id is generated at the relay's first start. Copies of a database have the same id.
    """
    fresh = StoredRelayId(_ONLY_ROW_KEY, relay.random_source.token(_RELAY_ID_BYTES))

    def read_or_generate_id(tx: RowTransaction) -> bytes:
        stored = tx.get(StoredRelayId, _ONLY_ROW_KEY)
        if stored is None:
            tx.put(fresh)
        return (stored or fresh).name

    return await relay.mail.transact(read_or_generate_id)


_NOTE_FILE: Final = "database.json"
_NOTE_SCHEMA: Final = "entrenous/relay-database/1"


@dataclass(frozen=True, slots=True)
class DatabaseNote:
    """A database's relay id, and its address without user and password."""

    relay: bytes
    address: str


class _DatabaseNoteJson(msgspec.Struct, frozen=True):
    schema: str
    relay: str
    database: str


def read_database_note(folder: Path) -> DatabaseNote | None:
    """Read the note about the database in a folder; return None if it is missing or unreadable."""
    try:
        untrusted = msgspec.json.decode((folder / _NOTE_FILE).read_bytes(), type=_DatabaseNoteJson)
        return DatabaseNote(bytes.fromhex(untrusted.relay), untrusted.database)
    except (OSError, msgspec.DecodeError, ValueError):
        return None


def write_database_note(note: DatabaseNote, folder: Path) -> None:
    write_private_file(
        folder / _NOTE_FILE,
        msgspec.json.encode(_DatabaseNoteJson(_NOTE_SCHEMA, note.relay.hex(), note.address)),
    )


_EMPTY_DATABASE_SUMMARY = DatabaseSummary(None, is_filled=False)


def refuse_folder_of_other_database(settings: RelaySettings) -> None:
    """Check, before a relay starts, that the folder belongs to this database; change nothing.

    Raises:
        FolderUsedWithOtherDatabase: the folder was used with a different database, or it contains a
            used database while this one is empty.
        DatabaseAway, BadDatabaseAddress, PostgresqlLibraryMissing, NewerDatabase, OlderDatabase.
    """
    if settings.database is None:
        found = _summarize_database_in_folder(settings)
    else:
        found = _summarize_postgresql_database(settings.database)
    note = read_database_note(settings.data)
    if found is None:
        return
    if note is not None and note.relay != found.relay:
        before = note.address
    elif note is None and settings.database is not None and not found.is_filled:
        beside = _summarize_database_in_folder(settings)
        if beside is None or not beside.is_filled:
            return
        before = str(settings.data / DATABASE_NAME)
    else:
        return
    held = "holds other mailboxes" if found.is_filled else "is empty"
    raise FolderUsedWithOtherDatabase(
        data=settings.data, before=before, now=_database_address(settings), held=held
    )


def record_database_note(relay: Relay, settings: RelaySettings) -> None:
    """Record in the folder which database it is used with from now on.

    Raises:
        UnusableFolder, DiskFull; and the errors of the database.
    """
    note = DatabaseNote(asyncio.run(read_or_generate_relay_id(relay)), _database_address(settings))
    if note != read_database_note(settings.data):
        with translate_folder_errors(settings.data):
            write_database_note(note, settings.data)


def _summarize_database_in_folder(settings: RelaySettings) -> DatabaseSummary | None:
    """Return what the database in the folder contains; None if it cannot be read.

    Opening the relay then reports what is wrong.
    """
    mail = settings.data / DATABASE_NAME
    try:
        if not mail.is_file():
            return _EMPTY_DATABASE_SUMMARY
        with open_read_only(mail) as rows:
            is_filled = bool(rows.execute("SELECT 1 FROM stored_mailbox LIMIT 1").fetchone())
            found = rows.execute("SELECT name FROM stored_relay_id").fetchone()
    except (OSError, sqlite3.Error):
        return None
    return DatabaseSummary(found[0] if found else None, is_filled)


def _summarize_postgresql_database(url: str) -> DatabaseSummary:
    try:
        from entrenous.carry.store.postgres import open_postgres  # noqa: PLC0415
    except ImportError:
        raise PostgresqlLibraryMissing from None
    try:
        with closing(open_postgres(url, create=False)) as mail:
            return asyncio.run(mail.read(read_database_summary))
    except UnusedDatabase:
        return _EMPTY_DATABASE_SUMMARY


def _database_address(settings: RelaySettings) -> str:
    if settings.database is None:
        return str(settings.data / DATABASE_NAME)
    from entrenous.serving.postgres_address import address_without_credentials  # noqa: PLC0415

    return address_without_credentials(settings.database)
