"""The newest messages that went to each person, from which the guard knows what is ordinary.

Only some are kept: what is asked is whether there were any, and whether the last few were alike. It
is an index over the ledger, so that a guard that looks at 256 people need not read it all.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from entrenous.model.ids import MessageId, PersonId
from entrenous.model.message import Copy, Message
from entrenous.model.person import Contact, Trust
from entrenous.model.talk import Talk
from entrenous.ports import Device, Vault
from entrenous.send.drawers import CONTACT, SELF, TALK, lay, take

_KEPT: Final = 5  # so that those which are called off leave the one before
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INDEXED: Final = "talks-indexed"  # what was sent before there was this index is in it


def talks_with(person: PersonId, device: Device) -> tuple[Talk, ...]:
    """The newest messages to a person, the oldest of them first."""
    _index(device)
    keys = device.vault.keys(TALK, _key_of(person))
    found = (take(Talk, TALK, key, device.vault) for key in keys)
    return tuple(talk for talk in found if talk is not None)


def keep_talk(person: PersonId, talk: Talk, device: Device) -> None:
    """Remember a message to a person; call it in the transaction that records the message."""
    _index(device)
    _put(person, talk, device.vault)


def forget_talks(person: PersonId, vault: Vault) -> None:
    """Forget what was sent to a person: should we meet again, they are new."""
    for key in vault.keys(TALK, _key_of(person)):
        vault.drop(TALK, key)


def call_talks_off(message: MessageId, device: Device) -> None:
    """Forget a message that was called off before any of it left."""
    for key in device.vault.keys(TALK):
        if key.endswith(message.hex()):
            device.vault.drop(TALK, key)


def copies_of(message: Message) -> Iterator[Copy]:
    """Every copy that was made of a message's parts."""
    for picture in message.pictures:
        yield from picture.copies
    for clip in message.clips:
        yield from clip.copies
    for sound in message.sounds:
        yield from sound.copies


def _index(device: Device) -> None:
    """Once, if anything was sent before."""
    if device.vault.get(SELF, _INDEXED) is not None:
        return
    for message in device.ledger.messages():
        for person, talk in _talks_of(message, device.vault):
            _put(person, talk, device.vault)
        device.vault.put(SELF, _INDEXED, b"")


def _talks_of(message: Message, vault: Vault) -> Iterator[tuple[PersonId, Talk]]:
    copies = tuple(copies_of(message))
    for person in {copy.person for copy in copies if copy.person is not None}:
        devices = {copy.device for copy in copies if copy.person == person}
        known = frozenset(one for one in devices if one is not None)
        contact = take(Contact, CONTACT, person.hex(), vault)
        trust = Trust.UNKNOWN if contact is None else contact.trust
        yield person, Talk(message.sent_at, message.id, known, trust, media=True)


def _put(person: PersonId, talk: Talk, vault: Vault) -> None:
    start = _key_of(person)
    microseconds = (talk.at - _EPOCH) // timedelta(microseconds=1)
    lay(talk, TALK, f"{start}{microseconds:018d} {talk.message.hex()}", vault)
    for old in vault.keys(TALK, start)[:-_KEPT]:
        vault.drop(TALK, old)


def _key_of(person: PersonId) -> str:
    return f"{person.hex()} "
