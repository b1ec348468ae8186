"""Find the people in a conversation from one of its messages; record sent messages per person."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from entrenous.base.copies import join_names
from entrenous.base.identifiers import MessageId, PersonId
from entrenous.base.identity import Contact
from entrenous.base.language import plural, translatable, translated
from entrenous.device.device import Device
from entrenous.device.identities import contacts, own_device
from entrenous.device.sent_messages import Message, SealedCopy, SendState, UnknownMessage
from entrenous.send.inbox import received_named
from entrenous.send.message.draft import Draft
from entrenous.send.message.states import Received
from entrenous.send.people.circles import Conversation, circles, circles_by_id, store_circle
from entrenous.send.people.contact_history import (
    SentRecord,
    add_sent_record,
    forget_cancelled_message,
    messages_sent_to,
)
from entrenous.send.people.keep_contacts import contacts_named
from entrenous.send.recipient_checks import had_media_at_current_trust, longest_device_silence
from entrenous.send.status import sealed_copies
from entrenous.wire.relay_nouns import EnvelopeState


def conversation_of(name: str, device: Device) -> Conversation:
    """Return the conversation of a message that we sent or received.

    Once a received message has ended, only its sender is still known.

    Raises:
        UnknownMessage, DeviceWithoutRelay.
    """
    received = received_named(name, device)
    if received is not None:
        people = recipients_of_received(received) - {own_device(device).person.id}
        return Conversation(received.name, people | {received.sender}, received.sender)
    sent = device.ledger.message_named(name)
    copies = sealed_copies(sent, device)
    if not copies:  # marked for another channel, so it has no conversation
        raise UnknownMessage(name=name)
    return Conversation(
        sent.name, frozenset(one.person for one in copies if _may_recipient_have(one))
    )


def contact_names_in(conversation: Conversation | None, device: Device) -> list[str]:
    """Return the names of the people in a conversation who are our contacts and not blocked."""
    people = frozenset[PersonId]() if conversation is None else conversation.people
    known = [one for one in contacts(device) if one.person.id in people]
    return [one.name for one in known if not one.blocked]


def _may_recipient_have(copy: SealedCopy) -> bool:
    """Return whether the recipient may have a copy.

    The copy has left this device, and was not recalled before it was opened.
    """
    refused = copy.departure is SendState.REFUSED
    recalled = copy.state is EnvelopeState.TAKEN_BACK
    return not refused and (copy.opened or not recalled)


def recipients_of_received(received: Received) -> frozenset[PersonId]:
    """Return the recipients that the sender listed, including us; empty once the message has
    ended.
    """
    if received.manifest is None:
        return frozenset()
    return frozenset(person for person, _ in received.manifest.audience)


STRANGER_LABEL: Final = translatable("somebody")


def other_recipients(received: Received, me: PersonId, names: Mapping[PersonId, str]) -> list[str]:
    """Return the names of a message's other recipients, according to its sender, known people
    first.
    """
    others = recipients_of_received(received) - {me, received.sender}
    called = [names.get(person, STRANGER_LABEL) for person in others]
    return sorted(called, key=lambda name: (name == STRANGER_LABEL, name))


def other_recipients_in_words(names: Sequence[str]) -> str:
    """Return the sentence that says who else has a message, and gets a reply to it."""
    known = [name for name in names if name != STRANGER_LABEL]
    strangers = len(names) - len(known)
    if known:
        return translated("also to {names}").format(names=join_names(known, strangers))
    return plural(
        "also to {count} person whom you do not know",
        "also to {count} people whom you do not know",
        strangers,
    )


def record_sent(message: Message, draft: Draft, device: Device) -> None:
    """Record a message whose recipients were checked (send/guard.py). Call it in the transaction
    that stores the message.
    """
    recipients = contacts_named(draft.to, device)
    for contact in recipients:
        add_sent_record(
            contact.person.id, _make_sent_record(message, draft, contact, device), device
        )
    recipient_ids = {contact.person.id for contact in recipients}
    for circle in circles_by_id(draft.circles, device.vault):
        sent_to = frozenset[PersonId](recipient_ids.intersection(circle.people))
        before, last = circle.sent_to, message.id
        updated = replace(circle, sent_to=sent_to, sent_last=last, sent_before=before)
        store_circle(updated, device.vault)


def undo_record_sent(message: MessageId, device: Device) -> None:
    """Undo :func:`record_sent` for a message that was not sent.

    People and circle members who were new before the message count as new again.
    """
    forget_cancelled_message(message, device)
    for circle in circles(device.vault):
        if circle.sent_last == message:
            restored = replace(circle, sent_to=circle.sent_before, sent_last=None)
            store_circle(restored, device.vault)


def _make_sent_record(
    message: Message, draft: Draft, contact: Contact, device: Device
) -> SentRecord:
    talks, now = messages_sent_to(contact.person.id, device), device.clock.now()
    before = talks[-1].asked_at if talks else None
    asked = longest_device_silence(contact, talks, now, device) is not None
    devices = frozenset(key.device for key in contact.person.devices)
    return SentRecord(
        at=message.sent_at,
        message=message.id,
        devices=devices,
        trust=contact.trust,
        media=bool(draft.files) or had_media_at_current_trust(contact, talks),
        asked_at=now if asked else before,
    )
