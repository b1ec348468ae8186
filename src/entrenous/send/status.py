"""What became of the messages that were sent."""

from dataclasses import dataclass, replace
from typing import Final

from entrenous.model.envelope import EnvelopeState, EnvelopeStatus
from entrenous.model.errors import EntrenousError
from entrenous.model.message import Message
from entrenous.model.relay_problem import NoSuchEnvelope
from entrenous.model.sealed_copy import SealedCopy
from entrenous.ports import Device
from entrenous.send.drawers import SEALED, lay, take_all

_ENDS: Final = (EnvelopeState.TAKEN_BACK, EnvelopeState.EXPIRED, EnvelopeState.REVOKED)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message and, per copy that went through a relay, where it is now.

    ``problems`` are what relays answered instead of telling; those copies are as they were known.
    """

    message: Message
    copies: tuple[SealedCopy, ...]
    problems: tuple[EntrenousError, ...] = ()


def sent_messages(device: Device) -> tuple[Sent, ...]:
    """Every message, oldest first, with what the relays say of its copies now; nothing is posted.

    A relay that does not answer, or refuses to, leaves the state that was known before.
    """
    return tuple(_sent(message, device) for message in device.ledger.messages())


def sealed_copies(message: Message, device: Device) -> tuple[SealedCopy, ...]:
    """The copies of a message that went, or will go, through a relay."""
    every = take_all(SealedCopy, SEALED, device.vault)
    return tuple(copy for copy in every if copy.message == message.id)


def _sent(message: Message, device: Device) -> Sent:
    copies, problems = list[SealedCopy](), list[EntrenousError]()
    for copy in sealed_copies(message, device):
        try:
            copies.append(_look(copy, device))
        except EntrenousError as problem:
            copies.append(copy)
            problems.append(problem)
    return Sent(message, tuple(copies), tuple(problems))


def _look(copy: SealedCopy, device: Device) -> SealedCopy:
    if copy.state in _ENDS or not copy.acknowledged:
        return copy
    try:
        status = device.courier.state(copy.relay_url, copy.envelope, copy.withdraw_token)
    except NoSuchEnvelope:
        # Its time there is long over; that it was opened, if it was, stays true.
        over = EnvelopeState.OPENED if copy.opened else EnvelopeState.EXPIRED
        status = EnvelopeStatus(over, opened=int(copy.opened))
    looked = replace(
        copy,
        state=status.state,
        opened=copy.opened or status.opened > 0,
        delivered_at=status.delivered_at or copy.delivered_at,
        opened_at=status.opened_at or copy.opened_at,
    )
    if looked != copy:
        lay(looked, SEALED, copy.envelope.hex(), device.vault)
    return looked
