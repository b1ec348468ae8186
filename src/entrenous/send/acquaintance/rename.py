"""Call somebody otherwise, as when two names are easily taken for each other."""

from dataclasses import replace

from entrenous.craft.wire.text import is_name
from entrenous.model.person import BadName, Contact
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contact_named, keep_contact
from entrenous.send.devices.sync.records import date_changes


def rename_contact(name: str, new_name: str, device: Device) -> Contact:
    """Call a person ``new_name`` from now on. What was sent before keeps the old name in the
    ledger, and is shown under the new one (called.py).

    Raises:
        UnknownPerson, BadName, NameTaken.
    """
    contact = contact_named(name, device)
    if not is_name(new_name):
        raise BadName
    renamed = replace(contact, name=new_name)
    with device.vault.together():
        keep_contact(renamed, device)
        date_changes(device)
    return renamed
