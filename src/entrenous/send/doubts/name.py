"""Reasons: a name that is easily taken for another one, or made to look like one."""

from collections.abc import Iterator
from typing import Final

from entrenous.model.person import Contact
from entrenous.send.doubts.alike import mixes_alphabets, resembles
from entrenous.send.doubts.scene import Scene

_WAY_OUT: Final = "to tell them apart: entrenous person rename"


def easily_taken(contact: Contact, scene: Scene) -> Iterator[str]:
    """Whom we call nearly so could be meant, unless this belongs to a conversation with them in
    which something of ours went to them before.

    How often one writes to somebody proves nothing: a slip takes the very name that is usual.
    """
    if _belongs(contact, scene):
        return
    for other in scene.known:
        if other.person.id != contact.person.id and resembles(contact.name, other.name):
            yield f"{contact.name} is easily taken for {other.name} ({_WAY_OUT})"


def in_two_alphabets(contact: Contact, scene: Scene) -> Iterator[str]:
    """A word in two alphabets that share their forms is made to look like another one; whom that
    one belongs to we need not know yet.
    """
    if not _belongs(contact, scene) and mixes_alphabets(contact.name):
        yield f"{contact.name} is written in letters of two alphabets ({_WAY_OUT})"


def _belongs(contact: Contact, scene: Scene) -> bool:
    within = scene.draft.within
    if not scene.talks_with(contact):
        return False  # who is new may have chosen her name, and begun the conversation
    return within is not None and contact.person.id in within.people
