"""Block or rename somebody, and choose whether they get receipts."""

from dataclasses import replace

from entrenous.base.identity import Contact, Trust
from entrenous.device.device import Device
from entrenous.device.vault_tables import COMPARE, GREET, GREET_DEVICE
from entrenous.send.devices.sync_records import date_changes
from entrenous.send.outbox import refuse_outbox_items
from entrenous.send.people.invite import greet
from entrenous.send.people.keep_contacts import (
    contact_named,
    contact_of,
    keep_contact,
    refuse_bad_name,
)
from entrenous.send.tokens.issue import take_tokens_back


def block_contact(name: str, device: Device) -> Contact:
    """Take nothing from a person any more, and take back every right to write to us. What waits
    here for them does not leave, unless it takes something back.

    Our relay hears it with the next flush; what comes before that, or by an invite of ours that
    they still hold, arrives and has no effect.

    Raises:
        UnknownPerson.
    """
    contact = replace(contact_named(name, device), blocked=True)
    with device.vault.together():
        take_tokens_back(contact.person.id, device)
        whose = contact.person.id.hex()
        refuse_outbox_items(whose, device, but_recalls=True)
        for key in device.vault.keys(GREET_DEVICE, whose):
            device.vault.drop(GREET_DEVICE, key)
        device.vault.drop(GREET, whose)
        device.vault.drop(COMPARE, whose)
        keep_contact(contact, device)
        date_changes(device)
    return contact


def unblock_contact(name: str, device: Device) -> Contact:
    """Let a person in again, and give them a new right to write to us.

    Raises:
        UnknownPerson, OfflineDevice; RelayUnreachable or a refusal, when there is no session with
        them and their relay gives nothing to begin one with.
    """
    contact = contact_named(name, device)
    if not contact.blocked:
        return contact
    back = replace(contact, blocked=False)
    with device.vault.together():
        keep_contact(back, device)
        greet(back, None, device)
        date_changes(device)
    return back


def is_blocked(person: bytes, device: Device) -> bool:
    """Whether we blocked this person."""
    contact = contact_of(person, device)
    return contact is not None and contact.blocked


def rename_contact(name: str, new_name: str, device: Device) -> Contact:
    """Call a person ``new_name`` from now on. What was sent before keeps the old name in the
    ledger, and is shown under the new one (called.py).

    Raises:
        UnknownPerson, BadName, NameTaken.
    """
    contact = contact_named(name, device)
    refuse_bad_name(new_name)
    renamed = replace(contact, name=new_name)
    with device.vault.together():
        keep_contact(renamed, device)
        date_changes(device)
    return renamed


def is_to_be_asked(sender: bytes, device: Device) -> Contact | None:
    """The sender of a message, if this device's person has yet to say whether they get receipts."""
    contact = contact_of(sender, device)
    if contact is None or contact.blocked or not device.receipts:
        return None
    by_link = contact.trust is Trust.BY_LINK
    return contact if by_link and contact.receipts is None else None


def answer_receipts(name: str, device: Device, *, wanted: bool) -> Contact:
    """Remember the answer; it counts as long as they are known by link.

    Raises:
        UnknownPerson.
    """
    contact = replace(contact_named(name, device), receipts=wanted)
    with device.vault.together():
        keep_contact(contact, device)
        date_changes(device)
    return contact
