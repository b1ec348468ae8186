"""Take a message back.

Before a copy is opened this holds by cryptography: the relay deletes its share of the key and the
sealed bytes, and nobody can open that copy any more. After it was opened, the recipient's program
is asked to forget it, and a person can have kept a picture of it.
"""

from dataclasses import dataclass, replace

from entrenous.model.envelope import EnvelopeState, EnvelopeStatus, NoSuchEnvelope
from entrenous.model.errors import EntrenousError
from entrenous.model.ids import EnvelopeId, RecipientId
from entrenous.model.message import (
    Departure,
    Message,
    NothingToTakeBack,
    NotTakenBackYet,
    Recall,
    SealedCopy,
    SentToYou,
)
from entrenous.model.notes import RecallNote
from entrenous.ports import Device
from entrenous.send.devices.self import is_ready
from entrenous.send.drawers import SEALED, lay
from entrenous.send.inbox import inbox_names
from entrenous.send.letter.write import addressee_of, plain_outer, write_letter
from entrenous.send.outbox import NOT_NOW, Flushed, drop_postings, flush
from entrenous.send.status import sealed_copies


def recall_message(name: str, device: Device) -> tuple[Recall, ...]:
    """Take back every copy of a message; one :class:`Recall` per copy says what that achieved.

    May be repeated: a copy that was taken back before stays so. What waited here does not leave any
    more, and a relay that does not answer keeps no other from taking its copies back.

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
    taken, problems = list[_Taken](), dict[RecipientId, EntrenousError]()
    for copy in copies:
        try:
            taken.append(_take_back(message, copy, device))
        except EntrenousError as error:
            problems[copy.to] = error
    flushed = flush(device)  # notes that can't leave now wait; the copies are taken back already
    if problems:
        why = next(iter(problems.values()))
        raise NotTakenBackYet(name=name, who=" and ".join(problems), why=why) from None
    return tuple(_outcome(one, flushed) for one in taken)


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


def _take_back(message: Message, copy: SealedCopy, device: Device) -> _Taken:
    with device.vault.together():
        drop_postings(copy.envelope, device)
    # What was never posted needs no relay to be taken back: it can't leave any more.
    left = copy.departure is not Departure.WAITING
    status = _withdraw(copy, device) if left else None
    opened = _was_opened(message, copy, status, device)
    taken_back = replace(copy, state=EnvelopeState.TAKEN_BACK, opened=opened is True)
    with device.vault.together():
        lay(taken_back, SEALED, copy.envelope.hex(), device.vault)
        # Also of one whose relay says that it never came, or that it refused it: relays can lie,
        # and it may still be on its way there.
        tell = is_ready(device) and (left or opened is not False)
        note = _tell(message, copy, device) if tell else None
    return _Taken(copy.to, opened, note)


def _withdraw(copy: SealedCopy, device: Device) -> EnvelopeStatus | None:
    try:
        return device.courier.withdraw(copy.relay_url, copy.envelope, copy.withdraw_token)
    except NoSuchEnvelope:
        # It never reached the relay, or its time there is long over: there is nothing to open.
        return None
    except EntrenousError:
        if copy.departure is Departure.REFUSED:
            return None  # as it said before; a relay that is away can't be asked about it
        raise


def _was_opened(
    message: Message, copy: SealedCopy, status: EnvelopeStatus | None, device: Device
) -> bool | None:
    """Whether it had been opened; None when the relay has forgotten it and we never knew."""
    if copy.opened or (status is not None and status.opened > 0):
        return True
    if status is not None or copy.departure in (Departure.WAITING, Departure.REFUSED):
        return False
    over = message.expires_at is not None and message.expires_at <= device.clock.now()
    return None if copy.acknowledged or over else False


def _tell(message: Message, copy: SealedCopy, device: Device) -> EnvelopeId | None:
    """Ask the recipient's program to forget it; None if we know no way to it any more."""
    to = addressee_of(copy.person, copy.device, device)
    if to is None:
        return None
    outer = plain_outer(device)
    write_letter(RecallNote(message.id), to, outer, device)
    return outer.envelope
