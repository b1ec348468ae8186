"""What letters carry (docs/spec/letter.md, sections 3 and 6)."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from entrenous.base.copies import Receipts
from entrenous.base.errors import Malformed, NotFound, Refused
from entrenous.base.identifiers import DeviceId, EnvelopeId, MessageId, MessageName, PersonId
from entrenous.base.screen_text import GAPS, acts_on_screen, as_drawn
from entrenous.base.secret import Secret
from entrenous.crypto.nouns import BlobRef


@dataclass(frozen=True, slots=True)
class XWingKey:
    """A public X-Wing key (1,216 bytes) and the 8 random bytes that name it."""

    id: bytes
    public: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """What both ends know of a letter before it is opened (docs/spec/letter.md section 2).

    ``key`` names the recipient's X-Wing key; ``epoch`` and ``head`` (32 bytes) are those of the
    list under which she gave it.
    ``from_person`` and ``from_device`` are None when the key is a prekey, which anybody may use.
    """

    to_person: PersonId
    to_device: DeviceId
    key: bytes
    epoch: int
    head: bytes
    from_person: PersonId | None = None
    from_device: DeviceId | None = None

    def __post_init__(self) -> None:
        if (self.from_person is None) != (self.from_device is None):
            raise ValueError("a letter is from a person's device, or from anybody")


@dataclass(frozen=True, slots=True)
class Header:
    """Letter header; docs/spec/letter.md section 3 numbers its fields.

    ``token`` is the index of the send token that the letter is posted with, None for a lasting one.
    """

    from_person: PersonId
    from_device: DeviceId
    to_person: PersonId
    to_device: DeviceId
    from_epoch: int
    to_epoch: int
    prekey: bytes | None
    message: MessageId
    counter: int
    next_key: XWingKey
    curve25519: bytes
    envelope: EnvelopeId
    body_sha256: bytes
    from_head: bytes
    to_head: bytes
    token: int | None


@dataclass(frozen=True, slots=True)
class PersonHead:
    """Which list of a recipient's devices the sender of a message knew; ``head`` has 32 bytes."""

    person: PersonId
    epoch: int
    head: bytes


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """The message that one answers, by who wrote it and its id."""

    sender: PersonId
    message: MessageId


@dataclass(frozen=True, slots=True)
class Manifest:
    """The body of a message: what it is called, who else has a copy, and half of its key.

    ``blobs`` are the frame and then the files in its order; ``marks`` commits, for each file, to
    its mark (32 bytes; None where it bears none). ``heads`` are those of exactly the audience.
    ``may_export``: whether files of a message that may be opened a number of times may be kept.
    """

    name: MessageName
    sent_at: datetime
    expires_at: datetime | None
    opens: int | None
    audience: tuple[tuple[PersonId, DeviceId], ...]
    secret: Secret
    blobs: tuple[BlobRef, ...]
    fetch_token: Secret
    open_token: Secret
    relay_url: str
    heads: tuple[PersonHead, ...]
    marks: tuple[bytes | None, ...] = ()
    reply: ReplyTo | None = None
    circle: bytes | None = None
    may_export: bool = False


@dataclass(frozen=True, slots=True)
class Reaction:
    """What somebody answers to a message in a sign or two; None takes it away.

    ``sender`` wrote the message; ``text`` has at most 32 bytes in UTF-8.
    """

    sender: PersonId
    message: MessageId
    text: str | None


@dataclass(frozen=True, slots=True)
class Hello:
    """Who I am, and how you may write to me.

    ``seed`` and ``first`` begin a window of send tokens (docs/spec/letter.md section 9);
    ``invite_lock`` says which invite led here.
    """

    card: bytes
    seed: Secret
    first: int
    invite_lock: bytes | None


@dataclass(frozen=True, slots=True)
class RecallNote:
    """Forget this message: its key and its files."""

    message: MessageId


@dataclass(frozen=True, slots=True)
class CardNote:
    """My device list has changed: this is my card now."""

    card: bytes


class SyncTopic(IntEnum):
    """What one's own devices tell each other; the numbers travel."""

    CONTACT = 1
    CONTACT_GONE = 2
    CIRCLE = 3
    CLOSE_TOKEN = 4
    BLOCKED = 5
    HOMES = 6


@dataclass(frozen=True, slots=True)
class SyncNote:
    """From one of our own devices: a record of at most 100 KiB."""

    topic: SyncTopic
    data: bytes


@dataclass(frozen=True, slots=True)
class CompareStep:
    """A step of comparing keys by short authentication strings; ``data`` has at most 96 bytes."""

    transaction: bytes
    step: int
    data: bytes


@dataclass(frozen=True, slots=True)
class WindowNote:
    """Further send tokens to write to me with."""

    seed: Secret
    first: int


@dataclass(frozen=True, slots=True)
class RequestNote:
    """Somebody whom we do not know asks to be let in; ``note`` has at most 280 characters."""

    card: bytes
    note: str


@dataclass(frozen=True, slots=True)
class LinkUsed:
    """The invite link with this lock (32 bytes) had been used already, so you were not added."""

    invite_lock: bytes


@dataclass(frozen=True, slots=True)
class UnknownBody:
    """A body of a kind that is newer than this program; ``value`` is its encoding."""

    kind: int
    value: bytes


Body = (
    Hello
    | Manifest
    | RecallNote
    | CardNote
    | SyncNote
    | Receipts
    | Reaction
    | CompareStep
    | WindowNote
    | RequestNote
    | LinkUsed
    | UnknownBody
)


class FileRole(IntEnum):
    """What a file of a message is to be shown as; the numbers travel."""

    PICTURE = 1
    CLIP = 2
    VOICE = 3


@dataclass(frozen=True, slots=True)
class FrameFile:
    """What a frame says of one file; ``size`` in bytes, before padding. Names do not travel."""

    media_type: str
    size: int
    role: FileRole


@dataclass(frozen=True, slots=True)
class Frame:
    """Blob 0 of a message: what the others are, and a text (docs/spec/content.md section 1)."""

    files: tuple[FrameFile, ...]
    text: str | None = None


@dataclass(frozen=True, slots=True)
class ContentFile:
    """One file of a message as it was opened, or is to be sealed."""

    media_type: str
    data: bytes
    role: FileRole = FileRole.PICTURE


@dataclass(frozen=True, slots=True)
class Content:
    """What a content key opens: the files of one copy, and a caption."""

    files: tuple[ContentFile, ...]
    caption: str | None = None


class BadContent(Malformed):
    """The message opened, but what is inside is damaged or was made by another program. Ask the
    person to send it again.
    """


@dataclass(frozen=True, slots=True)
class KeptReaction:
    """A reaction, who made it, and when it came here."""

    reaction: Reaction
    by: PersonId
    at: datetime


def is_sign(text: str) -> bool:
    """Whether a reaction is one sign to the eye: nothing of it acts on a screen, breaks the line or
    looks like the gap behind which the name stands, and something is seen.
    """
    odd = (char.isspace() or char in GAPS or acts_on_screen(char) for char in text)
    return bool(as_drawn(text)) and not any(odd)


class BadReaction(Refused):
    """
    A reaction is a sign or two without spaces, at most {limit} bytes. Nothing was sent. To say
    more: entrenous send --text - --reply MESSAGE
    """


class NobodyToAnswer(NotFound):
    """
    You know nobody any more who has {name}, so the reaction went to nobody.
    """


class NeedsUpdate(Malformed):
    """
    Something arrived that this version of Entrenous cannot show yet; it was put aside and cannot be
    shown later. Update it: {update}. Then ask who wrote to you to send it again.
    """


@dataclass(frozen=True, slots=True)
class Peer:
    """One other device (docs/spec/letter.md section 5).

    ``sessions`` are Olm sessions, the one to write with first. ``seal_to`` is the peer's newest
    X-Wing key; ``made_for_me`` tells whether it was made for this device or is a prekey that
    anybody may use; ``key_epoch`` and ``key_head`` are those of the list under which it was given.
    ``mine`` names
    our own X-Wing keys that the peer may have sealed to, oldest first, and ``used`` the newest of
    them that it did seal to. ``seen`` are counters that have arrived.
    """

    device: DeviceId
    person: PersonId
    sessions: tuple[Secret, ...]
    seal_to: XWingKey
    made_for_me: bool
    key_epoch: int
    key_head: bytes
    prekey: bytes | None = None
    mine: tuple[bytes, ...] = ()
    sent: int = 0
    seen: frozenset[int] = frozenset()
    used: bytes | None = None


@dataclass(frozen=True, slots=True)
class OwnKey:
    """One of our X-Wing keys: ``peer`` is the key of the peer it was made for (device/vault_tables.py),
    None for a public prekey.
    """

    id: bytes
    private: Secret
    epoch: int
    head: bytes
    made_at: datetime
    peer: str | None = None
