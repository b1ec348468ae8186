"""What we may write to others with: each letter uses the next token, once.

A claim of prekeys, the blobs and the post of one letter show the same token, so that its relay sees
one writer for that letter, and nothing that joins it to the next.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from entrenous.craft.crypto.tokens import send_token
from entrenous.craft.wire.identity.card import read_card
from entrenous.model.device_list import DeviceList, Head
from entrenous.model.identity import Identity
from entrenous.model.ids import DeviceId, MailboxId, PersonId
from entrenous.model.letter import Header
from entrenous.model.outbox import Posting
from entrenous.model.person import Contact, DeviceKey, Person
from entrenous.model.secret import Secret
from entrenous.model.window import HeldWindow, LentToken, OldWindow, Place
from entrenous.ports import Device
from entrenous.send.devices.first_token import NO_TOKEN, keep_token
from entrenous.send.devices.first_token import token_for as first_token
from entrenous.send.devices.known_lists import known_card
from entrenous.send.devices.lists.outside import leads_outside
from entrenous.send.devices.self import IDENTITY
from entrenous.send.drawers import CONTACT, FIRST_TOKEN, SELF, WINDOW_OUT, lay, peer_key, take
from entrenous.spec import OLD_WINDOW_DAYS, WINDOW_TOKENS


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and its index in its window; None for an invite's."""

    token: Secret
    index: int | None


def token_for(contact: Contact, key: DeviceId, device: Device) -> Secret:
    """The token that the next letter to this device will show; it is not used up by this."""
    return _next(contact, key, _held(peer_key(contact.person.id, key), device), device).token


def use_token(contact: Contact, key: DeviceId, device: Device) -> Token:
    """The next token for this device, used; call it in the transaction that writes the letter."""
    whose = peer_key(contact.person.id, key)
    held = _held(whose, device)
    token = _next(contact, key, held, device)
    if token.index is not None and held.seed is not None:
        lay(replace(held, next=token.index + 1), WINDOW_OUT, whose, device.vault)
    elif token.index is not None:
        lay(replace(held, lent=held.lent[1:]), WINDOW_OUT, whose, device.vault)
    return token


def has_way(contact: Contact, key: DeviceId, device: Device) -> bool:
    """Whether we have a token for this device; an only device is the one that gave the invite, if
    it was we who were invited.
    """
    whose = peer_key(contact.person.id, key)
    held = _held(whose, device)
    if held.seed is not None or held.lent or device.vault.get(FIRST_TOKEN, whose) is not None:
        return True
    return len(contact.person.devices) == 1 and contact.send_token != NO_TOKEN


def note_moved(before: Person, after: Person, device: Device) -> None:
    """The tokens of devices that are listed elsewhere since this list hold where they were; call it
    in the transaction that stores the list.
    """
    us = _ourselves(device)
    head = None if us is not None and us.id == after.id else Head(before.epoch, before.head)
    there = {key.device: (before.relay_url, key.mailbox) for key in before.devices}
    for key in after.devices:
        here = after.relay_url, key.mailbox
        was = there.get(key.device, here)
        whose = peer_key(after.id, key.device)
        held = _held(whose, device)
        has_some = held.seed is not None or held.lent or device.vault.get(FIRST_TOKEN, whose)
        if was != here and held.place is None and has_some:
            lay(replace(held, place=Place(*was, head)), WINDOW_OUT, whose, device.vault)


def place_of(person: PersonId, key: DeviceId, device: Device) -> Place | None:
    """Where our tokens for a device hold; None: where it is listed."""
    return _held(peer_key(person, key), device).place


def way_to(person: Person, key: DeviceKey, device: Device) -> tuple[str, MailboxId]:
    """The relay and the mailbox at which our tokens for a device of somebody hold."""
    place = place_of(person.id, key.device, device)
    return (person.relay_url, key.mailbox) if place is None else (place.relay_url, place.mailbox)


def take_window(header: Header, seed: Secret, first: int, device: Device) -> None:
    """Take in what the device that wrote a letter tells us: a new window, or more of the one that
    we have. Another one, in a letter from before that which told of ours, is over already. It holds
    where the device was by the list under which it wrote.

    Raises:
        OnThisMachine: that was on this machine.
    """
    whose = peer_key(header.from_person, header.from_device)
    held, until = _held(whose, device), first + WINDOW_TOKENS
    if held.seed == seed:
        # What lies between two windows that do not meet is registered nowhere.
        following = held.next if first <= held.until else max(held.next, first)
        held = replace(held, next=following, until=max(held.until, until))
    elif held.seed is not None and header.counter < held.told_by:
        return
    else:
        old, told_by = _replaced(held, device), header.counter
        place = _place_under(header, held.place, device)
        held = HeldWindow(seed, first, until, old, told_by=told_by, place=place)
    lay(held, WINDOW_OUT, whose, device.vault)


def take_invite(person: PersonId, key: DeviceId, token: Secret, device: Device) -> None:
    """From now on write to this person by an invite, until they tell us of a window."""
    forget_ways(person, device)
    keep_token(person, key, token, device)


def forget_ways(person: PersonId, device: Device) -> None:
    """Forget what we may write to somebody with."""
    for drawer in (WINDOW_OUT, FIRST_TOKEN):
        for key in device.vault.keys(drawer, person.hex()):
            device.vault.drop(drawer, key)


def lend_tokens(
    person: PersonId, key: DeviceId, count: int, device: Device
) -> tuple[LentToken, ...]:
    """Tokens for another device of ours, so that it can say hello to this one; we use them no
    more. As many as are left, at most ``count``.
    """
    whose = peer_key(person, key)
    held = _held(whose, device)
    if held.seed is None or held.place:
        return ()
    until = min(held.next + count, held.until)
    lent = tuple(LentToken(at, send_token(held.seed, at)) for at in range(held.next, until))
    lay(replace(held, next=max(until, held.next)), WINDOW_OUT, whose, device.vault)
    return lent


def take_lent(person: PersonId, key: DeviceId, lent: tuple[LentToken, ...], device: Device) -> None:
    """Take in what another device of ours lends us: tokens that hold where the device is listed."""
    whose = peer_key(person, key)
    held = _held(whose, device)
    place = held.place if held.seed is not None or held.lent else None
    lay(replace(held, lent=(*held.lent, *lent), place=place), WINDOW_OUT, whose, device.vault)


def with_token(posting: Posting, device: Device) -> Posting | None:
    """The posting with a token that its relay takes; None while there is none.

    What waited until its window was replaced, and that one ended, is given a token of the new one;
    if that holds elsewhere it goes there, unless it has files: a letter says where these lie.
    """
    if posting.index is None or posting.peer is None:
        return posting
    held = _held(posting.peer, device)
    if held.seed is None or posting.token == send_token(held.seed, posting.index):
        return posting if held.seed is None or posting.index < held.until else None
    there = _where_tokens_hold(posting.peer, held, device)
    is_there = there == _where(posting)
    stays = there is None or (bool(posting.blobs) and not is_there)
    if stays or _still_holds(posting, held, device, is_there=is_there):
        return posting
    if held.next >= held.until or there is None:
        return None
    lay(replace(held, next=held.next + 1), WINDOW_OUT, posting.peer, device.vault)
    fresh = replace(posting, token=send_token(held.seed, held.next), index=held.next)
    return replace(fresh, relay_url=there[0], envelope=replace(posting.envelope, mailbox=there[1]))


def _where(posting: Posting) -> tuple[str, MailboxId]:
    return posting.relay_url, posting.envelope.mailbox


def _where_tokens_hold(
    whose: str, held: HeldWindow, device: Device
) -> tuple[str, MailboxId] | None:
    """The relay and the mailbox; None of a device that is listed no more."""
    if held.place is not None:
        return held.place.relay_url, held.place.mailbox
    person, one = (bytes.fromhex(part) for part in whose.split(" "))
    known = _person(person, device)
    if known is None:
        return None
    keys = known.devices
    return next(((known.relay_url, key.mailbox) for key in keys if key.device == one), None)


def _place_under(header: Header, known: Place | None, device: Device) -> Place | None:
    """Where a device was by the list that a letter of it names; None: where it is listed now."""
    person = _person(header.from_person, device)
    if person is None or header.from_epoch >= person.epoch:
        return None
    us = _ourselves(device)
    ours = us is not None and us.id == person.id
    said = _list_of(person.id, header.from_epoch, device)
    if said is None:
        return known
    one = header.from_device
    was = {listed.device: (said.relay_url, listed.mailbox) for listed in said.devices}.get(one)
    now = {key.device: (person.relay_url, key.mailbox) for key in person.devices}.get(one)
    if was is None or was == now:
        return None
    leads_outside(said.relay_url, device)  # lists of before were not looked at when they were taken
    return Place(*was, None if ours else Head(header.from_epoch, header.from_head))


def _list_of(person: PersonId, epoch: int, device: Device) -> DeviceList | None:
    """The list of this epoch in the newest card of somebody, or of ourselves."""
    identity = take(Identity, SELF, IDENTITY, device.vault)
    us = None if identity is None or identity.person is None else identity
    own = us.card if us is not None and us.person and us.person.id == person else None
    card = own or known_card(person, device)
    lists = () if card is None else read_card(card).lists
    return next((one.said for one in lists if one.said.epoch == epoch), None)


def _person(whose: bytes, device: Device) -> Person | None:
    """Somebody whom we know, or ourselves."""
    contact = take(Contact, CONTACT, whose.hex(), device.vault)
    if contact is not None:
        return contact.person
    us = _ourselves(device)
    return us if us is not None and us.id == whose else None


def _ourselves(device: Device) -> Person | None:
    identity = take(Identity, SELF, IDENTITY, device.vault)
    return None if identity is None else identity.person


def _held(whose: str, device: Device) -> HeldWindow:
    return take(HeldWindow, WINDOW_OUT, whose, device.vault) or HeldWindow()


def _next(contact: Contact, key: DeviceId, held: HeldWindow, device: Device) -> Token:
    if held.seed is not None:
        return Token(send_token(held.seed, held.next), held.next)
    if held.lent:
        return Token(held.lent[0].token, held.lent[0].index)
    return Token(first_token(contact, key, device), None)


def _replaced(held: HeldWindow, device: Device) -> OldWindow | None:
    if held.seed is None:
        return None
    lapses_at = device.clock.now() + timedelta(days=OLD_WINDOW_DAYS)
    return OldWindow(held.seed, held.until, lapses_at)


def _still_holds(posting: Posting, held: HeldWindow, device: Device, *, is_there: bool) -> bool:
    """Whether a token that is not of the present window is taken all the same: where the device is,
    for some days; where it was, if it was registered there at all.
    """
    old, index = held.old, posting.index
    if old is None or index is None or posting.token != send_token(old.seed, index):
        return not is_there
    in_time = device.clock.now() < old.lapses_at or not is_there
    return in_time and index < old.until
