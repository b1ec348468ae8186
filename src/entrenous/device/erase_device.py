"""Erase a device: its mailbox at the relay, and its folder."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from entrenous.base.environment import PROXY_FILE
from entrenous.base.errors import EntrenousError, NoSuchMailbox
from entrenous.base.files import folder_errors
from entrenous.device.device import Device
from entrenous.device.identities import has_relay, own_device
from entrenous.device.relay_lock_client import former_addresses

_KEY_FILE: Final = "device.key"
_OWN_FILES: Final = (
    _KEY_FILE,
    "vault.json",
    "vault.db*",
    "offline.key",
    "unlocked-by-sheet",
    "app.json",
    "archive.zip",
    PROXY_FILE,
    ".entrenous-*",
    "lock",
)
_FILES_FOLDER: Final = "files"


def close_own_mailboxes(device: Device) -> bool:
    """Have the relays delete this device's mailboxes, what waits there, and its part of the lock.

    Returns:
        Whether nothing of this device is left at any relay; True for a device without a relay.
    """
    if not has_relay(device):
        return True
    homes = [own_device(device).home, *(old.home for old in former_addresses(device))]
    done = True
    for home in homes:
        try:
            device.courier.close_mailbox(home.relay_url, home.mailbox, home.close or home.owner)
        except NoSuchMailbox:
            continue
        except EntrenousError:
            done = False
    return done


def erase_folder(home: Path) -> tuple[str, ...]:
    """Delete everything that belongs to a device from its folder; its vault must be closed.

    The key file goes first, overwritten: without it, nothing decrypts the rest, even if the disk
    keeps deleted bytes.

    Returns:
        The names of other files in the folder, which stay.

    Raises:
        UnusableFolder, ReadOnlyDisk.
    """
    with folder_errors(home):
        if not home.is_dir():
            return ()
        _overwrite_file(home / _KEY_FILE)
        for pattern in _OWN_FILES:
            for place in home.glob(pattern):
                place.unlink(missing_ok=True)
        if (home / _FILES_FOLDER).is_dir():
            shutil.rmtree(home / _FILES_FOLDER)
        left = tuple(sorted(place.name for place in home.iterdir()))
        if not left:
            with suppress(OSError):  # the folder may hold other people's files
                home.rmdir()
    return left


def _overwrite_file(place: Path) -> None:
    with suppress(FileNotFoundError), place.open("r+b") as file:
        file.write(os.urandom(place.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
