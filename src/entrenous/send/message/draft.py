"""A draft and its policy, the guard's doubts, and the errors of sending."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.base.errors import DiskFull, EntrenousError, NotFound, Refused, Unreachable
from entrenous.base.identifiers import RecipientId
from entrenous.base.limits import PICTURES_MAX, UNDO_S_MAX
from entrenous.base.screen_text import check_caption, check_text
from entrenous.send.letter.letter_nouns import ReplyTo
from entrenous.send.people.circles import CircleId, Conversation


@dataclass(frozen=True, slots=True)
class Policy:
    """Until when, and how many times, a message may be opened; None means no limit of that kind.

    ``may_export``: its files may be kept although openings are counted.
    """

    expires_at: datetime
    opens: int | None = None
    may_export: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants to send: files' bytes, a text or both, to whom, under which policy.

    Files are pictures, clips and sounds, in any order; ``caption`` is a line beside them, ``text``
    a message of its own, and there is one of both at most. ``confirmed`` are the names that the
    sender typed when the guard asked. ``circles`` are those that she named, and their people are
    among ``to``; ``within`` is the conversation that the draft belongs to, if she said so, and
    ``reply`` the message in it that she answers. For ``undo_s`` seconds nothing leaves.

    Raises:
        TooManyPictures, CaptionTooLong, TextTooLong, CaptionActs.
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
        if not 0 <= self.undo_s <= UNDO_S_MAX:
            raise ValueError("a message waits from now on, and for an hour at most")
        check_caption(self.caption)
        check_text(self.text)

    @property
    def words(self) -> str | None:
        """The text that its recipients read, if there is one."""
        return self.text or self.caption or None


@dataclass(frozen=True, slots=True)
class Doubt:
    """What the guard finds odd about one recipient or circle, in a sentence; ``answer`` is what
    has to be typed: the first name, or the whole one where somebody else has that first name.
    """

    who: RecipientId
    why: str
    answer: str


class SentByYou(Refused):
    """
    You sent {name} yourself, so there is nothing to open here. See what became of it: entrenous
    sent. To take it back: entrenous recall {name}
    """


class SentToYou(Refused):
    """
    You received {name}; only the person who sent it can take it back. Nothing was changed.
    """


class GuardSaysStop(Refused):
    """Please look again before this goes out: {reasons}. Nothing was sent. If that is who you
    mean, type the name: {names}
    """


class WaitsInOutbox(Unreachable):
    """
    {name} is sealed and kept safe on this device, but it has not left yet. {why} It goes out when
    you next send or look into your inbox, or now with: entrenous send --resume
    """


class HeldHere(WaitsInOutbox):
    """
    {name} is sealed and kept safe on this device, but it has not left yet. {why}
    """


class NotToAll(Refused):
    """
    {name} was not taken for {refused}. {why} It is not tried again for them. On its way: {has}.
    Still waiting here: {waits}. When the reason is gone, send it anew to {refused} alone. To take
    back what is on its way: entrenous recall {name}
    """


class CopyRefused(Refused):
    """
    The copy of {name} for {to} waited here, and now its relay has refused it. {why} It is not tried
    again; when the reason is gone, send it anew to {to}. What became of it: entrenous sent
    """


class Undone(EntrenousError):
    """
    Undone: nothing was sent to anybody.
    """

    family = "interrupted"  # none of the five: nothing failed, a person stopped it


class StoppedWhileSending(EntrenousError):
    """
    Stopped. {name} is sealed and may have left already. Take it back with: entrenous recall {name}
    """

    family = "interrupted"


class StoppedWhileMarking(EntrenousError):
    """
    Stopped after {count} of {total} copies. Those are whole, and each is in your vault as whose it
    is: a leak of one can be traced. To begin anew, type the same command again; these stay as they
    are.
    """

    family = "interrupted"


class NoRoomForAllCopies(DiskFull):
    """
    The disk is full, so {count} of {total} copies were written and no more. Those are whole, and
    each is in your vault as whose it is: a leak of one can be traced. Free some space, or choose
    another folder with --out, and mark it anew for the others.
    """


class TooManyPictures(Refused):
    """
    A message holds at most {limit} pictures, and these are {count}. Nothing was sent. Send the rest
    in a second message.
    """


class ConfirmsNobody(Refused):
    """You confirmed {typed}, but this message goes to {to}. Nothing was sent. Type the name
    that was asked for, or choose somebody else with --to.
    """


class NotTakenBackYet(Unreachable):
    """
    {name} is not taken back from everybody yet: {who} may still open it. {why} It is tried again
    by each command that looks for letters; or type the same command again.
    """


class NotYetToBeSent(Unreachable):
    """
    It can still be undone, so it has not left: it goes out with what you send or fetch after
    {until}. To take it back before: entrenous recall {name}
    """


class DoesNotPromise(Refused):
    """
    {names}: the program there does not promise to show a message only once, so nothing was made and
    nothing was sent. Ask them to update Entrenous and to write to you, or send it without --once.
    """


class NothingToTakeBack(NotFound):
    """
    {name} was made for another channel and is not held by a relay, so it cannot be taken back from
    here. Ask the people who have it to delete it.
    """
