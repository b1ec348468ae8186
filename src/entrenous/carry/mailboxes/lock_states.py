"""What the lock of a device does when it is asked: one table, drawn in docs/machines/device.md.

The states are those of the relay's part (docs/spec/lock.md section 2): how many questions are left
is a number in its row, and the state follows from it. What the table lacks cannot happen; what it
refuses has a name.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from entrenous.model.errors import EntrenousError
from entrenous.model.held import HeldLock
from entrenous.model.lock import Locked, NoLock
from entrenous.spec import UNLOCK_TRIES


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
