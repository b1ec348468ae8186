"""Back up a running relay, and restore a backup (docs/spec/relay.md section 12)."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from entrenous.base.environment import SystemClock
from entrenous.base.errors import NoSuchBlob, NotFound, Unproven
from entrenous.base.files import (
    ensure_empty_folder,
    sync_folder,
    translate_folder_errors,
    write_private_file,
)
from entrenous.carry.open_relay import (
    DATABASE_NAME,
    explain_disk_failure,
    open_relay,
    refuse_folder_of_other_database,
)
from entrenous.carry.relay import Relay
from entrenous.carry.relay_rows import BrokenDatabase, StoredBlob
from entrenous.carry.relay_settings import RelayNotFound, RelaySettings, RelayStillRuns
from entrenous.carry.restore import delete_untrusted_rows
from entrenous.carry.store.sqlite_rows import translate_sqlite_error
from entrenous.serving.host_checks import describe_database_fault, is_relay_at, open_read_only


@dataclass(frozen=True, slots=True)
class BlobEntry:
    """A blob in a backup, with the SHA-256 of its bytes in hexadecimal digits."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BackupContents:
    """The contents of a backup; ``missing`` names the blobs that were deleted while the backup was
    made.
    """

    made_at: datetime
    mail_sha256: str
    blobs: tuple[BlobEntry, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """The result of restoring a relay.

    ``lost`` is the number of copies that the restore closed, including copies that had been opened
    before: their shares or blobs were deleted, so they can no longer be opened. ``damaged`` is the
    number of blobs that were missing from the backup folder or altered. The envelopes that name
    these blobs count as lost.
    """

    backup: BackupContents
    lost: int
    damaged: int = 0


class BackupNotFound(NotFound):
    """
    {path} does not contain a complete relay backup: its list of contents is missing, perhaps
    because the backup was interrupted. Nothing was changed. Use another backup.
    """


class DamagedBackup(Unproven):
    """
    In the backup {path}, {name} is damaged or was changed. Nothing was restored or changed. Use an
    older backup.
    """


BLOBS_FOLDER: Final = "blobs"
_CONTENTS_FILE: Final = "backup.json"
_BACKUP_SCHEMA: Final = "entrenous/backup/1"


class _BackupContentsJson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: str
    made_at: int
    mail_sha256: str
    blobs: list[tuple[str, int, str]]
    missing: list[str]


def save_backup(data: Path, out: Path, at: datetime) -> BackupContents:
    """Copy the relay in ``data`` into the folder ``out``; the relay may be running.

    Raises:
        NotEmpty: ``out`` is not empty.
        BrokenDatabase: the relay's database is damaged. After this error and those below, ``out``
            is empty again.
        OSError, sqlite3.Error: the disk failed.
    """
    ensure_empty_folder(out)
    try:
        return _save_backup_into(data, out, at)
    except BaseException:
        _empty_folder_again(out)
        raise


def _save_backup_into(data: Path, out: Path, at: datetime) -> BackupContents:
    _copy_database(data / DATABASE_NAME, out / DATABASE_NAME)
    (out / BLOBS_FOLDER).mkdir(mode=0o700)
    saved, missing = list[BlobEntry](), list[str]()
    for entry in _list_blobs(out / DATABASE_NAME):
        if _hard_link_or_copy_file(
            data / BLOBS_FOLDER / entry.name, out / BLOBS_FOLDER / entry.name
        ):
            saved.append(entry)
        else:
            missing.append(entry.name)
    sync_folder(out / BLOBS_FOLDER)
    backup = BackupContents(at, _file_sha256(out / DATABASE_NAME), tuple(saved), tuple(missing))
    write_private_file(out / _CONTENTS_FILE, _encode_contents(backup))
    return backup


def read_backup(folder: Path) -> BackupContents:
    """Read the list of a backup's contents; raises BackupNotFound, DamagedBackup."""
    try:
        untrusted_text = (folder / _CONTENTS_FILE).read_bytes()
    except OSError:
        raise BackupNotFound(path=folder) from None
    try:
        read = msgspec.json.decode(untrusted_text, type=_BackupContentsJson)
        made_at = datetime.fromtimestamp(read.made_at, UTC)
    except (msgspec.MsgspecError, ValueError, OverflowError, OSError):
        raise DamagedBackup(path=folder, name=_CONTENTS_FILE) from None
    blobs = tuple(BlobEntry(*one) for one in read.blobs)
    if read.schema != _BACKUP_SCHEMA or not all(_is_hexadecimal_name(one.name) for one in blobs):
        raise DamagedBackup(path=folder, name=_CONTENTS_FILE)
    return BackupContents(made_at, read.mail_sha256, blobs, tuple(read.missing))


def restore_files(folder: Path, backup: BackupContents, into: Path) -> frozenset[str]:
    """Copy a backup's files into a new folder, and verify each copy.

    Returns:
        The names of the blobs that were left out because they are missing or altered. One damaged
        file does not make the others unusable.

    Raises:
        DamagedBackup: the database is missing, altered, or was damaged when it was saved.
        OSError: the disk failed.
    """
    (into / BLOBS_FOLDER).mkdir(mode=0o700, parents=True)
    if not _copy_and_verify(
        folder / DATABASE_NAME, into / DATABASE_NAME, backup.mail_sha256
    ) or describe_database_fault(into / DATABASE_NAME):
        raise DamagedBackup(path=folder, name=DATABASE_NAME)
    damaged = frozenset(
        one.name
        for one in backup.blobs
        if not _copy_and_verify(
            folder / BLOBS_FOLDER / one.name, into / BLOBS_FOLDER / one.name, one.sha256
        )
    )
    sync_folder(into / BLOBS_FOLDER)
    sync_folder(into)
    return damaged


def _empty_folder_again(out: Path) -> None:
    """Empty the folder again, so that the command can be repeated."""
    shutil.rmtree(out / BLOBS_FOLDER, ignore_errors=True)
    for path in out.iterdir():
        with contextlib.suppress(OSError):
            path.unlink()


def _copy_database(source: Path, target: Path) -> None:
    """Copy a snapshot of all rows without stopping writers."""
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with open_read_only(source) as old, contextlib.closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("PRAGMA journal_mode=DELETE")
    fault = describe_database_fault(target)
    if fault:
        raise BrokenDatabase(path=source, why=fault)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _list_blobs(mail: Path) -> list[BlobEntry]:
    with contextlib.closing(sqlite3.connect(mail)) as rows:
        found = rows.execute("SELECT name, size, sha256 FROM stored_blob ORDER BY name").fetchall()
    return [BlobEntry(name, size, sha256.hex()) for name, size, sha256 in found]


def _hard_link_or_copy_file(source: Path, target: Path) -> bool:
    """Hard-link the file, or copy it if the target is on another disk.

    Return False if the file no longer exists.
    """
    try:
        os.link(source, target)
    except FileNotFoundError:
        return False
    except OSError:
        return _copy_file(source, target)
    return True


def _copy_file(source: Path, target: Path) -> bool:
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


def _copy_and_verify(source: Path, target: Path, sha256: str) -> bool:
    """Copy a file and verify its SHA-256. If that fails, delete the copy and return False.

    The copy is hashed, not the original: a disk error may affect only one of the two.
    """
    if _copy_file(source, target) and _file_sha256(target) == sha256:
        return True
    target.unlink(missing_ok=True)
    return False


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_hexadecimal_name(untrusted_name: str) -> bool:
    """Return whether the name is hexadecimal, so that it cannot lead out of the folder."""
    return bool(untrusted_name) and set(untrusted_name) <= set("0123456789abcdef")


def _encode_contents(backup: BackupContents) -> bytes:
    rows = [(one.name, one.size, one.sha256) for one in backup.blobs]
    made_at = int(backup.made_at.timestamp())
    contents = _BackupContentsJson(
        _BACKUP_SCHEMA, made_at, backup.mail_sha256, rows, list(backup.missing)
    )
    return msgspec.json.encode(contents)


_RESTORING_FOLDER: Final = ".restoring"


def back_up_relay(data: Path, out: Path) -> BackupContents:
    """Save the relay in ``data``, which may be running, into a new or empty folder.

    Raises:
        RelayNotFound: there is no relay in ``data``.
        NotEmpty, BrokenDatabase, UnusableFolder, DiskFull, DiskFailed: no files remain that could
            be mistaken for a backup.
    """
    if not (data / DATABASE_NAME).is_file():
        raise RelayNotFound(path=data)
    with explain_disk_failure(data):
        try:
            with translate_folder_errors(out):
                return save_backup(data, out, SystemClock().now())
        except sqlite3.Error as why:
            raise translate_sqlite_error(why) from None


def restore_relay(folder: Path, data: Path, *, with_shares: bool) -> RestoreResult:
    """Restore a backup into a new or empty folder, which may be the root of a separate disk.

    Everything is prepared and verified in a subfolder. The database is moved out of the subfolder
    last, since a folder with a database counts as a relay.

    Raises:
        BackupNotFound, DamagedBackup: there is nothing to restore.
        NotEmpty: ``data`` is not empty.
        UnusableFolder, DiskFull, DiskFailed, NewerDatabase, OlderDatabase: nothing was restored.
    """
    backup = read_backup(folder)
    with translate_folder_errors(data):
        fresh = data / _RESTORING_FOLDER
        shutil.rmtree(fresh, ignore_errors=True)  # left by an interrupted restore
        ensure_empty_folder(data)
        try:
            damaged = restore_files(folder, backup, fresh)
            missing_blobs = damaged | frozenset(backup.missing)
            with open_relay(fresh) as relay:
                lost = asyncio.run(
                    delete_untrusted_rows(relay, missing_blobs, with_shares=with_shares)
                )
            for name in (BLOBS_FOLDER, DATABASE_NAME):
                (fresh / name).rename(data / name)
                sync_folder(data)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return RestoreResult(backup, lost, len(damaged))


def delete_untrusted_after_restore(
    settings: RelaySettings, *, with_shares: bool
) -> tuple[int, int]:
    """Delete what may have been used up or taken back since the backup, as :func:`restore_relay`
    does.

    Call this after a PostgreSQL database, a bucket or a folder was restored by other tools than
    this program. All relays that use it must be stopped.

    Returns:
        The number of lost copies, and the number of blobs that have rows but no bytes.

    Raises:
        RelayNotFound, RelayStillRuns.
        FolderUsedWithOtherDatabase: the folder was used with a different database.
        Others: what :func:`.open_relay.open_relay` raises.
    """
    if settings.database is None and not (settings.data / DATABASE_NAME).is_file():
        raise RelayNotFound(path=settings.data)
    refuse_folder_of_other_database(settings)
    host, _, port = settings.listen.rpartition(":")
    if is_relay_at(host.strip("[]"), int(port), tls=settings.tls_cert is not None):
        raise RelayStillRuns(listen=settings.listen)
    with open_relay(settings.data, database=settings.database, blobs=settings.blobs) as relay:
        return asyncio.run(_delete_untrusted_and_count_missing(relay, with_shares=with_shares))


async def _delete_untrusted_and_count_missing(
    relay: Relay, *, with_shares: bool
) -> tuple[int, int]:
    stored_blobs = await relay.mail.read(lambda view: view.find(StoredBlob))
    missing = frozenset(
        [blob.name for blob in stored_blobs if not await _is_blob_end_readable(blob, relay)]
    )
    return await delete_untrusted_rows(relay, missing, with_shares=with_shares), len(missing)


async def _is_blob_end_readable(blob: StoredBlob, relay: Relay) -> bool:
    """Return whether the last byte of a blob can be read.

    Verifying its hash would be slower, since every byte would have to be read.
    """
    try:
        last = await relay.blobs.read(blob.name, blob.size - 1, blob.size)
        return bool([piece async for piece in last])
    except NoSuchBlob:
        return False
