"""Apply a device list that moves this device to another relay, and keep reading the old mailbox,
where letters still arrive for some days.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.errors import EntrenousError, NoSuchMailbox, WrongToken
from entrenous.base.limits import FORMER_MAILBOX_DAYS, TOKEN_BYTES, VAULT_GENERATION_MAX
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.generation import report_unlock_to_relay_of
from entrenous.device.identities import (
    KEY_BUNDLE_TO_PUBLISH_RECORD,
    LOCK_TO_MOVE_RECORD,
    NEXT_CLOSE_TOKEN_RECORD,
    SETUP_UNFINISHED_RECORD,
    MailboxAddress,
    OwnIdentity,
    contacts,
    may_advance_ratchets,
    own_device,
    own_other_devices,
    store_next_relay_lock,
)
from entrenous.device.relay_lock_client import (
    FORMER_ADDRESS_TABLE,
    FormerAddress,
    former_addresses,
)
from entrenous.device.vault_tables import DEVICE_TO_GREET, OWN_RECORDS, peer_key
from entrenous.send.clock_sanity import now_in_whole_seconds, time_certainly_passed
from entrenous.send.devices.linked_devices import MailboxDeletion
from entrenous.send.devices.next_mailbox import (
    PreparedMailbox,
    delete_prepared_mailboxes_except,
    lock_for_prepared_mailbox,
)
from entrenous.send.devices.own_key_bundle import record_deleted_mailbox
from entrenous.send.letter.prekeys import discard_unpublished_prekeys
from entrenous.send.letter.sessions import has_session
from entrenous.send.letter.write import addressees
from entrenous.send.outbox import drop_items_handing_out_any_token
from entrenous.send.people.contact_history import record_move_progress
from entrenous.send.people.people_nouns import FollowedMoveState
from entrenous.send.tokens.distribute import queue_greeting
from entrenous.send.tokens.issue import forget_issued_tokens
from entrenous.send.tokens.use import has_tokens_for, record_former_mailboxes
from entrenous.wire.key_bundle import read_key_bundle
from entrenous.wire.relay_nouns import NoLock, RolledBack

_OLD_RELAY_RETRY_INTERVAL: Final = timedelta(hours=1)
_GIVE_UP_ON_OLD_RELAY_AFTER: Final = timedelta(
    days=FORMER_MAILBOX_DAYS
)  # counted from the time when the mailbox should have been deleted


def record_own_former_mailbox(
    home: MailboxAddress, device: Device, *, relay_silent: bool, next_close: Secret | None = None
) -> datetime:
    """Record a mailbox that this device leaves; return the time until which letters may arrive
    there.

    ``next_close`` is a new close token that the mailbox's relay does not have yet. Call this
    function in a transaction.
    """
    now = now_in_whole_seconds(device)
    until = now + timedelta(days=FORMER_MAILBOX_DAYS)
    asked = now + _OLD_RELAY_RETRY_INTERVAL if relay_silent else None
    FORMER_ADDRESS_TABLE.store(
        FormerAddress(home, until, asked, next_close=next_close), home.mailbox.hex(), device.vault
    )
    return until


def our_relays(device: Device) -> frozenset[str]:
    """Return the relays that may store letters and files for us."""
    left = {one.home.relay_url for one in former_addresses(device)}
    return frozenset({own_device(device).home.relay_url, *left})


def was_at_another_mailbox(epoch: int, device: Device) -> bool:
    """Check whether our device list with the number ``epoch`` has this device at another mailbox.

    If our key bundle begins with a newer list, that one is used instead.
    """
    me = own_device(device)
    if epoch >= me.person.epoch:
        return False
    said = next(one.said for one in read_key_bundle(me.card).lists if one.said.epoch >= epoch)
    then = {listed.mailbox for listed in said.devices if listed.device == me.key.device}
    return bool(then - {me.home.mailbox})


def old_mailboxes_due_for_fetch(device: Device) -> tuple[FormerAddress, ...]:
    """Return the old mailboxes that are due for a fetch."""
    now = device.clock.now()
    return tuple(one for one in former_addresses(device) if _is_fetch_due(one, now))


def _is_fetch_due(old: FormerAddress, now: datetime) -> bool:
    """Return whether a fetch from a former mailbox is due.

    A time more than an hour ahead counts as due, since a wrong clock recorded it.
    """
    return old.ask_after is None or not now < old.ask_after <= now + _OLD_RELAY_RETRY_INTERVAL


def replace_old_mailbox_close_tokens(device: Device) -> None:
    """Generate new close tokens for old mailboxes, since a lost device knows the present ones.

    Call this function in the transaction that accepts the list in which that device is revoked.
    """
    for old in former_addresses(device):
        fresh = Secret(device.random_source.token(TOKEN_BYTES))
        FORMER_ADDRESS_TABLE.store(
            replace(old, next_close=fresh), old.home.mailbox.hex(), device.vault
        )


def _as_stored_now(old: FormerAddress, device: Device) -> FormerAddress:
    """Return the record of an old mailbox again: a letter that was fetched may have changed it."""
    return FORMER_ADDRESS_TABLE.load(old.home.mailbox.hex(), device.vault) or old


def _send_old_mailbox_close_token(old: FormerAddress, device: Device) -> FormerAddress:
    """Tell the relay the mailbox's new close token, if there is one.

    Raises:
        RelayUnreachable, NoSuchMailbox, WrongToken.
    """
    home, fresh = old.home, old.next_close
    if fresh is None:
        return old
    device.courier.set_close_token(home.relay_url, home.mailbox, home.owner, fresh)
    changed = replace(old, home=replace(home, close=fresh), next_close=None)
    FORMER_ADDRESS_TABLE.store(changed, home.mailbox.hex(), device.vault)
    return changed


def retire_old_mailbox(old: FormerAddress, device: Device) -> None:
    """After a fetch, lock out older copies of this device, and delete the old mailbox when due.

    The mailbox is kept while the vault is unlocked through its relay.

    Raises:
        RelayUnreachable, NoSuchMailbox, WrongToken.
    """
    old = _send_old_mailbox_close_token(_as_stored_now(old, device), device)
    if device.vault.get(OWN_RECORDS, LOCK_TO_MOVE_RECORD) is not None:
        return
    home, key = old.home, old.home.mailbox.hex()
    if not old.overtaken:
        # The highest possible generation locks out copies of this device from before the move. The
        # fetch has shown that the mailbox exists, so NoSuchMailbox means that it has no lock.
        with suppress(RolledBack, NoLock, NoSuchMailbox):
            report_unlock_to_relay_of(home, VAULT_GENERATION_MAX, device)
        FORMER_ADDRESS_TABLE.store(replace(old, ask_after=None, overtaken=True), key, device.vault)
    if time_certainly_passed(device) >= old.until:
        device.courier.close_mailbox(home.relay_url, home.mailbox, home.owner)
        with device.vault.transaction():
            record_deleted_mailbox(
                MailboxDeletion(home.relay_url, home.mailbox, home.owner), device
            )
            FORMER_ADDRESS_TABLE.drop(key, device.vault)


def handle_failed_old_mailbox_fetch(
    old: FormerAddress, why: EntrenousError, device: Device
) -> EntrenousError | None:
    """Handle a failed fetch from an old mailbox; return the error to report, or None.

    Give up the mailbox if the relay no longer accepts our token, or has failed for a long time,
    unless the vault is still unlocked through that relay. If the relay does not know the mailbox,
    keep trying: the relay may temporarily use another database.
    """
    key, now = old.home.mailbox.hex(), now_in_whole_seconds(device)
    old = _as_stored_now(old, device)
    if (
        isinstance(why, WrongToken)
        or time_certainly_passed(device) >= old.until + _GIVE_UP_ON_OLD_RELAY_AFTER
    ):
        if device.vault.get(OWN_RECORDS, LOCK_TO_MOVE_RECORD) is None:
            FORMER_ADDRESS_TABLE.drop(key, device.vault)
        return None
    FORMER_ADDRESS_TABLE.store(
        replace(old, ask_after=now + _OLD_RELAY_RETRY_INTERVAL), key, device.vault
    )
    return None if isinstance(why, NoSuchMailbox) else why


def switch_mailbox(before: OwnIdentity, new: PreparedMailbox, device: Device, *, led: bool) -> None:
    """Switch to the mailbox ``new``, which our newest device list names.

    The old mailbox is read for some days more. Contacts who are not blocked get a greeting, and so
    do our own devices, at their old mailboxes. The user is notified, unless this device led the
    move (``led``).
    """
    unsent = device.vault.get(OWN_RECORDS, NEXT_CLOSE_TOKEN_RECORD)
    next_close = None if unsent is None else Secret(unsent)
    record_own_former_mailbox(
        before.home, device, relay_silent=not may_advance_ratchets(device), next_close=next_close
    )
    store_next_relay_lock(lock_for_prepared_mailbox(new), device)
    drop_items_handing_out_any_token(device)
    forget_issued_tokens(device)
    discard_unpublished_prekeys(device)
    for name in (NEXT_CLOSE_TOKEN_RECORD, KEY_BUNDLE_TO_PUBLISH_RECORD):
        device.vault.drop(OWN_RECORDS, name)
    delete_prepared_mailboxes_except(new, device)
    device.vault.put(OWN_RECORDS, SETUP_UNFINISHED_RECORD, b"")
    _queue_greetings_to_everybody(device)
    if not led:
        record_move_progress(new.home.relay_url, FollowedMoveState.MOVED, device)
    _greet_own_devices(before, device)


def _queue_greetings_to_everybody(device: Device) -> None:
    for contact in contacts(device):
        for key in () if contact.blocked else contact.person.devices:
            device.vault.put(DEVICE_TO_GREET, peer_key(contact.person.id, key.device), b"")


def _greet_own_devices(before: OwnIdentity, device: Device) -> None:
    """Greet our devices at their old mailboxes, which they read before and after the move.

    In reply, those devices send us tokens for their new mailboxes.
    """
    us = own_other_devices(device)
    if us is None:
        return
    record_former_mailboxes(before.person, us.person, device)
    for to in addressees(us, device):
        whose = peer_key(us.person.id, to.key.device)
        if has_session(to, device) and has_tokens_for(us, to.key.device, device):
            queue_greeting(to, None, device)
        else:
            device.vault.put(DEVICE_TO_GREET, whose, b"")
