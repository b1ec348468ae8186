"""The states of an envelope and its transitions, as a table; drawn in docs/machines/."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.base.errors import EntrenousError, Expired, NoSuchEnvelope, TakenBack
from entrenous.wire.relay_nouns import EnvelopeState


class EnvelopeEvent(StrEnum):
    DELIVER = "deliver"  # the owner of the mailbox has it on disk
    OPEN = "open"  # a holder of the open token was given the share
    USE_UP = "use up"  # all allowed openings of its group happened and were finished
    WITHDRAW = "withdraw"  # its sender took it back
    EXPIRE = "expire"  # its expiry has passed
    REVOKE = "revoke"  # its mailbox was deleted: the device is lost or retired
    RESTORE = "restore"  # the relay was restored from a backup, without shares


_WAITING: Final = EnvelopeState.WAITING
_DELIVERED: Final = EnvelopeState.DELIVERED
_OPENED: Final = EnvelopeState.OPENED
_TAKEN_BACK: Final = EnvelopeState.TAKEN_BACK
_EXPIRED: Final = EnvelopeState.EXPIRED
_REVOKED: Final = EnvelopeState.REVOKED
_LOST: Final = EnvelopeState.LOST
ENVELOPE_TRANSITIONS: Final[Mapping[tuple[EnvelopeState, EnvelopeEvent], EnvelopeState]] = {
    (_WAITING, EnvelopeEvent.DELIVER): _DELIVERED,
    (_WAITING, EnvelopeEvent.OPEN): _OPENED,
    (_WAITING, EnvelopeEvent.USE_UP): _WAITING,
    (_WAITING, EnvelopeEvent.WITHDRAW): _TAKEN_BACK,
    (_WAITING, EnvelopeEvent.EXPIRE): _EXPIRED,
    (_WAITING, EnvelopeEvent.REVOKE): _REVOKED,
    (_WAITING, EnvelopeEvent.RESTORE): _LOST,
    (_DELIVERED, EnvelopeEvent.DELIVER): _DELIVERED,
    (_DELIVERED, EnvelopeEvent.OPEN): _OPENED,
    (_DELIVERED, EnvelopeEvent.USE_UP): _DELIVERED,
    (_DELIVERED, EnvelopeEvent.WITHDRAW): _TAKEN_BACK,
    (_DELIVERED, EnvelopeEvent.EXPIRE): _EXPIRED,
    (_DELIVERED, EnvelopeEvent.REVOKE): _REVOKED,
    (_DELIVERED, EnvelopeEvent.RESTORE): _LOST,
    (_OPENED, EnvelopeEvent.DELIVER): _OPENED,
    (_OPENED, EnvelopeEvent.OPEN): _OPENED,
    (_OPENED, EnvelopeEvent.USE_UP): _OPENED,
    (_OPENED, EnvelopeEvent.WITHDRAW): _TAKEN_BACK,
    (_OPENED, EnvelopeEvent.EXPIRE): _EXPIRED,
    (_OPENED, EnvelopeEvent.REVOKE): _REVOKED,
    (_OPENED, EnvelopeEvent.RESTORE): _OPENED,
    (_TAKEN_BACK, EnvelopeEvent.WITHDRAW): _TAKEN_BACK,
    (_EXPIRED, EnvelopeEvent.WITHDRAW): _EXPIRED,
    (_REVOKED, EnvelopeEvent.WITHDRAW): _REVOKED,
    (_LOST, EnvelopeEvent.WITHDRAW): _LOST,
}
ENVELOPE_REFUSALS: Final[Mapping[tuple[EnvelopeState, EnvelopeEvent], type[EntrenousError]]] = {
    (_TAKEN_BACK, EnvelopeEvent.OPEN): TakenBack,
    (_EXPIRED, EnvelopeEvent.OPEN): Expired,
    (_REVOKED, EnvelopeEvent.OPEN): NoSuchEnvelope,
    (_LOST, EnvelopeEvent.OPEN): NoSuchEnvelope,
}


def next_envelope_state(
    state: EnvelopeState, event: EnvelopeEvent, expires_at: datetime
) -> EnvelopeState:
    """Return the state after ``event``.

    Raises:
        TakenBack, Expired, NoSuchEnvelope: the envelope can no longer be opened.
        KeyError: the event cannot happen in this state: a bug.
    """
    if (state, event) in ENVELOPE_REFUSALS:
        raise ENVELOPE_REFUSALS[state, event](when=expires_at)
    return ENVELOPE_TRANSITIONS[state, event]
