"""Store the relay's part of each device's vault key, and count the attempts to unlock the vault
(docs/spec/lock.md section 2; docs/machines/device.md).

A lock is this part of the key, together with the number of attempts that are left.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec.structs import replace

from entrenous.base.errors import EntrenousError, NoSuchMailbox, WrongToken
from entrenous.base.identifiers import MailboxId
from entrenous.base.limits import UNLOCK_TRIES_MAX
from entrenous.base.secret import Secret
from entrenous.carry.relay import Relay, RowTransaction, RowView
from entrenous.carry.relay_rows import DeletedMailbox, StoredLock
from entrenous.carry.send_tokens import require_owner_or_close_token, require_owner_token
from entrenous.crypto.hashing import equal_in_constant_time, token_hash
from entrenous.crypto.oprf import SCALAR_RANDOM_BYTES, check_element, evaluate, scalar_from_random
from entrenous.wire.relay_nouns import (
    Locked,
    LockExists,
    NoLock,
    RolledBack,
    UnlockAnswer,
    VaultUnlock,
)


class LockState(StrEnum):
    READY = "ready"
    TRIED = "tried"
    LOCKED = "locked"
    SHUT = "shut"


class LockEvent(StrEnum):
    ASK = "ask"  # somebody with the device's folder tries a passphrase; more attempts are left
    # somebody with the device's folder tries a passphrase, and this is the last attempt
    ASK_LAST = "ask for the last time"
    OPENED = "opened"  # somebody sent the owner's token, which only an unlocked vault reveals
    RESET = "reset"  # another device, or the recovery sheet, allows ten more attempts
    RENEW = "renew"  # the passphrase was changed: the old unlock token no longer works
    CLOSE = "close"  # the mailbox is deleted, and the key with it


_READY: Final = LockState.READY
_TRIED: Final = LockState.TRIED
_LOCKED: Final = LockState.LOCKED
_SHUT: Final = LockState.SHUT
LOCK_TRANSITIONS: Final[Mapping[tuple[LockState, LockEvent], LockState]] = {
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
LOCK_REFUSALS: Final[Mapping[tuple[LockState, LockEvent], type[EntrenousError]]] = {
    (_LOCKED, LockEvent.ASK): Locked,
    (_SHUT, LockEvent.ASK): NoLock,
    (_SHUT, LockEvent.OPENED): NoLock,
    (_SHUT, LockEvent.RESET): NoLock,
    (_SHUT, LockEvent.RENEW): NoLock,
}


def lock_state(stored: StoredLock | None) -> LockState:
    """Return the state of a lock; ``stored`` is None if the lock was deleted or never made."""
    if stored is None:
        return LockState.SHUT
    if stored.tries >= UNLOCK_TRIES_MAX:
        return LockState.READY
    return LockState.TRIED if stored.tries else LockState.LOCKED


def next_try_event(stored: StoredLock | None) -> LockEvent:
    """Return ASK_LAST if the next request uses up the last attempt, otherwise ASK."""
    last = stored is not None and stored.tries == 1
    return LockEvent.ASK_LAST if last else LockEvent.ASK


def next_lock_state(state: LockState, event: LockEvent) -> LockState:
    """Return the state after ``event``.

    Raises:
        Locked, NoLock: the lock no longer allows this event.
        KeyError: the event cannot happen in this state: a bug.
    """
    if (state, event) in LOCK_REFUSALS:
        raise LOCK_REFUSALS[state, event]
    return LOCK_TRANSITIONS[state, event]


async def create_lock(mailbox: MailboxId, token: Secret, unlock_lock: bytes, relay: Relay) -> bool:
    """Generate a key for this mailbox's device.

    Returns:
        False if the device has this lock already.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or the token is not its owner's.
        LockExists: there is a lock with a different token.
    """
    key = scalar_from_random(relay.random_source.token(SCALAR_RANDOM_BYTES))

    def store_new_lock(tx: RowTransaction) -> bool:
        require_owner_token(tx, mailbox, token)
        stored = tx.get(StoredLock, mailbox)
        if stored is None:
            tx.put(StoredLock(mailbox, key, unlock_lock, UNLOCK_TRIES_MAX))
        elif not equal_in_constant_time(stored.unlock_lock, unlock_lock):
            raise LockExists
        return stored is None

    return await relay.mail.transact(store_new_lock)


async def count_try_and_evaluate(
    mailbox: MailboxId, token: Secret, untrusted_blinded: bytes, relay: Relay
) -> UnlockAnswer:
    """Evaluate a blinded element with the lock's key, and count one attempt.

    A repetition of the last request is not counted.

    Raises:
        NotAPoint: these bytes are not a group element; no attempt was counted.
        NoLock: the key was deleted.
        NoSuchMailbox: this relay has no lock for such a mailbox.
        WrongToken: this is not the device's unlock token.
        Locked: no attempt is left.
    """
    check_element(untrusted_blinded)

    def count_try(tx: RowTransaction) -> StoredLock:
        stored = _require_unlock_token(tx, mailbox, token)
        if equal_in_constant_time(stored.asked or b"", untrusted_blinded):
            return stored
        next_lock_state(lock_state(stored), next_try_event(stored))
        counted = replace(stored, tries=stored.tries - 1, asked=untrusted_blinded)
        tx.put(counted)
        return counted

    stored = await relay.mail.transact(count_try)
    return UnlockAnswer(evaluate(stored.key, untrusted_blinded), stored.tries)


async def record_unlock_and_restore_tries(
    mailbox: MailboxId, token: Secret, opening: VaultUnlock, relay: Relay
) -> None:
    """Restore all attempts after the vault was unlocked, and detect whether another copy of the
    vault is in use.

    ``opening`` carries the vault's generation, a number that grows with each confirmed unlock. A
    generation higher than the stored one is accepted. An equal generation is accepted only if
    ``opening`` contains the 16 random bytes that identify the last recorded unlock: the answer to
    that unlock may have been lost. Another copy of the vault does not know these bytes.

    Raises:
        NoSuchMailbox, WrongToken: the token is not the owner's, or there is no lock.
        NoLock: the key was deleted.
        RolledBack: the relay has recorded an unlock of a different copy of the vault. The attempts
            are restored anyway, since only somebody who has unlocked a vault knows the owner's
            token.
    """

    def restore_tries(tx: RowTransaction) -> bool:
        _refuse_deleted_lock(tx, mailbox)
        require_owner_token(tx, mailbox, token)
        stored = _lock_with_all_tries(tx, mailbox, LockEvent.OPENED)
        continues = _is_next_unlock(opening, stored)
        noted = replace(stored, generation=opening.generation, opening=opening.number)
        tx.put(noted if continues else stored)
        return continues

    if not await relay.mail.transact(restore_tries):
        raise RolledBack


async def restore_all_tries(mailbox: MailboxId, token: Secret, relay: Relay) -> None:
    """Restore all attempts; ``token`` is the owner's token, or the close token of the mailbox.

    Raises:
        NoSuchMailbox, WrongToken: ``token`` is neither of the two, or there is no lock.
        NoLock: the key was deleted.
    """

    def restore_tries(tx: RowTransaction) -> None:
        _refuse_deleted_lock(tx, mailbox)
        require_owner_or_close_token(tx, mailbox, token)
        tx.put(_lock_with_all_tries(tx, mailbox, LockEvent.RESET))

    await relay.mail.transact(restore_tries)


async def replace_unlock_token_hash(
    mailbox: MailboxId, token: Secret, unlock_lock: bytes, relay: Relay
) -> None:
    """Replace the hash of the unlock token; repeating this is harmless.

    Raises:
        NoSuchMailbox, WrongToken: the token is not the owner's, or there is no lock.
        NoLock: the key was deleted.
    """

    def store_unlock_lock(tx: RowTransaction) -> None:
        _refuse_deleted_lock(tx, mailbox)
        require_owner_token(tx, mailbox, token)
        stored = _require_lock(tx, mailbox)
        next_lock_state(lock_state(stored), LockEvent.RENEW)
        tx.put(replace(stored, unlock_lock=unlock_lock))

    await relay.mail.transact(store_unlock_lock)


def _require_unlock_token(view: RowView, mailbox: MailboxId, token: Secret) -> StoredLock:
    _refuse_deleted_lock(view, mailbox)
    stored = _require_lock(view, mailbox)
    if not equal_in_constant_time(stored.unlock_lock, token_hash(token)):
        raise WrongToken
    return stored


def _is_next_unlock(opening: VaultUnlock, stored: StoredLock) -> bool:
    if opening.generation != stored.generation or stored.opening is None:
        return opening.generation > stored.generation
    return any(
        equal_in_constant_time(stored.opening, number)
        for number in (opening.number, *opening.before)
    )


def _lock_with_all_tries(view: RowView, mailbox: MailboxId, event: LockEvent) -> StoredLock:
    """Return the lock with all its attempts restored; raises NoSuchMailbox."""
    stored = _require_lock(view, mailbox)
    next_lock_state(lock_state(stored), event)
    return replace(stored, tries=UNLOCK_TRIES_MAX)


def _refuse_deleted_lock(view: RowView, mailbox: MailboxId) -> None:
    """Raise NoLock if the lock was deleted together with its mailbox."""
    if view.get(DeletedMailbox, mailbox) is not None:
        raise NoLock


def _require_lock(view: RowView, mailbox: MailboxId) -> StoredLock:
    """Return the lock; raises NoSuchMailbox, and not NoLock: a missing lock was not necessarily
    deleted, since the relay may run with another database.
    """
    stored = view.get(StoredLock, mailbox)
    if stored is None:
        raise NoSuchMailbox
    return stored
