"""The states of an envelope and its transitions, as a table; drawn in docs/machines/."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.base.errors import EntrenousError, Expired, NoSuchEnvelope, TakenBack
from entrenous.wire.relay_nouns import EnvelopeState


class Event(StrEnum):
    DELIVER = "deliver"  # the owner of the mailbox has it on disk
    OPEN = "open"  # a holder of the open token was given the share
    USE_UP = "use up"  # all allowed openings of its group happened and were finished
    WITHDRAW = "withdraw"  # its sender took it back
    EXPIRE = "expire"  # its time has come
    REVOKE = "revoke"  # its mailbox was deleted: the device is lost or retired
    RESTORE = "restore"  # the relay was restored from a backup, without shares


_WAITING: Final = EnvelopeState.WAITING
_DELIVERED: Final = EnvelopeState.DELIVERED
_OPENED: Final = EnvelopeState.OPENED
_TAKEN_BACK: Final = EnvelopeState.TAKEN_BACK
_EXPIRED: Final = EnvelopeState.EXPIRED
_REVOKED: Final = EnvelopeState.REVOKED
_LOST: Final = EnvelopeState.LOST
NEXT: Final[Mapping[tuple[EnvelopeState, Event], EnvelopeState]] = {
    (_WAITING, Event.DELIVER): _DELIVERED,
    (_WAITING, Event.OPEN): _OPENED,
    (_WAITING, Event.USE_UP): _WAITING,
    (_WAITING, Event.WITHDRAW): _TAKEN_BACK,
    (_WAITING, Event.EXPIRE): _EXPIRED,
    (_WAITING, Event.REVOKE): _REVOKED,
    (_WAITING, Event.RESTORE): _LOST,
    (_DELIVERED, Event.DELIVER): _DELIVERED,
    (_DELIVERED, Event.OPEN): _OPENED,
    (_DELIVERED, Event.USE_UP): _DELIVERED,
    (_DELIVERED, Event.WITHDRAW): _TAKEN_BACK,
    (_DELIVERED, Event.EXPIRE): _EXPIRED,
    (_DELIVERED, Event.REVOKE): _REVOKED,
    (_DELIVERED, Event.RESTORE): _LOST,
    (_OPENED, Event.DELIVER): _OPENED,
    (_OPENED, Event.OPEN): _OPENED,
    (_OPENED, Event.USE_UP): _OPENED,
    (_OPENED, Event.WITHDRAW): _TAKEN_BACK,
    (_OPENED, Event.EXPIRE): _EXPIRED,
    (_OPENED, Event.REVOKE): _REVOKED,
    (_OPENED, Event.RESTORE): _OPENED,
    (_TAKEN_BACK, Event.WITHDRAW): _TAKEN_BACK,
    (_EXPIRED, Event.WITHDRAW): _EXPIRED,
    (_REVOKED, Event.WITHDRAW): _REVOKED,
    (_LOST, Event.WITHDRAW): _LOST,
}
REFUSED: Final[Mapping[tuple[EnvelopeState, Event], type[EntrenousError]]] = {
    (_TAKEN_BACK, Event.OPEN): TakenBack,
    (_EXPIRED, Event.OPEN): Expired,
    (_REVOKED, Event.OPEN): NoSuchEnvelope,
    (_LOST, Event.OPEN): NoSuchEnvelope,
}


def step(state: EnvelopeState, event: Event, expires_at: datetime) -> EnvelopeState:
    """Return the state after ``event``.

    Raises:
        TakenBack, Expired, NoSuchEnvelope: it can no longer be opened.
        KeyError: the event cannot happen in this state: a bug.
    """
    if (state, event) in REFUSED:
        raise REFUSED[state, event](when=expires_at)
    return NEXT[state, event]
