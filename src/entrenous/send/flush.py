"""Post the outbox in order, to relays that may be unreachable, busy, or refuse an item.

An item that has no token yet, or whose token has expired, first gets a new token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.errors import (
    DamagedBlob,
    EntrenousError,
    Expired,
    MailboxFull,
    NoSuchBlob,
    NotUnderstood,
    PostponedUntilClockIsRight,
    ProtocolTooOld,
    TooFarAhead,
    TooMany,
    Unreachable,
    WaitedTooLong,
    WrongToken,
)
from entrenous.base.identifiers import DeviceId, EnvelopeId, MailboxId
from entrenous.base.language import translated
from entrenous.base.limits import REPLACED_TOKEN_RANGE_DAYS, UNDO_WINDOW_S_MAX
from entrenous.crypto.key_derivation import derive_send_token
from entrenous.device.device import Device
from entrenous.device.identities import CONTACT_TABLE, NO_SEND_TOKEN
from entrenous.device.relay_lock_client import moment_or_earlier_day
from entrenous.device.sent_messages import CopyDelivery, SendState, UnknownMessage
from entrenous.device.vault_tables import TOKEN_REGISTRATION
from entrenous.send.clock_sanity import time_certainly_passed
from entrenous.send.devices.own_key_bundle import send_due_mailbox_deletions
from entrenous.send.letter.relay_tasks import send_pending_relay_changes
from entrenous.send.message.blob_transfer import (
    SentBytesCallback,
    ignore_sent_bytes,
    is_worth_resuming,
    upload_blobs,
)
from entrenous.send.message.draft import CopyRefused, LetterRefused, UndoWindowStillOpen
from entrenous.send.message.states import CopyEvent
from entrenous.send.outbox import (
    OUTBOX_TABLE,
    OutboxItem,
    clock_difference_error,
    copy_in_envelope,
    drop_outbox_item,
    expiry_refusal_error,
    outbox_items,
    outbox_key,
    record_copy_event,
    store_outbox_item,
    with_new_expiry,
)
from entrenous.send.people.people_nouns import DEVICE_LIST_FORK_TABLE, ContradictoryLists
from entrenous.send.set_up import finish_set_up
from entrenous.send.tokens.token_ranges import HeldTokens, OutOfTokens
from entrenous.send.tokens.use import (
    IndexedToken,
    first_token_for,
    held_tokens,
    is_only_reserved_token_left,
    token_mailbox,
    use_range_or_lent_token,
)

# After one of these errors an item stays in the outbox: the relay is unreachable or busy, requires
# a newer program, or does not understand the item; the bytes were damaged in transit; or the relay
# accepts no expiry that is computed from this clock.
RETRYABLE_ERRORS: Final = (
    Unreachable,
    TooMany,
    ProtocolTooOld,
    NotUnderstood,
    DamagedBlob,
    PostponedUntilClockIsRight,
)
# Those of the errors above that concern only one mailbox at the relay.
_ERRORS_OF_ONE_MAILBOX: Final = (
    NotUnderstood,
    DamagedBlob,
    MailboxFull,
    PostponedUntilClockIsRight,
)
_UPLOADS_PER_LETTER_MAX: Final = 3  # at most this many uploads of the blobs of one letter
# times that a letter gets a new expiry: once because it waited too long, and once because its relay
# keeps letters for only a few days
_NEW_EXPIRIES_PER_LETTER_MAX: Final = 2
_UNDO_WINDOW_MAX: Final = timedelta(seconds=UNDO_WINDOW_S_MAX)


@dataclass(frozen=True, slots=True)
class FlushResult:
    """The result of posting the outbox: how many items were sent, why others were not, and all
    problems.
    """

    posted_count: int
    stayed: Mapping[EnvelopeId, EntrenousError]
    problems: tuple[EntrenousError, ...]


@dataclass(slots=True)
class _FlushPass:
    """A pass over the outbox; ``held_up`` maps a blocked relay or mailbox to the reason."""

    problems: list[EntrenousError]
    on_sent: SentBytesCallback
    posted_count: int = 0
    held_up: dict[str, EntrenousError] = field(default_factory=dict)
    stayed: dict[EnvelopeId, EntrenousError] = field(default_factory=dict)


def flush_outbox(device: Device, on_sent: SentBytesCallback = ignore_sent_bytes) -> FlushResult:
    """Post every outbox item that is due; ``on_sent`` is called with the number of blob bytes
    uploaded.

    A relay that does not answer delays only its own items. An item that a relay does not understand
    delays items for the same mailbox, since letters must arrive in order. An item that a relay
    refuses is dropped, so that it never blocks the ones behind it, and its copy is marked as
    refused. A letter without content (one that brings no message, such as a hello or a recall) gets
    a new expiry if the relay refuses its expiry; if no expiry is accepted, the letter waits until
    this clock and the relay's agree. Errors are returned, not raised.
    """
    try:
        finish_set_up(device)
    except EntrenousError as error:
        stayed = {item.envelope.id: error for item in outbox_items(device)}
        # our relay may be new and silent, while a revoked device is still at the old one
        return FlushResult(0, stayed, (error, *send_due_mailbox_deletions(device)))
    task_problems = send_pending_relay_changes(device)
    current_pass = _FlushPass(list(task_problems), on_sent)
    for item in outbox_items(device):
        why = _reason_to_wait(item, current_pass, task_problems, device) or _try_to_post(
            item, current_pass, device
        )
        if why is None:
            current_pass.posted_count += 1
        else:
            current_pass.stayed[item.envelope.id] = why
    return FlushResult(current_pass.posted_count, current_pass.stayed, tuple(current_pass.problems))


def _reason_to_wait(
    item: OutboxItem, current_pass: _FlushPass, task_problems: list[EntrenousError], device: Device
) -> EntrenousError | None:
    """Return why this item cannot be sent now; None if it can."""
    if (conflict := _frozen_contact_error(item, device)) is not None:
        # This item does not hold up others, so that letters for comparing keys can still be sent.
        return conflict
    mailbox = item.envelope.mailbox.hex()
    for destination in (item.relay_url, mailbox):
        if destination in current_pass.held_up:
            return current_pass.held_up[destination]
    if item.release_at is not None and _is_undo_window_open(item.release_at, device):
        until = moment_or_earlier_day(item.release_at)
        name = _message_name(copy_in_envelope(item.envelope.id, device), device)
        current_pass.held_up[mailbox] = why = UndoWindowStillOpen(name=name, until=until)
        return why
    awaits_registration = item.needs is not None and device.vault.get(
        TOKEN_REGISTRATION, item.needs.hex()
    )
    if awaits_registration and task_problems:
        current_pass.held_up[mailbox] = task_problems[0]
        return task_problems[0]
    return None


def _is_undo_window_open(until: datetime, device: Device) -> bool:
    """Return whether the undo window that ends at ``until`` is still open.

    A window is at most an hour: a later end was recorded by a clock that has since been set back,
    and counts as past.
    """
    now = device.clock.now()
    return now < until <= now + _UNDO_WINDOW_MAX


def _frozen_contact_error(item: OutboxItem, device: Device) -> ContradictoryLists | None:
    """Return the error for a message to somebody whose device lists contradict each other."""
    if item.peer is None or not DEVICE_LIST_FORK_TABLE.has(item.peer.split(" ")[0], device.vault):
        return None
    copy = copy_in_envelope(item.envelope.id, device)
    return None if copy is None else ContradictoryLists(name=copy.to)


def _try_to_post(
    item: OutboxItem, current_pass: _FlushPass, device: Device
) -> EntrenousError | None:
    """Post one item; return None on success, otherwise the reason.

    If other items have to wait for this one, this is recorded in ``current_pass``.
    """
    current = item
    try:
        ready = _store_with_accepted_token(item, device)
        if ready is None:
            # An item without a token holds up nothing: our hello may wait behind it, and the answer
            # to the hello brings tokens.
            if not _has_no_token(item):
                current_pass.held_up[item.envelope.mailbox.hex()] = OutOfTokens()
            return OutOfTokens()
        current = ready  # possibly for another relay
        _post_with_accepted_expiry(current, current_pass.on_sent, device)
    except RETRYABLE_ERRORS as why:
        one_mailbox = isinstance(why, _ERRORS_OF_ONE_MAILBOX)
        destination = current.envelope.mailbox.hex() if one_mailbox else current.relay_url
        current_pass.held_up[destination] = why
        current_pass.problems.append(why)
        return why
    except WrongToken as why:
        updated = _without_refused_token(current, device)
        if updated is None:
            current_pass.problems.append(_drop_refused(item, why, device))
            return why
        store_outbox_item(updated, device)
        return OutOfTokens()
    except EntrenousError as why:
        current_pass.problems.append(_drop_refused(item, why, device))
        return why
    return None


def _store_with_accepted_token(item: OutboxItem, device: Device) -> OutboxItem | None:
    with device.vault.transaction():
        ready = _with_accepted_token(item, device)
        if ready is not None and ready is not item:
            store_outbox_item(ready, device)
    return ready


def _post_with_accepted_expiry(
    item: OutboxItem,
    on_sent: SentBytesCallback,
    device: Device,
    new_expiries_left: int = _NEW_EXPIRIES_PER_LETTER_MAX,
) -> None:
    """Post one item. If it is a letter without content (see :func:`flush_outbox`) and the relay
    refuses its expiry, post it again with a new one.

    Nothing in a letter without content depends on its expiry, and a relay that refuses the expiry
    does not store the letter.

    Raises:
        PostponedUntilClockIsRight: no expiry computed from this clock would be accepted.
        ClocksDiffer, TooFarAhead, WaitedTooLong: the expiry of a copy, which is fixed, was
            refused.
    """
    try:
        _post_item(item, on_sent, device)
    except (TooFarAhead, Expired) as why:
        copy = copy_in_envelope(item.envelope.id, device)
        if copy is not None:
            raise expiry_refusal_error(why, item, copy, device) from None
        updated = with_new_expiry(item, why, device)
        if updated is None or not new_expiries_left:
            raise clock_difference_error(
                PostponedUntilClockIsRight, why, item.relay_url, device
            ) from None
        store_outbox_item(updated, device)
        _post_with_accepted_expiry(updated, on_sent, device, new_expiries_left - 1)


def _post_item(item: OutboxItem, on_sent: SentBytesCallback, device: Device) -> None:
    copy = copy_in_envelope(item.envelope.id, device)
    if copy is None or copy.departure is not SendState.TRIED:
        _upload_blobs_of(item, on_sent, device)
    # After an earlier attempt the letter may already be at the relay, and even have been opened, so
    # that its blobs and its token are used up. The relay recognizes the letter by its bytes alone.
    record_copy_event(item, CopyEvent.TRY, device)
    for _ in range(_UPLOADS_PER_LETTER_MAX):
        try:
            device.courier.post(item.relay_url, item.token, item.envelope)
            break
        except NoSuchBlob:
            # An earlier attempt never reached the relay, or this machine slept for longer than a
            # relay keeps blobs without a letter.
            _upload_blobs_of(item, on_sent, device)
    else:
        device.courier.post(item.relay_url, item.token, item.envelope)
    with device.vault.transaction():
        record_copy_event(item, CopyEvent.HEAR, device)
        OUTBOX_TABLE.drop(outbox_key(item), device.vault)
    for _, kept in item.blobs:
        device.vault.delete_file(kept)


def _upload_blobs_of(item: OutboxItem, on_sent: SentBytesCallback, device: Device) -> None:
    if is_worth_resuming(item) and not item.begun:
        # Recorded before the first byte leaves, so that after a crash the relay is asked how much
        # arrived.
        store_outbox_item(replace(item, begun=True), device)
    upload_blobs(item, device, on_sent)


def _drop_refused(item: OutboxItem, why: EntrenousError, device: Device) -> EntrenousError:
    """Drop a refused item; return the error to show to the user."""
    with device.vault.transaction():
        copy = record_copy_event(item, CopyEvent.REFUSE, device)
        drop_outbox_item(item, device)
    if copy is None:
        return _with_recipient(item, why, device)
    return CopyRefused(name=_message_name(copy, device), to=copy.to, why=why)


def _with_recipient(item: OutboxItem, why: EntrenousError, device: Device) -> EntrenousError:
    """Return the refusal of a letter without content; it names the contact to whom it was going."""
    person = "" if item.peer is None else item.peer.split(" ")[0]
    contact = CONTACT_TABLE.load(person, device.vault)
    return why if contact is None else LetterRefused(to=contact.name, why=why)


def _message_name(copy: CopyDelivery | None, device: Device) -> str:
    if copy is None:
        return translated("a letter")
    try:
        return device.ledger.message(copy.message).name
    except UnknownMessage:
        return translated("a message")


#: The last tokens of a range are reserved for letters whose header names the index of their token.
#: From these letters, the issuer of the range sees how many tokens were used, and issues more. A
#: letter that was sealed before it had a token names no index.
_RESERVED_TOKENS_PER_RANGE: Final = 16


def _with_accepted_token(item: OutboxItem, device: Device) -> OutboxItem | None:
    """Return the item with a token that its relay accepts; None if there is no such token yet.

    An item gets a new token if it was written without one, or if the range of its token was
    replaced and has expired. If the new token is valid at another mailbox, the item goes there,
    unless it has files, whose location is fixed in the letter. Call it in the transaction that
    stores the item.

    Raises:
        WaitedTooLong: no relay would accept it any more.
        WrongToken: it has files at a mailbox where no token of ours is valid.
    """
    if item.peer is None:
        return item
    held = held_tokens(item.peer, device)
    if _has_no_token(item):
        return _with_first_token(item, item.peer, held, device)
    if item.index is None or held.seed is None:
        return item
    if item.token == derive_send_token(held.seed, item.index):
        return item if item.index < held.until else None
    return _with_next_token(item, item.peer, held, device)


def _has_no_token(item: OutboxItem) -> bool:
    """Return whether the item was written while we had no token for that device."""
    return item.index is None and item.token == NO_SEND_TOKEN


def _without_refused_token(item: OutboxItem, device: Device) -> OutboxItem | None:
    """Return the item without its refused token, to wait for another; None if the item must be
    dropped.

    Only a lent token is replaced: the device that lent it may be lost, and its tokens with it. A
    token that came from its issuer is not replaced.
    """
    if item.peer is None or item.index is None:
        return None
    held = held_tokens(item.peer, device)
    if held.seed is not None or held.old is not None:
        return None
    return replace(item, token=NO_SEND_TOKEN, index=None)


def _with_first_token(
    item: OutboxItem, peer_id: str, held: HeldTokens, device: Device
) -> OutboxItem | None:
    if item.envelope.expires_at <= time_certainly_passed(device):
        raise WaitedTooLong
    valid_at = token_mailbox(peer_id, held, device)
    if valid_at is None:
        return None
    if item.blobs and valid_at != _mailbox_of(item):
        raise WrongToken
    if held.seed is not None and held.next >= held.until - _RESERVED_TOKENS_PER_RANGE:
        return None
    if is_only_reserved_token_left(peer_id, held, device):
        return None
    token = use_range_or_lent_token(peer_id, held, device) or _first_token(peer_id, device)
    return None if token.token == NO_SEND_TOKEN else _with_mailbox_and_token(valid_at, item, token)


def _with_next_token(
    item: OutboxItem, peer_id: str, held: HeldTokens, device: Device
) -> OutboxItem | None:
    valid_at = token_mailbox(peer_id, held, device)
    is_there = valid_at == _mailbox_of(item)
    if valid_at is None or (item.blobs and not is_there):
        return item
    if _is_replaced_range_token_valid(item, held, device, is_there=is_there):
        return item
    token = use_range_or_lent_token(peer_id, held, device) if held.next < held.until else None
    return None if token is None else _with_mailbox_and_token(valid_at, item, token)


def _first_token(peer_id: str, device: Device) -> IndexedToken:
    person, one = peer_id.split(" ")
    contact = CONTACT_TABLE.load(person, device.vault)
    of = DeviceId(bytes.fromhex(one))
    return IndexedToken(
        NO_SEND_TOKEN if contact is None else first_token_for(contact, of, device), None
    )


def _with_mailbox_and_token(
    valid_at: tuple[str, MailboxId], item: OutboxItem, token: IndexedToken
) -> OutboxItem:
    fresh = replace(item, token=token.token, index=token.index)
    return replace(
        fresh, relay_url=valid_at[0], envelope=replace(item.envelope, mailbox=valid_at[1])
    )


def _mailbox_of(item: OutboxItem) -> tuple[str, MailboxId]:
    return item.relay_url, item.envelope.mailbox


def _is_replaced_range_token_valid(
    item: OutboxItem, held: HeldTokens, device: Device, *, is_there: bool
) -> bool:
    """Return whether the item's token, which is not in the current range, is still accepted.

    At the mailbox of the current range (``is_there``), only a token of the replaced range is
    accepted, for 7 days. At another mailbox there is no time limit. In either case, a token of the
    replaced range must have been issued.
    """
    old, index = held.old, item.index
    if old is None or index is None or item.token != derive_send_token(old.seed, index):
        return not is_there
    # more than the limit is left if this device's clock was ahead when ``lapses_at`` was set
    left = old.lapses_at - device.clock.now()
    in_time = timedelta() < left <= timedelta(days=REPLACED_TOKEN_RANGE_DAYS) or not is_there
    return in_time and index < old.until
