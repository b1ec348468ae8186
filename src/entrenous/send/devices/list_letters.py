"""Letters about device lists: write them, and process those that arrive."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import Final

from entrenous.base.identifiers import DeviceId
from entrenous.base.identity import Contact, OutdatedDeviceList
from entrenous.base.limits import REPLACED_TOKEN_RANGES_MAX
from entrenous.crypto.nouns import NotForThisMailbox
from entrenous.device.device import Device
from entrenous.device.identities import contacts, own_device, own_other_devices
from entrenous.device.vault_tables import DEVICE_TO_GREET, GREETING_SENT, peer_key
from entrenous.send.devices.device_lists import accept_contact_bundle, accept_own_bundle
from entrenous.send.devices.linked_devices import linked_device_by_id, store_linked_device
from entrenous.send.devices.old_mailbox import was_at_another_mailbox
from entrenous.send.devices.sync_receive import apply_sync_note
from entrenous.send.letter.letter_nouns import (
    PEER_TABLE,
    Header,
    Hello,
    KeyBundleNote,
    SyncNote,
)
from entrenous.send.letter.write import (
    Addressee,
    addressees,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.tokens.issue import count_retired_ranges
from entrenous.send.tokens.use import has_tokens_for, receive_range
from entrenous.wire.key_bundle import read_key_bundle


def queue_bundle_for_own_devices(besides: Collection[DeviceId], device: Device) -> None:
    """Queue our newest key bundle for our other devices, except for those in ``besides``.

    Our devices must get the bundle before other people do. Call this function in the transaction
    that accepts the bundle.
    """
    us = own_other_devices(device)
    for to in addressees(us, device) if us is not None else ():
        if to.key.device not in besides:
            _queue_bundle_letter_if_possible(to, device)


def queue_bundle_for_contacts(device: Device) -> None:
    """Queue our newest key bundle for every device of our contacts. Call it in the transaction that
    accepts the bundle.

    Leave out blocked contacts, and contacts whose lists contradict each other. A device with which
    we have no session, or for which we have no token, sees the list at our relay.
    """
    for contact in contacts(device):
        if not (contact.blocked or contact.forked):
            for to in addressees(contact, device):
                _queue_bundle_letter_if_possible(to, device)


def _queue_bundle_letter_if_possible(to: Addressee, device: Device) -> None:
    person = to.contact.person.id
    peer = PEER_TABLE.load(peer_key(person, to.key.device), device.vault)
    if peer is not None and peer.sessions and has_tokens_for(to.contact, to.key.device, device):
        seal_and_queue_letter(
            KeyBundleNote(own_device(device).card), to, outer_parts_without_content(device), device
        )


_GREETING_INTERVAL_S: Final = 24 * 3600


def is_from_own_device(header: Header, device: Device) -> bool:
    """Check whether an authenticated letter is from another device of ours."""
    return header.from_person == own_device(device).person.id


def accept_own_device_hello(hello: Hello, header: Header, device: Device) -> None:
    """Accept the key bundle and the tokens that another device of ours sent, and greet that device
    in return.

    Raises:
        NotForThisMailbox: the letter is from a device that is not on our list.
        BadKeyBundle, BadSignature, ForkedDeviceList.
    """
    card = read_key_bundle(hello.card)
    with suppress(OutdatedDeviceList):  # the other device does not have the newest list yet
        accept_own_bundle(card, device)
    known = linked_device_by_id(header.from_device, device)
    if known is None:
        raise NotForThisMailbox(what="it is from a device that is not one of yours")
    store_linked_device(replace(known, has_written=True), device)
    receive_range(header, hello.seed, hello.first, device)
    # If the other device's list is newer, this device could not accept it, and does not know the
    # other device's address.
    if own_device(device).person.epoch >= card.newest.said.epoch:
        queue_greeting_back(header, device)


def queue_greeting_back(header: Header, device: Device) -> None:
    """Queue a greeting to a device that has no tokens of ours, or that lost them.

    The number of greetings for each device is limited, since each greeting hands out tokens.
    """
    whose = peer_key(header.from_person, header.from_device)
    starts_new_session = header.prekey is not None and header.counter > 1
    had_many_ranges = count_retired_ranges(whose, device) >= REPLACED_TOKEN_RANGES_MAX
    if device.vault.get(GREETING_SENT, whose) is None or (
        starts_new_session and not had_many_ranges
    ):
        device.vault.put(DEVICE_TO_GREET, whose, b"")


def repeat_greeting_if_due(header: Header, device: Device, *, greets: bool) -> None:
    """Repeat our greeting to a contact's device that writes to a mailbox from which we moved.

    The contact may have refused the first greeting, for example after blocking us. The greeting is
    repeated at once if the device's letter is itself a greeting (``greets``), as after unblocking;
    otherwise at most once a day, since letters may have crossed.
    """
    whose = peer_key(header.from_person, header.from_device)
    greeted_at = int(device.vault.get(GREETING_SENT, whose) or 0)
    is_fresh = 0 <= device.clock.now().timestamp() - greeted_at < _GREETING_INTERVAL_S
    if (greets or not is_fresh) and was_at_another_mailbox(header.to_epoch, device):
        device.vault.put(DEVICE_TO_GREET, whose, b"")


def accept_bundle_letter(
    note: KeyBundleNote, header: Header, contact: Contact, device: Device
) -> None:
    """Accept a changed device list, a contact's or ours; ignore a list older than the known one.

    Raises:
        BadKeyBundle, BadSignature, ForkedDeviceList, AddressOnThisMachine.
    """
    with suppress(OutdatedDeviceList):
        if is_from_own_device(header, device):
            accept_own_bundle(read_key_bundle(note.card), device)
        else:
            accept_contact_bundle(contact, note.card, device)


def accept_sync_letter(note: SyncNote, header: Header, device: Device) -> None:
    """Apply a record from another device of ours.

    Raises:
        NotForThisMailbox: the letter is from somebody else.
        BadSync.
    """
    if not is_from_own_device(header, device):
        raise NotForThisMailbox(what="it is not from one of your devices")
    apply_sync_note(note, header.from_device, header.from_epoch, device)
