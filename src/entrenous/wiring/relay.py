"""Open a relay: its database, its blobs. It has no way to a key."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final

from entrenous.adapters.bell.local import LocalBell
from entrenous.adapters.blobs.files import FileBlobs
from entrenous.adapters.mail.sqlite import open_mail
from entrenous.adapters.relay_machine import database_fault
from entrenous.adapters.system import SystemClock, SystemDice
from entrenous.model.errors import EntrenousError
from entrenous.model.held import BrokenDatabase, UnusedDatabase
from entrenous.model.relay_problem import DiskFailed
from entrenous.model.relay_settings import (
    LacksPostgresql,
    LacksS3,
    Limits,
    NoRelayHere,
    WakeBounds,
)
from entrenous.model.setting import UnusableFolder
from entrenous.ports import Bell, BlobStore, MailStore, Relay
from entrenous.wiring.folders import kept_in

MAIL: Final = "mail.db"


@contextmanager
def open_relay(
    folder: Path,
    limits: Limits | None = None,
    *,
    create: bool = True,
    database: str | None = None,
    blobs: str | None = None,
) -> Iterator[Relay]:
    """The relay whose database and blobs are in ``folder``, made if they are missing.

    A ``database``, ``postgresql://...``, and a bucket for the ``blobs``, ``s3://...``, are used
    instead of those in the folder; several relays may share them. The tables are created in an
    empty database, if ``create`` is set.

    Raises:
        UnusableFolder, DiskFull, DiskFailed, NewerDatabase, OlderDatabase, UnusedDatabase.
        BrokenDatabase: it is damaged; also what runs in here ends so if it found out.
        DatabaseAway: the ``database`` cannot be reached.
        BadDatabaseAddress: it cannot be read as one.
        LacksPostgresql, LacksS3: a library.
    """
    limits = limits or Limits()
    with told_why(folder) if database is None else nullcontext():
        with kept_in(folder), ExitStack() as opened:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            store = FileBlobs(folder / "blobs") if blobs is None else _in_bucket(blobs)
            mail, bell = (
                _in_folder(folder, opened, limits.wakes, create=create)
                if database is None
                else _in_postgresql(database, opened, limits.wakes, create=create)
            )
            going = opened.pop_all()
        with going:
            yield Relay(mail, store, SystemClock(), SystemDice(), limits, bell)


@contextmanager
def told_why(folder: Path) -> Iterator[None]:
    """Where a relay's disk is said to fail, look whether it is the database or who may write there:
    trying again would help against neither.

    Raises:
        BrokenDatabase, UnusableFolder, DiskFailed.
    """
    try:
        yield
    except DiskFailed:
        mail = folder / MAIL
        fault = database_fault(mail) if os.access(mail, os.R_OK) else ""
        if fault:
            raise BrokenDatabase(path=mail, why=fault) from None
        for path, wanted in ((folder, os.W_OK | os.X_OK), (mail, os.R_OK | os.W_OK)):
            if not os.access(path, wanted):
                raise UnusableFolder(path=path) from None
        raise


def _in_bucket(url: str) -> BlobStore:
    """Imported here, for not everybody has its library."""
    try:
        from entrenous.adapters.blobs.s3 import open_s3  # noqa: PLC0415
    except ImportError:
        raise LacksS3 from None
    return open_s3(url)


def postgres_fault(url: str) -> str | None:
    """Why no relay can use that PostgreSQL, in words; None if one can."""
    try:
        with ExitStack() as opened:
            _in_postgresql(url, opened, WakeBounds(), create=False)
    except UnusedDatabase:
        return None  # the start of a relay creates the tables
    except EntrenousError as why:
        return " ".join(str(why).split())
    return None


def _in_folder(
    folder: Path, opened: ExitStack, wakes: WakeBounds, *, create: bool
) -> tuple[MailStore, Bell]:
    mail = opened.enter_context(closing(open_mail(folder / MAIL, create=create)))
    return mail, LocalBell(wakes)


def _in_postgresql(
    url: str, opened: ExitStack, wakes: WakeBounds, *, create: bool
) -> tuple[MailStore, Bell]:
    """Rows and bell in PostgreSQL; imported here, for not everybody has its library."""
    try:
        from entrenous.adapters.bell.postgres import PostgresBell  # noqa: PLC0415
        from entrenous.adapters.mail.postgres import connect_to, open_postgres  # noqa: PLC0415
    except ImportError:
        raise LacksPostgresql from None
    mail = opened.enter_context(closing(open_postgres(url, create=create)))
    return mail, opened.enter_context(closing(PostgresBell(partial(connect_to, url), wakes)))


@contextmanager
def open_present_relay(
    folder: Path, database: str | None = None, blobs: str | None = None
) -> Iterator[Relay]:
    """The same, but nothing is made where there is no relay; it may be running.

    Raises:
        NoRelayHere: there is none.
        UnusableFolder, DiskFull, DiskFailed, BrokenDatabase, NewerDatabase, OlderDatabase.
        DatabaseAway: the ``database`` cannot be reached.
        LacksPostgresql, LacksS3: a library.
        UnusedDatabase: only the start of a relay creates its tables.
    """
    if database is None and not (folder / MAIL).is_file():
        raise NoRelayHere(path=folder)
    with open_relay(folder, create=False, database=database, blobs=blobs) as relay:
        yield relay
