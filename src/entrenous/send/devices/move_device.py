"""Move a person with all their devices to another relay without losing contacts
(docs/spec/devices.md, section 7).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from entrenous.base.errors import Refused, Unreachable
from entrenous.base.identifiers import DeviceId, MailboxId
from entrenous.device.device import Device
from entrenous.device.generation import confirm_unlock_at_relay
from entrenous.device.identities import may_advance_ratchets, own_device, refuse_unconfirmed_unlock
from entrenous.device.recovery_sheet import RecoverySheet
from entrenous.device.relay_lock_client import FormerAddress, former_addresses
from entrenous.send.devices.device_lists import accept_own_bundle, find_master_key, sign_list_moving
from entrenous.send.devices.linked_devices import own_linked_devices
from entrenous.send.devices.next_mailbox import (
    WaitsForDevices,
    cancel_move_led_here,
    move_target,
    prepare_to_lead_move,
    ready_mailboxes,
)
from entrenous.send.devices.sync_send import queue_sync_letters
from entrenous.send.flush import flush_outbox
from entrenous.send.outbox import OUTBOX_TABLE
from entrenous.send.set_up import normalized_relay_address
from entrenous.send.tokens.distribute import count_greetable_devices, greet_devices


class OtherDevicesMustMoveFirst(Refused):
    """
    All your devices have to use the same relay. Your other devices ({names}) can be notified only
    through the old relay, which does not answer. Nothing was changed. If the old relay is gone for
    good, first revoke each of those devices: entrenous device revoke NAME. Then move this device,
    and link the others again, each in an empty folder. Messages and originals that exist only on
    those other devices can then no longer be opened.
    """


class DevicesHaveNotFollowedMove(Refused):
    """
    You moved to another relay, and these devices of yours have not moved yet: {names}. Nothing was
    linked. On each of them, run: entrenous inbox. If you no longer have one of them, revoke it:
    entrenous device revoke NAME
    """


class AlreadyAtRelay(Refused):
    """This device already uses that relay. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class MoveResult:
    """The result of a move: both relays, the time until which the old mailbox is read, and the
    number of letters that have not been sent yet.
    """

    before: str
    relay_url: str
    until: datetime
    letters: int


def move_all_devices(relay_url: str, sheet: RecoverySheet | None, device: Device) -> MoveResult:
    """Move to another relay, and tell everybody how to write to us there.

    Safe to repeat. Our other devices move too. On each of them, a command that fetches messages
    (such as ``entrenous inbox``) first has to prepare a mailbox at the new relay; then call this
    function again. Until then the move can be cancelled (:func:`cancel_move`).

    With a recovery sheet (``sheet``), the old relay need not answer. Then nobody can check that no
    other copy of this vault is in use: the new relay accepts the first copy that reaches it
    (devices.md section 7).

    Raises:
        WaitsForDevices, OtherDevicesMustMoveFirst, AlreadyAtRelay, BadRelayAddress,
        MasterKeyNotHere, SheetOfAnotherPerson, DeviceWithoutRelay, RolledBack, UnlockNotConfirmed
        (without a sheet).
        RelayUnreachable, NotEncrypted, ProtocolTooOld, MailboxesClosed: from the new relay;
        nothing has changed then.
    """
    home, url = own_device(device).home, normalized_relay_address(relay_url)
    if home.relay_url != url:
        master = find_master_key(sheet, device)
        if sheet is None:
            refuse_unconfirmed_unlock(device)
        others = own_linked_devices(device)
        if others and not may_advance_ratchets(device):
            raise OtherDevicesMustMoveFirst(names=", ".join(one.name for one in others))
        new = prepare_to_lead_move(url, device)
        ready = _mailboxes_of_other_devices(url, device)
        mailboxes = {**ready, own_device(device).key.device: new.home.mailbox}
        with device.vault.transaction():
            accept_own_bundle(
                sign_list_moving(master, url, mailboxes, device), device, signed_here=True
            )
    elif not former_addresses(device):
        raise AlreadyAtRelay
    return _notify_everybody(former_addresses(device)[-1], device)


def cancel_move(device: Device) -> str | None:
    """Cancel a move that was started on this device.

    Return the relay to which the move led, or None if there was no move.
    """
    led = move_target(device)
    cancel_move_led_here(device)
    return led


def _mailboxes_of_other_devices(url: str, device: Device) -> Mapping[DeviceId, MailboxId]:
    """Return our other devices' mailboxes at the new relay.

    If a device has none there, ask the devices to prepare one, and raise WaitsForDevices.
    """
    try:
        return ready_mailboxes(url, device)
    except WaitsForDevices:
        queue_sync_letters(device)
        flush_outbox(device)
        raise


def _notify_everybody(old: FormerAddress, device: Device) -> MoveResult:
    """Notify everybody who can be reached now. Later commands notify the others."""
    with suppress(Unreachable):
        confirm_unlock_at_relay(device)
    greet_devices(device)
    flush_outbox(device)
    waiting = len(OUTBOX_TABLE.keys(device.vault)) + count_greetable_devices(device)
    return MoveResult(old.home.relay_url, own_device(device).home.relay_url, old.until, waiting)
