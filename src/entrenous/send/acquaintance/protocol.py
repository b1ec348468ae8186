"""Whether somebody's devices can read what we write, by her newest list of them."""

from collections.abc import Iterable

from entrenous.model.person import Contact
from entrenous.model.too_old import TheyAreTooOld, WeAreTooOld
from entrenous.ports import Device
from entrenous.send.devices.known_lists import known_speaks
from entrenous.send.devices.own_card import SPEAKS


def refuse_other_protocols(to: Iterable[Contact], device: Device) -> None:
    """Return only if we speak a protocol with each of them; a list that is not known is no reason.

    Raises:
        WeAreTooOld, TheyAreTooOld: of the first one with whom we do not.
    """
    for contact in to:
        why = no_common_protocol(contact, device)
        if why is not None:
            raise why


def no_common_protocol(contact: Contact, device: Device) -> WeAreTooOld | TheyAreTooOld | None:
    """Why somebody could not read what we write (docs/spec/identity.md section 3); None if she can,
    or if no list of hers is known.
    """
    theirs = known_speaks(contact.person.id, device)
    if theirs is None or (theirs.floor <= SPEAKS.newest and theirs.newest >= SPEAKS.floor):
        return None
    kind = WeAreTooOld if theirs.floor > SPEAKS.newest else TheyAreTooOld
    ours = SPEAKS.newest
    return kind(name=contact.name, floor=theirs.floor, newest=theirs.newest, ours=ours)
