"""What is inside a letter from device to device (docs/spec/letter.md sections 3 and 6)."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from entrenous.model.errors import Malformed, Refused, Unproven
from entrenous.model.ids import BlobId, DeviceId, EnvelopeId, MessageId, MessageName, PersonId
from entrenous.model.notes import (
    CardNote,
    CompareStep,
    Hello,
    LinkUsed,
    RecallNote,
    RequestNote,
    SyncNote,
    UnknownBody,
    WindowNote,
)
from entrenous.model.reaction import Reaction
from entrenous.model.receipt import Receipts
from entrenous.model.secret import Secret


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
class BlobRef:
    """A blob at the relay: its name, its size in bytes and its SHA-256, as encrypted."""

    id: BlobId
    size: int
    sha256: bytes


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


class BadLetter(Malformed):
    """
    A letter that arrived is damaged or was made by another program. It was put aside; the letters
    behind it are not affected.
    """


class NotBound(Unproven):
    """A letter that arrived does not belong where it was found ({what}). Somebody may have swapped
    parts of it on the way, so it was not opened.
    """


class BlobChanged(Unproven):
    """
    The relay gave back other bytes than were sent, so nothing was opened. Try again; if it happens
    again, ask the person to send it anew, and tell whoever runs the relay.
    """


class LetterTooLong(Refused):
    """A letter to one device holds at most {limit_bytes} bytes and this one would be longer.
    Nothing was sent. Send to fewer people at a time, and the rest in a second message.
    """


class BadKey(Malformed):
    """A key that should be sealed to is not a key, so nothing was sealed to it. Ask the person to
    update Entrenous and to write to you once.
    """


class BadContent(Malformed):
    """The message opened, but what is inside is damaged or was made by another program. Ask the
    person to send it again.
    """


class DoesNotOpen(Unproven):
    """The file did not open with the key that belongs to it, so nothing was written. The relay may
    have given out a wrong half of the key. Try again; if it happens again, ask the person to send
    it anew.
    """
