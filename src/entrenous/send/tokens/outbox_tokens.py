"""The token of an outbox item that waited for long, or was written without one."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from entrenous.base.errors import WaitedTooLong, WrongToken
from entrenous.base.identifiers import DeviceId, MailboxId
from entrenous.base.identity import Contact
from entrenous.base.limits import OLD_WINDOW_DAYS
from entrenous.crypto.key_derivation import send_token
from entrenous.device.device import Device
from entrenous.device.identities import NO_TOKEN
from entrenous.device.vault_tables import CONTACT, load_record
from entrenous.send.clock_sanity import believed_now
from entrenous.send.outbox import OutboxItem
from entrenous.send.tokens.token_ranges import HeldWindow
from entrenous.send.tokens.use import (
    Token,
    first_token_for,
    held_window,
    keeps_last,
    use_held,
    where_tokens_hold,
)

#: Tokens of a window that are left to letters which name them: by these its giver sees how many
#: were used, and tells of more.
_LEFT_FOR_OTHERS: Final = 16


def with_token(posting: OutboxItem, device: Device) -> OutboxItem | None:
    """The posting with a token that its relay takes; None while there is none. Call it in the
    transaction that stores the posting.

    What waited until its window was replaced, and that one ended, or was written when we had no
    token, is given another one; if that holds elsewhere it goes there, unless it has files: a
    letter says where these lie.

    Raises:
        WaitedTooLong: nobody would take it any more.
        WrongToken: it has files, where no token of ours holds.
    """
    if posting.peer is None:
        return posting
    held = held_window(posting.peer, device)
    if had_none(posting):
        return _with_first(posting, posting.peer, held, device)
    if posting.index is None or held.seed is None:
        return posting
    if posting.token == send_token(held.seed, posting.index):
        return posting if posting.index < held.until else None
    return _with_another(posting, posting.peer, held, device)


def had_none(posting: OutboxItem) -> bool:
    """Whether it was written when we had no token for that device."""
    return posting.index is None and posting.token == NO_TOKEN


def once_more(posting: OutboxItem, device: Device) -> OutboxItem | None:
    """What was refused with a token that was lent waits for another one: who lent it may be lost,
    and its tokens with it. None of what had a token that its owner gave us.
    """
    if posting.peer is None or posting.index is None:
        return None
    held = held_window(posting.peer, device)
    if held.seed is not None or held.old is not None:
        return None
    return replace(posting, token=NO_TOKEN, index=None)


def _with_first(
    posting: OutboxItem, whose: str, held: HeldWindow, device: Device
) -> OutboxItem | None:
    if posting.envelope.expires_at <= believed_now(device):
        raise WaitedTooLong
    there = where_tokens_hold(whose, held, device)
    if there is None:
        return None
    if posting.blobs and there != _where(posting):
        raise WrongToken
    if held.seed is not None and held.next >= held.until - _LEFT_FOR_OTHERS:
        return None
    if keeps_last(whose, held, device):
        return None
    token = use_held(whose, held, device) or _first(whose, device)
    return None if token.token == NO_TOKEN else _at(there, posting, token)


def _with_another(
    posting: OutboxItem, whose: str, held: HeldWindow, device: Device
) -> OutboxItem | None:
    there = where_tokens_hold(whose, held, device)
    is_there = there == _where(posting)
    if there is None or (posting.blobs and not is_there):
        return posting
    if _still_holds(posting, held, device, is_there=is_there):
        return posting
    token = use_held(whose, held, device) if held.next < held.until else None
    return None if token is None else _at(there, posting, token)


def _first(whose: str, device: Device) -> Token:
    person, one = whose.split(" ")
    contact = load_record(Contact, CONTACT, person, device.vault)
    of = DeviceId(bytes.fromhex(one))
    return Token(NO_TOKEN if contact is None else first_token_for(contact, of, device), None)


def _at(there: tuple[str, MailboxId], posting: OutboxItem, token: Token) -> OutboxItem:
    fresh = replace(posting, token=token.token, index=token.index)
    return replace(fresh, relay_url=there[0], envelope=replace(posting.envelope, mailbox=there[1]))


def _where(posting: OutboxItem) -> tuple[str, MailboxId]:
    return posting.relay_url, posting.envelope.mailbox


def _still_holds(posting: OutboxItem, held: HeldWindow, device: Device, *, is_there: bool) -> bool:
    """Whether a token that is not of the present window is taken all the same: where the device is,
    for some days; where it was, if it was registered there at all.
    """
    old, index = held.old, posting.index
    if old is None or index is None or posting.token != send_token(old.seed, index):
        return not is_there
    left = old.lapses_at - device.clock.now()  # longer where it was noted by a clock that was ahead
    in_time = timedelta() < left <= timedelta(days=OLD_WINDOW_DAYS) or not is_there
    return in_time and index < old.until
