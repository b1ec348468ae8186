"""A draft and its policy, the doubts that the guard (send/guard.py) has about its recipients, and
the errors of sending.
"""

from dataclasses import dataclass
from datetime import datetime

from entrenous.base.errors import DiskFull, EntrenousError, NotFound, Refused, Unreachable
from entrenous.base.identifiers import RecipientId
from entrenous.base.limits import PICTURES_MAX, UNDO_WINDOW_S_MAX
from entrenous.base.screen_text import check_caption, check_text
from entrenous.send.letter.letter_nouns import ReplyTo
from entrenous.send.people.circles import CircleId, Conversation


@dataclass(frozen=True, slots=True)
class Policy:
    """When a message expires and how many times it may be opened (None: any number).

    ``may_export`` says whether its files may be kept although openings are limited.
    """

    expires_at: datetime
    opens: int | None = None
    may_export: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be sent: files, a text or both, with recipients and a policy.

    Files are pictures, clips and sounds in any order. ``caption`` is a line beside files, ``text``
    a message of its own; at most one of them is set. ``confirmed`` are the names typed in answer to
    the guard. The members of ``circles`` are among ``to``. ``within`` is the conversation that the
    draft belongs to, and ``reply`` the message in it that it answers. Nothing leaves for ``undo_s``
    seconds.

    Raises:
        TooManyPictures, CaptionTooLong, TextTooLong, TextHasControlCharacters.
    """

    files: tuple[bytes, ...]
    to: tuple[RecipientId, ...]
    policy: Policy
    caption: str | None = None
    size_px: int | None = None
    confirmed: frozenset[str] = frozenset()
    circles: tuple[CircleId, ...] = ()
    within: Conversation | None = None
    text: str | None = None
    reply: ReplyTo | None = None
    undo_s: int = 0

    def __post_init__(self) -> None:
        if not self.files and not self.text:
            raise ValueError("a message has a file or a text")
        if self.text and self.caption:
            raise ValueError("a message has one text")
        if len(set(self.to)) != len(self.to) or not self.to:
            raise ValueError("a message goes to one or more people, each once")
        if len(self.files) > PICTURES_MAX:
            raise TooManyPictures(count=len(self.files), limit=PICTURES_MAX)
        if not 0 <= self.undo_s <= UNDO_WINDOW_S_MAX:
            raise ValueError("a message waits from now on, and for an hour at most")
        check_caption(self.caption)
        check_text(self.text)

    @property
    def words(self) -> str | None:
        """The text that recipients read, if there is one."""
        return self.text or self.caption or None


@dataclass(frozen=True, slots=True)
class Doubt:
    """The guard's doubt about one recipient or circle, as a sentence. ``answer`` is the name
    to type: the first name, or the full name if the first name is ambiguous.
    """

    who: RecipientId
    why: str
    answer: str


class CannotOpenOwnMessage(Refused):
    """
    You sent message {name} yourself, so there is nothing to open here. To see whether it was
    opened: entrenous sent. To take it back: entrenous recall {name}
    """


class CannotRecallReceivedMessage(Refused):
    """
    You received message {name}; only the person who sent it can take it back. Nothing was changed.
    """


class GuardHasDoubts(Refused):
    """
    Please check before this message is sent: {reasons}. Nothing was sent. If it goes to the right
    people, add this to the command: {names}
    """


class WaitsInOutbox(Unreachable):
    """
    Message {name} is encrypted and stored on this device, but has not been sent yet. {why} The
    message is sent when you next send something or open your inbox. To send it now: entrenous send
    --resume
    """


class MessageNotSentYet(WaitsInOutbox):
    """Message {name} is encrypted and stored on this device, but has not been sent yet. {why}"""


class RefusedForSome(Refused):
    """
    The relay refused message {name} for {refused}. {why} Entrenous does not try again for
    {refused}. Already on its way to: {has}. Still waiting on this device for: {waits}. Once the
    problem is solved, send the message again to {refused} alone. To take back the copies on their
    way: entrenous recall {name}
    """


class CopyRefused(Refused):
    """
    The copy of message {name} for {to} waited on this device, and now the relay of {to} has refused
    the copy. {why} Entrenous does not try again. Once the problem is solved, send the message again
    to {to}. To see its state: entrenous sent
    """


class SendingUndone(EntrenousError):
    """Undone: nothing was sent to anybody."""

    # Nothing failed, so it is in none of the five families in base/errors.py.
    family = "interrupted"


class StoppedWhileSending(EntrenousError):
    """
    Stopped. Message {name} is encrypted and may already have been sent. To take it back: entrenous
    recall {name}
    """

    family = "interrupted"


class StoppedWhileMarking(EntrenousError):
    """
    Stopped after {count} of {total} copies. These are complete, and your vault records whose copy
    each one is, so a leak of one can be traced. To start over, type the same command again; these
    copies are not changed.
    """

    family = "interrupted"


class NoRoomForAllCopies(DiskFull):
    """The disk is full, so only {count} of {total} copies were written. Those are complete, and
    your vault records whose copy each one is, so a leak of one can be traced. Free some space, or
    choose another folder with --out, and mark the file again for the others.
    """


class TooManyPictures(Refused):
    """
    A message can hold at most {limit} pictures, and you chose {count}. Nothing was sent. Send the
    rest in a second message.
    """


class ConfirmedNameNotRecipient(Refused):
    """
    You confirmed {typed}, but this message goes to {to}. Nothing was sent. Type the name that you
    were asked for, or choose somebody else with --to.
    """


class RecallIncomplete(Unreachable):
    """
    Message {name} is not taken back from everybody yet: {who} may still open it. {why} Entrenous
    tries again with each command that fetches messages. To try again now, type the same command
    again.
    """


class UndoWindowStillOpen(Unreachable):
    """
    You can still undo this message until {until}, so it stays on this device. After that, it is
    sent when you next send or fetch something. To take it back before then: entrenous recall {name}
    """


class LimitNotSupportedByRecipient(Refused):
    """
    These people use a program that does not promise to show a message only once: {names}. Nothing
    was sent. Ask them to update Entrenous and then to write to you, or send the message without
    --once.
    """


class NothingToRecall(NotFound):
    """
    Message {name} was only marked, so that you could send it by other means. No relay has it, so it
    cannot be taken back from here. Nothing was changed. Ask the people who have it to delete it.
    """
