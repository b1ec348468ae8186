"""The relay's part of the vault's key moves too, and after the rest: till then the old one opens
it.
"""

from entrenous.model.lock import RelayLock
from entrenous.ports import Device
from entrenous.send.devices.self import LOCK_TO_FOLLOW
from entrenous.send.drawers import SELF, lay, take


def keep_lock_to_follow(lock: RelayLock, device: Device) -> None:
    """Note that the vault is to be locked with this; call it in the transaction that moves."""
    lay(lock, SELF, LOCK_TO_FOLLOW, device.vault)


def lock_to_follow(device: Device) -> RelayLock | None:
    """The lock at the new relay that this vault is to have; None: it has it."""
    return take(RelayLock, SELF, LOCK_TO_FOLLOW, device.vault)


def lock_followed(device: Device) -> None:
    """The vault opens by the new relay from now on, and the old one may let go."""
    device.vault.drop(SELF, LOCK_TO_FOLLOW)
