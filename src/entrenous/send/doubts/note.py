"""Note what was sent to whom, for the guard of the next message."""

from dataclasses import replace

from entrenous.model.ids import MessageId, PersonId
from entrenous.model.message import Draft, Message
from entrenous.model.person import Contact
from entrenous.model.talk import Talk
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contacts_named
from entrenous.send.circle.kept import circles, circles_of, keep_circle
from entrenous.send.doubts.person import had_media
from entrenous.send.doubts.stale import longest_silence
from entrenous.send.doubts.talks import call_talks_off, keep_talk, talks_with


def note_sent(message: Message, draft: Draft, device: Device) -> None:
    """Remember a message that the guard let pass; call it in the transaction that records it."""
    to = contacts_named(draft.to, device)
    for contact in to:
        keep_talk(contact.person.id, _talk(message, draft, contact, device), device)
    going = {contact.person.id for contact in to}
    for circle in circles_of(draft.circles, device.vault):
        sent_to = frozenset[PersonId](going.intersection(circle.people))
        before, last = circle.sent_to, message.id
        noted = replace(circle, sent_to=sent_to, sent_last=last, sent_before=before)
        keep_circle(noted, device.vault)


def forget_sent(message: MessageId, device: Device) -> None:
    """A message never left after all: who was new, or new in a circle, still is."""
    call_talks_off(message, device)
    for circle in circles(device.vault):
        if circle.sent_last == message:
            again = replace(circle, sent_to=circle.sent_before, sent_last=None)
            keep_circle(again, device.vault)


def _talk(message: Message, draft: Draft, contact: Contact, device: Device) -> Talk:
    talks, now = talks_with(contact.person.id, device), device.clock.now()
    before = talks[-1].asked_at if talks else None
    asked = longest_silence(contact, talks, now, device) is not None
    devices = frozenset(key.device for key in contact.person.devices)
    return Talk(
        at=message.sent_at,
        message=message.id,
        devices=devices,
        trust=contact.trust,
        media=bool(draft.files) or had_media(contact, talks),
        asked_at=now if asked else before,
    )
