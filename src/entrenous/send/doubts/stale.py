"""Reason: a device that was not heard of for weeks may lie in a drawer, or be in other hands."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from entrenous.model.person import Contact
from entrenous.model.talk import Talk
from entrenous.ports import Device
from entrenous.send.doubts.heard import ask_after, heard_at
from entrenous.send.doubts.scene import Scene
from entrenous.spec import STALE_DAYS

_STALE: Final = timedelta(days=STALE_DAYS)


def not_heard_of(contact: Contact, scene: Scene) -> Iterator[str]:
    """Asked once in three weeks, and only after its relay had nothing newer of it either."""
    if longest_silence(contact, scene.talks_with(contact), scene.now, scene.device) is None:
        return
    for key in contact.person.devices:
        if scene.now - heard_at(contact, key, scene.device) > _STALE:
            ask_after(contact, key, scene.device)
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
