"""What we may write to others with: each letter uses the next token, once.

A claim of prekeys, the blobs and the post of one letter show the same token, so that its relay sees
one writer for that letter, and nothing that joins it to the next.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from entrenous.craft.crypto.tokens import send_token
from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.letter import Header
from entrenous.model.outbox import Posting
from entrenous.model.person import Contact
from entrenous.model.secret import Secret
from entrenous.model.window import HeldWindow, LentToken, OldWindow
from entrenous.ports import Device
from entrenous.send.devices.first_token import keep_token
from entrenous.send.devices.first_token import token_for as first_token
from entrenous.send.drawers import CONTACT, FIRST_TOKEN, WINDOW_OUT, lay, peer_key, take
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
    """Whether we have a token for this device; an only device is the one that gave the invite."""
    whose = peer_key(contact.person.id, key)
    kept = [device.vault.get(drawer, whose) for drawer in (WINDOW_OUT, FIRST_TOKEN)]
    return any(one is not None for one in kept) or len(contact.person.devices) == 1


def take_window(header: Header, seed: Secret, first: int, device: Device) -> None:
    """Take in what the device that wrote a letter tells us: a new window, or more of the one that
    we have. Another one, in a letter from before that which told of ours, is over already.
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
        held = HeldWindow(seed, first, until, old, told_by=told_by)
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
    if held.seed is None:
        return ()
    until = min(held.next + count, held.until)
    lent = tuple(LentToken(at, send_token(held.seed, at)) for at in range(held.next, until))
    lay(replace(held, next=max(until, held.next)), WINDOW_OUT, whose, device.vault)
    return lent


def take_lent(person: PersonId, key: DeviceId, lent: tuple[LentToken, ...], device: Device) -> None:
    """Take in what another device of ours lends us."""
    whose = peer_key(person, key)
    held = _held(whose, device)
    lay(replace(held, lent=(*held.lent, *lent)), WINDOW_OUT, whose, device.vault)


def with_token(posting: Posting, device: Device) -> Posting | None:
    """The posting with a token that its relay takes; None while there is none.

    What waited until its window was replaced, and that one ended, is given a token of the new one.
    """
    if posting.index is None or posting.peer is None:
        return posting
    held = _held(posting.peer, device)
    if held.seed is None or _is_for_where_they_were(posting, device):
        return posting
    if posting.token == send_token(held.seed, posting.index):
        return posting if posting.index < held.until else None
    if _still_holds(posting, held, device):
        return posting
    if held.next >= held.until:
        return None
    lay(replace(held, next=held.next + 1), WINDOW_OUT, posting.peer, device.vault)
    return replace(posting, token=send_token(held.seed, held.next), index=held.next)


def _is_for_where_they_were(posting: Posting, device: Device) -> bool:
    """Whether they moved out of its mailbox since: other tokens are not known there."""
    contact = take(Contact, CONTACT, (posting.peer or "").split(" ")[0], device.vault)
    mailboxes = () if contact is None else (key.mailbox for key in contact.person.devices)
    return contact is not None and posting.envelope.mailbox not in mailboxes


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


def _still_holds(posting: Posting, held: HeldWindow, device: Device) -> bool:
    old, index = held.old, posting.index
    if old is None or index is None:
        return False
    in_time = device.clock.now() < old.lapses_at and index < old.until
    return in_time and posting.token == send_token(old.seed, index)
