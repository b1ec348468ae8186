"""The guard's checks of a draft (send/guard.py; docs/spec/people.md, section 2), one function per
reason. Each yields its warnings: sentences that say why a recipient may be the wrong one.

A person may be new, have keys that were not compared or that changed, have a device that was silent
for weeks, or have a name that is easily mistaken for another. A circle may have new members, and a
draft may go to somebody outside of its conversation. The text may name somebody who is not a
recipient but got the same picture before.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.copies import join_names
from entrenous.base.errors import note_error_file_index
from entrenous.base.identifiers import PersonId
from entrenous.base.identity import Contact, Trust
from entrenous.base.language import plural, translatable, translated
from entrenous.base.limits import PDQ_QUALITY_MIN, PDQ_RADIUS_BITS, SILENT_DEVICE_DAYS
from entrenous.base.picture import MediaKind
from entrenous.device.device import Device
from entrenous.device.identities import comparable_name
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.media.file_kind import media_kind_of
from entrenous.send.message.draft import Draft
from entrenous.send.people.circles import Circle, circles
from entrenous.send.people.contact_history import (
    SentRecord,
    last_heard_at,
    latest_messages_sent_to,
    update_last_heard_from_prekey,
)
from entrenous.send.people.similar_names import are_names_similar, mixes_alphabets


@dataclass(frozen=True, slots=True)
class DraftContext:
    """A draft, and the data that its checks need.

    ``known`` are all contacts; ``sent_records`` are the latest messages to each recipient, oldest
    first. ``named_in_text`` are people who are not recipients, but are named in the text and got
    one of the pictures before. ``claimed`` are recipients of whom we know only from the sender of
    the answered message that they have this message.
    """

    draft: Draft
    to: tuple[Contact, ...]
    known: tuple[Contact, ...]
    circles: tuple[Circle, ...]
    sent_records: Mapping[PersonId, tuple[SentRecord, ...]]
    named_in_text: tuple[Contact, ...]
    claimed: tuple[Contact, ...]
    now: datetime
    device: Device

    def latest_messages_to_contact(self, contact: Contact) -> tuple[SentRecord, ...]:
        return self.sent_records[contact.person.id]


def check_first_message(contact: Contact, context: DraftContext) -> Iterator[str]:
    if not context.latest_messages_to_contact(contact):
        yield translated("this is the first message to {name}").format(name=contact.name)


def check_trust(contact: Contact, context: DraftContext) -> Iterator[str]:
    """Yield a warning for keys that only an invite link vouches for (known by link), or
    unknown keys.

    Somebody else may have used the link, so this asks once, before the first picture, clip or voice
    note. Unknown keys are rare and a sign of trouble, so this asks about them each time.
    """
    name = contact.name
    if contact.trust is Trust.UNKNOWN:
        yield translated(
            "{name}'s keys are unknown: compare them before you send anything private"
        ).format(name=name)
    is_first = bool(context.draft.files) and not had_media_at_current_trust(
        contact, context.latest_messages_to_contact(contact)
    )
    if contact.trust is Trust.BY_LINK and is_first:
        yield (
            translated(
                "you know {name} by link only, and somebody who read or changed that link on "
                "its way may be in {name}'s place"
            ).format(name=name)
        )


def had_media_at_current_trust(contact: Contact, sent_records: Sequence[SentRecord]) -> bool:
    """Return whether a picture, clip or voice note was sent to the contact at their present trust
    level.
    """
    latest = [
        sent_record for sent_record in sent_records if sent_record.at == sent_records[-1].at
    ]  # several messages may have the same time
    return any(sent_record.media and sent_record.trust is contact.trust for sent_record in latest)


def check_changed_keys(contact: Contact, context: DraftContext) -> Iterator[str]:
    """Yield a warning for new devices or lost trust: somebody else may have the device, or be an
    attacker in the middle.
    """
    sent_records = context.latest_messages_to_contact(contact)
    if not sent_records:
        return
    last = sent_records[-1]
    if {key.device for key in contact.person.devices} - last.devices:
        yield translated("{name} has a device that you have not sent anything to").format(
            name=contact.name
        )
    if last.trust is Trust.COMPARED and not contact.compared:
        yield translated("{name}'s keys no longer count as compared").format(name=contact.name)


_SILENCE_LIMIT: Final = timedelta(days=SILENT_DEVICE_DAYS)


def check_silent_devices(contact: Contact, context: DraftContext) -> Iterator[str]:
    """Yield a warning for a device that has been silent for three weeks, unless its relay shows
    that it has been used since. Ask only once in three weeks.
    """
    if (
        device_silence_to_ask_about(
            contact, context.latest_messages_to_contact(contact), context.now, context.device
        )
        is None
    ):
        return
    for key in contact.person.devices:
        if context.now - last_heard_at(contact, key, context.device) > _SILENCE_LIMIT:
            update_last_heard_from_prekey(contact, key, context.device)
    silent = device_silence_to_ask_about(
        contact, context.latest_messages_to_contact(contact), context.now, context.device
    )
    if silent is not None:
        yield translated("a device of {name} has been silent for {days} days").format(
            name=contact.name, days=silent.days
        )


def device_silence_to_ask_about(
    contact: Contact, sent_records: tuple[SentRecord, ...], now: datetime, device: Device
) -> timedelta | None:
    """Return how long the contact's most silent device has been silent, for the guard to ask about.

    Return None if no device is silent, or if the guard asked about this contact's devices in the
    last three weeks.
    """
    silent = max(now - last_heard_at(contact, key, device) for key in contact.person.devices)
    asked_at = sent_records[-1].asked_at if sent_records else None
    # If the clock was ahead when the guard asked, it asks again.
    asked = asked_at is not None and timedelta() <= now - asked_at <= _SILENCE_LIMIT
    return None if asked or silent <= _SILENCE_LIMIT else silent


SIMILAR_NAMES_SENTENCE: Final = translatable("{name} is easily mistaken for {other} ({hint})")
_RENAME_HINT: Final = translatable("to tell them apart: entrenous person rename")


def check_similar_names(contact: Contact, context: DraftContext) -> Iterator[str]:
    """Yield a warning for each contact with a similar name.

    There is no warning if the draft belongs to a conversation that the recipient is in, and
    something was sent to the recipient before. Frequent contacts are not excepted, since people
    often type the usual name by mistake.
    """
    if _had_message_in_conversation(contact, context):
        return
    for other in context.known:
        if other.person.id != contact.person.id and are_names_similar(contact.name, other.name):
            yield translated(SIMILAR_NAMES_SENTENCE).format(
                name=contact.name, other=other.name, hint=translated(_RENAME_HINT)
            )


def check_mixed_alphabets(contact: Contact, context: DraftContext) -> Iterator[str]:
    """Yield a warning for a word that mixes look-alike alphabets, since it may imitate another
    name. The exception is that of :func:`check_similar_names`.
    """
    if not _had_message_in_conversation(contact, context) and mixes_alphabets(contact.name):
        yield translated("{name} is written in letters of two alphabets ({hint})").format(
            name=contact.name, hint=translated(_RENAME_HINT)
        )


def _had_message_in_conversation(contact: Contact, context: DraftContext) -> bool:
    within = context.draft.within
    if not context.latest_messages_to_contact(contact):
        return False  # a new person may have chosen this name and begun the conversation
    return within is not None and contact.person.id in within.people


def check_circle(circle: Circle, context: DraftContext) -> Iterator[str]:
    """Yield a warning for every circle, unless the draft belongs to a conversation of exactly those
    members who are recipients.
    """
    within = context.draft.within
    if within is not None and within.people == _circle_members_addressed(circle, context):
        return
    count = len(_circle_members_addressed(circle, context))
    yield plural(
        "{name} is a circle: this goes to {count} person",
        "{name} is a circle: this goes to {count} people",
        count,
    ).format(name=circle.name)
    if within is not None:
        yield translated("{name} is not the circle of the conversation of {message}").format(
            name=circle.name, message=within.message
        )


def check_unknown_members(circle: Circle, context: DraftContext) -> Iterator[str]:
    """Yield a warning for members that another device of ours added and this one does not know."""
    unknown = set(circle.people) - {one.person.id for one in context.known}
    if unknown:
        yield plural(
            "{count} person in it is not known on this device yet, and will get nothing",
            "{count} people in it are not known on this device yet, and will get nothing",
            len(unknown),
        )


def check_new_members(circle: Circle, context: DraftContext) -> Iterator[str]:
    """Yield a warning for members added since something was last sent to this circle."""
    if not circle.sent_to:
        return
    for contact in context.to:
        if contact.person.id in set(circle.people) - circle.sent_to:
            yield translated("{name} is new in {circle}").format(
                name=contact.name, circle=circle.name
            )


def _circle_members_addressed(circle: Circle, context: DraftContext) -> frozenset[bytes]:
    return frozenset(one.person.id for one in context.to if one.person.id in circle.people)


def check_outside_conversation(contact: Contact, context: DraftContext) -> Iterator[str]:
    """Yield a warning for a recipient who neither sent nor received the message that the draft
    belongs to.
    """
    within = context.draft.within
    if within is not None and contact.person.id not in within.people:
        yield translated("{name} is not in the conversation of {message}").format(
            name=contact.name, message=within.message
        )


def check_sender_claimed_recipients(contact: Contact, context: DraftContext) -> Iterator[str]:
    """Yield one warning for all recipients of whom only the sender of the answered message says
    that they have this message too.
    """
    within = context.draft.within
    if within is None or not context.claimed or context.claimed[0] is not contact:
        return
    shown = join_names([one.name for one in context.claimed])
    sender = next(
        (one.name for one in context.known if one.person.id == within.claimed_by),
        translated("its sender"),
    )
    yield translated(
        "this message also goes to {shown}: according to {sender}, {message} went there too"
    ).format(shown=shown, message=within.message, sender=sender)


def sender_claimed_recipients(
    draft: Draft, to: Sequence[Contact], device: Device
) -> tuple[Contact, ...]:
    """Return the recipients of whom we know only from the sender of the answered message that they
    have this message.

    For such a recipient, none of our latest messages went to both the recipient and the sender, and
    none of our circles has both of them.
    """
    within = draft.within
    if within is None or within.claimed_by is None:
        return ()
    sender = within.claimed_by
    ours = {sent_record.message for sent_record in latest_messages_sent_to(sender, device)}
    around = [set(one.people) for one in circles(device.vault) if sender in one.people]
    return tuple(
        one
        for one in to
        if one.person.id in within.people - {sender}
        and not any(one.person.id in people for people in around)
        and ours.isdisjoint(
            sent_record.message for sent_record in latest_messages_sent_to(one.person.id, device)
        )
    )


def check_others_named_in_text(contact: Contact, context: DraftContext) -> Iterator[str]:
    """Yield a warning if the text names a person who is not a recipient, but got one of the
    pictures before.
    """
    for other in context.named_in_text:
        yield translated(
            "the text names {other}, who already got this picture, but this message goes to {name}"
        ).format(other=other.name, name=contact.name)


def former_recipients_named(
    draft: Draft, to: tuple[Contact, ...], known: tuple[Contact, ...], device: Device
) -> tuple[Contact, ...]:
    """Return the people whom the text names and who got one of the pictures before, but are not
    recipients.

    Raises:
        NotAPicture, IncompletePicture, TooManyPixels, PictureDecodingFailed: only if the text names
            somebody.
    """
    words = comparable_name(draft.text_or_caption or "")
    going = {one.person.id for one in to}
    named = [one for one in known if one.person.id not in going and _is_named_in(words, one)]
    if not named:
        return ()  # an ordinary message: nothing is decoded, the ledger is not read
    files = enumerate(draft.files)
    pictures = [(place, data) for place, data in files if media_kind_of(data) is MediaKind.PICTURE]
    had = _recipients_of([_fingerprint_of(*one, device) for one in pictures], device)
    return tuple(one for one in named if one.person.id in had)


def _fingerprint_of(place: int, untrusted_data: bytes, device: Device) -> Fingerprint:
    from entrenous.fingerprint.pdq import fingerprint  # noqa: PLC0415 - loads OpenCV

    with note_error_file_index(place):
        return fingerprint(device.read_picture(untrusted_data))


def _is_named_in(words: str, contact: Contact) -> bool:
    """Return whether the text contains a person's name, or its first word, as a whole word."""
    names = (comparable_name(contact.name), comparable_name(contact.first_name)) if words else ()
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words) for name in names)


def _recipients_of(fingerprints: list[Fingerprint], device: Device) -> set[PersonId | None]:
    sent = (picture for message in device.ledger.messages() for picture in message.pictures)
    alike = (
        one
        for one in sent
        if any(_do_fingerprints_match(one.fingerprint, sought) for sought in fingerprints)
    )
    return {copy.person for one in alike for copy in one.copies}


def _do_fingerprints_match(one: Fingerprint, other: Fingerprint) -> bool:
    from entrenous.fingerprint.pdq import distance  # noqa: PLC0415 - loads NumPy

    # flat pictures all look alike, so they are not compared
    flat = min(one.quality, other.quality) < PDQ_QUALITY_MIN
    return not flat and distance(one, other) <= PDQ_RADIUS_BITS
