"""Reasons: somebody new, and keys that were not compared."""

from collections.abc import Iterator, Sequence

from entrenous.model.person import Contact, Trust
from entrenous.model.talk import Talk
from entrenous.send.doubts.scene import Scene


def somebody_new(contact: Contact, scene: Scene) -> Iterator[str]:
    """Nothing was ever sent to them."""
    if not scene.talks_with(contact):
        yield f"this is the first message to {contact.name}"


def not_compared(contact: Contact, scene: Scene) -> Iterator[str]:
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
