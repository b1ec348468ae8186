"""What we may write to others with: each letter uses the next token, once.

A claim of prekeys, the blobs and the post of one letter show the same token, so that its relay sees
one writer for that letter, and nothing that joins it to the next.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from entrenous.craft.crypto.tokens import send_token
from entrenous.model.device_list import Head
from entrenous.model.ids import DeviceId, MailboxId, PersonId
from entrenous.model.letter import Header
from entrenous.model.outbox import Posting
from entrenous.model.person import Contact, OnThisMachine
from entrenous.model.secret import Secret
from entrenous.model.window import HeldWindow, LentToken, OldWindow, ToldWindow
from entrenous.ports import Device
from entrenous.send.devices.first_token import NO_TOKEN, keep_token
from entrenous.send.devices.first_token import token_for as first_token
from entrenous.send.drawers import FIRST_TOKEN, WINDOW_OUT, WINDOW_TOLD, lay, peer_key, take
from entrenous.send.tokens.place import held_window, is_ahead, place_under, where_tokens_hold
from entrenous.spec import OLD_WINDOW_DAYS, WINDOW_TOKENS


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and its index in its window; None for an invite's."""

    token: Secret
    index: int | None


def token_for(contact: Contact, key: DeviceId, device: Device) -> Secret:
    """The token that the next letter to this device will show; it is not used up by this."""
    return _next(contact, key, held_window(peer_key(contact.person.id, key), device), device).token


def use_token(contact: Contact, key: DeviceId, device: Device) -> Token:
    """The next token for this device, used; call it in the transaction that writes the letter."""
    whose = peer_key(contact.person.id, key)
    held = held_window(whose, device)
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
    held = held_window(whose, device)
    if held.seed is not None or held.lent or device.vault.get(FIRST_TOKEN, whose) is not None:
        return True
    return len(contact.person.devices) == 1 and contact.send_token != NO_TOKEN


def take_window(header: Header, seed: Secret, first: int, device: Device) -> None:
    """Take in what the device that wrote a letter tells us: a new window, or more of the one that
    we have. Another one, in a letter from before that which told of ours, is over already. It holds
    where the device was by the list under which it wrote, and waits until we know that list.

    Raises:
        OnThisMachine: that was on this machine.
    """
    under = Head(header.from_epoch, header.from_head)
    told = ToldWindow(header.from_person, header.from_device, seed, first, header.counter, under)
    whose = peer_key(told.person, told.device)
    if not is_ahead(told, device):
        _take(told, whose, device)
        return
    waiting = take(ToldWindow, WINDOW_TOLD, whose, device.vault)
    if waiting is None or waiting.counter < told.counter:
        lay(told, WINDOW_TOLD, whose, device.vault)


def take_told(person: PersonId, device: Device) -> None:
    """Take in what devices of somebody, or of ours, told of under a list that we know now; call it
    in the transaction that stores the list.
    """
    for whose in device.vault.keys(WINDOW_TOLD, person.hex()):
        told = take(ToldWindow, WINDOW_TOLD, whose, device.vault)
        if told is not None and not is_ahead(told, device):
            device.vault.drop(WINDOW_TOLD, whose)
            with suppress(OnThisMachine):  # nothing of it was taken
                _take(told, whose, device)


def _take(told: ToldWindow, whose: str, device: Device) -> None:
    held, until = held_window(whose, device), told.first + WINDOW_TOKENS
    if held.seed == told.seed:
        # What lies between two windows that do not meet is registered nowhere.
        following = held.next if told.first <= held.until else max(held.next, told.first)
        held = replace(held, next=following, until=max(held.until, until))
    elif held.seed is not None and told.counter < held.told_by:
        return
    else:
        old, place = _replaced(held, device), place_under(told, held.place, device)
        held = HeldWindow(told.seed, told.first, until, old, told_by=told.counter, place=place)
    lay(held, WINDOW_OUT, whose, device.vault)


def take_invite(person: PersonId, key: DeviceId, token: Secret, device: Device) -> None:
    """From now on write to this person by an invite, until they tell us of a window."""
    forget_ways(person, device)
    keep_token(person, key, token, device)


def forget_ways(person: PersonId, device: Device) -> None:
    """Forget what we may write to somebody with."""
    for drawer in (WINDOW_OUT, WINDOW_TOLD, FIRST_TOKEN):
        for key in device.vault.keys(drawer, person.hex()):
            device.vault.drop(drawer, key)


def lend_tokens(
    person: PersonId, key: DeviceId, count: int, device: Device
) -> tuple[LentToken, ...]:
    """Tokens for another device of ours, so that it can say hello to this one; we use them no
    more. As many as are left, at most ``count``.
    """
    whose = peer_key(person, key)
    held = held_window(whose, device)
    if held.seed is None or held.place:
        return ()
    until = min(held.next + count, held.until)
    lent = tuple(LentToken(at, send_token(held.seed, at)) for at in range(held.next, until))
    lay(replace(held, next=max(until, held.next)), WINDOW_OUT, whose, device.vault)
    return lent


def take_lent(person: PersonId, key: DeviceId, lent: tuple[LentToken, ...], device: Device) -> None:
    """Take in what another device of ours lends us: tokens that hold where the device is listed."""
    whose = peer_key(person, key)
    held = held_window(whose, device)
    place = held.place if held.seed is not None or held.lent else None
    lay(replace(held, lent=(*held.lent, *lent), place=place), WINDOW_OUT, whose, device.vault)


def with_token(posting: Posting, device: Device) -> Posting | None:
    """The posting with a token that its relay takes; None while there is none.

    What waited until its window was replaced, and that one ended, or was written when we had no
    token, is given one of the new window; if that holds elsewhere it goes there, unless it has
    files: a letter says where these lie.
    """
    if posting.peer is None or (posting.index is None and posting.token != NO_TOKEN):
        return posting
    held = held_window(posting.peer, device)
    if held.seed is None:
        return posting if posting.index is not None else _with_lent(posting, held, device)
    if posting.index is not None:
        if posting.token == send_token(held.seed, posting.index):
            return posting if posting.index < held.until else None
        if _still_holds(posting, held, device):
            return posting
    return _with_next(posting, held, device)


def _with_next(posting: Posting, held: HeldWindow, device: Device) -> Posting | None:
    if posting.peer is None or held.seed is None:
        return None
    there = where_tokens_hold(posting.peer, held, device)
    if there is None or (posting.blobs and there != _where(posting)):
        return posting
    if held.next >= held.until:
        return None
    lay(replace(held, next=held.next + 1), WINDOW_OUT, posting.peer, device.vault)
    fresh = replace(posting, token=send_token(held.seed, held.next), index=held.next)
    return replace(fresh, relay_url=there[0], envelope=replace(posting.envelope, mailbox=there[1]))


def _with_lent(posting: Posting, held: HeldWindow, device: Device) -> Posting | None:
    if posting.peer is None or not held.lent:
        return None
    first = held.lent[0]
    lay(replace(held, lent=held.lent[1:]), WINDOW_OUT, posting.peer, device.vault)
    return replace(posting, token=first.token, index=first.index)


def _where(posting: Posting) -> tuple[str, MailboxId]:
    return posting.relay_url, posting.envelope.mailbox


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


def _still_holds(posting: Posting, held: HeldWindow, device: Device) -> bool:
    """Whether a token that is not of the present window is taken all the same: where the device is,
    for some days; where it was, if it was registered there at all.
    """
    there = None if posting.peer is None else where_tokens_hold(posting.peer, held, device)
    is_there, old, index = there == _where(posting), held.old, posting.index
    if old is None or index is None or posting.token != send_token(old.seed, index):
        return not is_there
    in_time = device.clock.now() < old.lapses_at or not is_there
    return in_time and index < old.until
