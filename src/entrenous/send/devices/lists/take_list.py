"""Take in a newer list of somebody's devices, wherever it was shown."""

from dataclasses import replace

from entrenous.craft.crypto.hashing import same
from entrenous.craft.crypto.lists import head_of
from entrenous.craft.crypto.statements import verify_card
from entrenous.craft.wire.identity.card import read_card
from entrenous.model.device_list import ForkedList, Head, Standing
from entrenous.model.person import BadSignature, Contact, Trust
from entrenous.ports import Device
from entrenous.send.acquaintance.notices import note_change
from entrenous.send.acquaintance.people import keep_contact, newest_card
from entrenous.send.devices.known_lists import keep_list
from entrenous.send.devices.lists.forked import fork_of
from entrenous.send.devices.lists.gone import forget_devices, left_behind
from entrenous.send.devices.lists.outside import leads_outside
from entrenous.send.drawers import NAMED
from entrenous.send.tokens.place import note_moved
from entrenous.send.tokens.use import take_told


def take_list(known: Contact, untrusted_card: bytes, device: Device) -> Contact:
    """The contact as this card has them, stored; call it in a transaction.

    Devices that left the list are forgotten, and what changed is told once. A person becomes
    unknown when what we knew is older than what the card shows of its history; one whose lists
    contradict each other stays as they are, and no other list of theirs is taken.

    Raises:
        BadCard, OldList, OnThisMachine; BadSignature, also of a card that is somebody else's;
        ForkedList, which says whose (send/devices/lists/forked.py).
    """
    card = read_card(untrusted_card)
    person = verify_card(card)
    if not same(person.id, known.person.id):
        raise BadSignature(what="card")
    if known.forked:
        return known
    leads_outside(person.relay_url, device)
    try:
        standing = newest_card(card, known, device)
    except ForkedList:
        head = Head(person.epoch, head_of(card.newest.statement))
        raise fork_of(person.id, head, untrusted_card) from None
    trust = Trust.UNKNOWN if standing is Standing.NEWER_UNPROVEN else known.trust
    after = note_change(known, replace(known, person=person, trust=trust), device)
    forget_devices(person.id, left_behind(known.person, person), device)
    note_moved(known.person, person, device)
    keep_contact(after, device)
    keep_list(person.id, untrusted_card, device)
    take_told(person.id, device)
    device.vault.drop(NAMED, person.id.hex())
    return after
