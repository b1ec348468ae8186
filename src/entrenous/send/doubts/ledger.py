"""Reason: the words name somebody else, who got this very picture before (by the ledger)."""

import re
from collections.abc import Iterator

from entrenous.craft.fingerprint.distance import distance
from entrenous.craft.media.kind import medium_of
from entrenous.model.errors import of_file
from entrenous.model.fingerprint import Fingerprint
from entrenous.model.ids import PersonId
from entrenous.model.medium import Medium
from entrenous.model.message import Draft
from entrenous.model.person import Contact
from entrenous.ports import Device
from entrenous.send.acquaintance.people import as_seen
from entrenous.send.doubts.scene import Scene
from entrenous.spec import PDQ_QUALITY_MIN, PDQ_RADIUS


def meant_for_another(contact: Contact, scene: Scene) -> Iterator[str]:
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
    from entrenous.craft.fingerprint.picture import (  # noqa: PLC0415 - a text needs no NumPy
        fingerprint,
    )

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
