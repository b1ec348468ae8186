"""Call somebody otherwise, as when two names are easily taken for each other."""

from dataclasses import replace

from entrenous.model.person import Contact
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contact_named, keep_contact
from entrenous.send.devices.sync.records import date_changes
from entrenous.send.naming import refuse_bad_name


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
