"""Take a message back."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from entrenous.base.errors import EntrenousError, NoSuchEnvelope, Refused, Unreachable
from entrenous.base.identifiers import EnvelopeId, RecipientId
from entrenous.base.limits import ON_ITS_WAY_HOURS, TOMBSTONE_DAYS
from entrenous.device.device import Courier, Device
from entrenous.device.identities import is_ready
from entrenous.device.sent_messages import Departure, Message, Recall, SealedCopy, UnknownMessage
from entrenous.device.vault_tables import OVERTAKEN, SEALED, load_record, store_record
from entrenous.send.clock_sanity import believed_now, this_second
from entrenous.send.conversations import forget_sent
from entrenous.send.flush import NOT_NOW, Flushed, flush
from entrenous.send.inbox import inbox_names
from entrenous.send.letter.letter_nouns import RecallNote
from entrenous.send.letter.sessions import has_session
from entrenous.send.letter.write import addressee_of, plain_outer, write_letter
from entrenous.send.message.draft import NothingToTakeBack, NotTakenBackYet, SentToYou
from entrenous.send.outbox import drop_outbox_items
from entrenous.send.status import Answer, ask_relays_about, sealed_copies
from entrenous.wire.relay_nouns import EnvelopeState, EnvelopeStatus

_ON_ITS_WAY: Final = timedelta(hours=ON_ITS_WAY_HOURS)
_REMEMBERED: Final = timedelta(days=TOMBSTONE_DAYS)  # what a relay had is known there for so long
#: Of what its relay does not know and refuses from now on, should it come.
_NEVER_COMES: Final = EnvelopeStatus(EnvelopeState.TAKEN_BACK, 0)


def recall_message(name: str, device: Device) -> tuple[Recall, ...]:
    """Take back every copy of a message; one :class:`Recall` per copy says what that achieved.

    May be repeated: a copy that was taken back before stays so. What waited here does not leave any
    more, and a relay that does not answer keeps no other from taking its copies back. It is asked
    again whenever letters are looked for. Where nothing has left, it is as if it never was sent.

    Raises:
        UnknownMessage, SentToYou, NothingToTakeBack; NotTakenBackYet when a relay that has a copy
        is away.
    """
    if name in inbox_names(device):
        raise SentToYou(name=name)
    message = device.ledger.find(name)
    copies = sealed_copies(message, device)
    if not copies:
        raise NothingToTakeBack(name=name)
    with device.vault.together():
        drop_outbox_items({copy.envelope for copy in copies}, device)
        if not any(map(_has_left, copies)):
            forget_sent(message.id, device)
    taken, problems = dict[EnvelopeId, _Taken](), dict[RecipientId, EntrenousError]()
    for copy, answer in _withdrawn(copies, device):
        try:
            taken[copy.envelope] = _take_back(message, copy, answer, device)
        except EntrenousError as error:
            problems[copy.to] = error
            device.vault.put(OVERTAKEN, copy.envelope.hex(), b"")  # and is asked again later
    flushed = flush(device)  # notes that can't leave now wait; the copies are taken back already
    if problems:
        who = dict.fromkeys(copy.to for copy in copies if copy.to in problems)
        why = problems[next(iter(who))]
        raise NotTakenBackYet(name=name, who=" and ".join(who), why=why) from None
    return tuple(_outcome(taken[copy.envelope], flushed) for copy in copies)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A copy that is taken back; ``note`` is the letter that asks the recipient's program."""

    to: RecipientId
    opened: bool | None
    note: EnvelopeId | None


def _outcome(one: _Taken, flushed: Flushed) -> Recall:
    why = None if one.note is None else flushed.stayed.get(one.note)
    asked = one.note is not None and (why is None or isinstance(why, NOT_NOW))
    return Recall(one.to, one.opened, asked)


def _withdrawn(
    copies: tuple[SealedCopy, ...], device: Device
) -> Iterator[tuple[SealedCopy, Answer]]:
    """Each copy, with what its relay says now that it is to be taken back."""
    for copy in copies:
        if not _has_left(copy):
            yield copy, None
    left = filter(_has_left, copies)
    yield from ask_relays_about(left, partial(_withdraw, courier=device.courier), device)


def _has_left(copy: SealedCopy) -> bool:
    """What was never posted needs no relay to be taken back: it can't leave any more."""
    return copy.departure is not Departure.WAITING


def _take_back(message: Message, copy: SealedCopy, status: Answer, device: Device) -> _Taken:
    if isinstance(status, EntrenousError):
        raise status
    left = _has_left(copy)
    if status is _NEVER_COMES and this_second(device) >= message.sent_at + _REMEMBERED:
        status = None  # or it was there once, and is forgotten
    opened = _was_opened(copy, status)
    ended_at = copy.ended_at or this_second(device)
    taken_back = replace(copy, state=EnvelopeState.TAKEN_BACK, opened=opened is True)
    taken_back = replace(taken_back, ended_at=ended_at)
    with device.vault.together():
        store_record(taken_back, SEALED, copy.envelope.hex(), device.vault)
        if copy.departure is Departure.TRIED and status is None:
            device.vault.put(OVERTAKEN, copy.envelope.hex(), b"")
        # Also of one whose relay says that it never came, or that it refused it: relays can lie,
        # and it may still be on its way there.
        tell = is_ready(device) and (left or opened is not False)
        note = _tell(message, copy, device) if tell else None
    return _Taken(copy.to, opened, note)


def recall_late_copies(device: Device) -> None:
    """Take back what was on its way to its relay when it was taken back, once it has come there,
    and what a relay that was away then did not hear of.

    A relay that does not know it for an hour is not asked again, nor one that stays away until it
    could know nothing of it any more.
    """
    copies = list[SealedCopy]()
    for key in device.vault.keys(OVERTAKEN):
        copy = load_record(SealedCopy, SEALED, key, device.vault)
        if copy is None:
            device.vault.drop(OVERTAKEN, key)
        else:
            copies.append(copy)
    for copy, answer in ask_relays_about(
        copies, partial(_withdraw, courier=device.courier), device
    ):
        with suppress(Unreachable, Refused), device.vault.together():
            if copy.state is not EnvelopeState.TAKEN_BACK:
                _take_back_at_last(copy, answer, device)
            elif not isinstance(answer, EntrenousError):
                _settle_late(copy, answer, device)


def _take_back_at_last(copy: SealedCopy, answer: Answer, device: Device) -> None:
    try:
        message = device.ledger.read(copy.message)
    except UnknownMessage:  # it was called off
        device.vault.drop(OVERTAKEN, copy.envelope.hex())
        return
    away = isinstance(answer, EntrenousError)
    end = message.expires_at or message.sent_at
    if not away or believed_now(device) >= end + _REMEMBERED:
        device.vault.drop(OVERTAKEN, copy.envelope.hex())
    if not away:
        _take_back(message, copy, answer, device)


def _settle_late(copy: SealedCopy, status: EnvelopeStatus | None, device: Device) -> None:
    if status is not None and status is not _NEVER_COMES:
        opened = copy.opened or status.opened > 0
        came = replace(copy, departure=Departure.ACKNOWLEDGED, opened=opened)
        store_record(came, SEALED, copy.envelope.hex(), device.vault)
    elif status is None and believed_now(device) < _given_up_at(copy, device):
        return
    device.vault.drop(OVERTAKEN, copy.envelope.hex())


def _given_up_at(copy: SealedCopy, device: Device) -> datetime:
    return (copy.ended_at or this_second(device)) + _ON_ITS_WAY


def _withdraw(copy: SealedCopy, courier: Courier) -> EnvelopeStatus | None:
    """What its relay says of it; None when that knows nothing of it, now or any more."""
    try:
        return courier.withdraw(copy.relay_url, copy.envelope, copy.withdraw_token)
    except NoSuchEnvelope as why:
        is_refused = copy.departure is Departure.TRIED and "refused_until" in why.facts
        return _NEVER_COMES if is_refused else None
    except EntrenousError:
        if copy.departure is Departure.REFUSED:
            return None  # as it said before; a relay that is away can't be asked about it
        raise


def _was_opened(copy: SealedCopy, status: EnvelopeStatus | None) -> bool | None:
    """Whether it had been opened; None when the relay has forgotten it, or does not know it yet."""
    if copy.opened or (status is not None and status.opened > 0):
        return True
    known = status is not None or copy.departure in (Departure.WAITING, Departure.REFUSED)
    return False if known else None


def _tell(message: Message, copy: SealedCopy, device: Device) -> EnvelopeId | None:
    """Ask the recipient's program to forget it; None if we know no way to it any more."""
    to = addressee_of(copy.person, copy.device, device)
    if to is None or not has_session(to, device):
        return None
    outer = plain_outer(device)
    write_letter(RecallNote(message.id), to, outer, device)
    return outer.envelope
