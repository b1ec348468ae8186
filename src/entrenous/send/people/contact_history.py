"""What happened with each contact: when they were last heard of, the newest messages sent to them,
changed keys.

From this the guard knows what is ordinary. A change of keys is noted when it is seen, and reported
once (docs/spec/people.md, section 4).
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from entrenous.base.copies import Copy
from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import DeviceId, MessageId, PersonId
from entrenous.base.identity import BadPrekey, Contact, DeviceKey, Trust
from entrenous.crypto.statements import verify_prekey
from entrenous.device.device import Device, Vault
from entrenous.device.sent_messages import Message
from entrenous.device.vault_tables import (
    CHANGED,
    CONTACT,
    HEARD,
    SELF,
    TALK,
    load_record,
    load_records,
    peer_key,
    store_record,
)
from entrenous.send.clock_sanity import is_lately, this_second
from entrenous.send.formats.identity_formats import read_prekey
from entrenous.send.people.people_nouns import Changed, Contradiction, Moving
from entrenous.send.tokens.use import token_for, token_route_to


@dataclass(frozen=True, slots=True)
class Talk:
    """One message that we sent to one person.

    ``devices`` got it, and ``trust`` is what was known of her keys. ``media`` says whether this
    message or an earlier one under the same trust had a picture, clip or voice note. ``asked_at``
    is when the guard last asked about a device of hers that was not heard of.
    """

    at: datetime
    message: MessageId
    devices: frozenset[DeviceId]
    trust: Trust
    media: bool = False
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """When one device was last heard of, and when its relay was asked about it."""

    at: datetime
    looked_at: datetime | None = None


_ASK_AGAIN: Final = timedelta(hours=24)  # each time costs them a one-time key


def note_heard_from(person: PersonId, key: DeviceId, device: Device) -> None:
    """Note that a letter from this device came just now."""
    store_record(Heard(device.clock.now()), HEARD, peer_key(person, key), device.vault)


def heard_at(contact: Contact, key: DeviceKey, device: Device) -> datetime:
    """When a device was last heard of: its last letter or prekey, or when we first knew of it."""
    whose, now = peer_key(contact.person.id, key.device), device.clock.now()
    heard = load_record(Heard, HEARD, whose, device.vault)
    moments = [contact.since, key.created_at, *([] if heard is None else [heard.at])]
    past = [one for one in moments if one <= now]  # the others are from a clock that was ahead
    return max(past, default=max(moments))


def ask_prekey_date(contact: Contact, key: DeviceKey, device: Device) -> None:
    """Ask their relay for the device's newest X-Wing prekey, which it replaces every week as long
    as its program runs (docs/spec/identity.md section 5), and note when that was made.

    A relay that does not answer, or shows an old one, leaves things as they are.
    """
    whose, now = peer_key(contact.person.id, key.device), device.clock.now()
    heard = load_record(Heard, HEARD, whose, device.vault)
    looked_at = None if heard is None else heard.looked_at
    if looked_at is not None and is_lately(looked_at, _ASK_AGAIN, device):
        return
    at = heard_at(contact, key, device)
    with suppress(EntrenousError):
        at = max(at, min(now, _newest_prekey(contact, key, device)))
    store_record(Heard(at, now), HEARD, whose, device.vault)


def forget_heard(person: PersonId, vault: Vault) -> None:
    """Forget when a person's devices were heard of."""
    for key in vault.keys(HEARD, person.hex()):
        vault.drop(HEARD, key)


def _newest_prekey(contact: Contact, key: DeviceKey, device: Device) -> datetime:
    token = token_for(contact, key.device, device)
    url, mailbox = token_route_to(contact.person, key, device)
    bundle = device.courier.claim_prekeys(url, mailbox, token, key.device)
    signed = read_prekey(bundle.xwing)
    if signed.batch is None:
        raise BadPrekey
    verify_prekey(signed, signed.batch, key, mailbox)
    return signed.prekey.made_at


_KEPT: Final = 5  # so that those which are called off leave the one before
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INDEXED: Final = "talks-indexed"  # what was sent before there was this index is in it


def messages_sent_to(person: PersonId, device: Device) -> tuple[Talk, ...]:
    """The newest messages to a person, the oldest of them first."""
    _index(device)
    keys = device.vault.keys(TALK, _key_of(person))
    found = (load_record(Talk, TALK, key, device.vault) for key in keys)
    return tuple(talk for talk in found if talk is not None)


def keep_talk(person: PersonId, talk: Talk, device: Device) -> None:
    """Remember a message to a person; call it in the transaction that records the message."""
    _index(device)
    _put(person, talk, device.vault)


def forget_talks(person: PersonId, vault: Vault) -> None:
    """Forget what was sent to a person: should we meet again, they are new."""
    for key in vault.keys(TALK, _key_of(person)):
        vault.drop(TALK, key)


def forget_cancelled_message(message: MessageId, device: Device) -> None:
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
        contact = load_record(Contact, CONTACT, person.hex(), vault)
        trust = Trust.UNKNOWN if contact is None else contact.trust
        yield person, Talk(message.sent_at, message.id, known, trust, media=True)


def _put(person: PersonId, talk: Talk, vault: Vault) -> None:
    start = _key_of(person)
    microseconds = (talk.at - _EPOCH) // timedelta(microseconds=1)
    store_record(talk, TALK, f"{start}{microseconds:018d} {talk.message.hex()}", vault)
    for old in vault.keys(TALK, start)[:-_KEPT]:
        vault.drop(TALK, old)


def _key_of(person: PersonId) -> str:
    return f"{person.hex()} "


_UNTOLD_MAX: Final = 1000  # whoever may write to us must not fill the vault


def note_change(before: Contact, after: Contact, device: Device) -> Contact:
    """``after``, with the moment if it has other devices or became unknown; call it in the
    transaction that stores it.
    """
    old = {key.keys for key in before.person.devices}
    new = {key.keys for key in after.person.devices}
    in_doubt = before.trust is not Trust.UNKNOWN and after.trust is Trust.UNKNOWN
    if old == new and not in_doubt:
        return after
    now = this_second(device)
    changed = Changed(after.name, now, len(new - old), len(old - new), in_doubt)
    _note(changed, device)
    return replace(after, changed_at=now)


def note_contradiction(name: str | None, lists: Contradiction, device: Device) -> None:
    """Have it told once that something is wrong with somebody's lists; None: with our own."""
    _note(Changed(name or "", this_second(device), 0, 0, in_doubt=False, lists=lists), device)


def note_renamed(was: str, name: str, device: Device) -> None:
    """Have it told once that somebody, or a circle, is called otherwise, since another is called
    so; call it in the transaction that does it.
    """
    _note(Changed(name, this_second(device), 0, 0, in_doubt=False, was=was), device)


def note_moving(relay_url: str, moving: Moving, device: Device) -> None:
    """Have it told once that this device follows another one of ours; call it in the transaction
    that does it.
    """
    _note(Changed(relay_url, this_second(device), 0, 0, in_doubt=False, moving=moving), device)


def take_changes(device: Device) -> tuple[Changed, ...]:
    """What changed since this was last asked, the oldest first."""
    with device.vault.together():
        changes = tuple(load_records(Changed, CHANGED, device.vault))
        for key in device.vault.keys(CHANGED):
            device.vault.drop(CHANGED, key)
    return changes


def _note(changed: Changed, device: Device) -> None:
    untold = device.vault.keys(CHANGED)
    if len(untold) < _UNTOLD_MAX:
        number = int(untold[-1]) + 1 if untold else 0
        store_record(changed, CHANGED, f"{number:012d}", device.vault)
