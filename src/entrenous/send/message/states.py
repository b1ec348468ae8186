"""The states of a sent copy and of a received message, with their transitions (drawn in
docs/machines/). Also a received message as its device stores it, and records about opening it.
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
from entrenous.base.language import translatable
from entrenous.base.secret import Secret
from entrenous.device.sent_messages import SendState
from entrenous.device.vault_tables import INBOX, PARTIAL_DOWNLOAD, UNREPORTED_OPENING, Table
from entrenous.send.letter.letter_nouns import Manifest, MessageReference
from entrenous.send.message.draft import StoppedWhileSending


class InboxState(StrEnum):
    """The state of a received message; the transitions are in ``NEXT_MESSAGE_STATE``."""

    WAITING = translatable("waiting")
    OPENED = translatable("opened")
    TAKEN_BACK = translatable("taken back")
    EXPIRED = translatable("expired")
    USED_UP = translatable("used up")
    ELSEWHERE = translatable("opened on another device")
    REMOVED = translatable("removed by you")


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message in the inbox. Its secrets are deleted once it can no longer be opened, because it
    was recalled, has expired, was used up, was opened on another device or was removed.

    After the opening of a message without an opening limit, ``kept`` are its message frame and
    its files, sealed in the vault; ``key`` opens them, and ``text`` is its text. With a limit
    nothing is kept, and ``views`` counts the openings here. ``sequence`` is the number of the
    message's envelope at the relay; it orders messages whose ``sent_at`` (in whole seconds) is
    equal.
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
    reply: MessageReference | None = None
    circle: bytes | None = None
    sequence: int = 0


INBOX_TABLE: Final = Table(INBOX, ReceivedMessage)


class UnsafeFiles(Malformed):
    """
    Message {name} contains data that is not in the form in which Entrenous writes pictures, clips
    and sounds: {files}. Such a file is damaged or contains other data as well, and can attack the
    program that shows it. So no file of the message was saved. Ask its sender what they sent. To
    save all files unchanged, for a program that can open such files safely: entrenous open {name}
    --unchecked. If the message can be opened only a limited number of times, add --export.
    """


class CopyEvent(StrEnum):
    """The events of a sealed copy at its sender."""

    TRY = "try"  # it is about to be posted, so from now on it may have left
    HEAR = "hear"  # its relay has confirmed that it is on disk
    REFUSE = "refuse"  # its relay refused it
    # its sender cancelled the message, in the undo window or while it was being sent
    CALL_OFF = "call off"


class MessageEvent(StrEnum):
    """The events of a message at its recipient."""

    OPEN = "open"  # both shares of the key were here, and the content can be seen
    USE_UP = "use up"  # opened here as often as allowed
    MISS = "miss"  # no openings are left, since another device of the recipient used them
    TAKE_BACK = "take back"  # by its sender
    EXPIRE = "expire"  # its time has passed, or its relay has forgotten it
    REMOVE = "remove"  # by its recipient, on this device only


_WAITING: Final = SendState.WAITING
_TRIED: Final = SendState.TRIED
_ACKNOWLEDGED: Final = SendState.ACKNOWLEDGED
_REFUSED: Final = SendState.REFUSED
NEXT_COPY_STATE: Final[Mapping[tuple[SendState, CopyEvent], SendState | None]] = {
    (_WAITING, CopyEvent.TRY): _TRIED,
    (_WAITING, CopyEvent.REFUSE): _REFUSED,
    (_WAITING, CopyEvent.CALL_OFF): None,  # as if it had never been made
    (_TRIED, CopyEvent.TRY): _TRIED,
    (_TRIED, CopyEvent.HEAR): _ACKNOWLEDGED,
    (_TRIED, CopyEvent.REFUSE): _REFUSED,
    (_REFUSED, CopyEvent.CALL_OFF): None,
}
COPY_EVENT_ERRORS: Final[Mapping[tuple[SendState, CopyEvent], type[EntrenousError]]] = {
    (_TRIED, CopyEvent.CALL_OFF): StoppedWhileSending,
    (_ACKNOWLEDGED, CopyEvent.CALL_OFF): StoppedWhileSending,
}
_UNOPENED: Final = InboxState.WAITING
_OPENED: Final = InboxState.OPENED
_TAKEN_BACK: Final = InboxState.TAKEN_BACK
_EXPIRED: Final = InboxState.EXPIRED
_USED_UP: Final = InboxState.USED_UP
_ELSEWHERE: Final = InboxState.ELSEWHERE
_REMOVED: Final = InboxState.REMOVED
NEXT_MESSAGE_STATE: Final[Mapping[tuple[InboxState, MessageEvent], InboxState]] = {
    (_UNOPENED, MessageEvent.OPEN): _OPENED,
    (_UNOPENED, MessageEvent.USE_UP): _USED_UP,
    (_UNOPENED, MessageEvent.MISS): _ELSEWHERE,
    (_UNOPENED, MessageEvent.TAKE_BACK): _TAKEN_BACK,
    (_UNOPENED, MessageEvent.EXPIRE): _EXPIRED,
    (_UNOPENED, MessageEvent.REMOVE): _REMOVED,
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
    Another device of yours used up the remaining openings of message {name}, so the message no
    longer opens here. If you have no other device, or did not open the message there, somebody may
    have copied the folder of one of your devices. To list your devices: entrenous device list
    """


class MessageRemovedHere(Refused):
    """
    You removed message {name} from this device, so it no longer opens here. Ask its sender to send
    it again, or look on another device of yours.
    """


MESSAGE_EVENT_ERRORS: Final[Mapping[tuple[InboxState, MessageEvent], type[EntrenousError]]] = {
    (_TAKEN_BACK, MessageEvent.OPEN): TakenBack,
    (_EXPIRED, MessageEvent.OPEN): Expired,
    (_USED_UP, MessageEvent.OPEN): UsedUp,
    (_ELSEWHERE, MessageEvent.OPEN): OpenedElsewhere,
    (_REMOVED, MessageEvent.OPEN): MessageRemovedHere,
}


def next_send_state(departure: SendState, event: CopyEvent) -> SendState:
    """Return the state of a copy after ``event``.

    Raises:
        KeyError: the event is impossible in this state, or ends the copy; either is a bug.
    """
    reached = NEXT_COPY_STATE[departure, event]
    if reached is None:
        raise KeyError(departure, event)
    return reached


def can_be_cancelled(departure: SendState) -> bool:
    """Return whether it is certain that a copy is not at its relay: it was never posted, or the
    relay refused it.
    """
    return (departure, CopyEvent.CALL_OFF) in NEXT_COPY_STATE


def check_inbox_transition(state: InboxState, reached: InboxState) -> None:
    """Check that a message may change from ``state`` to ``reached`` in one step or none.

    Raises:
        KeyError: the change is not possible, which is a bug.
    """
    transitions = ((before, after) for (before, _), after in NEXT_MESSAGE_STATE.items())
    if state is not reached and (state, reached) not in transitions:
        raise KeyError(state, reached)


@dataclass(frozen=True, slots=True)
class PartialDownload:
    """A blob being downloaded: ``kept`` holds the bytes so far, all of them once ``whole``."""

    kept: BlobId
    whole: bool = False


PARTIAL_DOWNLOAD_TABLE: Final = Table(PARTIAL_DOWNLOAD, PartialDownload)


@dataclass(frozen=True, slots=True)
class CompletedOpening:
    """A completed opening that has not been reported to its relay yet; ``attempt`` has 16 bytes."""

    relay_url: str
    envelope: EnvelopeId
    open_token: Secret
    attempt: bytes


UNREPORTED_OPENING_TABLE: Final = Table(UNREPORTED_OPENING, CompletedOpening)


class MessageNotAtRelay(Unreachable):
    """
    The relay does not have message {name} at the moment. It may have lost the messages of the last
    few minutes; if so, the sender's program sends this message again automatically. Nothing on this
    device was lost. Try again later. If this goes on, ask the sender to send the message again.
    """


class ViewNeverShown(Refused):
    """
    Nobody pressed Show on the page of message {name}, so it was not opened, and its sender can
    still take it back. To look at the message: entrenous open {name}
    """


class ViewNotCompleted(Refused):
    """
    The page of message {name} was closed, or failed to load, before you could see the message. The
    message does not count as opened, so you can still open it until it expires. But the relay has
    already sent the key of the message, so the sender may no longer be able to take the message
    back. To look at it: entrenous open {name}
    """


class UnsafeToShow(Malformed):
    """
    Message {name} contains a file that does not have the form in which Entrenous writes pictures,
    clips and sounds. Such a file can attack the program that shows it, so no part of the message
    was shown. Ask the sender what they sent, and ask them to send it again.
    """


class MessageIsViewOnly(Refused):
    """
    Message {name} can be opened only a limited number of times, so it is shown on a page and not
    written to files. Nothing was opened. To look at the message: entrenous open {name}. If its
    sender allows it, you can save its files and text, but the sender is notified: entrenous open
    {name} --export
    """


class ExportForbidden(Refused):
    """
    The person who sent message {name} does not allow its files or text to be written to this
    device. Nothing was opened. To look at the message: entrenous open {name}
    """


class ImplausibleClock(Refused):
    """
    By this device's clock, message {name} expired on {when}. But the clock shows a time more than a
    month after Entrenous was last used here, so the clock may be wrong. The message was not opened,
    and nothing was deleted. Check the date of this device. If it is wrong, correct it and open the
    message again. If it is right, you do not have to do anything: in an hour, Entrenous will trust
    the clock again, and the message will count as expired.
    """
