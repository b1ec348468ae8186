"""Reasons: somebody new, and keys that were not compared."""

from collections.abc import Iterator

from entrenous.model.person import Contact
from entrenous.send.doubts.scene import Scene
from entrenous.spec import ORDINARY_AFTER


def somebody_new(contact: Contact, scene: Scene) -> Iterator[str]:
    """Nothing was ever sent to them."""
    if not scene.talks_with(contact):
        yield f"this is the first message to {contact.name}"


def not_compared(contact: Contact, scene: Scene) -> Iterator[str]:
    """Their keys are taken on trust; after three messages that were sent so the answer is known.

    A question that is asked for ever is answered without being read: then no other would be either.
    """
    on_trust = [talk for talk in scene.talks_with(contact) if not talk.verified]
    if not contact.verified and len(on_trust) < ORDINARY_AFTER:
        yield f"you have not compared {contact.name}'s keys yet"
