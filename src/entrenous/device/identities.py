"""This device's own keys and mailbox address, and the people it knows.

The newest verified key bundle of each person is stored here too. This module is in the device
package because the trace package, too, shows contacts' current names.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from entrenous.base.errors import Refused
from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.identity import (
    CertifiedDevice,
    Contact,
    DeviceListHead,
    Person,
    ProtocolRange,
    Trust,
)
from entrenous.base.language import translatable, translated
from entrenous.base.limits import TOKEN_BYTES
from entrenous.base.screen_text import visible_text
from entrenous.base.secret import Secret
from entrenous.crypto.identity_keys import DeviceSigner
from entrenous.crypto.statements import check_heads_agree, device_list_heads
from entrenous.device.device import Device, Vault
from entrenous.device.lock_errors import DeviceWithoutRelay, UnfinishedDevice, UnlockNotConfirmed
from entrenous.device.vault_tables import (
    CONTACT,
    DEVICE_LIST,
    OWN_RECORDS,
    OwnRecord,
    Table,
)
from entrenous.wire.key_bundle import read_key_bundle
from entrenous.wire.relay_nouns import RelayLock, RolledBack
from entrenous.wire.text import url_leads_to_this_machine

CONTACT_TABLE: Final = Table(CONTACT, Contact)


class AddressOnThisMachine(Refused):
    """
    This person's address points to a program on your own machine, although your own relay is on
    another machine. Such an address is wrong, or somebody wants to make your device contact a
    program here. The program was not contacted, and nobody was added. Ask the person for a new
    link.
    """


# stands for the token of a contact whom another of our devices invited
NO_SEND_TOKEN: Final = Secret(bytes(TOKEN_BYTES))
FIRST_DEVICE_NAME = "device 1"


def own_name(device: Device) -> str:
    return (
        device.vault.get(OWN_RECORDS, DEVICE_NAME_RECORD) or FIRST_DEVICE_NAME.encode()
    ).decode()


def own_other_devices(device: Device) -> Contact | None:
    """Return the owner's other devices in the form of a contact; None on a device without a
    relay.
    """
    identity = OWN_IDENTITY.load(device.vault)
    if identity is None or identity.person is None:
        return None
    others = tuple(key for key in identity.person.devices if key.device != identity.device)
    person = replace(identity.person, devices=others)
    return Contact(identity.name, person, NO_SEND_TOKEN, Trust.COMPARED, since=identity.created_at)


def contacts(device: Device) -> tuple[Contact, ...]:
    """Return all contacts, sorted by name."""
    found = CONTACT_TABLE.all(device.vault)
    return tuple(sorted(found, key=lambda contact: contact.name))


def comparable_name(name: str) -> str:
    """Normalize a name so that names that look alike compare equal.

    Case, the encoding of accents and invisible characters are ignored.
    """
    plain = unicodedata.normalize("NFKC", visible_text(name)).casefold()
    return visible_text(unicodedata.normalize("NFKC", plain)).strip()


@dataclass(frozen=True, slots=True)
class MailboxAddress:
    """This device's mailbox address: the relay, the mailbox there, and the token that opens it.

    ``close`` is the token that deletes the mailbox; the person's other devices and recovery sheet
    have it too. ``close`` is None until the mailbox has such a token.
    """

    relay_url: str
    mailbox: MailboxId
    owner: Secret
    close: Secret | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """This device and its owner.

    ``home``, ``person``, ``card`` and ``master`` are None on a device without a relay, since it
    needs no keys. ``master`` is the private master key, or None if that is not on this device.
    """

    name: str
    device: DeviceId
    created_at: datetime
    home: MailboxAddress | None = None
    person: Person | None = None
    card: bytes | None = None
    master: Secret | None = None


class BadRelayAddress(Refused):
    """
    This is not the address of a relay. Nothing was set up. An address looks like
    https://relay.example, without a user name, a question mark or a #. Ask the people who run the
    relay for its address.
    """


IDENTITY_RECORD = "identity-2"
OLM_ACCOUNT_RECORD = "account"
SIGNING_SEED_RECORD = "signing-seed"  # the seed of this device's ML-DSA-65 key
SETUP_UNFINISHED_RECORD = (
    "set-up-unfinished"  # set while the mailbox does not exist yet, or is incomplete
)
# Set until the relay has confirmed this unlock of the vault.
UNLOCK_UNCONFIRMED_RECORD = "unconfirmed"
ROLLED_BACK_RECORD = "rolled-back"  # set if the relay knows a later generation of this vault
KEY_BUNDLE_TO_PUBLISH_RECORD = (
    "card-to-show"  # set while our key bundle is newer than the one at the relay
)
DEVICE_NAME_RECORD = "device-name"  # this device's name, which only the person's own devices see
# set while the relay's share of the vault's key is still at the old relay
LOCK_TO_MOVE_RECORD = "lock-to-follow"

OWN_IDENTITY: Final = OwnRecord(IDENTITY_RECORD, Identity)
_LOCK_TO_MOVE: Final = OwnRecord(LOCK_TO_MOVE_RECORD, RelayLock)
# The number (epoch) of the device list with which a device of ours was last marked as lost, or with
# which we last moved to another relay. Only mailboxes announced since then are used.
LAST_LOSS_OR_MOVE_EPOCH_RECORD = "ready-since"
# the token that will replace the one that deletes our mailbox
NEXT_CLOSE_TOKEN_RECORD = "next-close"  # noqa: S105 - a record's name


@dataclass(frozen=True, slots=True)
class OwnIdentity:
    """The identity of a device that has a relay; its fields are never None."""

    name: str
    person: Person
    home: MailboxAddress
    card: bytes
    key: CertifiedDevice


def own_device(device: Device) -> OwnIdentity:
    """Return this person and this device.

    Raises:
        DeviceWithoutRelay: the device was set up without a relay, so it has no keys.
        UnfinishedDevice: its set-up was interrupted.
        RolledBack: a copy of this device is in use elsewhere.
    """
    _refuse_rolled_back(device)
    identity = OWN_IDENTITY.load(device.vault)
    if identity is None:
        raise UnfinishedDevice
    if identity.person is None or identity.home is None or not identity.card:
        raise DeviceWithoutRelay
    key = next(key for key in identity.person.devices if key.device == identity.device)
    return OwnIdentity(identity.name, identity.person, identity.home, identity.card, key)


def mailbox_address(vault: Vault) -> MailboxAddress | None:
    """Return this device's mailbox address; None on a device without a relay."""
    identity = OWN_IDENTITY.load(vault)
    return identity.home if identity else None


def has_relay(device: Device) -> bool:
    """Return whether this device has a mailbox at a relay."""
    identity = OWN_IDENTITY.load(device.vault)
    return identity is not None and identity.home is not None


def olm_account_of(device: Device) -> Secret:
    """Return the device's Olm account; store it with :func:`store_olm_account` after each change.

    Raises DeviceWithoutRelay, RolledBack, UnlockNotConfirmed.
    """
    refuse_unconfirmed_unlock(device)
    stored = device.vault.get(OWN_RECORDS, OLM_ACCOUNT_RECORD)
    if stored is None:
        raise DeviceWithoutRelay
    return Secret(stored)


def signer_of(device: Device) -> DeviceSigner:
    """Return the device's private signing keys; raises DeviceWithoutRelay, RolledBack,
    UnlockNotConfirmed.
    """
    account, seed = olm_account_of(device), device.vault.get(OWN_RECORDS, SIGNING_SEED_RECORD)
    if seed is None:
        raise DeviceWithoutRelay
    return DeviceSigner(account, Secret(seed))


def refuse_unconfirmed_unlock(device: Device) -> None:
    """Check that this device's ratchets may advance now (device/generation.py).

    Raises:
        RolledBack: a copy of this device is in use elsewhere.
        UnlockNotConfirmed: the vault was unlocked without the relay's answer (in an offline window
            or with a recovery sheet), and the relay has not confirmed this yet.
    """
    _refuse_rolled_back(device)
    if device.vault.get(OWN_RECORDS, UNLOCK_UNCONFIRMED_RECORD) is not None:
        raise UnlockNotConfirmed


def may_advance_ratchets(device: Device) -> bool:
    """Return whether the ratchets of this device's sessions may advance now."""
    return not any(
        device.vault.get(OWN_RECORDS, mark) is not None
        for mark in (UNLOCK_UNCONFIRMED_RECORD, ROLLED_BACK_RECORD)
    )


def _refuse_rolled_back(device: Device) -> None:
    if device.vault.get(OWN_RECORDS, ROLLED_BACK_RECORD) is not None:
        raise RolledBack


def store_olm_account(account: Secret, device: Device) -> None:
    device.vault.put(OWN_RECORDS, OLM_ACCOUNT_RECORD, account.reveal())


def store_signer(signer: DeviceSigner, device: Device) -> None:
    """Store the keys of a new device."""
    store_olm_account(signer.account, device)
    device.vault.put(OWN_RECORDS, SIGNING_SEED_RECORD, signer.seed.reveal())


def store_identity(identity: Identity, device: Device) -> None:
    OWN_IDENTITY.store(identity, device.vault)


def store_next_relay_lock(lock: RelayLock, device: Device) -> None:
    """Record the lock (the relay's part in unlocking) that the vault will use at the new relay.

    Call it in the transaction that moves the device.
    """
    _LOCK_TO_MOVE.store(lock, device.vault)


def next_relay_lock(device: Device) -> RelayLock | None:
    """Return the lock that the vault has yet to be given at a new relay; None if there is none."""
    return _LOCK_TO_MOVE.load(device.vault)


def clear_next_relay_lock(device: Device) -> None:
    """Record that the vault uses the new relay's lock, so that the old one can be deleted."""
    _LOCK_TO_MOVE.drop(device.vault)


def refuse_loopback_relay(relay_url: str, device: Device) -> None:
    """Raise AddressOnThisMachine if the address is on this machine, unless our relay is local
    too.
    """
    if url_leads_to_this_machine(relay_url) and not url_leads_to_this_machine(
        own_device(device).home.relay_url
    ):
        raise AddressOnThisMachine


@dataclass(frozen=True, slots=True)
class KnownKeyBundle:
    """A person's newest verified key bundle, and the verified heads (hashes) of all their device
    lists, oldest first.
    """

    card: bytes
    heads: tuple[DeviceListHead, ...]


DEVICE_LIST_TABLE: Final = Table(DEVICE_LIST, KnownKeyBundle)


def known_list_heads(contact: Contact, device: Device) -> tuple[DeviceListHead, ...]:
    """Return the known heads (hashes) of a person's device lists, oldest first; our own are read
    from our key bundle.
    """
    me = own_device(device)
    if contact.person.id == me.person.id:
        return device_list_heads(read_key_bundle(me.card).lists)
    known = DEVICE_LIST_TABLE.load(contact.person.id.hex(), device.vault)
    newest = DeviceListHead(contact.person.epoch, contact.person.head)
    older = () if known is None else known.heads
    return (*(head for head in older if head.epoch < newest.epoch), newest)


def known_key_bundle(person: PersonId, device: Device) -> bytes | None:
    """Return a person's newest verified key bundle, encoded; None if there is none."""
    known = DEVICE_LIST_TABLE.load(person.hex(), device.vault)
    return None if known is None else known.card


def known_protocols(person: PersonId, device: Device) -> ProtocolRange | None:
    """Return the protocol versions in a person's newest verified device list; None without a
    list.
    """
    card = known_key_bundle(person, device)
    return None if card is None else read_key_bundle(card).newest.said.speaks


def key_bundle_including_head(person: PersonId, head: bytes, device: Device) -> bytes | None:
    """Return a person's newest key bundle if its lists include the one with this head, else
    None.
    """
    card = known_key_bundle(person, device)
    if card is None:
        return None
    return (
        card
        if head in {one.digest for one in device_list_heads(read_key_bundle(card).lists)}
        else None
    )


def store_known_key_bundle(person: PersonId, card: bytes, device: Device) -> None:
    """Store a verified key bundle that is not older than the stored one."""
    known = DEVICE_LIST_TABLE.load(person.hex(), device.vault)
    heads = {} if known is None else {head.epoch: head for head in known.heads}
    heads |= {head.epoch: head for head in device_list_heads(read_key_bundle(card).lists)}
    ordered = tuple(heads[epoch] for epoch in sorted(heads))
    DEVICE_LIST_TABLE.store(KnownKeyBundle(card, ordered), person.hex(), device.vault)


def check_list_head(contact: Contact, named: DeviceListHead, device: Device) -> None:
    """Check that the head of a device list, as named by somebody, agrees with the known heads;
    raises ForkedDeviceList.
    """
    check_heads_agree(known_list_heads(contact, device), [named])


def delete_known_key_bundle(person: PersonId, device: Device) -> None:
    DEVICE_LIST_TABLE.drop(person.hex(), device.vault)


#: Returns the name to show for a person, given the label of their copy. The person is None if the
#: copy was made for somebody without keys.
NameOf = Callable[[PersonId | None, str], str]
FORMER_NAME_LABEL: Final = translatable("{label} (not the one you know now)")


def current_name_lookup(device: Device) -> NameOf:
    """Return a function that returns the current name of a copy's recipient.

    For people who are no longer known, it returns the label from the time of sending, with a note
    if somebody else has that name now. For a copy that was made for somebody without keys (sent by
    other means), it returns the label unchanged.
    """
    names = {contact.person.id: contact.name for contact in contacts(device)}
    taken = {comparable_name(name) for name in names.values()}

    def name_of(person: PersonId | None, label: str) -> str:
        if person is None:
            return label
        known = (
            translated(FORMER_NAME_LABEL).format(label=label)
            if comparable_name(label) in taken
            else label
        )
        return names.get(person, known)

    return name_of
