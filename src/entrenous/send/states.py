"""Where a message can go from where it is, at both ends: two tables, drawn in
docs/machines/message.md.

A copy at its sender has left or not (:class:`.message.Departure`); what became of one that has left
is the relay's to tell (carry/states.py). A message at its recipient is there to be opened, or has
ended. What a table lacks cannot happen; what it refuses has a name.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from entrenous.model.errors import EntrenousError
from entrenous.model.message import StoppedWhileSending
from entrenous.model.opening import OpenedElsewhere, RemovedHere
from entrenous.model.received import InboxState
from entrenous.model.relay_problem import Expired, TakenBack, UsedUp
from entrenous.model.sealed_copy import Departure


class CopyEvent(StrEnum):
    """What can happen to a sealed copy at its sender."""

    TRY = "try"  # it is about to be posted, so it may have left from now on
    HEAR = "hear"  # its relay has it on disk
    REFUSE = "refuse"  # its relay will not have it
    CALL_OFF = "call off"  # its sender stopped the message, in the undo window or while it leaves


class MessageEvent(StrEnum):
    """What can happen to a message at its recipient."""

    OPEN = "open"  # both halves of the key were here, and what it holds can be seen
    USE_UP = "use up"  # it was opened here as often as it may be
    MISS = "miss"  # it may be opened no more often, for it was on another of her devices
    TAKE_BACK = "take back"  # its sender did
    EXPIRE = "expire"  # its time has come, or its relay has forgotten it
    REMOVE = "remove"  # its recipient did, from this device


_WAITING: Final = Departure.WAITING
_TRIED: Final = Departure.TRIED
_THERE: Final = Departure.ACKNOWLEDGED
_REFUSED: Final = Departure.REFUSED

COPY_NEXT: Final[Mapping[tuple[Departure, CopyEvent], Departure | None]] = {
    (_WAITING, CopyEvent.TRY): _TRIED,
    (_WAITING, CopyEvent.REFUSE): _REFUSED,
    (_WAITING, CopyEvent.CALL_OFF): None,  # it is as if it had never been made
    (_TRIED, CopyEvent.TRY): _TRIED,
    (_TRIED, CopyEvent.HEAR): _THERE,
    (_TRIED, CopyEvent.REFUSE): _REFUSED,
    (_REFUSED, CopyEvent.CALL_OFF): None,
}
COPY_REFUSED: Final[Mapping[tuple[Departure, CopyEvent], type[EntrenousError]]] = {
    (_TRIED, CopyEvent.CALL_OFF): StoppedWhileSending,
    (_THERE, CopyEvent.CALL_OFF): StoppedWhileSending,
}

_NEW: Final = InboxState.WAITING
_OPENED: Final = InboxState.OPENED
_TAKEN_BACK: Final = InboxState.TAKEN_BACK
_EXPIRED: Final = InboxState.EXPIRED
_USED_UP: Final = InboxState.USED_UP
_ELSEWHERE: Final = InboxState.ELSEWHERE
_REMOVED: Final = InboxState.REMOVED

MESSAGE_NEXT: Final[Mapping[tuple[InboxState, MessageEvent], InboxState]] = {
    (_NEW, MessageEvent.OPEN): _OPENED,
    (_NEW, MessageEvent.USE_UP): _USED_UP,
    (_NEW, MessageEvent.MISS): _ELSEWHERE,
    (_NEW, MessageEvent.TAKE_BACK): _TAKEN_BACK,
    (_NEW, MessageEvent.EXPIRE): _EXPIRED,
    (_NEW, MessageEvent.REMOVE): _REMOVED,
    (_OPENED, MessageEvent.OPEN): _OPENED,
    (_OPENED, MessageEvent.USE_UP): _USED_UP,
    (_OPENED, MessageEvent.MISS): _ELSEWHERE,
    (_OPENED, MessageEvent.TAKE_BACK): _TAKEN_BACK,
    (_OPENED, MessageEvent.EXPIRE): _EXPIRED,
    (_OPENED, MessageEvent.REMOVE): _REMOVED,
    (_TAKEN_BACK, MessageEvent.TAKE_BACK): _TAKEN_BACK,
    (_EXPIRED, MessageEvent.TAKE_BACK): _TAKEN_BACK,
    (_USED_UP, MessageEvent.TAKE_BACK): _TAKEN_BACK,
    (_ELSEWHERE, MessageEvent.TAKE_BACK): _TAKEN_BACK,
    (_REMOVED, MessageEvent.TAKE_BACK): _TAKEN_BACK,
}
MESSAGE_REFUSED: Final[Mapping[tuple[InboxState, MessageEvent], type[EntrenousError]]] = {
    (_TAKEN_BACK, MessageEvent.OPEN): TakenBack,
    (_EXPIRED, MessageEvent.OPEN): Expired,
    (_USED_UP, MessageEvent.OPEN): UsedUp,
    (_ELSEWHERE, MessageEvent.OPEN): OpenedElsewhere,
    (_REMOVED, MessageEvent.OPEN): RemovedHere,
}


def next_departure(departure: Departure, event: CopyEvent) -> Departure:
    """How far a copy that goes on existing has come after ``event``.

    Raises:
        KeyError: the event cannot happen to it: a bug.
    """
    reached = COPY_NEXT[departure, event]
    if reached is None:
        raise KeyError(departure, event)
    return reached


def can_be_called_off(departure: Departure) -> bool:
    """Whether it is certain that a copy has not left."""
    return (departure, CopyEvent.CALL_OFF) in COPY_NEXT


def check_arrow(state: InboxState, reached: InboxState) -> None:
    """Return only if a message can get from one state to another in one step, or stays.

    Raises:
        KeyError: it cannot: a bug.
    """
    arrows = ((before, after) for (before, _), after in MESSAGE_NEXT.items())
    if state is not reached and (state, reached) not in arrows:
        raise KeyError(state, reached)
