"""Whether somebody known by link gets receipts: asked once, and remembered (receipts.md 1)."""

from dataclasses import replace

from entrenous.model.person import Contact, Trust
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contact_named, contact_of, keep_contact
from entrenous.send.devices.sync.records import date_changes


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
