"""A relay's backup, and what may be wrong with one."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.errors import NotFound, Refused, Unproven


@dataclass(frozen=True, slots=True)
class BlobEntry:
    """A blob in a backup; ``sha256`` in hexadecimal digits."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: the database's hash, the blobs, and those that had gone meanwhile."""

    made_at: datetime
    mail_sha256: str
    blobs: tuple[BlobEntry, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Restored:
    """A relay that was put back; ``lost`` copies have to be sent again by their senders.

    ``damaged`` blobs of the backup were gone, or not what was saved: what names them is lost too.
    """

    backup: Backup
    lost: int
    damaged: int = 0


class NotEmpty(Refused):
    """
    There is something in {path} already, so nothing was written: what is there stays as it was.
    Name a folder that is new or empty.
    """


class NoBackupHere(NotFound):
    """
    {path} holds no whole relay backup: its list of contents is not there. A backup that was broken
    off has none. Nothing was changed.
    """


class DamagedBackup(Unproven):
    """
    In the backup {path}, {name} is damaged or is not what was saved, so nothing was restored and
    nothing was changed. Use an older backup.
    """
