"""Who may do what: the owner of a mailbox, and holders of its send tokens (relay.md sections 2, 3).

The relay knows a token's lock only. A send token tells that its holder may write, and nothing about
who that is.
"""

from dataclasses import replace
from datetime import datetime

from entrenous.carry.clock import refuse_ahead
from entrenous.carry.mailboxes.room import room_for_token, room_for_tokens
from entrenous.carry.moment import now
from entrenous.craft.crypto.hashing import lock_of, same
from entrenous.model.envelope import SendToken, TokenBatch
from entrenous.model.held import HeldMailbox, HeldToken
from entrenous.model.ids import MailboxId
from entrenous.model.relay_problem import Expired, NoSuchMailbox, WrongToken
from entrenous.model.secret import Secret
from entrenous.ports import MailDesk, MailView, Relay


async def register_token(
    mailbox: MailboxId, token: Secret, granted: SendToken, relay: Relay
) -> bool:
    """Let holders of ``granted`` write to this mailbox; False if they could before.

    Registered again, a token gets the new terms and keeps the count of what was accepted.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
        TooManyRegistered: it would be one too many.
    """
    present = now(relay)

    def work(desk: MailDesk) -> bool:
        owner(desk, mailbox, token)
        held = desk.get(HeldToken, mailbox, granted.lock)
        if held is None:
            room_for_token(desk, mailbox)
        fresh = HeldToken(mailbox, granted.lock, None, 0, 0, present, None)
        desk.put(replace(held or fresh, uses=granted.uses, due_at=granted.expires_at))
        return held is None

    return await relay.mail.together(work)


async def add_tokens(mailbox: MailboxId, token: Secret, batch: TokenBatch, relay: Relay) -> int:
    """Add many tokens of one use each, and drop others, together; how many are held then.

    May be repeated while none of those that are added was used.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
        Expired: they would hold no more.
        TooManyRegistered: it would be too many.
    """
    present = now(relay)
    # When it came would join what came together; until the first claim nobody reads it.
    that_day = present.replace(hour=0, minute=0, second=0)
    if batch.expires_at <= present:
        raise Expired(when=batch.expires_at)

    def work(desk: MailDesk) -> int:
        owner(desk, mailbox, token)
        for lock in batch.drop:
            desk.drop(HeldToken, mailbox, lock)
        held = desk.count(HeldToken, mailbox=mailbox)
        new = [lock for lock in batch.add if desk.get(HeldToken, mailbox, lock) is None]
        if new:  # what only drops is taken however many there are
            room_for_tokens(held, len(new))
        for lock in new:
            desk.put(HeldToken(mailbox, lock, 1, 0, 0, that_day, batch.expires_at))
        return held + len(new)

    def look_ahead(view: MailView) -> None:
        view.get(HeldMailbox, mailbox)
        for lock in (*batch.add, *batch.drop):
            view.get(HeldToken, mailbox, lock)

    return await relay.mail.together(work, look_ahead)


async def withdraw_token(mailbox: MailboxId, token: Secret, lock: bytes, relay: Relay) -> None:
    """Stop letting holders of that token write; it need not be registered.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
    """

    def work(desk: MailDesk) -> None:
        owner(desk, mailbox, token)
        desk.drop(HeldToken, mailbox, lock)

    await relay.mail.together(work)


async def prove_owner(mailbox: MailboxId, token: Secret, relay: Relay) -> None:
    """Nothing, before much is read of somebody; what is done with it asks again.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
    """
    await relay.mail.look(lambda view: owner(view, mailbox, token))


def owner(view: MailView, mailbox: MailboxId, token: Secret) -> HeldMailbox:
    """The mailbox, if ``token`` is its owner's; raises NoSuchMailbox, WrongToken."""
    held = _mailbox(view, mailbox)
    if not same(held.owner_lock, lock_of(token)):
        raise WrongToken
    return held


def closer(view: MailView, mailbox: MailboxId, token: Secret) -> HeldMailbox:
    """The mailbox, if ``token`` deletes it: its owner's, or the close token that she gave away.

    Raises:
        NoSuchMailbox, WrongToken.
    """
    held = _mailbox(view, mailbox)
    shown = lock_of(token)
    if not same(held.owner_lock, shown) and not same(held.close_lock or b"", shown):
        raise WrongToken
    return held


def sender(view: MailView, mailbox: MailboxId, token: Secret, present: datetime) -> HeldToken:
    """The send token, if it holds now; raises NoSuchMailbox, WrongToken, RelayClockAhead."""
    _mailbox(view, mailbox)
    held = view.get(HeldToken, mailbox, lock_of(token))
    if held is None or not _is_unused(held):
        raise WrongToken
    if held.due_at is not None and held.due_at <= present:
        refuse_ahead(view, present)
        raise WrongToken
    return held


def reader(view: MailView, mailbox: MailboxId, token: Secret, present: datetime) -> None:
    """Pass the owner or a holder of a send token; raises NoSuchMailbox, WrongToken."""
    if not same(_mailbox(view, mailbox).owner_lock, lock_of(token)):
        sender(view, mailbox, token, present)


def spend(desk: MailDesk, held: HeldToken) -> None:
    """Count one accepted envelope; a token that is used up is forgotten."""
    used = replace(held, used=held.used + 1)
    if used.uses is not None and used.used >= used.uses:
        desk.drop(HeldToken, held.mailbox, held.lock)
    else:
        desk.put(used)


def _is_unused(held: HeldToken) -> bool:
    return held.uses is None or held.used < held.uses


def _mailbox(view: MailView, mailbox: MailboxId) -> HeldMailbox:
    held = view.get(HeldMailbox, mailbox)
    if held is None:
        raise NoSuchMailbox
    return held
