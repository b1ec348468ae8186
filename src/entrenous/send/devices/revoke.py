"""Revoke a device of ours (docs/spec/devices.md section 4).

The list, the letters that tell of it and the deletion of its mailbox are laid out in one
transaction; what a relay cannot hear now waits, and is done by a later command.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from entrenous.model.device_list import RevokedAs
from entrenous.model.ids import MailboxId
from entrenous.model.link import Closing, Sibling, ThisDevice
from entrenous.model.move import HomeIs
from entrenous.model.recovery import RecoverySheet
from entrenous.ports import Device
from entrenous.send.devices.lists.at_relay import close_later
from entrenous.send.devices.lists.own_list import list_without, master_at_hand, take_own_card
from entrenous.send.devices.lists.tell import tell_people_of_card, tell_siblings_of_card
from entrenous.send.devices.self import refuse_unready, who_am_i
from entrenous.send.devices.siblings import mailbox_of, own_name, sibling_named
from entrenous.send.devices.sync.tell import forget_told
from entrenous.send.drawers import CLOSE, CLOSED, take
from entrenous.send.flush import flush


class Shut(StrEnum):
    """Whether its relay's part of the lock of a revoked device is deleted."""

    DONE = "done"
    WAITS = "waits"  # the relay has not confirmed it; it is asked again by every flush
    REFUSED = "refused"  # the relay does not take what this device knows; another one may know more
    ELSEWHERE = "elsewhere"  # this device does not know what deletes it; another one may


@dataclass(frozen=True, slots=True)
class Revoked:
    """A device that is none any more: what it was called, and how it stands with its vault."""

    name: str
    shut: Shut


def revoke_device(name: str, *, lost: bool, sheet: RecoverySheet | None, device: Device) -> Revoked:
    """Take a device off our list for good, and have everything that it holds at the relay deleted:
    what waits for it, its shares, and its part of its vault's lock.

    Raises:
        UnknownDevice, ThisDevice, MasterAway, OthersSheet, OfflineDevice, RolledBack, NotConfirmed.
    """
    refuse_unready(device)
    if name.strip().casefold() == own_name(device).casefold():
        raise ThisDevice
    one = sibling_named(name, device)
    mailbox = mailbox_of(one.device, who_am_i(device).person)
    every = {home.mailbox for home in one.homes if home.what is not HomeIs.LEFT}
    every |= {mailbox} if mailbox else set()
    master = master_at_hand(sheet, device)
    with device.vault.together():
        kind = RevokedAs.LOST if lost else RevokedAs.RETIRED
        take_own_card(list_without(master, one.device, kind, device), device)
        _close_by_sheet(one, mailbox, sheet, device)
        forget_told(one.device, device)
        tell_siblings_of_card((), device)
        tell_people_of_card(device)
    flush(device)
    return Revoked(one.name, _how_shut(mailbox, every, device))


def _close_by_sheet(
    one: Sibling, mailbox: MailboxId | None, sheet: RecoverySheet | None, device: Device
) -> None:
    """The device may have told us a token since it wrote this sheet, or one before that, or none:
    what its relay takes of both deletes it.
    """
    if sheet is None or sheet.mailbox != mailbox:
        return
    known = take(Closing, CLOSE, sheet.mailbox.hex(), device.vault)
    told = () if known is None else (known.token,)
    url = who_am_i(device).home.relay_url
    close_later(Closing(url, sheet.mailbox, sheet.close, name=one.name, others=told), device)


def _how_shut(mailbox: MailboxId | None, every: Collection[MailboxId], device: Device) -> Shut:
    if mailbox is None:
        return Shut.ELSEWHERE
    left = [take(Closing, CLOSE, one.hex(), device.vault) for one in every]
    if any(one is not None for one in left):
        refused = any(one is not None and one.refused for one in left)
        return Shut.REFUSED if refused else Shut.WAITS
    closed = device.vault.get(CLOSED, mailbox.hex()) is not None
    return Shut.DONE if closed else Shut.ELSEWHERE
