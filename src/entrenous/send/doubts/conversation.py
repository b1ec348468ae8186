"""Reason: somebody who is not in the conversation that the draft belongs to."""

from collections.abc import Iterator

from entrenous.model.person import Contact
from entrenous.send.doubts.scene import Scene


def not_in_it(contact: Contact, scene: Scene) -> Iterator[str]:
    """They have never seen the message that this one goes with."""
    within = scene.draft.within
    if within is not None and contact.person.id not in within.people:
        yield f"{contact.name} is not in the conversation of {within.message}"
