"""Block or rename a contact, and choose whether they get receipts."""

from dataclasses import replace

from entrenous.base.identity import Contact, Trust
from entrenous.device.device import Device
from entrenous.device.vault_tables import DEVICE_TO_GREET, INVITE_USE_TO_ANSWER
from entrenous.send.devices.sync_records import record_change_times
from entrenous.send.outbox import drop_items_for_peers
from entrenous.send.people.invite import queue_hellos
from entrenous.send.people.keep_contacts import (
    contact_by_id,
    contact_named,
    refuse_bad_name,
    store_contact,
)
from entrenous.send.people.people_nouns import KEY_COMPARISON_TABLE
from entrenous.send.tokens.issue import withdraw_tokens_of


def block_contact(name: str, device: Device) -> Contact:
    """Block a person: accept nothing from them except recalls of their own messages, and revoke
    their send tokens.

    Letters to them in the outbox are dropped, except recalls. Our relay is told when the outbox is
    next sent. Messages that arrive before then, or through an invite that the person still has,
    have no effect.

    Raises:
        UnknownPerson.
    """
    contact = replace(contact_named(name, device), blocked=True)
    with device.vault.transaction():
        withdraw_tokens_of(contact.person.id, device)
        person_key = contact.person.id.hex()
        drop_items_for_peers(person_key, device, but_recalls=True)
        for key in device.vault.keys(DEVICE_TO_GREET, person_key):
            device.vault.drop(DEVICE_TO_GREET, key)
        device.vault.drop(INVITE_USE_TO_ANSWER, person_key)
        KEY_COMPARISON_TABLE.drop(person_key, device.vault)
        store_contact(contact, device)
        record_change_times(device)
    return contact


def unblock_contact(name: str, device: Device) -> Contact:
    """Unblock a person, and issue them new send tokens.

    Raises:
        UnknownPerson, DeviceWithoutRelay.
        RelayUnreachable, or the error with which their relay refused: we have no session with one
            of their devices, and cannot get a prekey to begin a session.
    """
    contact = contact_named(name, device)
    if not contact.blocked:
        return contact
    unblocked = replace(contact, blocked=False)
    with device.vault.transaction():
        store_contact(unblocked, device)
        queue_hellos(unblocked, None, device)
        record_change_times(device)
    return unblocked


def is_blocked(person: bytes, device: Device) -> bool:
    contact = contact_by_id(person, device)
    return contact is not None and contact.blocked


def rename_contact(name: str, new_name: str, device: Device) -> Contact:
    """Rename a contact.

    Earlier messages keep the old name in the ledger, but are displayed with the new one.

    Raises:
        UnknownPerson, BadName, NameTaken.
    """
    contact = contact_named(name, device)
    refuse_bad_name(new_name)
    renamed = replace(contact, name=new_name)
    with device.vault.transaction():
        store_contact(renamed, device)
        record_change_times(device)
    return renamed


def sender_without_receipt_choice(sender: bytes, device: Device) -> Contact | None:
    """Return the sender if the user has yet to decide whether they get receipts; else None."""
    contact = contact_by_id(sender, device)
    if contact is None or contact.blocked or not device.receipts:
        return None
    by_link = contact.trust is Trust.BY_LINK
    return contact if by_link and contact.receipts is None else None


def set_receipts(name: str, device: Device, *, wanted: bool) -> Contact:
    """Store whether a contact gets receipts. This choice matters only until the contact's keys are
    compared: from then on they get receipts, unless ENTRENOUS_RECEIPTS is off.

    Raises:
        UnknownPerson.
    """
    contact = replace(contact_named(name, device), receipts=wanted)
    with device.vault.transaction():
        store_contact(contact, device)
        record_change_times(device)
    return contact
