"""Send a message: from the guard's checks (send/guard.py) to the acknowledgement by the relays.
Sending can be cancelled until the first copy may have left this device.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from entrenous.base.errors import PostponedUntilClockIsRight
from entrenous.base.identifiers import ID_BYTES, BlobId, MessageId, MessageName, RecipientId
from entrenous.base.identity import EnforcedLimit
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.identities import refuse_unconfirmed_unlock
from entrenous.device.sent_messages import CopyDelivery, Message, SendState, UnknownMessage
from entrenous.device.vault_tables import COPY_DELIVERY, RECEIPT_COVERAGE
from entrenous.send.flush import FlushResult, flush_outbox
from entrenous.send.guard import DraftInspection, inspect_draft, undo_recipient_record
from entrenous.send.inbox import new_message_name
from entrenous.send.letter.letter_nouns import PersonDeviceListHead
from entrenous.send.letter.sessions import ensure_sessions
from entrenous.send.letter.write import Addressee, addressees
from entrenous.send.message.draft import (
    Draft,
    LimitNotSupportedByRecipient,
    MessageNotSentYet,
    RefusedForSome,
    SendingUndone,
    StoppedWhileSending,
    UndoWindowStillOpen,
    WaitsInOutbox,
)
from entrenous.send.message.make import SendingContext, seal_and_queue_message
from entrenous.send.message.prepared_files import prepare_files
from entrenous.send.message.states import can_be_cancelled
from entrenous.send.message.transfer_progress import (
    NO_WATCH,
    ByteCounter,
    TransferStage,
    TransferWatch,
)
from entrenous.send.message_index import copies_of_message, drop_copy_from_indexes
from entrenous.send.outbox import drop_outbox_items, release_message, waiting_upload_bytes
from entrenous.send.people.people_nouns import ContradictoryLists
from entrenous.send.tokens.token_ranges import OutOfTokens

# An immediate retry does not help with these errors. The message of each says what to do instead.
_ERRORS_NOT_WORTH_RETRYING: Final = (
    UndoWindowStillOpen,
    OutOfTokens,
    ContradictoryLists,
    PostponedUntilClockIsRight,
)


@dataclass(frozen=True, slots=True)
class PostedMessage:
    """A message that the relays have stored, with the number of devices per recipient."""

    name: MessageName
    devices: Mapping[RecipientId, int]


def send_message(draft: Draft, device: Device, watch: TransferWatch = NO_WATCH) -> PostedMessage:
    """Have the guard inspect a draft, and send it as ``send_inspected_draft`` does."""
    refuse_unconfirmed_unlock(device)
    return send_inspected_draft(inspect_draft(draft, device), device, watch)


def send_inspected_draft(
    inspection: DraftInspection, device: Device, watch: TransferWatch
) -> PostedMessage:
    """Send a draft that the guard has just inspected. Return once relays have stored on disk
    a copy for every recipient, and no copy waits; copies for single devices may have been refused.

    The vault must not have changed since the inspection. The message is sealed and stored in one
    transaction. ``watch`` then waits for ``draft.undo_s`` seconds, during which nothing is sent.

    Raises:
        UnansweredWarnings, ConfirmedNameNotRecipient, UnknownPerson, ContactIsBlocked,
            ContradictoryLists, OwnProgramTooOld, ContactProgramTooOld,
            LimitNotSupportedByRecipient, DeviceWithoutRelay, RolledBack, UnlockNotConfirmed,
            TooLarge, and the errors of preparing the draft's files (:func:`.prepare_files`).
        WaitsInOutbox: the message is sealed, but a copy waits, for example because a relay is
            unreachable.
        MessageNotSentYet: a copy waits for a reason that a retry does not remove, for example
            because ``watch`` did not wait for the end of the undo window.
        RefusedForSome: for some recipient, every copy was refused.
        SendingUndone: sending was interrupted while the files were prepared, or after the
            sessions were begun but before any copy was sent. No part of the message is kept.
        StoppedWhileSending: sending was interrupted, but a copy may already have been sent.
        KeyboardInterrupt: sending was interrupted at another moment: before the files were
            prepared, while sessions were begun, or after the message was sent.
    """
    refuse_unconfirmed_unlock(device)
    inspection.require_answers()
    draft = inspection.draft
    all_devices = tuple(one for contact in inspection.to for one in addressees(contact, device))
    _refuse_unenforced_limits(draft, all_devices)
    preparing = ByteCounter(TransferStage.PREPARING, sum(map(len, draft.files)), watch)
    try:
        prepared = prepare_files(draft.files, draft.size_px, device, preparing)
    except KeyboardInterrupt:
        raise SendingUndone from None  # nothing is stored yet
    to = ensure_sessions(all_devices, device)
    sending = _make_sending_context(draft, to, device)
    try:
        with device.vault.transaction():
            release_at = seal_and_queue_message(draft, prepared, to, sending, device, watch)
        if release_at is not None and watch.wait(release_at) and device.clock.now() < release_at:
            release_message(sending.message, device)
        sent = ByteCounter(TransferStage.SENDING, waiting_upload_bytes(device), watch)
        left = _require_copies_at_relays(sending, flush_outbox(device, sent.add), device)
    except KeyboardInterrupt:
        cancel_sending(sending.message, device)
        # It is certain that nothing was sent, since cancel_sending did not raise.
        raise SendingUndone from None
    return PostedMessage(sending.name, dict(Counter(copy.to for copy in left)))


def _refuse_unenforced_limits(draft: Draft, to: tuple[Addressee, ...]) -> None:
    """Refuse a limit on openings if a recipient's program does not promise to enforce it."""
    if draft.policy.opens is None:
        return
    others = [one.contact.name for one in to if EnforcedLimit.VIEW_ONCE not in one.key.enforces]
    if others:
        raise LimitNotSupportedByRecipient(names=", ".join(dict.fromkeys(others)))


def _require_copies_at_relays(
    sending: SendingContext, flushed: FlushResult, device: Device
) -> list[CopyDelivery]:
    """Return the copies of this message that their relays have stored.

    Problems of other letters are ignored. A refused copy is ignored if another copy for the same
    recipient was stored or waits: the device whose copy was refused may just have been revoked.

    Raises:
        RefusedForSome: for some recipient, every copy was refused.
        MessageNotSentYet, WaitsInOutbox: a copy waits in the outbox.
    """
    copies = copies_of_message(sending.message, device.vault)
    left = [copy for copy in copies if copy.is_confirmed_by_relay]
    ended = (*left, *(copy for copy in copies if copy.departure is SendState.REFUSED))
    stayed = [copy for copy in copies if copy not in ended]
    have = {copy.to for copy in (*left, *stayed)}
    refused = [copy for copy in copies if copy.to not in have]
    if refused:
        raise RefusedForSome(
            name=sending.name,
            refused=_recipient_names(refused),
            waits=_recipient_names(stayed),
            has=_recipient_names(left),
            why=flushed.stayed[refused[0].envelope],
        )
    if stayed:
        why = flushed.stayed[stayed[0].envelope]
        waits = MessageNotSentYet if isinstance(why, _ERRORS_NOT_WORTH_RETRYING) else WaitsInOutbox
        raise waits(name=sending.name, why=why)
    return left


def _recipient_names(copies: list[CopyDelivery]) -> str:
    return ", ".join(dict.fromkeys(str(copy.to) for copy in copies)) or "nobody"


def _make_sending_context(
    draft: Draft, to: tuple[Addressee, ...], device: Device
) -> SendingContext:
    return SendingContext(
        message=MessageId(device.random_source.token(ID_BYTES)),
        name=new_message_name(device),
        sent_at=device.clock.now(),
        policy=replace(draft.policy, expires_at=draft.policy.expires_at.replace(microsecond=0)),
        audience=tuple(sorted((one.contact.person.id, one.key.device) for one in to)),
        heads=_known_list_heads(to),
        reply=draft.reply,
        # A message can name only one circle. If it went to several circles, it names none, since a
        # recipient need not be in the one that it would name.
        circle=draft.circles[0] if len(draft.circles) == 1 else None,
        groups=Secret(device.random_source.token(32)),
    )


def _known_list_heads(to: tuple[Addressee, ...]) -> tuple[PersonDeviceListHead, ...]:
    """Return the head of the device list known for each recipient, sorted.

    If a person has moved to another relay but one of their devices has not moved yet, the head is
    that of the list from before the move.
    """
    newest_first = sorted(to, key=lambda one: one.contact.person.epoch, reverse=True)
    people = {one.contact.person.id: one.contact.person for one in newest_first}
    return tuple(
        PersonDeviceListHead(who, people[who].epoch, people[who].head) for who in sorted(people)
    )


def cancel_sending(message: MessageId, device: Device) -> None:
    """Undo a message whose sending was interrupted, if it is certain that no relay has a copy.

    If Ctrl-C is pressed meanwhile, the undo starts over, so it always completes.

    Raises:
        StoppedWhileSending: a relay may have a copy. Then nothing is undone, so that the message
            can be recalled by its name.
    """
    undone = False
    while not undone:
        try:
            _undo_message(message, device)
            undone = True
        except KeyboardInterrupt:
            continue


def _undo_message(message: MessageId, device: Device) -> None:
    copies = copies_of_message(message, device.vault)
    try:
        sent = device.ledger.message(message)
    except UnknownMessage:
        return  # interrupted before anything was stored
    if not all(can_be_cancelled(copy.departure) for copy in copies):
        raise StoppedWhileSending(name=sent.name)
    with device.vault.transaction():
        drop_outbox_items({copy.envelope for copy in copies}, device)
        for copy in copies:
            for table in (COPY_DELIVERY, RECEIPT_COVERAGE):
                device.vault.drop(table, copy.envelope.hex())
            drop_copy_from_indexes(copy, sent.sent_at, device.vault)
        device.ledger.delete_message(message)
        undo_recipient_record(message, device)
        for kept in _ledger_blobs(sent):
            device.vault.delete_file(kept)


def _ledger_blobs(sent: Message) -> Iterator[BlobId]:
    """Yield the blobs that the ledger keeps for a message."""
    for picture in sent.pictures:
        yield picture.original
    for clip in sent.clips:
        yield from (clip.original, clip.survey)
    for sound in sent.sounds:
        yield from (sound.original, sound.contour)
