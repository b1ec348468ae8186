"""Tokens that we may write to others with: each letter uses the next one, once.

A token is valid at the mailbox in the device list under which it was issued.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from entrenous.base.errors import EntrenousError, NoSuchMailbox, WrongToken
from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.identity import Contact, DeviceKey, DeviceList, Head, Person
from entrenous.base.limits import OLD_WINDOW_DAYS, WINDOW_TOKENS
from entrenous.base.secret import Secret
from entrenous.crypto.key_derivation import send_token
from entrenous.crypto.statements import heads_of
from entrenous.device.device import Device
from entrenous.device.identities import (
    IDENTITY,
    NO_TOKEN,
    Identity,
    KnownList,
    OnThisMachine,
    known_card,
    refuse_local_address,
)
from entrenous.device.vault_tables import (
    CONTACT,
    FIRST_TOKEN,
    GREET_DEVICE,
    LIST,
    SELF,
    WINDOW_OUT,
    WINDOW_TOLD,
    load_record,
    peer_key,
    store_record,
)
from entrenous.send.letter.letter_nouns import Header
from entrenous.send.tokens.token_ranges import HeldWindow, LentToken, OldWindow, Place, ToldWindow
from entrenous.wire.key_bundle import read_card


def first_token_for(contact: Contact, to: DeviceId, device: Device) -> Secret:
    """What we write to one device of somebody with; the invite's, before it gave us another.

    :data:`NO_TOKEN` where we were given none for it: that of another device must not be shown at
    its mailbox, which would tell the relay that both are one person's.
    """
    kept = device.vault.get(FIRST_TOKEN, peer_key(contact.person.id, to))
    if kept is not None:
        return Secret(kept)
    return contact.send_token if len(contact.person.devices) == 1 else NO_TOKEN


def keep_first_token(person: PersonId, of: DeviceId, token: Secret, device: Device) -> None:
    """Write to a device with this from now on."""
    device.vault.put(FIRST_TOKEN, peer_key(person, of), token.reveal())


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
    token = held.lent[0].token if held.lent else first_token_for(contact, key, device)
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
    return use_held(whose, held, device) or Token(first_token_for(contact, key, device), None)


def use_held(whose: str, held: HeldWindow, device: Device) -> Token | None:
    """The next token of a window, or one that was lent, used; None where there is neither."""
    if held.seed is not None:
        store_record(replace(held, next=held.next + 1), WINDOW_OUT, whose, device.vault)
        return Token(send_token(held.seed, held.next), held.next)
    if held.lent:
        store_record(replace(held, lent=held.lent[1:]), WINDOW_OUT, whose, device.vault)
        return Token(held.lent[0].token, held.lent[0].index)
    return None


def has_tokens_for(contact: Contact, key: DeviceId, device: Device) -> bool:
    """Whether we have a token for this device."""
    held = held_window(peer_key(contact.person.id, key), device)
    has_held = held.seed is not None or bool(held.lent)
    return has_held or first_token_for(contact, key, device) != NO_TOKEN


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
    waiting = load_record(ToldWindow, WINDOW_TOLD, whose, device.vault)
    if waiting is None or waiting.counter < told.counter:
        store_record(told, WINDOW_TOLD, whose, device.vault)


def take_told(person: PersonId, device: Device) -> None:
    """Take in what devices of somebody, or of ours, told of under a list that we know now; call it
    in the transaction that stores the list.
    """
    for whose in device.vault.keys(WINDOW_TOLD, person.hex()):
        told = load_record(ToldWindow, WINDOW_TOLD, whose, device.vault)
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
        old, place = _replaced(held, device), mailbox_under_list(told, held.place, device)
        held = HeldWindow(told.seed, told.first, until, old, told_by=told.counter, place=place)
    store_record(held, WINDOW_OUT, whose, device.vault)


def take_invite(person: PersonId, key: DeviceId, token: Secret, device: Device) -> None:
    """From now on write to this person by an invite, until they tell us of a window."""
    forget_tokens_of(person, device)
    keep_first_token(person, key, token, device)


def forget_tokens_of(person: PersonId, device: Device) -> None:
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
    store_record(replace(held, next=max(until, held.next)), WINDOW_OUT, whose, device.vault)
    return lent


def take_lent(person: PersonId, key: DeviceId, lent: tuple[LentToken, ...], device: Device) -> None:
    """Take in what another device of ours lends us: tokens that hold where the device is listed."""
    whose = peer_key(person, key)
    held = held_window(whose, device)
    place = held.place if held.seed is not None or held.lent else None
    kept = (*held.lent, *lent)[-_LENT_MAX:]
    store_record(replace(held, lent=kept, place=place), WINDOW_OUT, whose, device.vault)


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
    store_record(HeldWindow(lent=lent, place=place), WINDOW_OUT, whose, device.vault)
    return True


def drop_lent(whose: str, device: Device) -> None:
    """Of a device that we can write to with a window, what was lent is of no use."""
    held = held_window(whose, device)
    if held.seed is not None:
        store_record(replace(held, lent=()), WINDOW_OUT, whose, device.vault)


def keeps_last(whose: str, held: HeldWindow, device: Device) -> bool:
    """Whether there is one lent token left, and a hello has yet to be written with it."""
    is_last = held.seed is None and len(held.lent) == 1
    return is_last and device.vault.get(GREET_DEVICE, whose) is not None


def _replaced(held: HeldWindow, device: Device) -> OldWindow | None:
    if held.seed is None:
        return None
    lapses_at = device.clock.now() + timedelta(days=OLD_WINDOW_DAYS)
    return OldWindow(held.seed, held.until, lapses_at)


def are_tokens_valid(contact: Contact, through: DeviceId, device: Device) -> bool:
    """Whether we have a window of that device of somebody, and every window of hers still holds:
    who forgot us has withdrawn them.

    Raises:
        RelayUnreachable.
    """
    windows = {
        key: held_window(peer_key(contact.person.id, key.device), device)
        for key in contact.person.devices
    }
    given = {key: held for key, held in windows.items() if held.seed is not None}
    if through not in {key.device for key in given}:
        return False
    return all(
        _holds(contact, key, send_token(held.seed, held.next), device)
        for key, held in given.items()
        if held.seed is not None
    )


def may_write_now(contact: Contact, device: Device) -> bool:
    """Whether the relay takes the next letter for a device of somebody; True where it says nothing
    of that.
    """
    ways = [key for key in contact.person.devices if has_tokens_for(contact, key.device, device)]
    with suppress(EntrenousError):
        tokens = [(key, token_for(contact, key.device, device)) for key in ways]
        return any(_holds(contact, key, token, device) for key, token in tokens)
    return True


def _holds(contact: Contact, key: DeviceKey, token: Secret, device: Device) -> bool:
    try:
        device.courier.card(*token_route_to(contact.person, key, device), token)
    except (WrongToken, NoSuchMailbox):
        return False
    return True


def held_window(whose: str, device: Device) -> HeldWindow:
    """What we may write to a device with; ``whose`` is its key in the drawer of peers."""
    return load_record(HeldWindow, WINDOW_OUT, whose, device.vault) or HeldWindow()


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
        held = held_window(whose, device)
        has_some = held.seed is not None or held.lent or device.vault.get(FIRST_TOKEN, whose)
        if was != here and held.place is None and has_some:
            store_record(replace(held, place=Place(*was, head)), WINDOW_OUT, whose, device.vault)


def mailbox_for_token(person: PersonId, key: DeviceId, device: Device) -> Place | None:
    """Where our tokens for a device hold; None: where it is listed."""
    return held_window(peer_key(person, key), device).place


def token_route_to(person: Person, key: DeviceKey, device: Device) -> tuple[str, MailboxId]:
    """The relay and the mailbox at which our tokens for a device of somebody hold."""
    place = mailbox_for_token(person.id, key.device, device)
    return (person.relay_url, key.mailbox) if place is None else (place.relay_url, place.mailbox)


def where_tokens_hold(whose: str, held: HeldWindow, device: Device) -> tuple[str, MailboxId] | None:
    """The relay and the mailbox; None of a device that is listed no more."""
    if held.place is not None:
        return held.place.relay_url, held.place.mailbox
    person, one = (bytes.fromhex(part) for part in whose.split(" "))
    known = _person(person, device)
    if known is None:
        return None
    keys = known.devices
    return next(((known.relay_url, key.mailbox) for key in keys if key.device == one), None)


def is_ahead(told: ToldWindow, device: Device) -> bool:
    """Whether a device told of a window under a list that we do not know yet: where that has it,
    and so where the tokens hold, nobody can say.
    """
    person = _person(told.person, device)
    return person is not None and told.under.epoch > person.epoch


def agrees(told: ToldWindow, device: Device) -> bool:
    """Whether the list under which it was told of is one that we know."""
    return told.under in _heads_of(told.person, device)


def mailbox_under_list(told: ToldWindow, known: Place | None, device: Device) -> Place | None:
    """Where a device was by the list under which it told of a window, and ``known`` where that is
    too old to be known; None: where it is listed now.

    Raises:
        OnThisMachine: that was on this machine.
    """
    person = _person(told.person, device)
    if person is None or told.under.epoch >= person.epoch:
        return None
    us = _ourselves(device)
    ours = us is not None and us.id == person.id
    said = _list_of(person.id, told.under.epoch, device)
    if said is None:
        return known
    was = {listed.device: (said.relay_url, listed.mailbox) for listed in said.devices}
    now = {key.device: (person.relay_url, key.mailbox) for key in person.devices}
    there = was.get(told.device)
    if there is None or there == now.get(told.device):
        return None
    refuse_local_address(
        said.relay_url, device
    )  # lists of before were not looked at when they were taken
    return Place(*there, None if ours else told.under)


def _list_of(person: PersonId, epoch: int, device: Device) -> DeviceList | None:
    """The list of this epoch in the newest card of somebody, or of ourselves."""
    card = _own_card(person, device) or known_card(person, device)
    lists = () if card is None else read_card(card).lists
    return next((one.said for one in lists if one.said.epoch == epoch), None)


def _heads_of(person: PersonId, device: Device) -> tuple[Head, ...]:
    own = _own_card(person, device)
    if own is not None:
        return heads_of(read_card(own).lists)
    known = load_record(KnownList, LIST, person.hex(), device.vault)
    return () if known is None else known.heads


def _own_card(person: PersonId, device: Device) -> bytes | None:
    """Ours, if it is ourselves."""
    identity = load_record(Identity, SELF, IDENTITY, device.vault)
    us = None if identity is None else identity.person
    return identity.card if identity is not None and us is not None and us.id == person else None


def _person(whose: bytes, device: Device) -> Person | None:
    """Somebody whom we know, or ourselves."""
    contact = load_record(Contact, CONTACT, whose.hex(), device.vault)
    if contact is not None:
        return contact.person
    us = _ourselves(device)
    return us if us is not None and us.id == whose else None


def _ourselves(device: Device) -> Person | None:
    identity = load_record(Identity, SELF, IDENTITY, device.vault)
    return None if identity is None else identity.person
