"""The recovery sheet: the master key on paper, and off the device (docs/spec/lock.md section 6)."""

from dataclasses import replace

from entrenous.model.identity import Identity
from entrenous.model.recovery import (
    CloseNotChangedYet,
    LockNotMovedYet,
    MasterAway,
    NothingToRecover,
    OthersSheet,
    RecoverySheet,
)
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.devices.self import IDENTITY, LOCK_TO_FOLLOW, NEXT_CLOSE, keep_identity
from entrenous.send.drawers import SELF, take


def sheet_of(output: Secret, old: RecoverySheet | None, device: Device) -> RecoverySheet:
    """What is to be written down; ``old`` is an earlier sheet, where the master key is on one.

    ``output`` is the relay's part of this vault's key, 64 bytes. The master key stays on the device
    until :func:`take_master_away`.

    Raises:
        NothingToRecover: no relay has a part of this vault's key.
        MasterAway: the master key is on a sheet, and none was given.
        OthersSheet: the one that was given is somebody else's.
        CloseNotChangedYet, LockNotMovedYet: what it would hold is about to be replaced.
    """
    identity = take(Identity, SELF, IDENTITY, device.vault)
    if identity is None or identity.person is None or identity.home is None:
        raise NothingToRecover
    if identity.home.close is None or not len(output):
        raise NothingToRecover
    if device.vault.get(SELF, NEXT_CLOSE) is not None:
        raise CloseNotChangedYet
    if device.vault.get(SELF, LOCK_TO_FOLLOW) is not None:
        raise LockNotMovedYet
    home, person = identity.home, identity.person.id
    if old is not None and old.person != person:
        raise OthersSheet
    master = identity.master or (old and old.master)
    if not master:
        raise MasterAway
    return RecoverySheet(person, master, home.relay_url, home.mailbox, identity.home.close, output)


def take_master_away(device: Device) -> None:
    """From now on the master key is on the sheet only; what needs it asks for that."""
    identity = take(Identity, SELF, IDENTITY, device.vault)
    if identity is not None and identity.master is not None:
        keep_identity(replace(identity, master=None), device)
