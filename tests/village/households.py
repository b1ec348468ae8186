"""Link several devices of one person, with the steps that people take at the two screens."""

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
    """Add a person's device to the network, and do not set it up."""
    vault, courier = MemoryVault(), MaliciousCourier(network.honest)
    random_source = SeededRandomSource(f"{name} bare {len(network.people)}")
    device = Device(network.clock, random_source, vault, VaultLedger(vault), courier, read_picture)
    network.people[name] = Person(name, device, vault, courier)
    return network.people[name]


def add_linked_device(
    network: Network, old: Person, name: str, listed_name: str | None = None
) -> Person:
    """Link a new device to ``old``, let both catch up, and return the new one."""
    new = add_blank_device(network, name)
    link_devices(old.device, new.device, listed_name)
    catch_up(new, old, new, old, new)
    return new


def link_devices(
    old: Device,
    new: Device,
    listed_name: str | None = None,
    lock: Callable[[MailboxAddress], object] = lambda _: None,
) -> tuple[OldDeviceLinkInProgress, NewDeviceLinkInProgress]:
    """Link two devices, with the steps of both sides in order.

    ``listed_name`` is the new device's name in the device list. ``lock`` is called with the new
    mailbox, at the step in which a vault creates its lock at the relay.
    """
    old_side = start_on_old_device(None, old)
    new_side = start_on_new_device(old_side.code, listed_name, new)
    lock(new_side.home)
    old_side = poll_old_device(old_side, old)
    new_side = poll_new_device(new_side, new)
    old_side = poll_old_device(old_side, old)
    assert old_side.short_string == new_side.short_string
    new_side = confirm_on_new_device(new_side)
    old_side = confirm_on_old_device(old_side, old)
    new_side = poll_new_device(new_side, new)
    close_link_mailbox(old_side, old)
    assert (old_side.state, new_side.state) == (LinkState.GRANTED, LinkState.LINKED)
    return old_side, new_side


def owner_and_device_ids(person: Person) -> tuple[PersonId, DeviceId]:
    """Return the ID of the device's owner and the ID of the device."""
    me = own_device(person.device)
    return me.person.id, me.key.device


def tokens_for_peer(writer: Person, reader: Person) -> HeldTokens:
    """Return the tokens that the writer's device holds for messages to the reader's device."""
    return held_tokens(peer_key(*owner_and_device_ids(reader)), writer.device)


def can_write(writer: Person, reader: Person) -> bool:
    """Return whether the writer's device has tokens for the reader's current mailbox."""
    tokens = tokens_for_peer(writer, reader)
    return tokens.seed is not None and tokens.place is None


def can_all_write(*people: Person) -> bool:
    """Return whether each of these devices can write to each of the others."""
    return all(can_write(a, b) for a in people for b in people if a is not b)


def prepare_move(leader: Person, *others: Person, url: str = OTHER_RELAY_URL) -> None:
    """Let the leader start a move to another relay, and let the other devices prepare the move."""
    with pytest.raises(WaitsForDevices):
        move_all_devices(url, None, leader.device)
    catch_up(*others, leader)


def catch_up(*people: Person) -> None:
    """Fetch messages on each of these devices, in this order."""
    for person in people:
        fetch_messages(person.device)
