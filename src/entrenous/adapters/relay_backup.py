"""Back up a relay that is running, and put a backup back (docs/spec/relay.md section 12).

The database is copied first, at one moment (SQLite's online backup). A blob is only ever added
before its row and removed after it, and never changed; so all that the copied rows name is there,
but for what was removed meanwhile, which is listed. The copied rows are looked through, since what
is damaged could not be restored. On one disk blobs are second links to the same
bytes and cost nothing. The list of contents is written last: without it there is no backup.
"""

import contextlib
import hashlib
import os
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from entrenous.adapters.private_file import sync_folder, write_private
from entrenous.adapters.relay_machine import database_fault
from entrenous.adapters.relay_rows import rows_of
from entrenous.model.held import BrokenDatabase
from entrenous.model.relay_backup import Backup, BlobEntry, DamagedBackup, NoBackupHere, NotEmpty

MAIL: Final = "mail.db"
BLOBS: Final = "blobs"
_CONTENTS: Final = "backup.json"
_SCHEMA: Final = "entrenous/backup/1"


class _Contents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: str
    made_at: int
    mail_sha256: str
    blobs: list[tuple[str, int, str]]
    missing: list[str]


def save_backup(data: Path, out: Path, at: datetime) -> Backup:
    """Copy the relay in ``data`` into the folder ``out``; the relay may be running.

    Raises:
        NotEmpty: there is something in ``out``.
        BrokenDatabase: the relay's is damaged. Then, and after the others, ``out`` is empty again.
        OSError, sqlite3.Error: the disk.
    """
    empty_folder(out)
    try:
        return _saved(data, out, at)
    except BaseException:
        _empty_again(out)
        raise


def _saved(data: Path, out: Path, at: datetime) -> Backup:
    _copy_rows(data / MAIL, out / MAIL)
    (out / BLOBS).mkdir(mode=0o700)
    saved, missing = list[BlobEntry](), list[str]()
    for entry in _blobs_of(out / MAIL):
        if _link(data / BLOBS / entry.name, out / BLOBS / entry.name):
            saved.append(entry)
        else:
            missing.append(entry.name)
    sync_folder(out / BLOBS)
    backup = Backup(at, _sha256(out / MAIL), tuple(saved), tuple(missing))
    write_private(out / _CONTENTS, _written(backup))
    return backup


def read_backup(folder: Path) -> Backup:
    """What a backup says that it holds; raises NoBackupHere, DamagedBackup."""
    try:
        untrusted_text = (folder / _CONTENTS).read_bytes()
    except OSError:
        raise NoBackupHere(path=folder) from None
    try:
        read = msgspec.json.decode(untrusted_text, type=_Contents)
        made_at = datetime.fromtimestamp(read.made_at, UTC)
    except (msgspec.MsgspecError, ValueError, OverflowError, OSError):
        raise DamagedBackup(path=folder, name=_CONTENTS) from None
    blobs = tuple(BlobEntry(*one) for one in read.blobs)
    if read.schema != _SCHEMA or not all(_is_name(one.name) for one in blobs):
        raise DamagedBackup(path=folder, name=_CONTENTS)
    return Backup(made_at, read.mail_sha256, blobs, tuple(read.missing))


def copy_back(folder: Path, backup: Backup, into: Path) -> frozenset[str]:
    """Copy a backup's files into a new folder; each is looked at on the way.

    Names of the blobs that are left out: they are missing, or have another hash than when they
    were saved. One bad file does not cost all the others.

    Raises:
        DamagedBackup: the database is missing, has another hash than when it was saved, or was
            damaged by then.
        OSError: the disk.
    """
    (into / BLOBS).mkdir(mode=0o700, parents=True)
    if not _copy_checked(folder / MAIL, into / MAIL, backup.mail_sha256) or database_fault(
        into / MAIL
    ):
        raise DamagedBackup(path=folder, name=MAIL)
    damaged = frozenset(
        one.name
        for one in backup.blobs
        if not _copy_checked(folder / BLOBS / one.name, into / BLOBS / one.name, one.sha256)
    )
    sync_folder(into / BLOBS)
    sync_folder(into)
    return damaged


def empty_folder(path: Path) -> None:
    """See to it that an empty folder is there, its owner's alone; raises NotEmpty."""
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise NotEmpty(path=path)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _empty_again(out: Path) -> None:
    """So that the same command can be given again; what it found there was nothing."""
    shutil.rmtree(out / BLOBS, ignore_errors=True)
    for path in out.iterdir():
        with contextlib.suppress(OSError):
            path.unlink()


def _copy_rows(source: Path, target: Path) -> None:
    """All rows as one moment has them; writers go on meanwhile."""
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with rows_of(source) as old, contextlib.closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("PRAGMA journal_mode=DELETE")
    fault = database_fault(target)
    if fault:
        raise BrokenDatabase(path=source, why=fault)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _blobs_of(mail: Path) -> list[BlobEntry]:
    with contextlib.closing(sqlite3.connect(mail)) as rows:
        found = rows.execute("SELECT name, size, sha256 FROM held_blob ORDER BY name").fetchall()
    return [BlobEntry(name, size, sha256.hex()) for name, size, sha256 in found]


def _link(source: Path, target: Path) -> bool:
    """A second link, or a copy on another disk; False if it has gone."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        return False
    except OSError:
        return _copy(source, target)
    return True


def _copy(source: Path, target: Path) -> bool:
    try:
        file = source.open("rb")
    except FileNotFoundError:
        return False
    opener = lambda path, flags: os.open(path, flags, 0o600)  # noqa: E731
    with file, open(target, "xb", opener=opener) as new:
        shutil.copyfileobj(file, new, 1 << 20)
        new.flush()
        os.fsync(new.fileno())
    return True


def _copy_checked(source: Path, target: Path, sha256: str) -> bool:
    """Whether it is there and right; else nothing is left.

    Looks at the copy and not at the original: a file may be wrong on one of two disks only.
    """
    if _copy(source, target) and _sha256(target) == sha256:
        return True
    target.unlink(missing_ok=True)
    return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_name(untrusted_name: str) -> bool:
    """Names that a relay draws: hexadecimal digits, so none leads out of the folder."""
    return bool(untrusted_name) and set(untrusted_name) <= set("0123456789abcdef")


def _written(backup: Backup) -> bytes:
    rows = [(one.name, one.size, one.sha256) for one in backup.blobs]
    made_at = int(backup.made_at.timestamp())
    contents = _Contents(_SCHEMA, made_at, backup.mail_sha256, rows, list(backup.missing))
    return msgspec.json.encode(contents)
