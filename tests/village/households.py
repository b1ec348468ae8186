"""People with several devices: link them with the same steps as people at two screens."""

from collections.abc import Callable

import pytest

from entrenous.base.identifiers import DeviceId, PersonId
from entrenous.device.device import Device
from entrenous.device.identities import MailboxAddress, own_device
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.vault_tables import peer_key
from entrenous.media.picture_reader import read_picture
from entrenous.send.devices.link_new_device import (
    NewDeviceLinkInProgress,
    confirm_on_new_device,
    poll_new_device,
    start_on_new_device,
)
from entrenous.send.devices.link_old_device import (
    OldDeviceLinkInProgress,
    close_link_mailbox,
    confirm_on_old_device,
    poll_old_device,
    start_on_old_device,
)
from entrenous.send.devices.link_steps import LinkState
from entrenous.send.devices.move_device import move_all_devices
from entrenous.send.devices.next_mailbox import WaitsForDevices
from entrenous.send.fetch import fetch_messages
from entrenous.send.tokens.token_ranges import HeldTokens
from entrenous.send.tokens.use import held_tokens
from tests.deterministic import SeededRandomSource
from tests.in_memory.vault import MemoryVault
from tests.send.send_device import OTHER_RELAY_URL, Network, Person
from tests.village.malicious_relay import MaliciousCourier


def add_blank_device(network: Network, name: str) -> Person:
    """Add a device that is not set up to the network."""
    vault, courier = MemoryVault(), MaliciousCourier(network.honest)
    random_source = SeededRandomSource(f"{name} bare {len(network.people)}")
    device = Device(network.clock, random_source, vault, VaultLedger(vault), courier, read_picture)
    network.people[name] = Person(name, device, vault, courier)
    return network.people[name]


def add_linked_device(
    network: Network, old: Person, name: str, calls_it: str | None = None
) -> Person:
    """Link a new device to that of ``old``, let both catch up, and return the new one."""
    new = add_blank_device(network, name)
    link_devices(old.device, new.device, calls_it)
    catch_up(new, old, new, old, new)
    return new


def link_devices(
    old: Device,
    new: Device,
    calls_it: str | None = None,
    lock: Callable[[MailboxAddress], object] = lambda _: None,
) -> tuple[OldDeviceLinkInProgress, NewDeviceLinkInProgress]:
    """Take the steps of both sides in order; ``lock`` is called where a vault makes its lock."""
    here = start_on_old_device(None, old)
    there = start_on_new_device(here.code, calls_it, new)
    lock(there.home)
    here = poll_old_device(here, old)
    there = poll_new_device(there, new)
    here = poll_old_device(here, old)
    assert here.short_string == there.short_string
    there = confirm_on_new_device(there)
    here = confirm_on_old_device(here, old)
    there = poll_new_device(there, new)
    close_link_mailbox(here, old)
    assert (here.state, there.state) == (LinkState.GRANTED, LinkState.LINKED)
    return here, there


def owner_and_device_ids(who: Person) -> tuple[PersonId, DeviceId]:
    """Return the IDs of the device's owner and of the device."""
    me = own_device(who.device)
    return me.person.id, me.key.device


def tokens_for_peer(writer: Person, reader: Person) -> HeldTokens:
    """Return the tokens that one device has for writing to another."""
    return held_tokens(peer_key(*owner_and_device_ids(reader)), writer.device)


def can_write(writer: Person, reader: Person) -> bool:
    """Return whether one device has tokens for the mailbox at which another is listed."""
    tokens = tokens_for_peer(writer, reader)
    return tokens.seed is not None and tokens.place is None


def can_all_write(*people: Person) -> bool:
    """Return whether each of these devices can write to each of the others."""
    return all(can_write(a, b) for a in people for b in people if a is not b)


def prepare_move(leader: Person, *others: Person, url: str = OTHER_RELAY_URL) -> None:
    """Start a move to another relay on one device, and let the others prepare for it."""
    with pytest.raises(WaitsForDevices):
        move_all_devices(url, None, leader.device)
    catch_up(*others, leader)


def catch_up(*people: Person) -> None:
    """Fetch messages on each of these devices, in this order."""
    for one in people:
        fetch_messages(one.device)
