"""Which people a conversation has, by one of its messages."""

from entrenous.model.circle import Conversation
from entrenous.model.envelope import EnvelopeState
from entrenous.model.ids import PersonId
from entrenous.model.message import UnknownMessage
from entrenous.model.received import Received
from entrenous.model.sealed_copy import Departure, SealedCopy
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contacts
from entrenous.send.devices.self import who_am_i
from entrenous.send.inbox import received_messages
from entrenous.send.status import sealed_copies


def conversation_of(name: str, device: Device) -> Conversation:
    """The conversation of a message that we sent or received.

    Of a received one that has ended nothing is known but its sender.

    Raises:
        UnknownMessage, OfflineDevice.
    """
    for received in received_messages(device):
        if received.name == name:
            people = who_got(received) - {who_am_i(device).person.id}
            return Conversation(received.name, people | {received.sender}, received.sender)
    sent = device.ledger.find(name)
    copies = sealed_copies(sent, device)
    if not copies:  # it was marked for another channel, so it is in no conversation
        raise UnknownMessage(name=name)
    return Conversation(sent.name, frozenset(one.person for one in copies if _may_have_it(one)))


def names_in(conversation: Conversation | None, device: Device) -> list[str]:
    """What we call the people of a conversation whom we know and have not blocked."""
    people = frozenset[PersonId]() if conversation is None else conversation.people
    known = [one for one in contacts(device) if one.person.id in people]
    return [one.name for one in known if not one.blocked]


def _may_have_it(copy: SealedCopy) -> bool:
    """Not what never left, or was taken back before anybody saw it."""
    refused = copy.departure is Departure.REFUSED
    back = copy.state is EnvelopeState.TAKEN_BACK
    return not refused and (copy.opened or not back)


def who_got(received: Received) -> frozenset[PersonId]:
    """Whom its sender says that it went to, us included; nobody once it has ended."""
    if received.manifest is None:
        return frozenset()
    return frozenset(person for person, _ in received.manifest.audience)
