"""Whether a relay is given the database that its folder was used with (docs/spec/relay.md section
12): another one knows none of its mailboxes, and no device there could open its vault.
"""

import asyncio
import sqlite3
from contextlib import closing

from entrenous.adapters.relay_folder import Note, read_note, write_note
from entrenous.adapters.relay_rows import rows_of
from entrenous.carry.identity import Contents, contents_of, relay_id
from entrenous.model.held import UnusedDatabase
from entrenous.model.relay_settings import LacksPostgresql, OtherDatabase, RelaySettings
from entrenous.ports import Relay
from entrenous.wiring.folders import kept_in
from entrenous.wiring.relay import MAIL

_NEW = Contents(None, is_filled=False)


def refuse_other_database(settings: RelaySettings) -> None:
    """Look before a relay starts; nothing is made or changed.

    Raises:
        OtherDatabase: the folder was used with another one, or has a filled one of its own beside
            one that is empty.
        DatabaseAway, BadDatabaseAddress, LacksPostgresql, NewerDatabase, OlderDatabase.
    """
    found, note = _contents(settings), read_note(settings.data)
    if found is None:
        return
    if note is not None and note.relay != found.relay:
        before = note.place
    elif note is None and settings.database is not None and not found.is_filled:
        beside = _in_folder(settings)
        if beside is None or not beside.is_filled:
            return
        before = str(settings.data / MAIL)
    else:
        return
    held = "holds other mailboxes" if found.is_filled else "is empty"
    raise OtherDatabase(data=settings.data, before=before, now=_place(settings), held=held)


def note_database(relay: Relay, settings: RelaySettings) -> None:
    """Note in the folder which database it is used with from now on.

    Raises:
        UnusableFolder, DiskFull; and what the database raises.
    """
    note = Note(asyncio.run(relay_id(relay)), _place(settings))
    if note != read_note(settings.data):
        with kept_in(settings.data):
            write_note(note, settings.data)


def _contents(settings: RelaySettings) -> Contents | None:
    return _in_folder(settings) if settings.database is None else _in_postgresql(settings.database)


def _in_folder(settings: RelaySettings) -> Contents | None:
    """None of one that cannot be read: its relay says what is wrong with it."""
    mail = settings.data / MAIL
    try:
        if not mail.is_file():
            return _NEW
        with rows_of(mail) as rows:
            is_filled = bool(rows.execute("SELECT 1 FROM held_mailbox LIMIT 1").fetchone())
            found = rows.execute("SELECT name FROM held_relay").fetchone()
    except (OSError, sqlite3.Error):
        return None
    return Contents(found[0] if found else None, is_filled)


def _in_postgresql(url: str) -> Contents:
    """Imported here, for not everybody has its library."""
    try:
        from entrenous.adapters.mail.postgres import open_postgres  # noqa: PLC0415
    except ImportError:
        raise LacksPostgresql from None
    try:
        with closing(open_postgres(url, create=False)) as mail:
            return asyncio.run(mail.look(contents_of))
    except UnusedDatabase:
        return _NEW


def _place(settings: RelaySettings) -> str:
    if settings.database is None:
        return str(settings.data / MAIL)
    from entrenous.adapters.postgres_address import place_of  # noqa: PLC0415

    return place_of(settings.database)
