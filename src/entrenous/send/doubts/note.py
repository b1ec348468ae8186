"""Note what was sent to whom, for the guard of the next message."""

from dataclasses import replace

from entrenous.model.ids import PersonId
from entrenous.model.message import Draft, Message
from entrenous.model.person import Contact
from entrenous.model.talk import Talk
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contacts_named
from entrenous.send.circle.kept import circles_of, keep_circle
from entrenous.send.doubts.stale import longest_silence
from entrenous.send.doubts.talks import keep_talk, talks_with


def note_sent(message: Message, draft: Draft, device: Device) -> None:
    """Remember a message that the guard let pass; call it in the transaction that records it."""
    to = contacts_named(draft.to, device)
    for contact in to:
        keep_talk(contact.person.id, _talk(message, contact, device), device)
    going = {contact.person.id for contact in to}
    for circle in circles_of(draft.circles, device.vault):
        sent_to = frozenset[PersonId](going.intersection(circle.people))
        keep_circle(replace(circle, sent_to=sent_to), device.vault)


def _talk(message: Message, contact: Contact, device: Device) -> Talk:
    talks, now = talks_with(contact.person.id, device), device.clock.now()
    before = talks[-1].asked_at if talks else None
    asked = longest_silence(contact, talks, now, device) is not None
    devices = frozenset(key.device for key in contact.person.devices)
    return Talk(message.sent_at, message.id, devices, contact.verified, now if asked else before)
