"""What letters about lists do when they come: from our own devices, and from other people's."""

from contextlib import suppress
from dataclasses import replace
from typing import Final

from entrenous.craft.wire.identity.card import read_card
from entrenous.model.device_list import OldList
from entrenous.model.letter import Header, NotBound
from entrenous.model.notes import CardNote, Hello, SyncNote
from entrenous.model.person import Contact
from entrenous.ports import Device
from entrenous.send.devices.lists.own_list import take_own_card
from entrenous.send.devices.lists.take_list import take_list
from entrenous.send.devices.self import who_am_i
from entrenous.send.devices.siblings import keep_sibling, sibling_of
from entrenous.send.devices.sync.take import take_sync
from entrenous.send.drawers import GREET_DEVICE, GREETED, peer_key
from entrenous.send.move.old_home import were_elsewhere
from entrenous.send.tokens.use import take_window
from entrenous.send.tokens.windows import count_retired
from entrenous.spec import GREETED_ANEW_MAX

_GREETED_AGAIN_S: Final = 24 * 3600


def is_sibling(header: Header, device: Device) -> bool:
    """Whether a proven letter is from another device of ours."""
    return header.from_person == who_am_i(device).person.id


def sibling_greets(hello: Hello, header: Header, device: Device) -> None:
    """Another device of ours says how to write to it; it is greeted back once."""
    card = read_card(hello.card)
    with suppress(OldList):  # it has not heard of the newest one yet
        take_own_card(card, device)
    known = sibling_of(header.from_device, device)
    if known is None:
        raise NotBound(what="it is from a device that is none of ours")
    keep_sibling(replace(known, heard=True), device)
    take_window(header, hello.seed, hello.first, device)
    if who_am_i(device).person.epoch >= card.newest.said.epoch:
        greet_back(header, device)  # by a list that we could not take, it is we know not where


def greet_back(header: Header, device: Device) -> None:
    """Have a device that we have not told how to write to us told so; and one that begins a session
    anew, since it has forgotten that, unless it did so often: each time it gets tokens.
    """
    whose = peer_key(header.from_person, header.from_device)
    anew = header.prekey is not None and header.counter > 1
    often = count_retired(whose, device) >= GREETED_ANEW_MAX
    if device.vault.get(GREETED, whose) is None or (anew and not often):
        device.vault.put(GREET_DEVICE, whose, b"")


def greet_again(header: Header, device: Device, *, greets: bool) -> None:
    """Have somebody who writes to where we were before we moved told once more where we are: what
    said so may have been refused, as while she had us blocked.

    At once if she ``greets`` us, as after an unblocking; else once a day, for her letters may have
    been on their way while ours was.
    """
    whose = peer_key(header.from_person, header.from_device)
    greeted_at = int(device.vault.get(GREETED, whose) or 0)
    is_fresh = 0 <= device.clock.now().timestamp() - greeted_at < _GREETED_AGAIN_S
    if (greets or not is_fresh) and were_elsewhere(header.to_epoch, device):
        device.vault.put(GREET_DEVICE, whose, b"")


def card_comes(note: CardNote, header: Header, contact: Contact, device: Device) -> None:
    """Somebody's list, or ours, has changed; one that we know a newer one of is passed over.

    Raises:
        BadCard, BadSignature, ForkedList.
    """
    with suppress(OldList):
        if is_sibling(header, device):
            take_own_card(read_card(note.card), device)
        else:
            take_list(contact, note.card, device)


def sibling_tells(note: SyncNote, header: Header, device: Device) -> None:
    """Another device of ours tells what it knows.

    Raises:
        NotBound: it is from somebody else.
        BadSync.
    """
    if not is_sibling(header, device):
        raise NotBound(what="it is not from one of your devices")
    take_sync(note, header.from_device, header.from_epoch, device)
