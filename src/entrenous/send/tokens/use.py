"""Tokens for writing to other people's devices; each letter uses the next one. A token is
valid at the mailbox in the device list under which it was issued.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from entrenous.base.errors import EntrenousError, NoSuchMailbox, WrongToken
from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.identity import CertifiedDevice, Contact, DeviceList, DeviceListHead, Person
from entrenous.base.limits import REPLACED_TOKEN_RANGE_DAYS, TOKEN_RANGE_SIZE
from entrenous.base.secret import Secret
from entrenous.crypto.key_derivation import derive_send_token
from entrenous.crypto.statements import device_list_heads
from entrenous.device.device import Device
from entrenous.device.identities import (
    CONTACT_TABLE,
    DEVICE_LIST_TABLE,
    NO_SEND_TOKEN,
    OWN_IDENTITY,
    AddressOnThisMachine,
    known_key_bundle,
    refuse_loopback_relay,
)
from entrenous.device.vault_tables import (
    ANNOUNCED_TOKEN_RANGE,
    DEVICE_TO_GREET,
    FIRST_LETTER_TOKEN,
    HELD_TOKEN_RANGE,
    peer_key,
)
from entrenous.send.letter.letter_nouns import Header
from entrenous.send.tokens.token_ranges import (
    ANNOUNCED_TOKEN_RANGE_TABLE,
    HELD_TOKEN_RANGE_TABLE,
    AnnouncedRange,
    HeldTokens,
    LentToken,
    ReplacedHeldRange,
    TokenMailbox,
)
from entrenous.wire.key_bundle import read_key_bundle


def first_token_for(contact: Contact, to: DeviceId, device: Device) -> Secret:
    """Return the token to use until a device has given us a range or another device of ours has
    lent us tokens. It is usually the token of an invite.

    Returns :data:`NO_SEND_TOKEN` if we have no token for the device. A token for another device
    must not be used, since the relay would learn that both devices belong to one person.
    """
    kept = device.vault.get(FIRST_LETTER_TOKEN, peer_key(contact.person.id, to))
    if kept is not None:
        return Secret(kept)
    return contact.send_token if len(contact.person.devices) == 1 else NO_SEND_TOKEN


def store_first_token(person: PersonId, of: DeviceId, token: Secret, device: Device) -> None:
    device.vault.put(FIRST_LETTER_TOKEN, peer_key(person, of), token.reveal())


_LENT_TOKENS_KEPT_MAX: Final = (
    16  # at most this many lent tokens are kept for one device: those that were lent last
)


@dataclass(frozen=True, slots=True)
class IndexedToken:
    """A token, and its index in its range. The index of a token outside any range is None."""

    token: Secret
    index: int | None


def next_token_for(contact: Contact, key: DeviceId, device: Device) -> Secret:
    """Return the token that the next letter to this device will use, without using it up.

    Raises:
        WrongToken: we have no token; the relay is not asked.
    """
    held = held_tokens(peer_key(contact.person.id, key), device)
    if held.seed is not None:
        return derive_send_token(held.seed, held.next)
    token = held.lent[0].token if held.lent else first_token_for(contact, key, device)
    if token == NO_SEND_TOKEN:
        raise WrongToken
    return token


def use_token(
    contact: Contact, key: DeviceId, device: Device, *, greets: bool = False
) -> IndexedToken:
    """Use up the next token for this device; call it in the transaction that writes the letter. The
    last lent token (given to us by another device of ours) is reserved for the letter that
    ``greets``: the answer to it brings a range.
    """
    peer_id = peer_key(contact.person.id, key)
    held = held_tokens(peer_id, device)
    if is_only_reserved_token_left(peer_id, held, device) and not greets:
        return IndexedToken(NO_SEND_TOKEN, None)
    return use_range_or_lent_token(peer_id, held, device) or IndexedToken(
        first_token_for(contact, key, device), None
    )


def use_range_or_lent_token(peer_id: str, held: HeldTokens, device: Device) -> IndexedToken | None:
    """Use up the next token of a range, or a lent one; None if there is neither."""
    if held.seed is not None:
        HELD_TOKEN_RANGE_TABLE.store(replace(held, next=held.next + 1), peer_id, device.vault)
        return IndexedToken(derive_send_token(held.seed, held.next), held.next)
    if held.lent:
        HELD_TOKEN_RANGE_TABLE.store(replace(held, lent=held.lent[1:]), peer_id, device.vault)
        return IndexedToken(held.lent[0].token, held.lent[0].index)
    return None


def has_tokens_for(contact: Contact, key: DeviceId, device: Device) -> bool:
    held = held_tokens(peer_key(contact.person.id, key), device)
    has_held = held.seed is not None or bool(held.lent)
    return has_held or first_token_for(contact, key, device) != NO_SEND_TOKEN


def receive_range(header: Header, seed: Secret, first: int, device: Device) -> None:
    """Store the range that the sender of a letter gives us.

    The range is a new one, or an extension of the current one. A different range is ignored if its
    letter is older than the letter that brought the current range. The tokens are valid at the
    mailbox that the sender's device has in the list under which the letter was written. If we do
    not know that list yet, the range is stored until we do.

    Raises:
        AddressOnThisMachine: the device was on this machine.
    """
    under = DeviceListHead(header.from_epoch, header.from_head)
    announced = AnnouncedRange(
        header.from_person, header.from_device, seed, first, header.counter, under
    )
    peer_id = peer_key(announced.person, announced.device)
    if not was_given_under_newer_list(announced, device):
        _store_range(announced, peer_id, device)
        return
    waiting = ANNOUNCED_TOKEN_RANGE_TABLE.load(peer_id, device.vault)
    if waiting is None or waiting.counter < announced.counter:
        ANNOUNCED_TOKEN_RANGE_TABLE.store(announced, peer_id, device.vault)


def store_announced_ranges(person: PersonId, device: Device) -> None:
    """Store waiting ranges whose device list is known now; call it in the transaction that stores
    the list.
    """
    for peer_id in ANNOUNCED_TOKEN_RANGE_TABLE.keys(device.vault, person.hex()):
        announced = ANNOUNCED_TOKEN_RANGE_TABLE.load(peer_id, device.vault)
        if announced is not None and not was_given_under_newer_list(announced, device):
            ANNOUNCED_TOKEN_RANGE_TABLE.drop(peer_id, device.vault)
            with suppress(AddressOnThisMachine):  # in this case nothing of the range was stored
                if is_under_known_list(announced, device):
                    _store_range(announced, peer_id, device)


def _store_range(announced: AnnouncedRange, peer_id: str, device: Device) -> None:
    held, until = held_tokens(peer_id, device), announced.first + TOKEN_RANGE_SIZE
    if held.seed == announced.seed:
        # If the two ranges do not meet, the indexes between them are not registered.
        next_index = held.next if announced.first <= held.until else max(held.next, announced.first)
        held = replace(held, next=next_index, until=max(held.until, until))
    elif held.seed is not None and announced.counter < held.seed_letter_counter:
        return
    else:
        old, place = (
            _as_replaced_held_range(held, device),
            mailbox_under_list(announced, held.place, device),
        )
        held = HeldTokens(
            announced.seed,
            announced.first,
            until,
            old,
            seed_letter_counter=announced.counter,
            place=place,
        )
    HELD_TOKEN_RANGE_TABLE.store(held, peer_id, device.vault)


def use_invite_token_for(person: PersonId, key: DeviceId, token: Secret, device: Device) -> None:
    """Use an invite's token for this person from now on, until they give us a range."""
    forget_held_tokens(person, device)
    store_first_token(person, key, token, device)


def forget_held_tokens(person: PersonId, device: Device) -> None:
    for table in (HELD_TOKEN_RANGE, ANNOUNCED_TOKEN_RANGE, FIRST_LETTER_TOKEN):
        for key in device.vault.keys(table, person.hex()):
            device.vault.drop(table, key)


def lend_tokens(
    person: PersonId, key: DeviceId, count: int, device: Device
) -> tuple[LentToken, ...]:
    """Return up to ``count`` tokens with which another device of ours can greet the device ``key``
    of this person.

    We no longer use them ourselves.
    """
    peer_id = peer_key(person, key)
    held = held_tokens(peer_id, device)
    if held.seed is None or held.place:
        return ()
    until = min(held.next + count, held.until)
    lent = tuple(LentToken(at, derive_send_token(held.seed, at)) for at in range(held.next, until))
    HELD_TOKEN_RANGE_TABLE.store(replace(held, next=max(until, held.next)), peer_id, device.vault)
    return lent


def receive_lent_tokens(
    person: PersonId, key: DeviceId, lent: tuple[LentToken, ...], device: Device
) -> None:
    """Store tokens lent by another device of ours, valid where the device is listed."""
    peer_id = peer_key(person, key)
    held = held_tokens(peer_id, device)
    place = held.place if held.seed is not None or held.lent else None
    kept = (*held.lent, *lent)[-_LENT_TOKENS_KEPT_MAX:]
    HELD_TOKEN_RANGE_TABLE.store(replace(held, lent=kept, place=place), peer_id, device.vault)


def lacks_token_range(person: PersonId, key: DeviceId, device: Device) -> bool:
    """Return whether a device has not given us a range yet. Lent tokens do not count as a range."""
    return held_tokens(peer_key(person, key), device).seed is None


def drop_refused_tokens(peer_id: str, device: Device) -> bool:
    """Drop a refused token if we have lent tokens; return whether we had any.

    Without a range, the first lent token is dropped: the device that lent it may be lost. If we
    have both a range and lent tokens, the range is dropped instead: its issuer may have forgotten
    us.
    """
    held = held_tokens(peer_id, device)
    if not held.lent:
        return False
    lent = held.lent if held.seed is not None else held.lent[1:]
    place = None if held.seed is not None else held.place
    HELD_TOKEN_RANGE_TABLE.store(HeldTokens(lent=lent, place=place), peer_id, device.vault)
    return True


def drop_superseded_lent_tokens(peer_id: str, device: Device) -> None:
    """Drop the lent tokens for a device that has given us a range."""
    held = held_tokens(peer_id, device)
    if held.seed is not None:
        HELD_TOKEN_RANGE_TABLE.store(replace(held, lent=()), peer_id, device.vault)


def is_only_reserved_token_left(peer_id: str, held: HeldTokens, device: Device) -> bool:
    """Return whether the only token left is a lent one that is reserved for a hello."""
    is_last = held.seed is None and len(held.lent) == 1
    return is_last and device.vault.get(DEVICE_TO_GREET, peer_id) is not None


def _as_replaced_held_range(held: HeldTokens, device: Device) -> ReplacedHeldRange | None:
    if held.seed is None:
        return None
    lapses_at = device.clock.now() + timedelta(days=REPLACED_TOKEN_RANGE_DAYS)
    return ReplacedHeldRange(held.seed, held.until, lapses_at)


def has_valid_ranges_from(contact: Contact, invite_device: DeviceId, device: Device) -> bool:
    """Return whether ``invite_device`` has given us a range, and all ranges from its owner are
    valid.

    A person who forgot us has withdrawn them.

    Raises:
        RelayUnreachable.
    """
    by_device = {
        key: held_tokens(peer_key(contact.person.id, key.device), device)
        for key in contact.person.devices
    }
    with_range = {key: held for key, held in by_device.items() if held.seed is not None}
    if invite_device not in {key.device for key in with_range}:
        return False
    return all(
        _does_relay_accept_token(contact, key, derive_send_token(held.seed, held.next), device)
        for key, held in with_range.items()
        if held.seed is not None
    )


def would_relay_accept_next_letter(contact: Contact, device: Device) -> bool:
    """Return whether the relay accepts the next letter for one of a person's devices.

    The result is True if the relay does not say.
    """
    reachable = [
        key for key in contact.person.devices if has_tokens_for(contact, key.device, device)
    ]
    with suppress(EntrenousError):
        tokens = [(key, next_token_for(contact, key.device, device)) for key in reachable]
        return any(_does_relay_accept_token(contact, key, token, device) for key, token in tokens)
    return True


def _does_relay_accept_token(
    contact: Contact, key: CertifiedDevice, token: Secret, device: Device
) -> bool:
    try:
        device.courier.key_bundle(*token_route_to(contact.person, key, device), token)
    except (WrongToken, NoSuchMailbox):
        return False
    return True


def held_tokens(peer_id: str, device: Device) -> HeldTokens:
    """Return the tokens for a device, given its ``peer_key``."""
    return HELD_TOKEN_RANGE_TABLE.load(peer_id, device.vault) or HeldTokens()


def record_former_mailboxes(before: Person, after: Person, device: Device) -> None:
    """Record the former mailboxes of devices that a new list moves.

    Our tokens are valid there. Call it in the transaction that stores the list.
    """
    head = None if _is_own_person(after.id, device) else DeviceListHead(before.epoch, before.head)
    there = {key.device: (before.relay_url, key.mailbox) for key in before.devices}
    for key in after.devices:
        here = after.relay_url, key.mailbox
        was = there.get(key.device, here)
        peer_id = peer_key(after.id, key.device)
        held = held_tokens(peer_id, device)
        has_some = (
            held.seed is not None or held.lent or device.vault.get(FIRST_LETTER_TOKEN, peer_id)
        )
        if was != here and held.place is None and has_some:
            HELD_TOKEN_RANGE_TABLE.store(
                replace(held, place=TokenMailbox(*was, head)), peer_id, device.vault
            )


def former_token_mailbox(person: PersonId, key: DeviceId, device: Device) -> TokenMailbox | None:
    """Return where our tokens for a device are valid; None means where the device is listed."""
    return held_tokens(peer_key(person, key), device).place


def token_route_to(person: Person, key: CertifiedDevice, device: Device) -> tuple[str, MailboxId]:
    """Return the relay and the mailbox at which our tokens for a device are valid."""
    place = former_token_mailbox(person.id, key.device, device)
    return (person.relay_url, key.mailbox) if place is None else (place.relay_url, place.mailbox)


def token_mailbox(peer_id: str, held: HeldTokens, device: Device) -> tuple[str, MailboxId] | None:
    """Return the relay and the mailbox; None if the device is no longer listed."""
    if held.place is not None:
        return held.place.relay_url, held.place.mailbox
    person, one = (bytes.fromhex(part) for part in peer_id.split(" "))
    known = _person_by_id(person, device)
    if known is None:
        return None
    keys = known.devices
    return next(((known.relay_url, key.mailbox) for key in keys if key.device == one), None)


def was_given_under_newer_list(announced: AnnouncedRange, device: Device) -> bool:
    """Return whether a range was given under a list that we do not know yet.

    The mailbox at which its tokens are valid is then unknown too.
    """
    person = _person_by_id(announced.person, device)
    return person is not None and announced.under.epoch > person.epoch


def is_under_known_list(announced: AnnouncedRange, device: Device) -> bool:
    """Return whether we know the list under which the range was given."""
    return announced.under in _known_heads_of(announced.person, device)


def mailbox_under_list(
    announced: AnnouncedRange, known: TokenMailbox | None, device: Device
) -> TokenMailbox | None:
    """Return the mailbox of a device in the list under which it gave us a range.

    None means the mailbox at which the device is listed now. If the list of the range is too old to
    be known, the result is ``known``.

    Raises:
        AddressOnThisMachine: the mailbox was on this machine.
    """
    person = _person_by_id(announced.person, device)
    if person is None or announced.under.epoch >= person.epoch:
        return None
    listed_then = _device_list_of(person.id, announced.under.epoch, device)
    if listed_then is None:
        return known
    was = {listed.device: (listed_then.relay_url, listed.mailbox) for listed in listed_then.devices}
    now = {key.device: (person.relay_url, key.mailbox) for key in person.devices}
    there = was.get(announced.device)
    if there is None or there == now.get(announced.device):
        return None
    refuse_loopback_relay(listed_then.relay_url, device)  # older lists were not checked when stored
    return TokenMailbox(*there, None if _is_own_person(person.id, device) else announced.under)


def _device_list_of(person: PersonId, epoch: int, device: Device) -> DeviceList | None:
    """Return the device list with this number (its epoch) from a person's newest key bundle."""
    card = _own_key_bundle(person, device) or known_key_bundle(person, device)
    lists = () if card is None else read_key_bundle(card).lists
    return next((one.said for one in lists if one.said.epoch == epoch), None)


def _known_heads_of(person: PersonId, device: Device) -> tuple[DeviceListHead, ...]:
    own = _own_key_bundle(person, device)
    if own is not None:
        return device_list_heads(read_key_bundle(own).lists)
    known = DEVICE_LIST_TABLE.load(person.hex(), device.vault)
    return () if known is None else known.heads


def _own_key_bundle(person: PersonId, device: Device) -> bytes | None:
    """Return our own key bundle, if ``person`` is ourselves."""
    identity = OWN_IDENTITY.load(device.vault)
    return identity.card if identity is not None and _is_own_person(person, device) else None


def _person_by_id(person: bytes, device: Device) -> Person | None:
    """Return a contact, or ourselves."""
    contact = CONTACT_TABLE.load(person.hex(), device.vault)
    if contact is not None:
        return contact.person
    return _own_person(device) if _is_own_person(person, device) else None


def _is_own_person(person: bytes, device: Device) -> bool:
    ourselves = _own_person(device)
    return ourselves is not None and ourselves.id == person


def _own_person(device: Device) -> Person | None:
    identity = OWN_IDENTITY.load(device.vault)
    return None if identity is None else identity.person
