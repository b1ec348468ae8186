"""Messages as people know them: what I want to send, what was sent, one recipient's own copy."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from entrenous.model.envelope import EnvelopeState
from entrenous.model.errors import NotFound, Refused, Unreachable
from entrenous.model.fingerprint import Fingerprint
from entrenous.model.ids import (
    BlobId,
    DeviceId,
    EnvelopeId,
    MessageId,
    MessageName,
    PersonId,
    RecipientId,
)
from entrenous.model.letter import Manifest
from entrenous.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Policy:
    """Until when, and how many times, a message may be opened; None means no limit of that kind."""

    expires_at: datetime
    opens: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants to send: pictures as their files' bytes, to whom, under which policy.

    ``confirmed`` are the names that the sender typed when the guard asked.
    """

    files: tuple[bytes, ...]
    to: tuple[RecipientId, ...]
    policy: Policy
    caption: str | None = None
    size_px: int | None = None
    confirmed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("a message has at least one file")
        if len(set(self.to)) != len(self.to) or not self.to:
            raise ValueError("a message goes to one or more people, each once")


@dataclass(frozen=True, slots=True)
class Doubt:
    """What the guard finds odd about one recipient, in a sentence."""

    who: RecipientId
    why: str


@dataclass(frozen=True, slots=True)
class Copy:
    """One recipient's own version of one picture.

    ``seed`` is the secret that the copy's mark grows from; ``sha256`` is of the file as written.
    ``person`` and ``device`` are None when the copy was made for another channel (``mark``).
    """

    to: RecipientId
    seed: Secret
    sha256: bytes
    person: PersonId | None = None
    device: DeviceId | None = None


@dataclass(frozen=True, slots=True)
class SentPicture:
    """One picture of a message: where its original is kept, and every copy that was made of it.

    ``original`` names the source file in the vault; ``size_px`` the longest side it was reduced to
    before marking (None: not reduced); ``dither`` the secret that all copies of it share.
    """

    original: BlobId
    fingerprint: Fingerprint
    dither: Secret
    copies: tuple[Copy, ...]
    size_px: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was sent, or marked for another channel, as the ledger keeps it."""

    id: MessageId
    name: MessageName
    sent_at: datetime
    pictures: tuple[SentPicture, ...]
    caption: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SealedCopy:
    """One letter of a message as its sender remembers it: enough to look after it and to take it
    back.
    """

    message: MessageId
    to: RecipientId
    person: PersonId
    device: DeviceId
    relay_url: str
    envelope: EnvelopeId
    withdraw_token: Secret
    state: EnvelopeState = EnvelopeState.WAITING
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class Recall:
    """What a recall achieved for one copy; ``opened`` means it had been opened before."""

    to: RecipientId
    opened: bool


class InboxState(StrEnum):
    """Where a received message is; ``send/inbox.py`` holds the table."""

    WAITING = "waiting"
    OPENED = "opened"
    TAKEN_BACK = "taken back"
    EXPIRED = "expired"
    USED_UP = "used up"


@dataclass(frozen=True, slots=True)
class Received:
    """A message in the inbox. The secrets are gone once it was taken back or expired."""

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
    kept: BlobId | None = None


class UnknownMessage(NotFound):
    """
    There is no message {name} on this device. See what there is: entrenous inbox, or entrenous
    sent. A copy that was sent to somebody else opens on their device alone; ask the sender for one
    of your own.
    """


class GuardSaysStop(Refused):
    """Please look again before this goes out: {reasons}. Nothing was sent. If that is who you
    mean, type the name: {names}
    """


class WaitsInOutbox(Unreachable):
    """
    {name} is sealed and kept safe on this device, but it has not left yet. {why} It goes out with
    the next command, or now with: entrenous send --resume
    """


class ConfirmsNobody(Refused):
    """You confirmed {typed}, but this message goes to {to}. Nothing was sent. Type the name of a
    person it goes to, or choose the other person with --to.
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
