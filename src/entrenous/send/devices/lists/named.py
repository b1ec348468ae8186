"""Lists that a letter names and that we have not seen: their relay is asked, three times in a day.

A relay that keeps a list back, or shows some people another one, is found out by the first letter
that crosses it (docs/spec/devices.md section 1).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from entrenous.craft.crypto.lists import check_named, heads_of
from entrenous.craft.wire.identity.card import read_card
from entrenous.model.changed import Contradiction
from entrenous.model.device_list import ForkedList, Head, HeldBackList, OldList
from entrenous.model.errors import EntrenousError, Malformed, Refused, Unproven, Unreachable
from entrenous.model.ids import PersonId
from entrenous.model.lock import RolledBack
from entrenous.model.message import OfflineDevice
from entrenous.model.person import Contact
from entrenous.ports import Device
from entrenous.send.acquaintance.notices import note_contradiction
from entrenous.send.acquaintance.people import contact_of
from entrenous.send.devices.known_lists import known_heads
from entrenous.send.devices.lists.forked import freeze
from entrenous.send.devices.lists.own_list import take_own_card
from entrenous.send.devices.lists.take_list import take_list
from entrenous.send.devices.self import who_am_i
from entrenous.send.devices.shown_card import seen_card
from entrenous.send.drawers import NAMED, lay, take
from entrenous.send.moment import this_second
from entrenous.send.odd_clock import is_lately
from entrenous.send.tokens.place import way_to
from entrenous.send.tokens.use import has_way, token_for
from entrenous.spec import LIST_TRIES

_BETWEEN: Final = timedelta(hours=24) / LIST_TRIES
_NOT_THE_CARDS_FAULT: Final = (RolledBack, OfflineDevice)


@dataclass(frozen=True, slots=True)
class NamedList:
    """The newest head that was named, when their relay was last asked, and how often; ``own`` says
    that a device of that very person named it, and ``proven`` that we know who did.
    """

    head: Head
    asked_at: datetime | None = None
    tries: int = 0
    own: bool = False
    proven: bool = True

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """The greater one is asked for."""
        return self.own, self.proven, self.head.epoch


def hear_of(
    person: PersonId, named: Head, device: Device, *, own: bool, proven: bool = True
) -> None:
    """Note a head of somebody that a letter names, ``own`` if by a device of that very person; call
    it in the letter's transaction.

    What is newer than what we know, or contradicts it, is asked for later: who names it may be
    wrong, or lie, about somebody else's list. What a person's own devices name stands above it. Of
    what nobody proved to have written nothing is told if it is not there.
    """
    contact = contact_of(person, device)
    if contact is None:
        return
    try:
        check_named(named, known_heads(contact, device))
    except (ForkedList, HeldBackList):
        waiting = take(NamedList, NAMED, person.hex(), device.vault)
        heard = NamedList(named, own=own, proven=proven)
        if waiting is None or waiting.rank < heard.rank:
            lay(heard, NAMED, person.hex(), device.vault)


def ask_for_named(device: Device) -> None:
    """Ask for lists that were named. A relay that does not answer is asked again the next time.

    That of somebody blocked is not asked, since it would tell them when and from where this device
    is used; what was named is kept until they are not blocked any more.
    """
    for key in device.vault.keys(NAMED):
        waiting = take(NamedList, NAMED, key, device.vault)
        contact = contact_of(PersonId(bytes.fromhex(key)), device)
        if waiting is None or contact is None or _is_settled(waiting.head, contact, device):
            device.vault.drop(NAMED, key)
        elif not contact.blocked and _is_due(waiting, device):
            with suppress(Unreachable):
                _ask(waiting, contact, device)


def _is_due(waiting: NamedList, device: Device) -> bool:
    return waiting.asked_at is None or not is_lately(waiting.asked_at, _BETWEEN, device)


def _is_settled(named: Head, contact: Contact, device: Device) -> bool:
    """Whether it is among those that we know, or of a time before them."""
    try:
        check_named(named, known_heads(contact, device))
    except (ForkedList, HeldBackList):
        return False
    return True


def _ask(waiting: NamedList, contact: Contact, device: Device) -> None:
    shown = _shown(contact, device)
    try:
        with device.vault.together():
            _judge(waiting, _take(contact, shown, device), contact, device)
    except ForkedList as fork:
        _contradicted(fork, waiting, contact, device)
    except _NOT_THE_CARDS_FAULT:
        raise
    except (Malformed, Unproven, Refused):
        # Whatever somebody shows must not stop what comes after it, nor every later fetch.
        _tried(waiting, contact, device)


def _take(contact: Contact, shown: bytes | None, device: Device) -> tuple[Head, ...]:
    """Take in a newer card that is shown, whatever was named; the heads that are known then, and
    those that are shown, oldest first.

    Raises:
        BadCard, BadSignature, OnThisMachine; ForkedList: it contradicts what we know.
    """
    heads = {head.epoch: head for head in known_heads(contact, device)}
    if shown is not None:
        card = read_card(shown)
        with suppress(OldList):
            if contact.person.id == who_am_i(device).person.id:
                take_own_card(card, device)
            else:
                take_list(contact, shown, device)
            heads |= {head.epoch: head for head in heads_of(card.lists)}
    return tuple(heads[epoch] for epoch in sorted(heads))


def _judge(waiting: NamedList, heads: Sequence[Head], contact: Contact, device: Device) -> None:
    try:
        check_named(waiting.head, heads)
    except ForkedList as fork:
        _contradicted(fork, waiting, contact, device)
    except HeldBackList:
        _tried(waiting, contact, device)
    else:
        device.vault.drop(NAMED, contact.person.id.hex())


def _contradicted(fork: ForkedList, waiting: NamedList, contact: Contact, device: Device) -> None:
    """Two lists that were both shown freeze the person; one that was only named is told once."""
    with device.vault.together():
        if fork.facts:
            freeze(fork, device)
            device.vault.drop(NAMED, contact.person.id.hex())
            return
        told = replace(waiting, asked_at=this_second(device), tries=LIST_TRIES)
        lay(told, NAMED, contact.person.id.hex(), device.vault)
        if waiting.tries < LIST_TRIES and waiting.proven:
            _note(Contradiction.SPLIT, contact, device)


def _shown(contact: Contact, device: Device) -> bytes | None:
    """What lies at the mailbox of one of their devices; None where nothing can be had of it.

    Raises:
        RelayUnreachable.
    """
    for key in contact.person.devices:
        if not has_way(contact, key.device, device):
            continue
        token = token_for(contact, key.device, device)
        url, mailbox = way_to(contact.person, key, device)
        try:
            shown = device.courier.card(url, mailbox, token)
            return seen_card(shown, contact.person.id, mailbox)
        except Unreachable:
            raise
        except EntrenousError:
            continue
    return None


def _tried(waiting: NamedList, contact: Contact, device: Device) -> None:
    """Once more in vain; after the last time it is told, and their next letter begins anew.

    Our own list is newest on our own devices, so what only somebody else claims is no news of it.
    """
    tried = replace(waiting, asked_at=this_second(device), tries=waiting.tries + 1)
    with device.vault.together():
        lay(tried, NAMED, contact.person.id.hex(), device.vault)
        if tried.tries == LIST_TRIES and waiting.proven:
            claimed = contact.person.id == who_am_i(device).person.id and not waiting.own
            _note(Contradiction.SPLIT if claimed else Contradiction.HELD_BACK, contact, device)


def _note(lists: Contradiction, contact: Contact, device: Device) -> None:
    ours = contact.person.id == who_am_i(device).person.id
    note_contradiction(None if ours else contact.name, lists, device)
