"""What this device knows of other people's lists, so that no relay takes it back to older ones."""

from dataclasses import dataclass

from entrenous.craft.crypto.lists import check_agree, heads_of
from entrenous.craft.wire.identity.card import read_card
from entrenous.model.device_list import Head, Speaks
from entrenous.model.ids import PersonId
from entrenous.model.person import Contact
from entrenous.ports import Device
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import LIST, lay, take


@dataclass(frozen=True, slots=True)
class KnownList:
    """A person's newest card that was proven, and every head of hers that was, oldest first."""

    card: bytes
    heads: tuple[Head, ...]


def known_heads(contact: Contact, device: Device) -> tuple[Head, ...]:
    """The heads that we know of somebody, oldest first; of ourselves, those that our card shows."""
    me = who_am_i(device)
    if contact.person.id == me.person.id:
        return heads_of(read_card(me.card).lists)
    known = take(KnownList, LIST, contact.person.id.hex(), device.vault)
    newest = Head(contact.person.epoch, contact.person.head)
    older = () if known is None else known.heads
    return (*(head for head in older if head.epoch < newest.epoch), newest)


def known_card(person: PersonId, device: Device) -> bytes | None:
    """The newest card of somebody that was proven."""
    known = take(KnownList, LIST, person.hex(), device.vault)
    return None if known is None else known.card


def known_speaks(person: PersonId, device: Device) -> Speaks | None:
    """The protocols that somebody's devices speak, by her newest list that was proven."""
    card = known_card(person, device)
    return None if card is None else read_card(card).newest.said.speaks


def card_with(person: PersonId, head: bytes, device: Device) -> bytes | None:
    """The newest card of somebody, if the list with this head is in its history."""
    card = known_card(person, device)
    if card is None:
        return None
    return card if head in {one.digest for one in heads_of(read_card(card).lists)} else None


def keep_list(person: PersonId, card: bytes, device: Device) -> None:
    """Remember a proven card that is at least as new as the one before it (people.newest_card)."""
    known = take(KnownList, LIST, person.hex(), device.vault)
    heads = {} if known is None else {head.epoch: head for head in known.heads}
    heads |= {head.epoch: head for head in heads_of(read_card(card).lists)}
    ordered = tuple(heads[epoch] for epoch in sorted(heads))
    lay(KnownList(card, ordered), LIST, person.hex(), device.vault)


def check_head(contact: Contact, named: Head, device: Device) -> None:
    """Return only if what somebody names as a head of hers is none that contradicts what we know.

    Raises:
        ForkedList.
    """
    check_agree(known_heads(contact, device), [named])


def forget_list(person: PersonId, device: Device) -> None:
    """Forget what was known of somebody's lists."""
    device.vault.drop(LIST, person.hex())
