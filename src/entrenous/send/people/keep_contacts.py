"""Find, store and forget contacts; check names and common protocol versions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

from entrenous.base.copies import NAMES_SHOWN_MAX, join_names
from entrenous.base.identifiers import PersonId
from entrenous.base.identity import (
    Contact,
    DeviceListHead,
    DeviceListHistoryRelation,
    ForkedDeviceList,
    KeyBundle,
    Trust,
)
from entrenous.base.language import translated
from entrenous.crypto.statements import compare_heads, compare_later_lists, device_list_heads
from entrenous.device.device import Device
from entrenous.device.identities import (
    CONTACT_TABLE,
    comparable_name,
    contacts,
    delete_known_key_bundle,
    known_key_bundle,
    known_list_heads,
    known_protocols,
    own_other_devices,
)
from entrenous.device.vault_tables import (
    DEVICE_LIST_FORK,
    DEVICE_LIST_TO_FETCH,
    DEVICE_TO_GREET,
    FIRST_LETTER_TOKEN,
    GREETING_SENT,
    INVITE_USE_TO_ANSWER,
    peer_key,
)
from entrenous.send.devices.own_key_bundle import PROTOCOLS_SPOKEN
from entrenous.send.devices.sync_records import record_change_times
from entrenous.send.letter.letter_nouns import OWN_XWING_KEY_TABLE, PEER_TABLE
from entrenous.send.outbox import drop_items_for_peers, drop_items_handing_out_token
from entrenous.send.people.circles import circles, remove_from_all_circles
from entrenous.send.people.contact_history import forget_last_heard, forget_sent_records
from entrenous.send.people.people_nouns import (
    KEY_COMPARISON_TABLE,
    BadName,
    ContactProgramTooOld,
    NameTaken,
    OwnProgramTooOld,
    UnknownPerson,
)
from entrenous.send.tokens.issue import withdraw_tokens_of
from entrenous.send.tokens.use import forget_held_tokens
from entrenous.wire.key_bundle import read_key_bundle, write_key_bundle
from entrenous.wire.text import append_number, is_name

DEFAULT_CONTACT_NAME: Final = "nameless"


def contact_named(name: str, device: Device) -> Contact:
    """Return the contact called ``name``, ignoring case; raises UnknownPerson."""
    return contacts_named([name], device)[0]


def contacts_named(names: Sequence[str], device: Device) -> tuple[Contact, ...]:
    """Return the contacts with these names, in the same order; raises UnknownPerson."""
    return select_contacts_by_name(names, contacts(device))


def select_contacts_by_name(names: Sequence[str], known: Sequence[Contact]) -> tuple[Contact, ...]:
    """Return the contacts in ``known`` with these names, in the same order.

    Raises:
        UnknownPerson.
    """
    by_name = {comparable_name(contact.name): contact for contact in known}
    for name in names:
        if comparable_name(name) not in by_name:
            raise UnknownPerson(name=name, known=_list_known_names(name, by_name))
    return tuple(by_name[comparable_name(name)] for name in names)


def _list_known_names(name: str, by_name: Mapping[str, Contact]) -> str:
    """List a few known names, those most similar to ``name`` first."""
    near = get_close_matches(comparable_name(name), by_name, NAMES_SHOWN_MAX)
    seen = dict.fromkeys((*near, *by_name))
    listed = join_names([by_name[one].name for one in seen])
    if len(by_name) > NAMES_SHOWN_MAX:
        listed += f" {translated('(all of them: entrenous person list)')}"
    return listed or translated("nobody yet")


def contact_by_id(person: bytes, device: Device) -> Contact | None:
    """Return the contact with this person id, or None; for our own id, our other devices."""
    found = CONTACT_TABLE.load(person.hex(), device.vault)
    if found is None:
        us = own_other_devices(device)
        return us if us is not None and us.person.id == person else None
    return found


def store_contact(contact: Contact, device: Device) -> None:
    """Store a new or changed contact; only a new name is checked for uniqueness.

    Raises:
        NameTaken: another contact or a circle has the new name.
    """
    person = contact.person.id
    known = CONTACT_TABLE.load(person.hex(), device.vault)
    renamed = known is None or comparable_name(known.name) != comparable_name(contact.name)
    if renamed and comparable_name(contact.name) in taken_names(device, except_owner=person):
        raise NameTaken(name=contact.name)
    CONTACT_TABLE.store(contact, person.hex(), device.vault)


def free_contact_name(wanted: str, device: Device, owner: bytes | None = None) -> str:
    """Return ``wanted``, or the first free name of "wanted 2", "wanted 3" and so on.

    ``owner`` is the person or circle to be named, whose own name counts as free. Long names are
    shortened. Leading dashes, which a command would take for an option, are dropped; a name with
    nothing visible becomes "nameless".
    """
    taken, wanted = taken_names(device, except_owner=owner), wanted.lstrip("-").strip()
    wanted = wanted if comparable_name(wanted) else DEFAULT_CONTACT_NAME
    name, number = wanted, 2
    while comparable_name(name) in taken:
        name, number = append_number(wanted, number), number + 1
    return name


def taken_names(device: Device, except_owner: bytes | None = None) -> set[str]:
    """Return the names of all people and circles except ``except_owner``, normalized."""
    people = {
        comparable_name(one.name) for one in contacts(device) if one.person.id != except_owner
    }
    return people | {
        comparable_name(one.name) for one in circles(device.vault) if one.id != except_owner
    }


def compare_key_bundle(
    shown: KeyBundle, known: Contact, device: Device
) -> DeviceListHistoryRelation:
    """Compare a verified key bundle with the one we know (docs/spec/identity.md section 3).

    Raises:
        OutdatedDeviceList, BadSignature: the bundle must not be accepted.
        ForkedDeviceList: nor must this one; with the facts that ``freeze_contact`` needs.
    """
    heads = device_list_heads(shown.lists)
    try:
        standing = compare_heads(known_list_heads(known, device), heads)
        card = known_key_bundle(known.person.id, device)
        if standing is not DeviceListHistoryRelation.NEWER_UNPROVEN or card is None:
            return standing
        return compare_later_lists(read_key_bundle(card).newest, shown.lists)
    except ForkedDeviceList:
        raise fork_error(known.person.id, heads[-1], write_key_bundle(shown)) from None


def fork_error(
    person: PersonId, head: DeviceListHead, card: bytes | None = None
) -> ForkedDeviceList:
    """Return the ForkedDeviceList error with the facts that ``freeze_contact`` needs."""
    return ForkedDeviceList(person=person, head=head, card=card)


def mark_keys_compared(name: str, device: Device) -> Contact:
    """Record that a contact's keys were compared and match."""
    contact = replace(contact_named(name, device), trust=Trust.COMPARED)
    with device.vault.transaction():
        store_contact(contact, device)
        record_change_times(device)
    return contact


def forget_contact(name: str, device: Device) -> Contact:
    """Forget a person: keys, sessions, tokens in both directions, membership in our circles.

    Letters to them in the outbox are dropped, except recalls. Our relay refuses their letters once
    the outbox has been sent again. An invite that they still have stays valid until it expires.

    Raises:
        UnknownPerson.
    """
    contact = contact_named(name, device)
    with device.vault.transaction():
        drop_items_for_peers(contact.person.id.hex(), device, but_recalls=True)
        for lock in withdraw_tokens_of(contact.person.id, device):
            drop_items_handing_out_token(lock, device)
        device.vault.drop(INVITE_USE_TO_ANSWER, contact.person.id.hex())
        CONTACT_TABLE.drop(contact.person.id.hex(), device.vault)
        KEY_COMPARISON_TABLE.drop(contact.person.id.hex(), device.vault)
        forget_held_tokens(contact.person.id, device)
        remove_from_all_circles(contact.person.id, device.vault)
        forget_sent_records(contact.person.id, device.vault)
        forget_last_heard(contact.person.id, device.vault)
        delete_known_key_bundle(contact.person.id, device)
        for table in (DEVICE_LIST_TO_FETCH, DEVICE_LIST_FORK):
            device.vault.drop(table, contact.person.id.hex())
        for key in contact.person.devices:
            _forget_session(peer_key(contact.person.id, key.device), device)
        record_change_times(device)
    return contact


def _forget_session(whose: str, device: Device) -> None:
    """Delete the sessions with one device, but not the counters of letters.

    The counters are kept because the other device would refuse a letter whose number was used
    before, even in a later session.
    """
    for table in (FIRST_LETTER_TOKEN, GREETING_SENT, DEVICE_TO_GREET):
        device.vault.drop(table, whose)
    peer = PEER_TABLE.load(whose, device.vault)
    if peer is not None:
        for key_id in peer.mine:
            OWN_XWING_KEY_TABLE.drop(key_id.hex(), device.vault)
        PEER_TABLE.store(replace(peer, sessions=(), mine=(), prekey=None), whose, device.vault)


def require_common_protocol(to: Iterable[Contact], device: Device) -> None:
    """Check that we share a protocol version with each contact. If we do not have a contact's
    device list, the check passes.

    Raises:
        OwnProgramTooOld, ContactProgramTooOld: the first contact without a common version.
    """
    for contact in to:
        why = protocol_mismatch_error(contact, device)
        if why is not None:
            raise why


def protocol_mismatch_error(
    contact: Contact, device: Device
) -> OwnProgramTooOld | ContactProgramTooOld | None:
    """Return why a contact could not read what we write (docs/spec/identity.md section 3).

    None if they can, or if we know no list of theirs.
    """
    theirs = known_protocols(contact.person.id, device)
    if theirs is None or (
        theirs.floor <= PROTOCOLS_SPOKEN.newest and theirs.newest >= PROTOCOLS_SPOKEN.floor
    ):
        return None
    kind = OwnProgramTooOld if theirs.floor > PROTOCOLS_SPOKEN.newest else ContactProgramTooOld
    ours = PROTOCOLS_SPOKEN.newest
    return kind(name=contact.name, floor=theirs.floor, newest=theirs.newest, ours=ours)


def refuse_bad_name(name: str) -> None:
    """Raise BadName unless this is a valid name (docs/spec/README.md) without a leading dash, which
    a command would take for an option.
    """
    if not is_name(name) or name.startswith("-"):
        raise BadName
