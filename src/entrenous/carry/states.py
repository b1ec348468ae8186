"""Where an envelope can go from where it is: one table, drawn in
docs/machines/envelope.md.

A state says what has happened, not what is left: whether sealed bytes, share or blobs still exist
is told by their rows (model/held.py). What the table lacks cannot happen; what it refuses has a
name.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.model.envelope import EnvelopeState, Expired, TakenBack
from entrenous.model.errors import Refused


class Event(StrEnum):
    """What can happen to an envelope."""

    DELIVER = "deliver"  # the owner of the mailbox has it on disk
    OPEN = "open"  # somebody who holds the open token was given the share
    USE_UP = "use up"  # every allowed opening happened, and their devices have the content
    WITHDRAW = "withdraw"  # its sender took it back
    EXPIRE = "expire"  # its time has come


_WAITING: Final = EnvelopeState.WAITING
_DELIVERED: Final = EnvelopeState.DELIVERED
_OPENED: Final = EnvelopeState.OPENED
_TAKEN_BACK: Final = EnvelopeState.TAKEN_BACK
_EXPIRED: Final = EnvelopeState.EXPIRED

NEXT: Final[Mapping[tuple[EnvelopeState, Event], EnvelopeState]] = {
    (_WAITING, Event.DELIVER): _DELIVERED,
    (_WAITING, Event.OPEN): _OPENED,
    (_WAITING, Event.WITHDRAW): _TAKEN_BACK,
    (_WAITING, Event.EXPIRE): _EXPIRED,
    (_DELIVERED, Event.DELIVER): _DELIVERED,
    (_DELIVERED, Event.OPEN): _OPENED,
    (_DELIVERED, Event.WITHDRAW): _TAKEN_BACK,
    (_DELIVERED, Event.EXPIRE): _EXPIRED,
    (_OPENED, Event.DELIVER): _OPENED,
    (_OPENED, Event.OPEN): _OPENED,
    (_OPENED, Event.USE_UP): _OPENED,
    (_OPENED, Event.WITHDRAW): _TAKEN_BACK,
    (_OPENED, Event.EXPIRE): _EXPIRED,
    (_TAKEN_BACK, Event.WITHDRAW): _TAKEN_BACK,
    (_EXPIRED, Event.WITHDRAW): _EXPIRED,
}

REFUSED: Final[Mapping[tuple[EnvelopeState, Event], type[Refused]]] = {
    (_TAKEN_BACK, Event.OPEN): TakenBack,
    (_EXPIRED, Event.OPEN): Expired,
}


def step(state: EnvelopeState, event: Event, expires_at: datetime) -> EnvelopeState:
    """The state after ``event``.

    Raises:
        TakenBack, Expired: it can't be opened any more.
        KeyError: the event cannot happen in this state: a bug.
    """
    if (state, event) in REFUSED:
        raise REFUSED[state, event](when=expires_at)
    return NEXT[state, event]
