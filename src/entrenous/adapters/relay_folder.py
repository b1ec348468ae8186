"""A note in a relay's folder of the database that it was last used with (relay.md section 12)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from entrenous.adapters.private_file import write_private

_FILE: Final = "database.json"
_SCHEMA: Final = "entrenous/relay-database/1"


@dataclass(frozen=True, slots=True)
class Note:
    """Which database: its relay's id, and for people where it was, without user and password."""

    relay: bytes
    place: str


class _Written(msgspec.Struct, frozen=True):
    schema: str
    relay: str
    database: str


def read_note(folder: Path) -> Note | None:
    """The note in a folder; None where there is none, or none that can be read."""
    try:
        untrusted = msgspec.json.decode((folder / _FILE).read_bytes(), type=_Written)
        return Note(bytes.fromhex(untrusted.relay), untrusted.database)
    except (OSError, msgspec.DecodeError, ValueError):
        return None


def write_note(note: Note, folder: Path) -> None:
    """Replace the note, durably; raises OSError."""
    write_private(
        folder / _FILE, msgspec.json.encode(_Written(_SCHEMA, note.relay.hex(), note.place))
    )
