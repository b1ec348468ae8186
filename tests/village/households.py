"""People with several devices: a further one is linked as two people at two screens would do it."""

from entrenous.adapters.vault.ledger import VaultLedger
from entrenous.adapters.vault.memory import MemoryVault
from entrenous.craft.media.picture import read_picture
from entrenous.ports import Device
from entrenous.send.devices.link.new import NewSide, ask_to_link, look_new, same_here
from entrenous.send.devices.link.old import (
    OldSide,
    look_old,
    offer_link,
    same_on_both,
    wait_no_more,
)
from entrenous.send.devices.link.states import LinkState
from entrenous.send.fetch import fetch_messages
from tests.send.room import Person, Room
from tests.village.malicious_relay import MaliciousCourier
from tests.village.world import LoadedDice


def bare(room: Room, name: str) -> Person:
    """A device that holds nothing yet."""
    vault, courier = MemoryVault(), MaliciousCourier(room.honest)
    dice = LoadedDice(f"{name} bare {len(room.people)}")
    device = Device(room.clock, dice, vault, VaultLedger(vault), courier, read_picture)
    room.people[name] = Person(name, device, vault, courier)
    return room.people[name]


def links(room: Room, old: Person, name: str, calls_it: str | None = None) -> Person:
    """Link a further device of the person of ``old``; everybody at it has caught up then."""
    new = bare(room, name)
    link(old.device, new.device, calls_it)
    catch_up(new, old, new, old, new)
    return new


def link(old: Device, new: Device, calls_it: str | None = None) -> tuple[OldSide, NewSide]:
    """Both sides' steps, in the order in which they come."""
    here = offer_link(None, old)
    there = ask_to_link(here.code, calls_it, new)
    here = look_old(here, old)
    there = look_new(there, new)
    here = look_old(here, old)
    assert here.string == there.string
    there = same_here(there)
    here = same_on_both(here, old)
    there = look_new(there, new)
    wait_no_more(here, old)
    assert (here.state, there.state) == (LinkState.GRANTED, LinkState.LINKED)
    return here, there


def catch_up(*people: Person) -> None:
    """Each of them looks into the inbox, in this order."""
    for one in people:
        fetch_messages(one.device)
