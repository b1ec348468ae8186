"""Where tokens hold: at the mailbox that the device which told of them had by the list under which
it told, also once a newer one has it elsewhere (docs/spec/letter.md section 9).
"""

from dataclasses import replace

from entrenous.craft.crypto.lists import heads_of
from entrenous.craft.wire.identity.card import read_card
from entrenous.model.device_list import DeviceList, Head
from entrenous.model.identity import Identity
from entrenous.model.ids import DeviceId, MailboxId, PersonId
from entrenous.model.person import Contact, DeviceKey, Person
from entrenous.model.window import HeldWindow, Place, ToldWindow
from entrenous.ports import Device
from entrenous.send.devices.known_lists import KnownList, known_card
from entrenous.send.devices.lists.outside import leads_outside
from entrenous.send.devices.self import IDENTITY
from entrenous.send.drawers import CONTACT, FIRST_TOKEN, LIST, SELF, WINDOW_OUT, lay, peer_key, take


def held_window(whose: str, device: Device) -> HeldWindow:
    """What we may write to a device with; ``whose`` is its key in the drawer of peers."""
    return take(HeldWindow, WINDOW_OUT, whose, device.vault) or HeldWindow()


def note_moved(before: Person, after: Person, device: Device) -> None:
    """The tokens of devices that are listed elsewhere since this list hold where they were; call it
    in the transaction that stores the list.
    """
    us = _ourselves(device)
    head = None if us is not None and us.id == after.id else Head(before.epoch, before.head)
    there = {key.device: (before.relay_url, key.mailbox) for key in before.devices}
    for key in after.devices:
        here = after.relay_url, key.mailbox
        was = there.get(key.device, here)
        whose = peer_key(after.id, key.device)
        held = held_window(whose, device)
        has_some = held.seed is not None or held.lent or device.vault.get(FIRST_TOKEN, whose)
        if was != here and held.place is None and has_some:
            lay(replace(held, place=Place(*was, head)), WINDOW_OUT, whose, device.vault)


def place_of(person: PersonId, key: DeviceId, device: Device) -> Place | None:
    """Where our tokens for a device hold; None: where it is listed."""
    return held_window(peer_key(person, key), device).place


def way_to(person: Person, key: DeviceKey, device: Device) -> tuple[str, MailboxId]:
    """The relay and the mailbox at which our tokens for a device of somebody hold."""
    place = place_of(person.id, key.device, device)
    return (person.relay_url, key.mailbox) if place is None else (place.relay_url, place.mailbox)


def where_tokens_hold(whose: str, held: HeldWindow, device: Device) -> tuple[str, MailboxId] | None:
    """The relay and the mailbox; None of a device that is listed no more."""
    if held.place is not None:
        return held.place.relay_url, held.place.mailbox
    person, one = (bytes.fromhex(part) for part in whose.split(" "))
    known = _person(person, device)
    if known is None:
        return None
    keys = known.devices
    return next(((known.relay_url, key.mailbox) for key in keys if key.device == one), None)


def is_ahead(told: ToldWindow, device: Device) -> bool:
    """Whether a device told of a window under a list that we do not know yet: where that has it,
    and so where the tokens hold, nobody can say.
    """
    person = _person(told.person, device)
    return person is not None and told.under.epoch > person.epoch


def agrees(told: ToldWindow, device: Device) -> bool:
    """Whether the list under which it was told of is one that we know."""
    return told.under in _heads_of(told.person, device)


def place_under(told: ToldWindow, known: Place | None, device: Device) -> Place | None:
    """Where a device was by the list under which it told of a window, and ``known`` where that is
    too old to be known; None: where it is listed now.

    Raises:
        OnThisMachine: that was on this machine.
    """
    person = _person(told.person, device)
    if person is None or told.under.epoch >= person.epoch:
        return None
    us = _ourselves(device)
    ours = us is not None and us.id == person.id
    said = _list_of(person.id, told.under.epoch, device)
    if said is None:
        return known
    was = {listed.device: (said.relay_url, listed.mailbox) for listed in said.devices}
    now = {key.device: (person.relay_url, key.mailbox) for key in person.devices}
    there = was.get(told.device)
    if there is None or there == now.get(told.device):
        return None
    leads_outside(said.relay_url, device)  # lists of before were not looked at when they were taken
    return Place(*there, None if ours else told.under)


def _list_of(person: PersonId, epoch: int, device: Device) -> DeviceList | None:
    """The list of this epoch in the newest card of somebody, or of ourselves."""
    card = _own_card(person, device) or known_card(person, device)
    lists = () if card is None else read_card(card).lists
    return next((one.said for one in lists if one.said.epoch == epoch), None)


def _heads_of(person: PersonId, device: Device) -> tuple[Head, ...]:
    own = _own_card(person, device)
    if own is not None:
        return heads_of(read_card(own).lists)
    known = take(KnownList, LIST, person.hex(), device.vault)
    return () if known is None else known.heads


def _own_card(person: PersonId, device: Device) -> bytes | None:
    """Ours, if it is ourselves."""
    identity = take(Identity, SELF, IDENTITY, device.vault)
    us = None if identity is None else identity.person
    return identity.card if identity is not None and us is not None and us.id == person else None


def _person(whose: bytes, device: Device) -> Person | None:
    """Somebody whom we know, or ourselves."""
    contact = take(Contact, CONTACT, whose.hex(), device.vault)
    if contact is not None:
        return contact.person
    us = _ourselves(device)
    return us if us is not None and us.id == whose else None


def _ourselves(device: Device) -> Person | None:
    identity = take(Identity, SELF, IDENTITY, device.vault)
    return None if identity is None else identity.person
