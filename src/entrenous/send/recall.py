"""Take a message back.

Before a copy is opened this holds by cryptography: the relay deletes its share of the key and the
sealed bytes, and nobody can open that copy any more. After it was opened, the recipient's program
is asked to forget it, and a person can have kept a picture of it.
"""

from contextlib import suppress
from dataclasses import replace

from entrenous.model.envelope import EnvelopeState, EnvelopeStatus, NoSuchEnvelope
from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.letter import RecallNote
from entrenous.model.message import Message, NothingToTakeBack, Recall, SealedCopy
from entrenous.ports import Device
from entrenous.send.drawers import SEALED, lay
from entrenous.send.letters import addressee_of, plain_outer, write_letter
from entrenous.send.outbox import drop_postings, flush
from entrenous.send.status import sealed_copies


def recall_message(name: str, device: Device) -> tuple[Recall, ...]:
    """Take back every copy of a message; one :class:`Recall` per copy says what that achieved.

    May be repeated: a copy that was taken back before stays so. What waited here does not leave any
    more, and a relay that does not answer keeps no other from taking its copies back.

    Raises:
        UnknownMessage, NothingToTakeBack; RelayUnreachable when one of the copies could not be
        taken back yet.
    """
    message = device.ledger.find(name)
    copies = sealed_copies(message, device)
    if not copies:
        raise NothingToTakeBack(name=name)
    recalls, problems = list[Recall](), list[EntrenousError]()
    for copy in copies:
        try:
            recalls.append(_take_back(message, copy, device))
        except EntrenousError as error:
            problems.append(error)
    with suppress(Unreachable):  # the notes wait in the outbox; the copies are taken back already
        flush(device)
    if problems:
        raise problems[0]
    return tuple(recalls)


def _take_back(message: Message, copy: SealedCopy, device: Device) -> Recall:
    with device.vault.together():
        drop_postings(copy.envelope, device)
    status = _withdraw(copy, device)
    taken_back = replace(copy, state=EnvelopeState.TAKEN_BACK)
    with device.vault.together():
        lay(taken_back, SEALED, copy.envelope.hex(), device.vault)
        if copy.acknowledged or status.opened > 0:
            _tell(message, copy, device)
    return Recall(copy.to, opened=status.opened > 0)


def _withdraw(copy: SealedCopy, device: Device) -> EnvelopeStatus:
    try:
        return device.courier.withdraw(copy.relay_url, copy.envelope, copy.withdraw_token)
    except NoSuchEnvelope:
        # It never reached the relay, or its time there is long over: there is nothing to open.
        return EnvelopeStatus(EnvelopeState.TAKEN_BACK, opened=0)


def _tell(message: Message, copy: SealedCopy, device: Device) -> None:
    """Ask the recipient's program to forget it."""
    to = addressee_of(copy.person, copy.device, device)
    if to is not None:
        write_letter(RecallNote(message.id), to, plain_outer(device), device)
