"""Two lists of one person that contradict each other: nothing is sent until they met and agreed."""

from dataclasses import dataclass, replace
from datetime import datetime

from entrenous.model.changed import Contradiction
from entrenous.model.device_list import ForkedList, Head
from entrenous.model.ids import PersonId
from entrenous.model.person import Contact, Trust
from entrenous.ports import Device
from entrenous.send.acquaintance.notices import note_contradiction
from entrenous.send.acquaintance.people import contact_of
from entrenous.send.devices.known_lists import KnownList
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import CONTACT, FORK, LIST, lay, take
from entrenous.send.moment import this_second


@dataclass(frozen=True, slots=True)
class Fork:
    """What both lists were: the card that we know, and the head that something else named.

    ``shown`` is the other card, where one was.
    """

    at: datetime
    known: bytes
    other: Head
    shown: bytes | None = None


def fork_of(person: PersonId, head: Head, card: bytes | None = None) -> ForkedList:
    """The error that says whose lists contradict each other, for :func:`freeze`."""
    return ForkedList(person=person, head=head, card=card)


def freeze(fork: ForkedList, device: Device) -> None:
    """Keep the evidence and have nothing sent to this person any more; call it in a transaction.

    The first fork is kept: what comes later says nothing new. One of our own lists is told too.
    """
    person, head = fork.facts.get("person"), fork.facts.get("head")
    if not isinstance(person, bytes) or not isinstance(head, Head):
        return
    whose = person.hex()
    contact = contact_of(person, device)
    if contact is None or device.vault.get(FORK, whose) is not None:
        return
    card = fork.facts.get("card")
    shown = card if isinstance(card, bytes) else None
    kept = Fork(this_second(device), _known_card(contact, device), head, shown)
    lay(kept, FORK, whose, device.vault)
    ours = person == who_am_i(device).person.id
    if not ours:
        lay(replace(contact, forked=True, trust=Trust.UNKNOWN), CONTACT, whose, device.vault)
    note_contradiction(None if ours else contact.name, Contradiction.FORKED, device)


def thaw(contact: Contact, device: Device) -> Contact:
    """The contact after both people compared what their devices know of these very lists."""
    device.vault.drop(FORK, contact.person.id.hex())
    return replace(contact, forked=False)


def _known_card(contact: Contact, device: Device) -> bytes:
    known = take(KnownList, LIST, contact.person.id.hex(), device.vault)
    return b"" if known is None else known.card
