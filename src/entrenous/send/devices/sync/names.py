"""One name means one person, or one circle, on all of our devices, whoever was called so first."""

from dataclasses import replace

from entrenous.model.circle import Circle, CircleId
from entrenous.model.ids import PersonId
from entrenous.model.person import Contact
from entrenous.ports import Device
from entrenous.send.acquaintance.notices import note_renamed
from entrenous.send.acquaintance.people import as_seen, contacts, free_name
from entrenous.send.circle.kept import circles, keep_circle
from entrenous.send.drawers import CONTACT, lay


def settle_name(wanted: str, before: str, of: PersonId | CircleId, device: Device) -> str:
    """What somebody, or a circle, is called whom another device of ours calls ``wanted``; call it
    in the transaction that stores it, before it is stored.

    Where two have one name, a person keeps it before a circle, and the lower id before the higher.
    The other one gets a free name, and our person is told; each of our devices decides alike.
    ``before`` is what it was called here.
    """
    others = [one for one in _called(wanted, device) if _id_of(one) != of]
    if any(_rank(_id_of(one)) < _rank(of) for one in others):
        name = free_name(wanted, device, of)
        if name != before:
            note_renamed(wanted, name, device)
        return name
    for one in others:
        _give_way(one, device)
    return wanted


def _called(name: str, device: Device) -> list[Contact | Circle]:
    every: list[Contact | Circle] = [*contacts(device), *circles(device.vault)]
    return [one for one in every if as_seen(one.name) == as_seen(name)]


def _id_of(one: Contact | Circle) -> PersonId | CircleId:
    return one.person.id if isinstance(one, Contact) else one.id


def _rank(of: PersonId | CircleId) -> tuple[int, bytes]:
    """The id of a person is the longer one."""
    return -len(of), of


def _give_way(one: Contact | Circle, device: Device) -> None:
    renamed = replace(one, name=free_name(one.name, device))
    note_renamed(one.name, renamed.name, device)
    if isinstance(renamed, Contact):
        lay(renamed, CONTACT, renamed.person.id.hex(), device.vault)
    else:
        keep_circle(renamed, device.vault)
