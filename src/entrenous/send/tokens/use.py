"""What we may write to others with: each letter uses the next token, once.

A claim of prekeys, the blobs and the post of one letter show the same token, so that its relay sees
one writer for that letter, and nothing that joins it to the next.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from entrenous.craft.crypto.tokens import send_token
from entrenous.model.device_list import Head
from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.letter import Header
from entrenous.model.person import Contact, OnThisMachine
from entrenous.model.relay_problem import WrongToken
from entrenous.model.secret import Secret
from entrenous.model.window import HeldWindow, LentToken, OldWindow, ToldWindow
from entrenous.ports import Device
from entrenous.send.devices.first_token import NO_TOKEN, keep_token
from entrenous.send.devices.first_token import token_for as first_token
from entrenous.send.drawers import (
    FIRST_TOKEN,
    GREET_DEVICE,
    WINDOW_OUT,
    WINDOW_TOLD,
    lay,
    peer_key,
    take,
)
from entrenous.send.tokens.place import agrees, held_window, is_ahead, place_under
from entrenous.spec import OLD_WINDOW_DAYS, WINDOW_TOKENS

_LENT_MAX: Final = 16  # for one device, of those that lend the newest


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and its index in its window; None for an invite's."""

    token: Secret
    index: int | None


def token_for(contact: Contact, key: DeviceId, device: Device) -> Secret:
    """The token that the next letter to this device will show; it is not used up by this.

    Raises:
        WrongToken: we were given none; its relay does not hear of that.
    """
    held = held_window(peer_key(contact.person.id, key), device)
    if held.seed is not None:
        return send_token(held.seed, held.next)
    token = held.lent[0].token if held.lent else first_token(contact, key, device)
    if token == NO_TOKEN:
        raise WrongToken
    return token


def use_token(contact: Contact, key: DeviceId, device: Device, *, greets: bool = False) -> Token:
    """The next token for this device, used; call it in the transaction that writes the letter.

    The last one that was lent is for the letter that ``greets``: it is answered with a window.
    """
    whose = peer_key(contact.person.id, key)
    held = held_window(whose, device)
    if keeps_last(whose, held, device) and not greets:
        return Token(NO_TOKEN, None)
    return use_held(whose, held, device) or Token(first_token(contact, key, device), None)


def use_held(whose: str, held: HeldWindow, device: Device) -> Token | None:
    """The next token of a window, or one that was lent, used; None where there is neither."""
    if held.seed is not None:
        lay(replace(held, next=held.next + 1), WINDOW_OUT, whose, device.vault)
        return Token(send_token(held.seed, held.next), held.next)
    if held.lent:
        lay(replace(held, lent=held.lent[1:]), WINDOW_OUT, whose, device.vault)
        return Token(held.lent[0].token, held.lent[0].index)
    return None


def has_way(contact: Contact, key: DeviceId, device: Device) -> bool:
    """Whether we have a token for this device."""
    held = held_window(peer_key(contact.person.id, key), device)
    has_held = held.seed is not None or bool(held.lent)
    return has_held or first_token(contact, key, device) != NO_TOKEN


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
                if agrees(told, device):
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
    kept = (*held.lent, *lent)[-_LENT_MAX:]
    lay(replace(held, lent=kept, place=place), WINDOW_OUT, whose, device.vault)


def lacks_window(person: PersonId, key: DeviceId, device: Device) -> bool:
    """Whether a device has not told us yet with what to write to it; what was lent may not do."""
    return held_window(peer_key(person, key), device).seed is None


def drop_refused(whose: str, device: Device) -> bool:
    """Whether there is another token than the next one, which does not hold and is dropped: who
    lent it may be lost; and of a window, as long as some were lent since, its giver may have
    forgotten us.
    """
    held = held_window(whose, device)
    if not held.lent:
        return False
    lent = held.lent if held.seed is not None else held.lent[1:]
    place = None if held.seed is not None else held.place
    lay(HeldWindow(lent=lent, place=place), WINDOW_OUT, whose, device.vault)
    return True


def drop_lent(whose: str, device: Device) -> None:
    """Of a device that we can write to with a window, what was lent is of no use."""
    held = held_window(whose, device)
    if held.seed is not None:
        lay(replace(held, lent=()), WINDOW_OUT, whose, device.vault)


def keeps_last(whose: str, held: HeldWindow, device: Device) -> bool:
    """Whether there is one lent token left, and a hello has yet to be written with it."""
    is_last = held.seed is None and len(held.lent) == 1
    return is_last and device.vault.get(GREET_DEVICE, whose) is not None


def _replaced(held: HeldWindow, device: Device) -> OldWindow | None:
    if held.seed is None:
        return None
    lapses_at = device.clock.now() + timedelta(days=OLD_WINDOW_DAYS)
    return OldWindow(held.seed, held.until, lapses_at)
