"""Shut copies of a device's folder from before its passphrase changed (lock.md section 2)."""

from dataclasses import replace

from entrenous.adapters.vault.home import Unlocked
from entrenous.model.identity import Home
from entrenous.model.lock import RelayLock
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.devices.generation import home_of
from entrenous.spec import TOKEN_BYTES


def shut_copies(unlocked: Unlocked, device: Device) -> Unlocked:
    """Where the relay does not know the newest token yet, tell it: what asks with an earlier one
    opens nothing any more. May be repeated.

    Raises:
        RelayUnreachable.
    """
    lock, mail = unlocked.terms.lock, home_of(device.vault)
    if not unlocked.part.outdated or lock is None or mail is None or not _is_at(lock, mail):
        return unlocked
    device.courier.renew_lock(lock, mail.owner)
    return replace(unlocked, part=replace(unlocked.part, outdated=False))


def renewed(lock: RelayLock | None, device: Device) -> RelayLock | None:
    """With another token, unless its relay is one that the device moves away from."""
    mail = home_of(device.vault)
    if lock is None or mail is None or not _is_at(lock, mail):
        return lock
    return lock.renewed(Secret(device.dice.token(TOKEN_BYTES)))


def _is_at(lock: RelayLock, mail: Home) -> bool:
    return (lock.relay_url, lock.mailbox) == (mail.relay_url, mail.mailbox)
