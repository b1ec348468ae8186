"""Messages as people know them: what I want to send, what was sent, one recipient's own copy."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.caption import check_caption, check_text
from entrenous.model.circle import CircleId, Conversation
from entrenous.model.errors import EntrenousError, NotFound, Refused, Unreachable
from entrenous.model.fingerprint import Fingerprint
from entrenous.model.ids import (
    BlobId,
    DeviceId,
    MessageId,
    MessageName,
    PersonId,
    RecipientId,
)
from entrenous.model.letter import ReplyTo
from entrenous.model.relay_problem import DiskFull
from entrenous.model.secret import Secret
from entrenous.spec import PICTURES_MAX, UNDO_S_MAX


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


@dataclass(frozen=True, slots=True)
class Copy:
    """One recipient's own version of one picture.

    ``seed`` is the secret that the copy's mark grows from; ``sha256`` is of the file as written.
    ``person`` and ``device`` are None when the copy was made for another channel (``mark``), and so
    is ``nonce``, with which the message committed to the mark (docs/spec/content.md section 6).
    """

    to: RecipientId
    seed: Secret
    sha256: bytes
    person: PersonId | None = None
    device: DeviceId | None = None
    nonce: Secret | None = None


@dataclass(frozen=True, slots=True)
class SentPicture:
    """One picture of a message: where its original is kept, and every copy that was made of it.

    ``original`` names the source file in the vault; ``size_px`` the longest side it was reduced to
    before marking (None: not reduced); ``dither`` the secret that all copies of it share;
    ``finer`` how many steps finer than the original's own encoding they are written; ``place`` is
    its number among the message's files, from 1 (None: marked for another channel).
    """

    original: BlobId
    fingerprint: Fingerprint
    dither: Secret
    copies: tuple[Copy, ...]
    size_px: int | None = None
    finer: int = 0
    place: int | None = None


@dataclass(frozen=True, slots=True)
class SentClip:
    """One clip of a message: where its original is kept, and every copy that was made of it.

    ``original`` names the source file in the vault, ``survey`` what was measured of it once
    (:class:`.clip.Survey`); ``dither`` is the secret that all copies of it share. Sides are those
    of its upright frames. ``place`` as of :class:`SentPicture`.
    """

    original: BlobId
    survey: BlobId
    dither: Secret
    copies: tuple[Copy, ...]
    width_px: int
    height_px: int
    length_s: float
    place: int | None = None


@dataclass(frozen=True, slots=True)
class SentSound:
    """One sound of a message: where its original is kept, and every copy that was made of it.

    ``original`` names the source file in the vault, ``contour`` what finds it again
    (docs/spec/sound.md, section 5); ``place`` as of :class:`SentPicture`, and for what is heard in
    a clip that of the clip.
    """

    original: BlobId
    contour: BlobId
    length_s: float
    copies: tuple[Copy, ...]
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was sent, or marked for another channel, as the ledger keeps it."""

    id: MessageId
    name: MessageName
    sent_at: datetime
    pictures: tuple[SentPicture, ...]
    caption: str | None = None
    expires_at: datetime | None = None
    clips: tuple[SentClip, ...] = ()
    sounds: tuple[SentSound, ...] = ()


class UnknownMessage(NotFound):
    """
    There is no message {name} on this device. See what there is: entrenous inbox, or entrenous
    sent. A copy that was sent to somebody else opens on their device alone; ask the sender for one
    of your own.
    """


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


class OfflineDevice(Refused):
    """
    This device was set up without a relay (setup --offline), so it can mark and trace but not send
    or receive. Set up one with a relay in another folder:
    ENTRENOUS_HOME=DIR entrenous setup --name YOU --relay URL
    """
