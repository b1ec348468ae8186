"""Which people a conversation has, by one of its messages."""

from entrenous.model.circle import Conversation
from entrenous.model.ids import PersonId
from entrenous.model.message import UnknownMessage
from entrenous.model.received import Received
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
            people = _who_got(received) - {who_am_i(device).person.id}
            return Conversation(received.name, people | {received.sender})
    sent = device.ledger.find(name)
    people = frozenset(copy.person for copy in sealed_copies(sent, device))
    if not people:  # it was marked for another channel, so it is in no conversation
        raise UnknownMessage(name=name)
    return Conversation(sent.name, people)


def names_in(conversation: Conversation | None, device: Device) -> list[str]:
    """What we call the people of a conversation whom we know and have not blocked."""
    people = frozenset[PersonId]() if conversation is None else conversation.people
    known = [one for one in contacts(device) if one.person.id in people]
    return [one.name for one in known if not one.blocked]


def _who_got(received: Received) -> frozenset[PersonId]:
    if received.manifest is None:
        return frozenset()
    return frozenset(person for person, _ in received.manifest.audience)
