"""Recall a message: take back its copies."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Final

from entrenous.base.errors import EntrenousError, NoSuchEnvelope, Refused, Unreachable
from entrenous.base.identifiers import EnvelopeId, RecipientId
from entrenous.base.language import translatable, translated
from entrenous.base.limits import REQUEST_IN_TRANSIT_HOURS_MAX, TOMBSTONE_DAYS
from entrenous.device.device import Courier, Device
from entrenous.device.identities import may_advance_ratchets
from entrenous.device.sent_messages import (
    COPY_DELIVERY_TABLE,
    CopyDelivery,
    Message,
    RecallResult,
    SendState,
    UnknownMessage,
)
from entrenous.device.vault_tables import UNCONFIRMED_RECALL
from entrenous.send.clock_sanity import now_in_whole_seconds, time_certainly_passed
from entrenous.send.flush import RETRYABLE_ERRORS, FlushResult, flush_outbox
from entrenous.send.guard import undo_recipient_record
from entrenous.send.inbox import inbox_message_names
from entrenous.send.letter.letter_nouns import RecallNote
from entrenous.send.letter.sessions import has_session
from entrenous.send.letter.write import (
    addressee_of,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.message.draft import (
    CannotRecallReceivedMessage,
    NothingToRecall,
    RecallIncomplete,
)
from entrenous.send.outbox import drop_outbox_items
from entrenous.send.status import RelayAnswer, ask_relays_about, copy_deliveries
from entrenous.wire.relay_nouns import EnvelopeState, EnvelopeStatus

_REQUEST_TRANSIT_TIME: Final = timedelta(hours=REQUEST_IN_TRANSIT_HOURS_MAX)
_RELAY_REMEMBERS_ENDED_FOR: Final = timedelta(
    days=TOMBSTONE_DAYS
)  # how long a relay remembers ended envelopes
#: The status of a copy that its relay does not have and will refuse if it arrives.
_RECALLED_BEFORE_ARRIVAL: Final = EnvelopeStatus(EnvelopeState.TAKEN_BACK, 0)


def recall_message(name: str, device: Device) -> tuple[RecallResult, ...]:
    """Recall every copy of a message; return the result per copy.

    Safe to repeat: recalled copies stay recalled. Copies that still wait here are not sent. A relay
    that does not answer does not delay the others, and is asked again at each fetch. If no copy was
    sent, the guard's later checks treat the message as never sent.

    Raises:
        UnknownMessage, CannotRecallReceivedMessage, NothingToRecall.
        RecallIncomplete: a relay that may have a copy did not confirm that it was taken back.
    """
    if name in inbox_message_names(device):
        raise CannotRecallReceivedMessage(name=name)
    message = device.ledger.message_named(name)
    copies = copy_deliveries(message, device)
    if not copies:
        raise NothingToRecall(name=name)
    with device.vault.transaction():
        drop_outbox_items({copy.envelope for copy in copies}, device)
        if not any(map(_may_be_at_relay, copies)):
            undo_recipient_record(message.id, device)
    recalled, problems = dict[EnvelopeId, _RecalledCopy](), dict[RecipientId, EntrenousError]()
    for copy, answer in _withdraw_copies(copies, device):
        try:
            recalled[copy.envelope] = _record_recall_and_queue_note(message, copy, answer, device)
        except EntrenousError as error:
            problems[copy.to] = error
            # retried at the next fetch
            device.vault.put(UNCONFIRMED_RECALL, copy.envelope.hex(), b"")
    # letters that cannot be sent now stay in the outbox; the copies are already recalled
    flushed = flush_outbox(device)
    if problems:
        who = dict.fromkeys(copy.to for copy in copies if copy.to in problems)
        why = problems[next(iter(who))]
        raise RecallIncomplete(name=name, who=" and ".join(who), why=why) from None
    return tuple(_recall_result(recalled[copy.envelope], flushed) for copy in copies)


def recall_in_words(recipient: str, result: RecallResult) -> str:
    """Return a sentence on the result of recalling one copy; ``recipient`` is a name."""
    if result.opened is False:
        return translated("{who} had not opened it. Nobody can open that copy any more.").format(
            who=recipient
        )
    return translated(_RECALL_SENTENCES[bool(result.opened), result.asked]).format(who=recipient)


# keys: whether the copy is known to have been opened, and whether its deletion is asked for
_RECALL_SENTENCES: Final = {
    (True, True): translatable(
        "{who} had opened it. Their app is asked to delete it. Nothing can force it to, and they "
        "may have kept it."
    ),
    (True, False): translatable(
        "{who} had opened it. Their app cannot be asked to delete it, and they may have kept it."
    ),
    (False, True): translatable(
        "It is not known whether {who} opened it. Their app is asked to delete it. Nothing can "
        "force it to, and they may have kept it."
    ),
    (False, False): translatable(
        "It is not known whether {who} opened it. Their app cannot be asked to delete it, and they "
        "may have kept it."
    ),
}


@dataclass(frozen=True, slots=True)
class _RecalledCopy:
    """A recalled copy; ``note`` is the letter that asks the recipient's device to delete it."""

    to: RecipientId
    opened: bool | None
    note: EnvelopeId | None


def _recall_result(recalled: _RecalledCopy, flushed: FlushResult) -> RecallResult:
    why = None if recalled.note is None else flushed.stayed.get(recalled.note)
    asked = recalled.note is not None and (why is None or isinstance(why, RETRYABLE_ERRORS))
    return RecallResult(recalled.to, recalled.opened, asked)


def _withdraw_copies(
    copies: tuple[CopyDelivery, ...], device: Device
) -> Iterator[tuple[CopyDelivery, RelayAnswer]]:
    """Yield each copy with its relay's answer to the withdrawal."""
    for copy in copies:
        if not _may_be_at_relay(copy):
            yield copy, None
    left = filter(_may_be_at_relay, copies)
    yield from ask_relays_about(left, partial(_withdraw_copy, courier=device.courier), device)


def _may_be_at_relay(copy: CopyDelivery) -> bool:
    """Return whether a copy may be at its relay. A copy that was never posted is recalled without
    asking a relay.
    """
    return copy.departure is not SendState.WAITING


def _record_recall_and_queue_note(
    message: Message, copy: CopyDelivery, status: RelayAnswer, device: Device
) -> _RecalledCopy:
    if isinstance(status, EntrenousError):
        raise status
    left = _may_be_at_relay(copy)
    if (
        status is _RECALLED_BEFORE_ARRIVAL
        and now_in_whole_seconds(device) >= message.sent_at + _RELAY_REMEMBERS_ENDED_FOR
    ):
        status = None  # the relay may also have had the copy and forgotten it
    opened = _was_opened(copy, status)
    ended_at = copy.ended_at or now_in_whole_seconds(device)
    taken_back = replace(copy, state=EnvelopeState.TAKEN_BACK, opened=opened is True)
    taken_back = replace(taken_back, ended_at=ended_at)
    with device.vault.transaction():
        COPY_DELIVERY_TABLE.store(taken_back, copy.envelope.hex(), device.vault)
        if copy.departure is SendState.TRIED and status is None:
            device.vault.put(UNCONFIRMED_RECALL, copy.envelope.hex(), b"")
        # The recipient is notified even if the relay says that it refused or never got the copy:
        # relays can lie, and the copy may still be in transit.
        tell = may_advance_ratchets(device) and (left or opened is not False)
        note = _queue_recall_note(message, copy, device) if tell else None
    return _RecalledCopy(copy.to, opened, note)


def retry_recalls(device: Device) -> None:
    """Retry the recalls of copies that were still in transit, or whose relays were unreachable.

    A relay is no longer asked if, an hour after the recall, it still does not know the copy, or if
    it is still unreachable 30 days after the message's expiry.
    """
    copies = list[CopyDelivery]()
    for key in device.vault.keys(UNCONFIRMED_RECALL):
        copy = COPY_DELIVERY_TABLE.load(key, device.vault)
        if copy is None:
            device.vault.drop(UNCONFIRMED_RECALL, key)
        else:
            copies.append(copy)
    for copy, answer in ask_relays_about(
        copies, partial(_withdraw_copy, courier=device.courier), device
    ):
        with suppress(Unreachable, Refused), device.vault.transaction():
            if copy.state is not EnvelopeState.TAKEN_BACK:
                _process_retried_recall(copy, answer, device)
            elif not isinstance(answer, EntrenousError):
                _record_late_status(copy, answer, device)


def _process_retried_recall(copy: CopyDelivery, answer: RelayAnswer, device: Device) -> None:
    try:
        message = device.ledger.message(copy.message)
    except UnknownMessage:  # its sending was cancelled
        device.vault.drop(UNCONFIRMED_RECALL, copy.envelope.hex())
        return
    unreachable = isinstance(answer, EntrenousError)
    end = message.expires_at or message.sent_at
    if not unreachable or time_certainly_passed(device) >= end + _RELAY_REMEMBERS_ENDED_FOR:
        device.vault.drop(UNCONFIRMED_RECALL, copy.envelope.hex())
    if not unreachable:
        _record_recall_and_queue_note(message, copy, answer, device)


def _record_late_status(copy: CopyDelivery, status: EnvelopeStatus | None, device: Device) -> None:
    if status is not None and status is not _RECALLED_BEFORE_ARRIVAL:
        opened = copy.opened or status.opened > 0
        arrived = replace(copy, departure=SendState.ACKNOWLEDGED, opened=opened)
        COPY_DELIVERY_TABLE.store(arrived, copy.envelope.hex(), device.vault)
    elif status is None:
        recalled_at = copy.ended_at or now_in_whole_seconds(device)
        if time_certainly_passed(device) < recalled_at + _REQUEST_TRANSIT_TIME:
            return
    device.vault.drop(UNCONFIRMED_RECALL, copy.envelope.hex())


def _withdraw_copy(copy: CopyDelivery, courier: Courier) -> EnvelopeStatus | None:
    """Return the relay's answer; None if it does not know the copy yet, or no longer."""
    try:
        return courier.withdraw(copy.relay_url, copy.envelope, copy.withdraw_token)
    except NoSuchEnvelope as why:
        is_refused = copy.departure is SendState.TRIED and "refused_until" in why.facts
        return _RECALLED_BEFORE_ARRIVAL if is_refused else None
    except EntrenousError:
        if copy.departure is SendState.REFUSED:
            return None  # the relay refused the copy, so it need not be asked again
        raise


def _was_opened(copy: CopyDelivery, status: EnvelopeStatus | None) -> bool | None:
    """Return whether a copy was opened; None if its relay no longer, or not yet, knows it."""
    if copy.opened or (status is not None and status.opened > 0):
        return True
    known = status is not None or copy.departure in (SendState.WAITING, SendState.REFUSED)
    return False if known else None


def _queue_recall_note(message: Message, copy: CopyDelivery, device: Device) -> EnvelopeId | None:
    """Queue a letter that asks the recipient's device to delete the message, and return the id of
    its envelope; None if we can no longer write to that device.
    """
    to = addressee_of(copy.person, copy.device, device)
    if to is None or not has_session(to, device):
        return None
    outer = outer_parts_without_content(device)
    seal_and_queue_letter(RecallNote(message.id), to, outer, device)
    return outer.envelope
