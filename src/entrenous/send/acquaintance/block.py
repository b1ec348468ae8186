"""Block somebody: their letters do nothing any more, and none goes to them.

Other than who is forgotten, who is blocked stays known, so that no link of ours lets them in again.
"""

from dataclasses import replace

from entrenous.model.person import Contact
from entrenous.ports import Device
from entrenous.send.acquaintance.invite import greet
from entrenous.send.acquaintance.people import contact_named, contact_of, keep_contact
from entrenous.send.devices.sync.records import date_changes
from entrenous.send.drawers import COMPARE, GREET, GREET_DEVICE
from entrenous.send.outbox import refuse_postings
from entrenous.send.tokens.windows import take_tokens_back


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
        refuse_postings(whose, device, but_recalls=True)
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
