"""Compare keys face to face: each device shows a code, and reads the other's (people.md 3.1)."""

import base64
from dataclasses import replace
from typing import Final

from entrenous.craft.crypto.hashing import same, sha256
from entrenous.model.compare import NoCode, OtherKeys, OwnCode
from entrenous.model.ids import PersonId
from entrenous.model.person import Contact, Trust
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contact_named, keep_contact, verify_contact
from entrenous.send.devices.self import who_am_i
from entrenous.send.devices.sync.records import date_changes

_PREFIX: Final = "ENTRENOUS:KEYS:1:"  # capitals and digits alone make the smallest QR code
_CONTEXT: Final = b"entrenous/1 keys face to face\x00"


def code_for(name: str, device: Device) -> str:
    """What this device shows to somebody's: it says whose keys are here, and whose it takes for
    theirs.

    Raises:
        UnknownPerson, OfflineDevice.
    """
    theirs = contact_named(name, device).person.id
    return _code(who_am_i(device).person.id, theirs)


def read_code(name: str, untrusted_code: str, device: Device) -> Contact:
    """Note that somebody's keys are compared, because their device shows both persons' keys as this
    one knows them. A code of other keys makes somebody known by link unknown.

    Raises:
        UnknownPerson, OfflineDevice.
        NoCode: it is none of these codes.
        OwnCode: it is the one that this device shows.
        OtherKeys: it is for other people, or somebody stands in between.
    """
    contact, ours = contact_named(name, device), who_am_i(device).person.id
    shown, theirs = untrusted_code.encode(), contact.person.id
    if not untrusted_code.startswith(_PREFIX):
        raise NoCode
    if same(shown, _code(ours, theirs).encode()):
        raise OwnCode(name=contact.name)
    if not same(shown, _code(theirs, ours).encode()):
        _doubt(contact, device)
        raise OtherKeys(name=contact.name)
    return verify_contact(name, device)


def _code(shows: PersonId, reads: PersonId) -> str:
    digest = sha256(_CONTEXT + shows + reads)
    return _PREFIX + base64.b32encode(digest).decode().rstrip("=")


def _doubt(contact: Contact, device: Device) -> None:
    if contact.trust is Trust.BY_LINK:
        with device.vault.together():
            keep_contact(replace(contact, trust=Trust.UNKNOWN), device)
            date_changes(device)
