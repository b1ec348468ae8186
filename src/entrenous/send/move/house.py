"""Move this device, and with it its person, to another relay (docs/spec/devices.md section 7).

First a mailbox and a lock are made there, on each of her devices, which changes nothing for
anybody. Then one transaction turns: a list that names the new relay, the old home to be read for
some days more, and everybody to be told (send/move/turn.py). What follows may be cut short at any
point, and is done by a later command.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from entrenous.model.errors import Unreachable
from entrenous.model.ids import DeviceId, MailboxId
from entrenous.model.move import AlreadyThere, OldHome, OtherDevicesFirst, WaitsForDevices
from entrenous.model.recovery import RecoverySheet
from entrenous.ports import Device
from entrenous.send.devices.generation import confirm_opening
from entrenous.send.devices.lists.greet_devices import greet_devices, to_be_greeted
from entrenous.send.devices.lists.own_list import list_at, master_at_hand, take_own_card
from entrenous.send.devices.self import is_ready, refuse_unready, who_am_i
from entrenous.send.devices.siblings import siblings
from entrenous.send.devices.sync.tell import tell_siblings
from entrenous.send.drawers import OUTBOX
from entrenous.send.flush import flush
from entrenous.send.move.next_home import all_ready, lead_to, led_to, stay
from entrenous.send.move.old_home import old_homes
from entrenous.send.setup import relay_address


@dataclass(frozen=True, slots=True)
class Moved:
    """From where to where, until when the old mailbox is read, and how many letters still wait for
    a relay.
    """

    before: str
    relay_url: str
    until: datetime
    letters: int


def move_house(relay_url: str, sheet: RecoverySheet | None, device: Device) -> Moved:
    """Be at another relay from now on, with everybody told how to write there. May be repeated.

    Our other devices come along: first each of them makes itself ready there, which takes a command
    on it, and then this again. Until then it can be called off (:func:`call_off_move`).

    With a ``sheet``, the old relay need not answer: it cannot confirm then that no copy of this
    device went on (lock.md section 5), and the new one does.

    Raises:
        WaitsForDevices, OtherDevicesFirst, AlreadyThere, BadRelayAddress, MasterAway, OthersSheet,
        OfflineDevice, RolledBack, NotConfirmed (without a sheet).
        RelayUnreachable, NotEncrypted, ProtocolTooOld, MailboxesClosed: from the new relay; then
        nothing has changed.
    """
    home, url = who_am_i(device).home, relay_address(relay_url)
    if home.relay_url != url:
        master = master_at_hand(sheet, device)
        if sheet is None:
            refuse_unready(device)
        others = siblings(device)
        if others and not is_ready(device):
            raise OtherDevicesFirst(names=", ".join(one.name for one in others))
        new = lead_to(url, device)
        ready = _all_told(url, device)
        mailboxes = {**ready, who_am_i(device).key.device: new.home.mailbox}
        with device.vault.together():
            take_own_card(list_at(master, url, mailboxes, device), device, signed_here=True)
        return _told(old_homes(device)[-1], device)
    if not old_homes(device):
        raise AlreadyThere
    return _told(old_homes(device)[-1], device)


def call_off_move(device: Device) -> str | None:
    """Stay where we are; the relay that a move was begun to on this device, None if none was."""
    led = led_to(device)
    stay(device)
    return led


def _all_told(url: str, device: Device) -> Mapping[DeviceId, MailboxId]:
    """Where our other devices will be; those that are not ready hear that they are to be."""
    try:
        return all_ready(url, device)
    except WaitsForDevices:
        tell_siblings(device)
        flush(device)
        raise


def _told(old: OldHome, device: Device) -> Moved:
    """Say so to whoever can be reached now; the others hear it with a later command."""
    with suppress(Unreachable):
        confirm_opening(device)
    greet_devices(device)
    flush(device)
    waiting = len(device.vault.keys(OUTBOX)) + to_be_greeted(device)
    return Moved(old.home.relay_url, who_am_i(device).home.relay_url, old.until, waiting)
