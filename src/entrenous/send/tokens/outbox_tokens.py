"""Replace the token of an outbox item that waited for a long time, or that has no token yet."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from entrenous.base.errors import WaitedTooLong, WrongToken
from entrenous.base.identifiers import DeviceId, MailboxId
from entrenous.base.limits import REPLACED_TOKEN_RANGE_DAYS
from entrenous.crypto.key_derivation import send_token
from entrenous.device.device import Device
from entrenous.device.identities import CONTACT_TABLE, NO_TOKEN
from entrenous.send.clock_sanity import trusted_time
from entrenous.send.outbox import OutboxItem
from entrenous.send.tokens.token_ranges import HeldRange
from entrenous.send.tokens.use import (
    Token,
    first_token_for,
    held_range,
    is_only_reserved_left,
    token_mailbox,
    use_range_token,
)

#: Tokens of a range that are reserved for letters with an index. From these letters, the issuer of
#: the range sees how many tokens were used, and issues more.
_RESERVED_TOKENS_PER_RANGE: Final = 16


def with_token(item: OutboxItem, device: Device) -> OutboxItem | None:
    """Return the item with a token that its relay accepts; None if there is none yet.

    An item whose range was replaced and has expired, or that was written without a token, gets
    another token. If that token is valid at another mailbox, the item goes there, unless it has
    files, whose location is fixed in the letter. Call it in the transaction that stores the item.

    Raises:
        WaitedTooLong: no relay would accept it any more.
        WrongToken: it has files at a mailbox where no token of ours is valid.
    """
    if item.peer is None:
        return item
    held = held_range(item.peer, device)
    if has_no_token(item):
        return _with_first_token(item, item.peer, held, device)
    if item.index is None or held.seed is None:
        return item
    if item.token == send_token(held.seed, item.index):
        return item if item.index < held.until else None
    return _with_next_token(item, item.peer, held, device)


def has_no_token(item: OutboxItem) -> bool:
    """Return whether the item was written while we had no token for that device."""
    return item.index is None and item.token == NO_TOKEN


def without_refused_token(item: OutboxItem, device: Device) -> OutboxItem | None:
    """Return the item without its refused token, to wait for another; None if the item must be
    dropped.

    Only a lent token is replaced: the device that lent it may be lost, and its tokens with it. A
    token that came from its issuer is not replaced.
    """
    if item.peer is None or item.index is None:
        return None
    held = held_range(item.peer, device)
    if held.seed is not None or held.old is not None:
        return None
    return replace(item, token=NO_TOKEN, index=None)


def _with_first_token(
    item: OutboxItem, peer_id: str, held: HeldRange, device: Device
) -> OutboxItem | None:
    if item.envelope.expires_at <= trusted_time(device):
        raise WaitedTooLong
    valid_at = token_mailbox(peer_id, held, device)
    if valid_at is None:
        return None
    if item.blobs and valid_at != _mailbox_of(item):
        raise WrongToken
    if held.seed is not None and held.next >= held.until - _RESERVED_TOKENS_PER_RANGE:
        return None
    if is_only_reserved_left(peer_id, held, device):
        return None
    token = use_range_token(peer_id, held, device) or _first_token(peer_id, device)
    return None if token.token == NO_TOKEN else _with_mailbox_and_token(valid_at, item, token)


def _with_next_token(
    item: OutboxItem, peer_id: str, held: HeldRange, device: Device
) -> OutboxItem | None:
    valid_at = token_mailbox(peer_id, held, device)
    is_there = valid_at == _mailbox_of(item)
    if valid_at is None or (item.blobs and not is_there):
        return item
    if _is_still_valid(item, held, device, is_there=is_there):
        return item
    token = use_range_token(peer_id, held, device) if held.next < held.until else None
    return None if token is None else _with_mailbox_and_token(valid_at, item, token)


def _first_token(peer_id: str, device: Device) -> Token:
    person, one = peer_id.split(" ")
    contact = CONTACT_TABLE.load(person, device.vault)
    of = DeviceId(bytes.fromhex(one))
    return Token(NO_TOKEN if contact is None else first_token_for(contact, of, device), None)


def _with_mailbox_and_token(
    valid_at: tuple[str, MailboxId], item: OutboxItem, token: Token
) -> OutboxItem:
    fresh = replace(item, token=token.token, index=token.index)
    return replace(
        fresh, relay_url=valid_at[0], envelope=replace(item.envelope, mailbox=valid_at[1])
    )


def _mailbox_of(item: OutboxItem) -> tuple[str, MailboxId]:
    return item.relay_url, item.envelope.mailbox


def _is_still_valid(item: OutboxItem, held: HeldRange, device: Device, *, is_there: bool) -> bool:
    """Return whether a token that is not in the current range is still accepted.

    At the current mailbox it is accepted for some days; at the former one, if it was registered
    there at all.
    """
    old, index = held.old, item.index
    if old is None or index is None or item.token != send_token(old.seed, index):
        return not is_there
    left = old.lapses_at - device.clock.now()  # the time is longer if a clock that was ahead set it
    in_time = timedelta() < left <= timedelta(days=REPLACED_TOKEN_RANGE_DAYS) or not is_there
    return in_time and index < old.until
