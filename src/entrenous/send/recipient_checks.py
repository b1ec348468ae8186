"""What the guard may find odd about a draft: one check for each reason (docs/spec/people.md,
section 2).

About one person: new, keys not compared, keys changed, not heard of for weeks, a name easily
mistaken. About a circle or a conversation: many at once, somebody new, somebody outside. About a
picture: the text names somebody else, who was sent this very picture before.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.copies import several
from entrenous.base.errors import of_file
from entrenous.base.identifiers import PersonId
from entrenous.base.identity import Contact, Trust
from entrenous.base.limits import PDQ_QUALITY_MIN, PDQ_RADIUS, STALE_DAYS
from entrenous.base.picture import Medium
from entrenous.device.device import Device
from entrenous.device.identities import as_seen
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.fingerprint.pdq import distance
from entrenous.media.file_kind import medium_of
from entrenous.send.message.draft import Draft
from entrenous.send.people.circles import Circle, circles
from entrenous.send.people.contact_history import Talk, ask_prekey_date, heard_at, messages_sent_to
from entrenous.send.people.similar_names import mixes_alphabets, resembles


@dataclass(frozen=True, slots=True)
class DraftContext:
    """A draft on its way to ``to``; ``known`` is everybody, ``talks`` the newest messages to each
    of its recipients, the oldest first; ``named`` are others whom its words name and who got one of
    its pictures; ``told`` are those of ``to`` who have the message that the draft belongs to by its
    sender's word alone.
    """

    draft: Draft
    to: tuple[Contact, ...]
    known: tuple[Contact, ...]
    circles: tuple[Circle, ...]
    talks: Mapping[PersonId, tuple[Talk, ...]]
    named: tuple[Contact, ...]
    told: tuple[Contact, ...]
    now: datetime
    device: Device

    def talks_with(self, contact: Contact) -> tuple[Talk, ...]:
        """The newest messages to one recipient."""
        return self.talks[contact.person.id]


def somebody_new(contact: Contact, scene: DraftContext) -> Iterator[str]:
    """Nothing was ever sent to them."""
    if not scene.talks_with(contact):
        yield f"this is the first message to {contact.name}"


def not_compared(contact: Contact, scene: DraftContext) -> Iterator[str]:
    """Whoever had the link may be in the place of somebody known by link: asked once, before the
    first picture, clip or voice note. Somebody unknown is asked about each time, since something
    has gone wrong there, and it is rare.
    """
    name = contact.name
    if contact.trust is Trust.UNKNOWN:
        yield f"{name}'s keys are unknown: compare them before you send anything private"
    is_first = bool(scene.draft.files) and not had_media(contact, scene.talks_with(contact))
    if contact.trust is Trust.BY_LINK and is_first:
        yield (
            f"you know {name} by link only, and whoever read or changed that link on its way may "
            f"be in {name}'s place"
        )


def had_media(contact: Contact, talks: Sequence[Talk]) -> bool:
    """Whether a picture, clip or voice note went to them while they were known as they are now."""
    latest = [talk for talk in talks if talk.at == talks[-1].at]  # several in one second
    return any(talk.media and talk.trust is contact.trust for talk in latest)


def keys_changed(contact: Contact, scene: DraftContext) -> Iterator[str]:
    """Somebody else may hold the new device, or stand in between."""
    talks = scene.talks_with(contact)
    if not talks:
        return
    last = talks[-1]
    if {key.device for key in contact.person.devices} - last.devices:
        yield f"{contact.name} has a device that you have not sent anything to"
    if last.trust is Trust.COMPARED and not contact.compared:
        yield f"{contact.name}'s keys do not count as compared any more"


_STALE: Final = timedelta(days=STALE_DAYS)


def not_heard_of(contact: Contact, scene: DraftContext) -> Iterator[str]:
    """Asked once in three weeks, and only after its relay had nothing newer of it either."""
    if longest_silence(contact, scene.talks_with(contact), scene.now, scene.device) is None:
        return
    for key in contact.person.devices:
        if scene.now - heard_at(contact, key, scene.device) > _STALE:
            ask_prekey_date(contact, key, scene.device)
    silent = longest_silence(contact, scene.talks_with(contact), scene.now, scene.device)
    if silent is not None:
        yield f"a device of {contact.name} was not heard of for {silent.days} days"


def longest_silence(
    contact: Contact, talks: tuple[Talk, ...], now: datetime, device: Device
) -> timedelta | None:
    """How long a device of theirs has been silent; None if none has, or that was asked about."""
    silent = max(now - heard_at(contact, key, device) for key in contact.person.devices)
    asked_at = talks[-1].asked_at if talks else None
    # A clock that was ahead when it was asked must not keep it from being asked again.
    asked = asked_at is not None and timedelta() <= now - asked_at <= _STALE
    return None if asked or silent <= _STALE else silent


_WAY_OUT: Final = "to tell them apart: entrenous person rename"


def easily_taken(contact: Contact, scene: DraftContext) -> Iterator[str]:
    """Whom we call nearly so could be meant, unless this belongs to a conversation with them in
    which something of ours went to them before.

    How often one writes to somebody proves nothing: a slip takes the very name that is usual.
    """
    if _belongs(contact, scene):
        return
    for other in scene.known:
        if other.person.id != contact.person.id and resembles(contact.name, other.name):
            yield f"{contact.name} is easily taken for {other.name} ({_WAY_OUT})"


def in_two_alphabets(contact: Contact, scene: DraftContext) -> Iterator[str]:
    """A word in two alphabets that share their forms is made to look like another one; whom that
    one belongs to we need not know yet.
    """
    if not _belongs(contact, scene) and mixes_alphabets(contact.name):
        yield f"{contact.name} is written in letters of two alphabets ({_WAY_OUT})"


def _belongs(contact: Contact, scene: DraftContext) -> bool:
    within = scene.draft.within
    if not scene.talks_with(contact):
        return False  # who is new may have chosen her name, and begun the conversation
    return within is not None and contact.person.id in within.people


def goes_to_many(circle: Circle, scene: DraftContext) -> Iterator[str]:
    """Always odd, unless the draft belongs to a conversation of these very people."""
    within = scene.draft.within
    if within is not None and within.people == _present(circle, scene):
        return
    count = len(_present(circle, scene))
    people = "1 person" if count == 1 else f"{count} people"
    yield f"{circle.name} is a circle: this goes to {people}"
    if within is not None:
        yield f"{circle.name} is not the conversation of {within.message}"


def unknown_here(circle: Circle, scene: DraftContext) -> Iterator[str]:
    """Whoever another device of ours put into it, and has not told this one of yet."""
    unknown = set(circle.people) - {one.person.id for one in scene.known}
    if unknown:
        who = "1 person in it is" if len(unknown) == 1 else f"{len(unknown)} people in it are"
        yield f"{who} not known on this device yet, and will get nothing"


def new_in_it(circle: Circle, scene: DraftContext) -> Iterator[str]:
    """Whoever came in since something was last sent to this circle."""
    if not circle.sent_to:
        return
    for contact in scene.to:
        if contact.person.id in set(circle.people) - circle.sent_to:
            yield f"{contact.name} is new in {circle.name}"


def _present(circle: Circle, scene: DraftContext) -> frozenset[bytes]:
    return frozenset(one.person.id for one in scene.to if one.person.id in circle.people)


def not_in_it(contact: Contact, scene: DraftContext) -> Iterator[str]:
    """They have never seen the message that this one goes with."""
    within = scene.draft.within
    if within is not None and contact.person.id not in within.people:
        yield f"{contact.name} is not in the conversation of {within.message}"


def put_there_by_its_sender(contact: Contact, scene: DraftContext) -> Iterator[str]:
    """Said once for all of them: whoever sends a message says who else has it, and an answer goes
    to these people as well.
    """
    within = scene.draft.within
    if within is None or not scene.told or scene.told[0] is not contact:
        return
    shown = several([one.name for one in scene.told])
    sender = next(
        (one.name for one in scene.known if one.person.id == within.told_by), "its sender"
    )
    yield f"this goes to {shown} too, who as {sender} says got {within.message}"


def told_of(draft: Draft, to: Sequence[Contact], device: Device) -> tuple[Contact, ...]:
    """Recipients who have the message that the draft belongs to by its sender's word alone: nothing
    of ours went to both, and no circle of ours has both.
    """
    within = draft.within
    if within is None or within.told_by is None:
        return ()
    sender = within.told_by
    ours = {talk.message for talk in messages_sent_to(sender, device)}
    around = [set(one.people) for one in circles(device.vault) if sender in one.people]
    return tuple(
        one
        for one in to
        if one.person.id in within.people - {sender}
        and not any(one.person.id in people for people in around)
        and ours.isdisjoint(talk.message for talk in messages_sent_to(one.person.id, device))
    )


def meant_for_another(contact: Contact, scene: DraftContext) -> Iterator[str]:
    """A picture that went to Ben, with words that name Ben, is on its way to Cara."""
    for other in scene.named:
        yield f"the words name {other.name}, who got this picture; this goes to {contact.name}"


def named_who_had_it(
    draft: Draft, to: tuple[Contact, ...], known: tuple[Contact, ...], device: Device
) -> tuple[Contact, ...]:
    """Whom the words name, who is no recipient and got one of the pictures before.

    Raises:
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp: only when the words name somebody.
    """
    words = as_seen(draft.words or "")
    going = {one.person.id for one in to}
    named = [one for one in known if one.person.id not in going and _are_in(words, one)]
    if not named:
        return ()  # an ordinary message: no picture is decoded for it, and no ledger read
    files = enumerate(draft.files)
    pictures = [(place, data) for place, data in files if medium_of(data) is Medium.PICTURE]
    had = _who_had([_look(*one, device) for one in pictures], device)
    return tuple(one for one in named if one.person.id in had)


def _look(place: int, untrusted_data: bytes, device: Device) -> Fingerprint:
    from entrenous.fingerprint.pdq import fingerprint  # noqa: PLC0415 - loads OpenCV

    with of_file(place):
        return fingerprint(device.read_picture(untrusted_data))


def _are_in(words: str, contact: Contact) -> bool:
    """Whether the words hold a person's name, or the first word of it, by itself."""
    names = (as_seen(contact.name), as_seen(contact.first_name)) if words else ()
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words) for name in names)


def _who_had(looks: list[Fingerprint], device: Device) -> set[PersonId | None]:
    sent = (picture for message in device.ledger.messages() for picture in message.pictures)
    alike = (one for one in sent if any(_alike(one.fingerprint, look) for look in looks))
    return {copy.person for one in alike for copy in one.copies}


def _alike(one: Fingerprint, other: Fingerprint) -> bool:
    flat = min(one.quality, other.quality) < PDQ_QUALITY_MIN  # these look like each other anyway
    return not flat and distance(one, other) <= PDQ_RADIUS
