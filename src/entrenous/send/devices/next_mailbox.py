"""Mailboxes prepared for a move: each of our devices creates one at the new relay before any device
moves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.errors import EntrenousError, Refused, Unreachable
from entrenous.base.identifiers import ID_BYTES, DeviceId, MailboxId
from entrenous.base.identity import CertifiedDevice, Person
from entrenous.base.limits import (
    FORMER_MAILBOX_DAYS,
    MAILBOXES_PER_DEVICE_MAX,
    PREPARED_MAILBOX_DAYS,
    TOKEN_BYTES,
)
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.identities import (
    LAST_LOSS_OR_MOVE_EPOCH_RECORD,
    OWN_IDENTITY,
    AddressOnThisMachine,
    MailboxAddress,
    next_relay_lock,
    own_device,
    refuse_loopback_relay,
)
from entrenous.device.relay_lock_client import former_addresses
from entrenous.device.vault_tables import OWN_RECORDS, PREPARED_MAILBOX, Table
from entrenous.send.clock_sanity import now_in_whole_seconds, time_certainly_passed
from entrenous.send.devices.linked_devices import (
    LinkedDevice,
    LinkedMailbox,
    MailboxDeletion,
    MailboxUse,
    mailbox_of_device,
    own_linked_devices,
    store_linked_device,
)
from entrenous.send.devices.own_key_bundle import schedule_mailbox_deletion
from entrenous.send.people.contact_history import record_move_progress
from entrenous.send.people.people_nouns import FollowedMoveState
from entrenous.send.tokens.use import former_token_mailbox
from entrenous.wire.relay_nouns import RelayLock


@dataclass(frozen=True, slots=True)
class PreparedMailbox:
    """A mailbox prepared at another relay; ``unlock`` is the token for the relay's part of the
    vault key.

    ``made`` says whether the relay has created the mailbox and its lock, ``leads`` whether the user
    started the move on this device. ``idle_since`` is the time since which no device has led a move
    there, and ``hushed_since`` the time since which this device has not announced the mailbox. Both
    are None while a device leads.
    """

    home: MailboxAddress
    unlock: Secret
    leads: bool = True
    made: bool = False
    idle_since: datetime | None = None
    hushed_since: datetime | None = None


PREPARED_MAILBOX_TABLE: Final = Table(PREPARED_MAILBOX, PreparedMailbox)


class WaitsForDevices(Unreachable):
    """
    Nothing has changed yet: your other devices have to move too, and these are not ready: {names}.
    On each of them, run: entrenous inbox. Then run here again: entrenous device move --relay
    {relay}. If you no longer have one of them, revoke it first: entrenous device revoke NAME
    """


class WaitsForDevicesAndSheet(WaitsForDevices):
    """
    Nothing has changed yet: your other devices have to move too, and these are not ready: {names}.
    On each of them, run: entrenous inbox. Then run here again: entrenous device move --relay
    {relay} --recovery FILE. If you no longer have one of them, revoke it first: entrenous device
    revoke NAME --recovery FILE
    """


class MoveNotFollowed(Refused):
    """
    Another device of yours wants to move to {relay}. That address points to a program on your own
    machine, while your current relay is elsewhere. So this device does not move, and neither do
    your other devices. Cancel the move on the device where it was started: entrenous device move
    --relay {present}
    """


_READY_MAILBOX_USES: Final = (MailboxUse.LEADS, MailboxUse.FOLLOWS)
_PREPARED_MAILBOX_IDLE_PERIOD: Final = timedelta(days=PREPARED_MAILBOX_DAYS)


def prepared_mailbox(url: str, device: Device) -> PreparedMailbox | None:
    """Return the mailbox that this device prepared at a relay, or None."""
    return PREPARED_MAILBOX_TABLE.load(url, device.vault)


def prepared_mailboxes(device: Device) -> tuple[PreparedMailbox, ...]:
    return tuple(PREPARED_MAILBOX_TABLE.all(device.vault))


def lock_for_prepared_mailbox(new: PreparedMailbox) -> RelayLock:
    """Return the address and the token of the lock at the new relay, which has that relay's share
    of this vault's key.
    """
    return RelayLock(new.home.relay_url, new.home.mailbox, new.unlock)


def prepare_to_lead_move(url: str, device: Device) -> PreparedMailbox:
    """Cancel moves to other relays, and prepare a mailbox at this relay; safe to repeat.

    The next letters to our other devices tell them to do the same.

    Raises:
        RelayUnreachable, NotEncrypted, ProtocolTooOld, MailboxesClosed.
    """
    _cancel_moves_to_other_relays(url, device)
    return _prepare_mailbox(url, device, leads=True)


def cancel_move_led_here(device: Device) -> None:
    """Cancel the move that was started on this device."""
    _cancel_moves_to_other_relays(None, device)


def _cancel_moves_to_other_relays(except_url: str | None, device: Device) -> None:
    """Cancel the moves that this device leads, except to the relay ``except_url``.

    If we have other devices, the mailboxes are kept for a while, since a device list that already
    names them as our new mailboxes may be on its way.
    """
    for new in prepared_mailboxes(device):
        if not new.leads or new.home.relay_url == except_url:
            continue
        if own_linked_devices(device):
            idle = replace(new, leads=False, idle_since=now_in_whole_seconds(device))
            PREPARED_MAILBOX_TABLE.store(idle, new.home.relay_url, device.vault)
        else:
            _delete_unannounced_mailbox(new, device)


def prepare_to_follow_moves(device: Device) -> list[EntrenousError]:
    """Prepare a mailbox at each relay to which another device of ours leads a move (the user
    started the move on that device).

    If no device has led a move to a relay for a long time, stop announcing the mailbox there, and
    delete it later.

    Returns: the errors met; the next fetch tries again.
    """
    led = {
        home.relay_url
        for one in own_linked_devices(device)
        for home in one.homes
        if home.what is MailboxUse.LEADS
    }
    for new in prepared_mailboxes(device):
        if not new.leads:
            _retire_mailbox_if_idle(new, device, led=new.home.relay_url in led)
    problems = list[EntrenousError]()
    for url in sorted(led - {own_device(device).home.relay_url}):
        known = prepared_mailbox(url, device)
        if known is None or not known.made:
            try:
                _prepare_to_follow_move_to(url, device)
            except EntrenousError as error:
                problems.append(error)
    return problems


def _prepare_to_follow_move_to(url: str, device: Device) -> None:
    try:
        refuse_loopback_relay(url, device)
    except AddressOnThisMachine:
        raise MoveNotFollowed(relay=url, present=own_device(device).home.relay_url) from None
    _prepare_mailbox(url, device, leads=False)


def _retire_mailbox_if_idle(new: PreparedMailbox, device: Device, *, led: bool) -> None:
    """Stop announcing an unused mailbox after some time, and delete it later.

    It is not deleted at once, since a list that names it may still be on its way.
    """
    now = now_in_whole_seconds(device)
    if led:
        after = replace(new, idle_since=None, hushed_since=None)
    elif new.idle_since is None:
        after = replace(new, idle_since=now)
    elif new.hushed_since is None and now - new.idle_since >= _PREPARED_MAILBOX_IDLE_PERIOD / 2:
        after = replace(new, hushed_since=now)
    elif (
        new.hushed_since is not None
        and time_certainly_passed(device) - new.hushed_since >= _PREPARED_MAILBOX_IDLE_PERIOD / 2
    ):
        _delete_unannounced_mailbox(new, device)
        return
    else:
        return
    PREPARED_MAILBOX_TABLE.store(after, new.home.relay_url, device.vault)


def abandon_prepared_mailboxes(person: Person, device: Device) -> None:
    """Abandon the mailboxes that our devices prepared for a move, since a lost device knows the
    tokens that delete them.

    ``person`` has the device list that marks the device as lost. Call this function in a
    transaction.
    """
    delete_prepared_mailboxes_except(None, device)
    device.vault.put(OWN_RECORDS, LAST_LOSS_OR_MOVE_EPOCH_RECORD, str(person.epoch).encode())
    _forget_mailboxes_of_others(person, device)


def forget_mailboxes_prepared_by_others(person: Person, device: Device) -> None:
    """After a move, delete the records of mailboxes that our other devices had prepared at other
    relays.
    """
    device.vault.put(OWN_RECORDS, LAST_LOSS_OR_MOVE_EPOCH_RECORD, str(person.epoch).encode())
    _forget_mailboxes_of_others(person, device)


def _forget_mailboxes_of_others(now: Person, device: Device) -> None:
    """Delete the records of mailboxes that our other devices had prepared.

    Mailboxes on our list stay: if a device is lost before it has moved, we need the token that
    deletes its mailbox.
    """
    for one in own_linked_devices(device):
        here = mailbox_of_device(one.device, now)
        old = one.homes_epoch < now.epoch
        homes = tuple(
            home
            for home in one.homes
            if not (old and home.what in _READY_MAILBOX_USES) or home.mailbox == here
        )
        store_linked_device(replace(one, homes=homes), device)


def delete_prepared_mailboxes_except(kept: PreparedMailbox | None, device: Device) -> None:
    """Schedule the deletion of prepared mailboxes other than ``kept``, and drop the records of all.

    Call this function in a transaction.
    """
    for one in prepared_mailboxes(device):
        if kept is None or one.home.mailbox != kept.home.mailbox:
            _schedule_prepared_mailbox_deletion(one, device)
        PREPARED_MAILBOX_TABLE.drop(one.home.relay_url, device.vault)


def _schedule_prepared_mailbox_deletion(one: PreparedMailbox, device: Device) -> None:
    home, until = one.home, now_in_whole_seconds(device) + _PREPARED_MAILBOX_IDLE_PERIOD
    schedule_mailbox_deletion(
        MailboxDeletion(home.relay_url, home.mailbox, home.owner, give_up_at=until), device
    )


def mailbox_deletions_for(
    revoked: LinkedDevice, relay_url: str, key: CertifiedDevice, device: Device
) -> tuple[MailboxDeletion, ...]:
    """Return the deletions for all mailboxes that a revoked device has announced to us, and for the
    mailbox on our list (``key``) if we have a token that deletes it.
    """
    announced = [_mailbox_deletion(home, revoked, device) for home in revoked.homes]
    if key.mailbox in {closing.mailbox for closing in announced} or revoked.close is None:
        return tuple(announced)
    if former_token_mailbox(own_device(device).person.id, key.device, device) is not None:
        return tuple(announced)  # our token is for the mailbox that the device had before the move
    return (MailboxDeletion(relay_url, key.mailbox, revoked.close, name=revoked.name), *announced)


def own_mailboxes_to_announce(device: Device) -> tuple[LinkedMailbox, ...]:
    """Return this device's mailboxes, as announced to our other devices."""
    here = own_device(device).home
    left = MailboxUse.LEFT if next_relay_lock(device) is None else MailboxUse.PRESENT
    every = [
        (here, MailboxUse.PRESENT),
        *(
            (one.home, MailboxUse.LEADS if one.leads else MailboxUse.FOLLOWS)
            for one in prepared_mailboxes(device)
            if one.made and one.hushed_since is None
        ),
        *((one.home, left) for one in reversed(former_addresses(device))),
    ]
    announced = (
        LinkedMailbox(home.relay_url, home.mailbox, home.close, what)
        for home, what in every
        if home.close is not None
    )
    return tuple(announced)[:MAILBOXES_PER_DEVICE_MAX]


def move_target(device: Device) -> str | None:
    """Return the target relay of an unfinished move that the user started on this device."""
    return next(
        (new.home.relay_url for new in prepared_mailboxes(device) if new.leads and new.made), None
    )


def unready_devices(url: str, device: Device) -> tuple[str, ...]:
    """Return the names of our other devices that have announced no mailbox at this relay."""
    ready = _mailboxes_announced_at(url, device)
    return tuple(one.name for one in own_linked_devices(device) if one.device not in ready)


def ready_mailboxes(url: str, device: Device) -> Mapping[DeviceId, MailboxId]:
    """Return each other device's mailbox at this relay.

    Raises:
        WaitsForDevices, WaitsForDevicesAndSheet: some are not ready yet.
    """
    unready = unready_devices(url, device)
    if unready:
        identity = OWN_IDENTITY.load(device.vault)
        has_master = identity is not None and identity.master is not None
        error = WaitsForDevices if has_master else WaitsForDevicesAndSheet
        raise error(names=", ".join(unready), relay=url)
    return _mailboxes_announced_at(url, device)


def _mailboxes_announced_at(url: str, device: Device) -> dict[DeviceId, MailboxId]:
    """Return the mailboxes that our other devices have announced at a relay since our device list
    last recorded a lost device or a move.
    """
    since = int(device.vault.get(OWN_RECORDS, LAST_LOSS_OR_MOVE_EPOCH_RECORD) or 0)
    return {
        one.device: home.mailbox
        for one in own_linked_devices(device)
        for home in one.homes
        if one.homes_epoch >= since and home.relay_url == url and home.what in _READY_MAILBOX_USES
    }


def _mailbox_deletion(home: LinkedMailbox, linked: LinkedDevice, device: Device) -> MailboxDeletion:
    """Return the deletion of a mailbox; for a former mailbox it has a time limit.

    The lock at a former mailbox opens only older copies of the device's folder, and the relay may
    be gone, so we do not try for ever.
    """
    if home.what is MailboxUse.LEFT:
        give_up_at = now_in_whole_seconds(device) + timedelta(days=FORMER_MAILBOX_DAYS)
        return MailboxDeletion(home.relay_url, home.mailbox, home.close, give_up_at=give_up_at)
    return MailboxDeletion(home.relay_url, home.mailbox, home.close, name=linked.name)


def _prepare_mailbox(url: str, device: Device, *, leads: bool) -> PreparedMailbox:
    """Create a mailbox and a lock at another relay; reuse those of an interrupted attempt."""
    new = prepared_mailbox(url, device) or _generate_mailbox(url, device, leads=leads)
    if leads:
        new = replace(new, leads=True, idle_since=None, hushed_since=None)
    PREPARED_MAILBOX_TABLE.store(new, url, device.vault)
    home = new.home
    device.courier.create_mailbox(url, home.mailbox, home.owner, home.close)
    device.courier.create_lock(lock_for_prepared_mailbox(new), home.owner)
    made = replace(new, made=True)
    with device.vault.transaction():
        PREPARED_MAILBOX_TABLE.store(made, url, device.vault)
        if not leads:
            record_move_progress(url, FollowedMoveState.READY, device)
    return made


def _generate_mailbox(url: str, device: Device, *, leads: bool) -> PreparedMailbox:
    owner, close, unlock = (Secret(device.random_source.token(TOKEN_BYTES)) for _ in range(3))
    home = MailboxAddress(url, MailboxId(device.random_source.token(ID_BYTES)), owner, close)
    return PreparedMailbox(home, unlock, leads)


def _delete_unannounced_mailbox(new: PreparedMailbox, device: Device) -> None:
    """Forget an empty mailbox that only our own devices know of, and schedule its deletion."""
    with device.vault.transaction():
        _schedule_prepared_mailbox_deletion(new, device)
        PREPARED_MAILBOX_TABLE.drop(new.home.relay_url, device.vault)
