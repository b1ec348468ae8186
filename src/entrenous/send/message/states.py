"""The states of a sent copy and of a received message: two tables, drawn in docs/machines/.

With a received message as its recipient's device remembers it, and what it records while it
opens one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.base.errors import (
    EntrenousError,
    Expired,
    Malformed,
    Refused,
    TakenBack,
    Unreachable,
    UsedUp,
)
from entrenous.base.identifiers import BlobId, EnvelopeId, MessageId, MessageName, PersonId
from entrenous.base.secret import Secret
from entrenous.device.sent_messages import Departure
from entrenous.send.letter.letter_nouns import Manifest, ReplyTo
from entrenous.send.message.draft import StoppedWhileSending


class InboxState(StrEnum):
    """Where a received message is; ``send/inbox.py`` holds the table."""

    WAITING = "waiting"
    OPENED = "opened"
    TAKEN_BACK = "taken back"
    EXPIRED = "expired"
    USED_UP = "used up"
    ELSEWHERE = "opened on another device"
    REMOVED = "removed by you"


@dataclass(frozen=True, slots=True)
class Received:
    """A message in the inbox. The secrets are gone once it has ended.

    ``kept`` are, once it was opened and openings are not counted, its frame and its files in the
    vault, sealed as they came, and ``key`` opens them; ``text`` is what its sender wrote. Where
    openings are counted nothing is kept, and ``views`` were here. ``sequence`` is the number that
    its relay gave it: ``sent_at`` has whole seconds, and this orders messages of the same second.
    """

    id: MessageId
    name: MessageName
    sender: PersonId
    sender_name: str
    sent_at: datetime
    envelope: EnvelopeId
    relay_url: str
    expires_at: datetime | None
    opens: int | None
    state: InboxState
    manifest: Manifest | None = None
    attempt: bytes | None = None
    kept: tuple[BlobId, ...] = ()
    key: Secret | None = None
    text: str | None = None
    views: int = 0
    reply: ReplyTo | None = None
    circle: bytes | None = None
    sequence: int = 0


class UnsafeFiles(Malformed):
    """
    {files} of {name}: no picture, clip or sound as Entrenous writes them, but broken, or something
    else, or with something more in it. Such a file can attack the program that shows it, so nothing
    of the message was written. Ask the person what they sent. To write all of it as it came, for a
    program that you trust with it: entrenous open {name} --unchecked. One that opens once needs
    --export as well.
    """


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


class OpenedElsewhere(UsedUp):
    """
    {name} was opened on another device of yours as often as it may be, so it does not open here any
    more. If you did not do that, or have no other device, somebody may hold a copy of one. See
    which are yours: entrenous device list
    """


class RemovedHere(Refused):
    """
    You removed {name} from this device, so it does not open here any more. Ask the person to send
    it again, or look on another device of yours.
    """


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


def check_transition(state: InboxState, reached: InboxState) -> None:
    """Return only if a message can get from one state to another in one step, or stays.

    Raises:
        KeyError: it cannot: a bug.
    """
    arrows = ((before, after) for (before, _), after in MESSAGE_NEXT.items())
    if state is not reached and (state, reached) not in arrows:
        raise KeyError(state, reached)


@dataclass(frozen=True, slots=True)
class Part:
    """A blob on its way here: ``kept`` holds what came of it, all of it once ``whole``."""

    kept: BlobId
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Finishing:
    """An opening that its relay is to be told the end of; ``attempt`` has 16 bytes."""

    relay_url: str
    envelope: EnvelopeId
    open_token: Secret
    attempt: bytes


class NotThereYet(Unreachable):
    """
    The relay of {name} does not have it, or does not have it yet: it may have lost its last
    minutes, and what it had not confirmed is brought again by the sender's program. Nothing is
    lost here. Try again later; if that goes on, ask the person to send it again.
    """


class NotLookedAt(Refused):
    """
    Nobody pressed Show on the page of {name}, so it was not opened, and can still be taken back. To
    look at it: entrenous open {name}
    """


class NotSeen(Refused):
    """
    The page of {name} was closed, or did not load, before you could see it. The person can not take
    it back by cryptography any more, for its relay gave the key, but this is no opening that
    counts: it opens here until it ends. To look at it: entrenous open {name}
    """


class UnsafeToShow(Malformed):
    """
    Not every file of {name} is a picture, clip or sound as Entrenous writes them. Such a file can
    attack the program that shows it, so nothing of the message was shown. Ask the person what they
    sent, and to send it again.
    """


class LookedAtOnly(Refused):
    """
    {name} may be opened a limited number of times, so it is looked at on a page, and nothing of it
    is written. To look at it: entrenous open {name}. Where its sender allowed that, you can have
    its files and its text written out, and the person is told: entrenous open {name} --export
    """


class ExportForbidden(Refused):
    """
    The person who sent {name} does not allow that its files or its text are written out. Nothing
    was opened. To look at it: entrenous open {name}
    """


class OddClock(Refused):
    """
    By this device's clock the time of {name} was over on {when}. But the clock is more than a month
    ahead of when it was last used, so nothing was removed. Check the date of this device. If it is
    right, there is nothing to do: an hour from now the message ends.
    """
