"""What became of the messages that were sent."""

from dataclasses import dataclass, replace

from entrenous.model.envelope import EnvelopeState, EnvelopeStatus, NoSuchEnvelope
from entrenous.model.errors import Unreachable
from entrenous.model.message import Message, SealedCopy
from entrenous.ports import Device
from entrenous.send.drawers import SEALED, lay, take_all


@dataclass(frozen=True, slots=True)
class Sent:
    """A message and, per copy that went through a relay, where it is now."""

    message: Message
    copies: tuple[SealedCopy, ...]


def sent_messages(device: Device) -> tuple[Sent, ...]:
    """Every message, oldest first, with what the relays say of its copies now.

    A relay that does not answer leaves the state that was known before.
    """
    return tuple(
        Sent(message, tuple(_look(copy, device) for copy in sealed_copies(message, device)))
        for message in device.ledger.messages()
    )


def sealed_copies(message: Message, device: Device) -> tuple[SealedCopy, ...]:
    """The copies of a message that went, or will go, through a relay."""
    every = take_all(SealedCopy, SEALED, device.vault)
    return tuple(copy for copy in every if copy.message == message.id)


def _look(copy: SealedCopy, device: Device) -> SealedCopy:
    if copy.state in (EnvelopeState.TAKEN_BACK, EnvelopeState.EXPIRED) or not copy.acknowledged:
        return copy
    try:
        status = device.courier.state(copy.relay_url, copy.envelope, copy.withdraw_token)
    except Unreachable:
        return copy
    except NoSuchEnvelope:
        status = EnvelopeStatus(EnvelopeState.EXPIRED, opened=0)
    looked = replace(copy, state=status.state)
    if looked != copy:
        lay(looked, SEALED, copy.envelope.hex(), device.vault)
    return looked
