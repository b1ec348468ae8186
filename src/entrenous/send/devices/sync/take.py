"""Take in what another device of ours tells; the newest change counts, wherever it was made."""

from dataclasses import replace
from typing import Final

from entrenous.craft.crypto.hashing import same
from entrenous.craft.crypto.statements import verify_card
from entrenous.craft.wire.identity.card import read_card
from entrenous.craft.wire.identity.sync import read_sync
from entrenous.model.circle import Circle
from entrenous.model.device_list import ForkedList, OldList
from entrenous.model.ids import DeviceId
from entrenous.model.letter import NotBound
from entrenous.model.link import Sibling
from entrenous.model.notes import SyncNote
from entrenous.model.person import Contact, Trust
from entrenous.model.sync import (
    Shared,
    SharedBlock,
    SharedCircle,
    SharedClose,
    SharedContact,
    SharedGone,
    SharedHomes,
)
from entrenous.ports import Device
from entrenous.send.acquaintance.block import block_contact
from entrenous.send.acquaintance.links import note_elsewhere
from entrenous.send.acquaintance.notices import note_change
from entrenous.send.acquaintance.people import contact_of, forget_contact, keep_contact
from entrenous.send.circle.kept import drop_circle, keep_circle
from entrenous.send.devices.first_token import NO_TOKEN
from entrenous.send.devices.known_lists import keep_list
from entrenous.send.devices.lists.forked import freeze
from entrenous.send.devices.lists.outside import leads_outside
from entrenous.send.devices.lists.take_list import take_list
from entrenous.send.devices.self import who_am_i
from entrenous.send.devices.siblings import (
    free_device_name,
    keep_sibling,
    own_name,
    sibling_of,
    siblings,
)
from entrenous.send.devices.sync.names import settle_name
from entrenous.send.devices.sync.records import (
    Stamp,
    digest_of,
    is_told_blocked,
    keep_stamp,
    key_of,
    stamp_of,
)
from entrenous.send.devices.sync.tell import lacks_again, note_told
from entrenous.send.drawers import CIRCLE, GREET_DEVICE, peer_key, take
from entrenous.send.tokens.use import lacks_window, take_lent

_ABOUT_SOMEBODY: Final = (SharedContact, SharedGone, SharedBlock)


def take_sync(note: SyncNote, sender: DeviceId, epoch: int, device: Device) -> None:
    """Do here what was done on another device, which said so under the list of this epoch; call it
    in the transaction that opens its letter.

    Raises:
        BadSync; NotBound: a close token of another device than the one that says so; that we know,
        forgot or blocked ourselves.
    """
    shared = read_sync(note)
    if isinstance(shared, SharedClose | SharedHomes) and shared.device != sender:
        raise NotBound(what="it is about another device of yours")
    if isinstance(shared, _ABOUT_SOMEBODY) and shared.person == who_am_i(device).person.id:
        _meet_siblings(shared, device)
        return
    # What became of it here may differ, as when a name is taken: then all_records dates it anew.
    key, said = key_of(shared), Stamp(shared.at, digest_of(shared))
    known = stamp_of(key, device)
    if known is not None and _counts(known, said, shared):
        if known == said:
            note_told(sender, key, device)
        if isinstance(shared, SharedContact):
            _take_lent(shared, device)
        elif isinstance(shared, SharedGone):
            lacks_again(sender, shared.person, device)
        return
    _take(shared, epoch, device)
    keep_stamp(key, said, device)
    note_told(sender, key, device)


def _counts(known: Stamp, said: Stamp, shared: Shared) -> bool:
    """Whether what we know is as new; what one device alone says comes in its order."""
    if isinstance(shared, SharedClose | SharedHomes):
        return known.at > said.at or known == said
    return known.rank >= said.rank


def _take(shared: Shared, epoch: int, device: Device) -> None:
    match shared:
        case SharedContact():
            _contact(shared, device)
        case SharedGone():
            known = _somebody(shared.person, device)
            if known is not None:
                forget_contact(known.name, device)
        case SharedBlock():
            _block(shared, device)
        case SharedCircle():
            _circle(shared, device)
        case SharedClose():
            _close(shared, device)
        case SharedHomes():
            _homes(shared, epoch, device)


def _somebody(person: bytes, device: Device) -> Contact | None:
    """A contact, and never ourselves."""
    return None if person == who_am_i(device).person.id else contact_of(person, device)


def _contact(shared: SharedContact, device: Device) -> None:
    before = _somebody(shared.person, device)
    known = _new(shared, device) if before is None else _newer(before, shared, device)
    name = settle_name(shared.name, known.name, shared.person, device)
    trust = Trust.UNKNOWN if known.forked else shared.trust
    after = replace(known, name=name, trust=trust, since=shared.since, receipts=shared.receipts)
    if before is not None:
        after = note_change(known, after, device)
    keep_contact(after, device)
    if before is None and trust is Trust.BY_LINK and _came_since_we_did(shared, device):
        note_elsewhere(after, device)
    _take_lent(shared, device)


def _came_since_we_did(shared: SharedContact, device: Device) -> bool:
    """Whether they were met after this device was set up: whom its person knew before is no news
    to a device that was just linked.
    """
    return shared.since >= who_am_i(device).key.created_at


def _take_lent(shared: SharedContact, device: Device) -> None:
    """Tokens may come later than what they came with before, as those of a device that was late."""
    kept = _somebody(shared.person, device)
    listed = set() if kept is None else {key.device for key in kept.person.devices}
    for key, lent in shared.lent:
        if kept is not None and key in listed:
            take_lent(shared.person, key, lent, device)
            if not kept.blocked:
                device.vault.put(GREET_DEVICE, peer_key(shared.person, key), b"")


def _meet_siblings(shared: Shared, device: Device) -> None:
    """What is said of ourselves: tokens for other devices of ours, which count for those that have
    not told us how to write to them. Nothing else is, and when it was said means nothing.
    """
    if not isinstance(shared, SharedContact):
        raise NotBound(what="it is about yourself")
    for key, lent in shared.lent:
        if sibling_of(key, device) and lacks_window(shared.person, key, device):
            take_lent(shared.person, key, lent, device)
            device.vault.put(GREET_DEVICE, peer_key(shared.person, key), b"")


def _new(shared: SharedContact, device: Device) -> Contact:
    person = verify_card(read_card(shared.card))
    if not same(person.id, shared.person):
        raise NotBound(what="its card is another person's")
    leads_outside(person.relay_url, device)
    keep_list(person.id, shared.card, device)
    blocked = is_told_blocked(shared.person, device)
    return Contact(shared.name, person, NO_TOKEN, shared.trust, shared.since, blocked=blocked)


def _newer(known: Contact, shared: SharedContact, device: Device) -> Contact:
    if not shared.card:
        return known
    try:
        return take_list(known, shared.card, device)
    except OldList:
        return known
    except ForkedList as fork:
        freeze(fork, device)
        return contact_of(known.person.id, device) or known


def _block(shared: SharedBlock, device: Device) -> None:
    """Of somebody unknown the stamp is kept, and counts when she is told of."""
    known = _somebody(shared.person, device)
    if known is None or known.blocked == shared.blocked:
        return
    if shared.blocked:
        block_contact(known.name, device)
        return
    keep_contact(replace(known, blocked=False), device)
    for key in known.person.devices:
        device.vault.put(GREET_DEVICE, peer_key(known.person.id, key.device), b"")


def _circle(shared: SharedCircle, device: Device) -> None:
    known = take(Circle, CIRCLE, shared.id.hex(), device.vault)
    if shared.name is None or not shared.people:
        if known is not None:
            drop_circle(known, device.vault)
        return
    before = shared.name if known is None else known.name
    name = settle_name(shared.name, before, shared.id, device)
    circle = Circle(shared.id, name, shared.people, shared.made_at)
    if known is not None:
        circle = replace(known, name=name, people=shared.people, made_at=shared.made_at)
    keep_circle(circle, device.vault)


def _close(shared: SharedClose, device: Device) -> None:
    known = sibling_of(shared.device, device)
    others = [one.name for one in siblings(device) if one.device != shared.device]
    name = free_device_name(shared.name, [own_name(device), *others])
    known = known or Sibling(shared.device, name, None, heard=True)
    keep_sibling(replace(known, name=name, close=shared.close), device)


def _homes(shared: SharedHomes, epoch: int, device: Device) -> None:
    known = sibling_of(shared.device, device)
    if known is not None:
        keep_sibling(replace(known, homes=shared.homes, told_under=epoch), device)
