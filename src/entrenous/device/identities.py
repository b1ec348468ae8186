"""Identities: this device's own keys and mailbox address, and the people it knows.

People are found by name and by their newest key bundle. This lies below the verbs, since `trace`
calls people by the names they have now.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from entrenous.base.errors import Refused
from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.identity import Contact, DeviceKey, Head, Person, Speaks, Trust
from entrenous.base.limits import TOKEN_BYTES
from entrenous.base.screen_text import as_drawn
from entrenous.base.secret import Secret
from entrenous.crypto.identity_keys import DeviceSigner
from entrenous.crypto.statements import check_agree, heads_of
from entrenous.device.device import Device
from entrenous.device.lock_errors import NobodysDevice, NotConfirmed, OfflineDevice
from entrenous.device.vault_tables import (
    CONTACT,
    LIST,
    SELF,
    load_record,
    load_records,
    store_record,
)
from entrenous.wire.key_bundle import read_card
from entrenous.wire.relay_nouns import RelayLock, RolledBack
from entrenous.wire.text import is_on_this_machine


class OnThisMachine(Refused):
    """
    This person's address leads to a program on your own machine, and your own relay is elsewhere,
    so nothing was asked there and nobody was added. Ask the person for a new link.
    """


NO_TOKEN: Final = Secret(bytes(TOKEN_BYTES))
"""In a contact that another device of ours was invited by."""


FIRST_DEVICE_NAME = "device 1"


def own_name(device: Device) -> str:
    """What this device is called."""
    return (device.vault.get(SELF, DEVICE_NAME) or FIRST_DEVICE_NAME.encode()).decode()


def own_other_devices(device: Device) -> Contact | None:
    """The other devices of ours as somebody to write to; None without a relay."""
    identity = load_record(Identity, SELF, IDENTITY, device.vault)
    if identity is None or identity.person is None:
        return None
    others = tuple(key for key in identity.person.devices if key.device != identity.device)
    person = replace(identity.person, devices=others)
    return Contact(identity.name, person, NO_TOKEN, Trust.COMPARED, since=identity.created_at)


def contacts(device: Device) -> tuple[Contact, ...]:
    """Everybody, by name."""
    found = load_records(Contact, CONTACT, device.vault)
    return tuple(sorted(found, key=lambda contact: contact.name))


def as_seen(name: str) -> str:
    """One form for names that look the same: case, ways to write an accent, what is not drawn."""
    plain = unicodedata.normalize("NFKC", as_drawn(name)).casefold()
    return as_drawn(unicodedata.normalize("NFKC", plain)).strip()


@dataclass(frozen=True, slots=True)
class Home:
    """Where this device's mail is: her relay, her mailbox there, and the token that opens it.

    ``close`` is the token that deletes the mailbox, which her other devices and her recovery sheet
    hold too; None where there is none yet.
    """

    relay_url: str
    mailbox: MailboxId
    owner: Secret
    close: Secret | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """This device and its owner.

    ``home`` and ``person`` are None on a device that was set up without a relay; it has no
    correspondents, so it needs no keys. ``master`` and ``account`` are private.
    """

    name: str
    device: DeviceId
    created_at: datetime
    home: Home | None = None
    person: Person | None = None
    card: bytes | None = None
    master: Secret | None = None


class BadRelayAddress(Refused):
    """
    This is not a relay's address, so nothing was set up. It looks like https://relay.example,
    without a user, a question mark or anything after a #. Ask whoever runs the relay for it.
    """


IDENTITY = "identity-2"
ACCOUNT = "account"
SIGNING_SEED = "signing-seed"  # that this device's ML-DSA-65 key grows from
UNFINISHED = "set-up-unfinished"  # the mailbox is not there yet, or lacks something
UNCONFIRMED = "unconfirmed"  # the relay has not heard yet that this state opened
ROLLED_BACK = "rolled-back"  # it has heard of a later one
CARD_TO_SHOW = "card-to-show"  # our card is newer than what lies at the relay
DEVICE_NAME = "device-name"  # what our person calls this device, for her own devices only
LOCK_TO_FOLLOW = "lock-to-follow"  # the relay's part of this vault's key is still at the old one
READY_SINCE = "ready-since"  # the epoch before which no sibling told where it may move
NEXT_CLOSE = "next-close"  # the token that is to delete our mailbox from now on


@dataclass(frozen=True, slots=True)
class Me:
    """The parts of an identity that a device with a relay has in any case."""

    name: str
    person: Person
    home: Home
    card: bytes
    key: DeviceKey


def who_am_i(device: Device) -> Me:
    """This person and this device.

    Raises:
        OfflineDevice: it was set up without a relay, so it has no keys.
        NobodysDevice: its set-up was cut short.
        RolledBack: this device went on elsewhere, from a copy.
    """
    _refuse_rolled_back(device)
    identity = load_record(Identity, SELF, IDENTITY, device.vault)
    if identity is None:
        raise NobodysDevice
    if identity.person is None or identity.home is None or not identity.card:
        raise OfflineDevice
    key = next(key for key in identity.person.devices if key.device == identity.device)
    return Me(identity.name, identity.person, identity.home, identity.card, key)


def account_of(device: Device) -> Secret:
    """The device's Olm account; store it again with :func:`keep_account` when it has moved on.

    Raises:
        OfflineDevice, RolledBack, NotConfirmed.
    """
    refuse_unready(device)
    stored = device.vault.get(SELF, ACCOUNT)
    if stored is None:
        raise OfflineDevice
    return Secret(stored)


def signer_of(device: Device) -> DeviceSigner:
    """The private keys that this device signs with.

    Raises:
        OfflineDevice, RolledBack, NotConfirmed.
    """
    account, seed = account_of(device), device.vault.get(SELF, SIGNING_SEED)
    if seed is None:
        raise OfflineDevice
    return DeviceSigner(account, Secret(seed))


def refuse_unready(device: Device) -> None:
    """Return only if ratchets may move now (device/relay_lock_client.py).

    Raises:
        RolledBack: this device went on elsewhere, from a copy.
        NotConfirmed: it was opened in an offline window, and the relay did not answer.
    """
    _refuse_rolled_back(device)
    if device.vault.get(SELF, UNCONFIRMED) is not None:
        raise NotConfirmed


def is_ready(device: Device) -> bool:
    """Whether ratchets may move now."""
    return not any(device.vault.get(SELF, mark) is not None for mark in (UNCONFIRMED, ROLLED_BACK))


def _refuse_rolled_back(device: Device) -> None:
    if device.vault.get(SELF, ROLLED_BACK) is not None:
        raise RolledBack


def keep_account(account: Secret, device: Device) -> None:
    """Store the account after it moved on."""
    device.vault.put(SELF, ACCOUNT, account.reveal())


def keep_signer(signer: DeviceSigner, device: Device) -> None:
    """Store the keys of a new device."""
    keep_account(signer.account, device)
    device.vault.put(SELF, SIGNING_SEED, signer.seed.reveal())


def keep_identity(identity: Identity, device: Device) -> None:
    """Store who this device is."""
    store_record(identity, SELF, IDENTITY, device.vault)


def keep_lock_to_follow(lock: RelayLock, device: Device) -> None:
    """Note that the vault is to be locked with this; call it in the transaction that moves."""
    store_record(lock, SELF, LOCK_TO_FOLLOW, device.vault)


def lock_to_follow(device: Device) -> RelayLock | None:
    """The lock at the new relay that this vault is to have; None: it has it."""
    return load_record(RelayLock, SELF, LOCK_TO_FOLLOW, device.vault)


def lock_followed(device: Device) -> None:
    """The vault opens by the new relay from now on, and the old one may let go."""
    device.vault.drop(SELF, LOCK_TO_FOLLOW)


def refuse_local_address(relay_url: str, device: Device) -> None:
    """Refuse an address that would have us talk to a program on this machine.

    Raises:
        OnThisMachine: unless our own relay is on it too, as when one tries things out.
    """
    if is_on_this_machine(relay_url) and not is_on_this_machine(who_am_i(device).home.relay_url):
        raise OnThisMachine


@dataclass(frozen=True, slots=True)
class KnownList:
    """A person's newest card that was proven, and every head of hers that was, oldest first."""

    card: bytes
    heads: tuple[Head, ...]


def known_heads(contact: Contact, device: Device) -> tuple[Head, ...]:
    """The heads that we know of somebody, oldest first; of ourselves, those that our card shows."""
    me = who_am_i(device)
    if contact.person.id == me.person.id:
        return heads_of(read_card(me.card).lists)
    known = load_record(KnownList, LIST, contact.person.id.hex(), device.vault)
    newest = Head(contact.person.epoch, contact.person.head)
    older = () if known is None else known.heads
    return (*(head for head in older if head.epoch < newest.epoch), newest)


def known_card(person: PersonId, device: Device) -> bytes | None:
    """The newest card of somebody that was proven."""
    known = load_record(KnownList, LIST, person.hex(), device.vault)
    return None if known is None else known.card


def known_speaks(person: PersonId, device: Device) -> Speaks | None:
    """The protocols that somebody's devices speak, by her newest list that was proven."""
    card = known_card(person, device)
    return None if card is None else read_card(card).newest.said.speaks


def card_with(person: PersonId, head: bytes, device: Device) -> bytes | None:
    """The newest card of somebody, if the list with this head is in its history."""
    card = known_card(person, device)
    if card is None:
        return None
    return card if head in {one.digest for one in heads_of(read_card(card).lists)} else None


def keep_list(person: PersonId, card: bytes, device: Device) -> None:
    """Remember a proven card that is at least as new as the one before it (people.newest_card)."""
    known = load_record(KnownList, LIST, person.hex(), device.vault)
    heads = {} if known is None else {head.epoch: head for head in known.heads}
    heads |= {head.epoch: head for head in heads_of(read_card(card).lists)}
    ordered = tuple(heads[epoch] for epoch in sorted(heads))
    store_record(KnownList(card, ordered), LIST, person.hex(), device.vault)


def check_head(contact: Contact, named: Head, device: Device) -> None:
    """Return only if what somebody names as a head of hers is none that contradicts what we know.

    Raises:
        ForkedList.
    """
    check_agree(known_heads(contact, device), [named])


def forget_list(person: PersonId, device: Device) -> None:
    """Forget what was known of somebody's lists."""
    device.vault.drop(LIST, person.hex())


Call = Callable[[PersonId | None, str], str]
ANOTHER: Final = "{label} (not the one you know now)"


def current_names(device: Device) -> Call:
    """Say what to call a person whose copy was made for a label.

    That is her name of now; for somebody we know no more, the label, with words behind it if
    somebody else is called so by now. A label that was typed for another channel is nobody's name.
    """
    names = {contact.person.id: contact.name for contact in contacts(device)}
    taken = {as_seen(name) for name in names.values()}

    def call(person: PersonId | None, label: str) -> str:
        if person is None:
            return label
        known = ANOTHER.format(label=label) if as_seen(label) in taken else label
        return names.get(person, known)

    return call
