"""Find the people in a conversation from one of its messages, and name them."""

from collections.abc import Mapping, Sequence
from typing import Final

from entrenous.base.copies import join_names
from entrenous.base.identifiers import PersonId
from entrenous.base.language import plural, translatable, translated
from entrenous.device.device import Device
from entrenous.device.identities import contacts, own_device
from entrenous.device.sent_messages import CopyDelivery, SendState, UnknownMessage
from entrenous.send.inbox import received_message_named
from entrenous.send.message.states import ReceivedMessage
from entrenous.send.people.circles import MessageParticipants
from entrenous.send.status import copy_deliveries
from entrenous.wire.relay_nouns import EnvelopeState


def participants_of_message(name: str, device: Device) -> MessageParticipants:
    """Return the people in the conversation of a message that we sent or received.

    Once a received message can no longer be opened, only its sender is still known.

    Raises:
        UnknownMessage, DeviceWithoutRelay.
    """
    received = received_message_named(name, device)
    if received is not None:
        people = recipients_of_received(received) - {own_device(device).person.id}
        return MessageParticipants(received.name, people | {received.sender}, received.sender)
    sent = device.ledger.message_named(name)
    copies = copy_deliveries(sent, device)
    if not copies:  # marked for another channel, so it has no conversation
        raise UnknownMessage(name=name)
    return MessageParticipants(
        sent.name, frozenset(one.person for one in copies if _recipient_has_or_may_get(one))
    )


def contact_names_among(participants: MessageParticipants | None, device: Device) -> list[str]:
    """Return the names of the participants who are our contacts and not blocked."""
    people = frozenset[PersonId]() if participants is None else participants.people
    known = [one for one in contacts(device) if one.person.id in people]
    return [one.name for one in known if not one.blocked]


def _recipient_has_or_may_get(copy: CopyDelivery) -> bool:
    """Return whether the recipient has a copy or may still get it: the relay did not refuse it, and
    it was not recalled before it was opened.
    """
    refused = copy.departure is SendState.REFUSED
    recalled = copy.state is EnvelopeState.TAKEN_BACK
    return not refused and (copy.opened or not recalled)


def recipients_of_received(received: ReceivedMessage) -> frozenset[PersonId]:
    """Return the recipients that the sender listed, including us; empty once the message can no
    longer be opened.
    """
    if received.manifest is None:
        return frozenset()
    return frozenset(person for person, _ in received.manifest.audience)


STRANGER_LABEL: Final = translatable("somebody")


def other_recipients(
    received: ReceivedMessage, me: PersonId, names: Mapping[PersonId, str]
) -> list[str]:
    """Return the names of a message's other recipients, according to its sender, known people
    first.
    """
    others = recipients_of_received(received) - {me, received.sender}
    called = [names.get(person, STRANGER_LABEL) for person in others]
    return sorted(called, key=lambda name: (name == STRANGER_LABEL, name))


def other_recipients_in_words(names: Sequence[str]) -> str:
    """Return the words that say who else got the message, given the other recipients' names."""
    known = [name for name in names if name != STRANGER_LABEL]
    strangers = len(names) - len(known)
    if known:
        return translated("also to {names}").format(names=join_names(known, strangers))
    return plural(
        "also to {count} person whom you do not know",
        "also to {count} people whom you do not know",
        strangers,
    )
