"""Keep a part of each device's lock, and count the tries (docs/spec/lock.md section 2;
docs/machines/device.md).
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Final

from entrenous.base.errors import EntrenousError, NoSuchMailbox, WrongToken
from entrenous.base.identifiers import MailboxId
from entrenous.base.limits import UNLOCK_TRIES
from entrenous.base.secret import Secret
from entrenous.carry.relay import Relay, RowTransaction, RowView
from entrenous.carry.relay_rows import GoneMailbox, HeldLock
from entrenous.carry.send_tokens import closer, owner
from entrenous.crypto.hashing import equal_in_constant_time, lock_of
from entrenous.crypto.oprf import UNIFORM_BYTES, draw_scalar, evaluate, refuse_no_element
from entrenous.wire.relay_nouns import Answered, Locked, LockExists, NoLock, Opening, RolledBack


class LockState(StrEnum):
    """Where the lock of one device is."""

    READY = "ready"
    TRIED = "tried"
    LOCKED = "locked"
    SHUT = "shut"


class LockEvent(StrEnum):
    """What can happen to it."""

    ASK = "ask"  # somebody with the device's folder tries a passphrase; more tries are left
    ASK_LAST = "ask for the last time"  # ... and none is left after it
    OPENED = "opened"  # who shows the owner's token has it from the open vault
    RESET = "reset"  # another device, or the recovery sheet, allows ten more tries
    RENEW = "renew"  # another passphrase: what asked until now asks no more
    CLOSE = "close"  # the mailbox is deleted, and the key with it


_READY: Final = LockState.READY
_TRIED: Final = LockState.TRIED
_LOCKED: Final = LockState.LOCKED
_SHUT: Final = LockState.SHUT
NEXT: Final[Mapping[tuple[LockState, LockEvent], LockState]] = {
    (_READY, LockEvent.ASK): _TRIED,
    (_READY, LockEvent.OPENED): _READY,
    (_READY, LockEvent.RESET): _READY,
    (_READY, LockEvent.RENEW): _READY,
    (_READY, LockEvent.CLOSE): _SHUT,
    (_TRIED, LockEvent.ASK): _TRIED,
    (_TRIED, LockEvent.ASK_LAST): _LOCKED,
    (_TRIED, LockEvent.OPENED): _READY,
    (_TRIED, LockEvent.RESET): _READY,
    (_TRIED, LockEvent.RENEW): _TRIED,
    (_TRIED, LockEvent.CLOSE): _SHUT,
    (_LOCKED, LockEvent.OPENED): _READY,
    (_LOCKED, LockEvent.RESET): _READY,
    (_LOCKED, LockEvent.RENEW): _LOCKED,
    (_LOCKED, LockEvent.CLOSE): _SHUT,
    (_SHUT, LockEvent.CLOSE): _SHUT,
}
REFUSED: Final[Mapping[tuple[LockState, LockEvent], type[EntrenousError]]] = {
    (_LOCKED, LockEvent.ASK): Locked,
    (_SHUT, LockEvent.ASK): NoLock,
    (_SHUT, LockEvent.OPENED): NoLock,
    (_SHUT, LockEvent.RESET): NoLock,
    (_SHUT, LockEvent.RENEW): NoLock,
}


def state_of(held: HeldLock | None) -> LockState:
    """Where a lock is; None is one that was deleted, or never made."""
    if held is None:
        return LockState.SHUT
    if held.tries >= UNLOCK_TRIES:
        return LockState.READY
    return LockState.TRIED if held.tries else LockState.LOCKED


def asking(held: HeldLock | None) -> LockEvent:
    """Which of the two kinds of question the next one is."""
    last = held is not None and held.tries == 1
    return LockEvent.ASK_LAST if last else LockEvent.ASK


def step(state: LockState, event: LockEvent) -> LockState:
    """The state after ``event``.

    Raises:
        Locked, NoLock: the lock does not do that any more.
        KeyError: the event cannot happen in this state: a bug.
    """
    if (state, event) in REFUSED:
        raise REFUSED[state, event]
    return NEXT[state, event]


async def make_lock(mailbox: MailboxId, token: Secret, unlock_lock: bytes, relay: Relay) -> bool:
    """Draw a key for this mailbox's device; False if it has this lock already.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
        LockExists: there is one with another token.
    """
    key = draw_scalar(relay.dice.token(UNIFORM_BYTES))

    def work(desk: RowTransaction) -> bool:
        owner(desk, mailbox, token)
        held = desk.get(HeldLock, mailbox)
        if held is None:
            desk.put(HeldLock(mailbox, key, unlock_lock, UNLOCK_TRIES))
        elif not equal_in_constant_time(held.unlock_lock, unlock_lock):
            raise LockExists
        return held is None

    return await relay.mail.together(work)


async def answer_blinded(
    mailbox: MailboxId, token: Secret, untrusted_blinded: bytes, relay: Relay
) -> Answered:
    """Answer one question, if a try is left. The last question asked again counts no second time.

    Raises:
        NotAPoint: this is no question; it was not counted.
        NoLock: the key was deleted.
        NoSuchMailbox: nothing is known of one here.
        WrongToken: this is not the device's unlock token.
        Locked: no try is left.
    """
    refuse_no_element(untrusted_blinded)

    def work(desk: RowTransaction) -> HeldLock:
        held = _asked_by(desk, mailbox, token)
        if equal_in_constant_time(held.asked or b"", untrusted_blinded):
            return held
        step(state_of(held), asking(held))
        counted = replace(held, tries=held.tries - 1, asked=untrusted_blinded)
        desk.put(counted)
        return counted

    held = await relay.mail.together(work)
    return Answered(evaluate(held.key, untrusted_blinded), held.tries)


async def note_opened(mailbox: MailboxId, token: Secret, opening: Opening, relay: Relay) -> None:
    """The vault opened: all tries are back. No other copy of it may have opened in between.

    A later generation is taken. The same one is, if its last opening was by this very vault, which
    did not hear the answer: another copy does not know that opening's number.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner, or nothing is known of a key here.
        NoLock: the key was deleted.
        RolledBack: another copy of the vault opened already. Tries are back all the same: who
            shows the owner's token has opened a vault.
    """

    def work(desk: RowTransaction) -> bool:
        _refuse_deleted(desk, mailbox)
        owner(desk, mailbox, token)
        held = _ready(desk, mailbox, LockEvent.OPENED)
        taken = _goes_on(opening, held)
        noted = replace(held, generation=opening.generation, opening=opening.number)
        desk.put(noted if taken else held)
        return taken

    if not await relay.mail.together(work):
        raise RolledBack


async def allow_more_tries(mailbox: MailboxId, token: Secret, relay: Relay) -> None:
    """Give all tries back, for whoever may also delete the mailbox.

    Raises:
        NoSuchMailbox, WrongToken: this is not the close token, or nothing is known of a key here.
        NoLock: the key was deleted.
    """

    def work(desk: RowTransaction) -> None:
        _refuse_deleted(desk, mailbox)
        closer(desk, mailbox, token)
        desk.put(_ready(desk, mailbox, LockEvent.RESET))

    await relay.mail.together(work)


async def renew_lock(mailbox: MailboxId, token: Secret, unlock_lock: bytes, relay: Relay) -> None:
    """From now on another token asks questions, and the one before none; may be repeated.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner, or nothing is known of a key here.
        NoLock: the key was deleted.
    """

    def work(desk: RowTransaction) -> None:
        _refuse_deleted(desk, mailbox)
        owner(desk, mailbox, token)
        held = _known(desk, mailbox)
        step(state_of(held), LockEvent.RENEW)
        desk.put(replace(held, unlock_lock=unlock_lock))

    await relay.mail.together(work)


def _asked_by(view: RowView, mailbox: MailboxId, token: Secret) -> HeldLock:
    _refuse_deleted(view, mailbox)
    held = _known(view, mailbox)
    if not equal_in_constant_time(held.unlock_lock, lock_of(token)):
        raise WrongToken
    return held


def _goes_on(opening: Opening, held: HeldLock) -> bool:
    if opening.generation != held.generation or held.opening is None:
        return opening.generation > held.generation
    return any(
        equal_in_constant_time(held.opening, number) for number in (opening.number, *opening.before)
    )


def _ready(view: RowView, mailbox: MailboxId, event: LockEvent) -> HeldLock:
    """The lock with all its tries; raises NoSuchMailbox."""
    held = _known(view, mailbox)
    step(state_of(held), event)
    return replace(held, tries=UNLOCK_TRIES)


def _refuse_deleted(view: RowView, mailbox: MailboxId) -> None:
    """What is left of a mailbox that was deleted shows that its lock was; raises NoLock."""
    if view.get(GoneMailbox, mailbox) is not None:
        raise NoLock


def _known(view: RowView, mailbox: MailboxId) -> HeldLock:
    """The lock. That there is none says nothing of why: it may be in another database.

    Raises:
        NoSuchMailbox.
    """
    held = view.get(HeldLock, mailbox)
    if held is None:
        raise NoSuchMailbox
    return held
