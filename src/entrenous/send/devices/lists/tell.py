"""Tell everybody whom we write to that our list has changed (docs/spec/devices.md section 3)."""

from collections.abc import Collection, Iterator

from entrenous.model.ids import DeviceId
from entrenous.model.notes import CardNote
from entrenous.model.peer import Peer
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contacts
from entrenous.send.devices.self import who_am_i
from entrenous.send.devices.siblings import ourselves
from entrenous.send.drawers import PEER, peer_key, take
from entrenous.send.letter.write import Addressee, addressees, plain_outer, write_letter
from entrenous.send.tokens.use import has_way


def tell_siblings_of_card(besides: Collection[DeviceId], device: Device) -> None:
    """Lay our newest card out for our other devices, before anybody else can hear of it; call it in
    the transaction that takes it.
    """
    us = ourselves(device)
    for to in addressees(us, device) if us is not None else ():
        if to.key.device not in besides:
            _tell(to, device)


def tell_people_of_card(device: Device) -> None:
    """Lay our newest card out for every device of everybody; call it as the other.

    Who is blocked hears nothing, nor whose lists contradict each other. Whom there is no session
    with yet sees the list at our relay.
    """
    for to in _people(device):
        _tell(to, device)


def _people(device: Device) -> Iterator[Addressee]:
    for contact in contacts(device):
        if not (contact.blocked or contact.forked):
            yield from addressees(contact, device)


def _tell(to: Addressee, device: Device) -> None:
    person = to.contact.person.id
    peer = take(Peer, PEER, peer_key(person, to.key.device), device.vault)
    if peer is not None and peer.sessions and has_way(to.contact, to.key.device, device):
        write_letter(CardNote(who_am_i(device).card), to, plain_outer(device), device)
