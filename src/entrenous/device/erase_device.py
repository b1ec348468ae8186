"""Erase a device: its mailbox at the relay, and its folder."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from entrenous.base.environment import PROXY_FILE_NAME
from entrenous.base.errors import EntrenousError, NoSuchMailbox, Refused
from entrenous.device.device import Device
from entrenous.device.identities import has_relay, own_device
from entrenous.device.relay_lock_client import former_addresses

_KEY_FILE: Final = "device.key"
_DEVICE_FILE_PATTERNS: Final = (
    _KEY_FILE,
    "vault.json",
    "vault.db*",
    "offline.key",
    "unlocked-by-sheet",
    "app.json",
    "archive.zip",
    PROXY_FILE_NAME,
    ".entrenous-*",
    "lock",
)
_FILES_FOLDER: Final = "files"


class EraseIncomplete(Refused):
    """
    Not everything in {path} could be deleted: the disk is read-only, or permissions do not allow
    it. Your messages and cases may still be there, encrypted. Your mailbox at the relay may already
    be deleted. Erase again when files in this folder can be deleted, or delete the folder by hand.
    """


def close_own_mailboxes(device: Device) -> bool:
    """Have the relays delete this device's mailboxes, the letters waiting there, and the relays'
    shares of this device's vault key.

    Returns:
        Whether nothing of this device is left at any relay; True for a device without a relay.
    """
    if not has_relay(device):
        return True
    addresses = [own_device(device).home, *(former.home for former in former_addresses(device))]
    all_closed = True
    for address in addresses:
        try:
            device.courier.close_mailbox(
                address.relay_url, address.mailbox, address.close or address.owner
            )
        except NoSuchMailbox:
            continue
        except EntrenousError:
            all_closed = False
    return all_closed


def erase_device_files(home: Path) -> tuple[str, ...]:
    """Delete everything that belongs to a device from its folder; its vault must be closed.

    The key file is overwritten, and is the first file to be deleted. Without the key, nothing can
    decrypt the vault, even if the disk keeps the bytes of the vault's deleted files. If nothing is
    left in the folder, the folder is deleted too.

    Returns:
        The names of other files in the folder, which stay.

    Raises:
        EraseIncomplete: a file could not be deleted. To continue, call this function again.
    """
    try:
        if not home.is_dir():
            return ()
        _overwrite_file(home / _KEY_FILE)
        for pattern in _DEVICE_FILE_PATTERNS:
            for path in home.glob(pattern):
                path.unlink(missing_ok=True)
        if (home / _FILES_FOLDER).is_dir():
            shutil.rmtree(home / _FILES_FOLDER)
        left = tuple(sorted(path.name for path in home.iterdir()))
        if not left:
            with suppress(OSError):  # this process may lack the right to delete the folder
                home.rmdir()
    except OSError:
        raise EraseIncomplete(path=home) from None
    return left


def _overwrite_file(path: Path) -> None:
    with suppress(FileNotFoundError), path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
