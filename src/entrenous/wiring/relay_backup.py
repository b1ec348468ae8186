"""Save a relay, and put one back."""

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Final

from entrenous.adapters.mail.sqlite_line import named
from entrenous.adapters.private_file import sync_folder
from entrenous.adapters.relay_backup import BLOBS, copy_back, empty_folder, read_backup, save_backup
from entrenous.adapters.relay_machine import is_relay_at
from entrenous.adapters.system import SystemClock
from entrenous.carry.restore import fail_closed
from entrenous.model.held import HeldBlob
from entrenous.model.relay_backup import Backup, Restored
from entrenous.model.relay_problem import NoSuchBlob
from entrenous.model.relay_settings import NoRelayHere, RelaySettings, RelayStillRuns
from entrenous.ports import Relay
from entrenous.wiring.folders import kept_in
from entrenous.wiring.relay import MAIL, open_relay, told_why
from entrenous.wiring.relay_database import refuse_other_database

_FRESH: Final = ".restoring"


def back_up_relay(data: Path, out: Path) -> Backup:
    """Save the relay in ``data``, which may be running, into a new or empty folder.

    Raises:
        NoRelayHere: there is none.
        NotEmpty, BrokenDatabase, UnusableFolder, DiskFull, DiskFailed: nothing that could be taken
            for a backup was left.
    """
    if not (data / MAIL).is_file():
        raise NoRelayHere(path=data)
    with told_why(data):
        try:
            with kept_in(out):
                return save_backup(data, out, SystemClock().now())
        except sqlite3.Error as why:
            raise named(why) from None


def restore_relay(folder: Path, data: Path, *, with_shares: bool) -> Restored:
    """Put a backup back into a new or empty folder, which may be a disk of its own.

    All is made and looked at in a folder inside of it; the database, without which there is no
    relay, is moved out of that last.

    Raises:
        NoBackupHere, DamagedBackup: there is nothing that could be restored.
        NotEmpty: there is something in ``data``.
        UnusableFolder, DiskFull, DiskFailed, NewerDatabase, OlderDatabase: nothing was restored.
    """
    backup = read_backup(folder)
    with kept_in(data):
        fresh = data / _FRESH
        shutil.rmtree(fresh, ignore_errors=True)  # of one that was broken off
        empty_folder(data)
        try:
            damaged = copy_back(folder, backup, fresh)
            gone = damaged | frozenset(backup.missing)
            lost = _without_doubt(fresh, gone, with_shares=with_shares)
            for name in (BLOBS, MAIL):
                (fresh / name).rename(data / name)
                sync_folder(data)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return Restored(backup, lost, len(damaged))


def mark_restored(settings: RelaySettings, *, with_shares: bool) -> tuple[int, int]:
    """After a PostgreSQL, a bucket or a folder was put back by its own ways: forget what may have
    ended since the backup, as :func:`restore_relay` does. No relay may be running.

    Returns:
        How many copies were lost, and how many blobs are not where their rows say.

    Raises:
        NoRelayHere, RelayStillRuns.
        OtherDatabase: this is not the one that was put back; and what open_relay raises.
    """
    if settings.database is None and not (settings.data / MAIL).is_file():
        raise NoRelayHere(path=settings.data)
    refuse_other_database(settings)
    host, _, port = settings.listen.rpartition(":")
    if is_relay_at(host.strip("[]"), int(port), tls=settings.tls_cert is not None):
        raise RelayStillRuns(listen=settings.listen)
    with open_relay(settings.data, database=settings.database, blobs=settings.blobs) as relay:
        return asyncio.run(_marked(relay, with_shares=with_shares))


async def _marked(relay: Relay, *, with_shares: bool) -> tuple[int, int]:
    held = await relay.mail.look(lambda view: view.find(HeldBlob))
    missing = frozenset([blob.name for blob in held if not await _is_there(blob, relay)])
    return await fail_closed(relay, missing, with_shares=with_shares), len(missing)


async def _is_there(blob: HeldBlob, relay: Relay) -> bool:
    """Whether its last byte can be read; its hash is not looked at, for all would have to be."""
    try:
        last = await relay.blobs.read(blob.name, blob.size - 1, blob.size)
        return bool([piece async for piece in last])
    except NoSuchBlob:
        return False


def _without_doubt(fresh: Path, missing: frozenset[str], *, with_shares: bool) -> int:
    with open_relay(fresh) as relay:
        return asyncio.run(fail_closed(relay, missing, with_shares=with_shares))
