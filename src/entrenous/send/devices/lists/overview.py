"""One's own devices as a person looks at them, and what is still to be heard about them."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.identity import Identity
from entrenous.ports import Device
from entrenous.send.devices.lists.at_relay import still_to_close
from entrenous.send.devices.self import IDENTITY, who_am_i
from entrenous.send.devices.siblings import own_name, sibling_of
from entrenous.send.drawers import OUTBOX, SELF, take
from entrenous.send.move.next_home import led_to, not_ready


@dataclass(frozen=True, slots=True)
class OwnDevice:
    """One device: ``heard`` tells whether this one has had a letter from it."""

    name: str
    this: bool
    since: datetime
    heard: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """All devices, this one first; where the master key is; devices whose mailboxes are not deleted
    yet, and those of them of which their relay refused it; how many letters wait here, of whatever
    kind; and the relay that all of them are about to move to, as was said on this device, with
    those that are not ready.
    """

    devices: tuple[OwnDevice, ...]
    master_here: bool
    to_close: tuple[str, ...]
    letters: int
    refused: tuple[str, ...] = ()
    moves_to: str | None = None
    not_ready: tuple[str, ...] = ()


def overview(device: Device) -> Overview:
    """How it stands with our devices.

    Raises:
        OfflineDevice, RolledBack.
    """
    me, identity = who_am_i(device), take(Identity, SELF, IDENTITY, device.vault)
    others = list[OwnDevice]()
    for key in me.person.devices:
        sibling = sibling_of(key.device, device)
        if sibling is not None:
            others.append(
                OwnDevice(sibling.name, this=False, since=key.created_at, heard=sibling.heard)
            )
    to_close, moves_to = still_to_close(device), led_to(device)
    this = OwnDevice(own_name(device), this=True, since=me.key.created_at, heard=True)
    return Overview(
        devices=(this, *sorted(others, key=lambda one: one.name.casefold())),
        master_here=identity is not None and identity.master is not None,
        to_close=tuple(one.name for one in to_close if one.name is not None),
        letters=len(device.vault.keys(OUTBOX)),
        refused=tuple(one.name for one in to_close if one.name is not None and one.refused),
        moves_to=moves_to,
        not_ready=() if moves_to is None else not_ready(moves_to, device),
    )
