"""The contents of letters (docs/spec/letter.md, sections 3 and 6)."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from entrenous.base.copies import Receipts
from entrenous.base.errors import Malformed, NotFound, Refused
from entrenous.base.identifiers import DeviceId, EnvelopeId, MessageId, MessageName, PersonId
from entrenous.base.screen_text import CHARS_DRAWN_AS_GAP, is_terminal_control, visible_text
from entrenous.base.secret import Secret
from entrenous.crypto.nouns import BlobRef
from entrenous.device.vault_tables import OWN_XWING_KEY, PEER, REACTION, Table


@dataclass(frozen=True, slots=True)
class PublicXWingKey:
    """A public X-Wing key (1,216 bytes) and the 8 random bytes that identify it."""

    id: bytes
    public: bytes


@dataclass(frozen=True, slots=True)
class LetterAddress:
    """The data that both ends know before a letter is opened (docs/spec/letter.md section 2).

    ``key`` identifies the recipient's X-Wing key; ``epoch`` and ``head`` (32 bytes) identify the
    recipient's device list under which the recipient gave out that key. ``from_person`` and
    ``from_device`` are None for a prekey, which anybody may use.
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
    """A letter's header; docs/spec/letter.md section 3 numbers its fields.

    ``token`` is the index of the send token with which the letter is posted. It is None if the
    token belongs to no token range, or if the letter was sealed without a token (section 9).
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
    next_key: PublicXWingKey
    curve25519: bytes
    envelope: EnvelopeId
    body_sha256: bytes
    from_head: bytes
    to_head: bytes
    token: int | None


@dataclass(frozen=True, slots=True)
class PersonDeviceListHead:
    """The device list of a person as the sender of a message knew it; its ``head`` has 32 bytes."""

    person: PersonId
    epoch: int
    head: bytes


@dataclass(frozen=True, slots=True)
class MessageReference:
    """A reference to a message: its author and its id."""

    sender: PersonId
    message: MessageId


@dataclass(frozen=True, slots=True)
class Manifest:
    """The body of a message: its name, its recipients, and the sender's share of its content key
    (the relay has the other share).

    ``blobs`` are the message frame and then the files; ``marks`` are the commitments to the files'
    marks (32 bytes each, None for an unmarked file). ``heads`` has one device list head for each
    person of the audience, and no others. ``may_export`` says whether the recipient may export the
    files and the text although openings are limited.
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
    heads: tuple[PersonDeviceListHead, ...]
    marks: tuple[bytes | None, ...] = ()
    reply: MessageReference | None = None
    circle: bytes | None = None
    may_export: bool = False


@dataclass(frozen=True, slots=True)
class Reaction:
    """A reaction to a message that ``sender`` wrote.

    ``text`` has at most 32 bytes in UTF-8; None removes the reaction.
    """

    sender: PersonId
    message: MessageId
    text: str | None


@dataclass(frozen=True, slots=True)
class Hello:
    """The sender's key bundle, and send tokens for writing to the sender.

    ``seed`` and ``first`` begin a range of these tokens (docs/spec/letter.md section 9);
    ``invite_lock`` is the token hash of the invite that the sender used, if any.
    """

    card: bytes
    seed: Secret
    first: int
    invite_lock: bytes | None


@dataclass(frozen=True, slots=True)
class RecallNote:
    """The sender's request to delete a message together with its key and its files."""

    message: MessageId


@dataclass(frozen=True, slots=True)
class KeyBundleNote:
    """The sender's new key bundle, after their device list changed."""

    card: bytes


class SyncTopic(IntEnum):
    """A kind of record that linked devices exchange; the numbers are part of the wire format."""

    CONTACT = 1
    CONTACT_GONE = 2
    CIRCLE = 3
    CLOSE_TOKEN = 4
    BLOCKED = 5
    MAILBOXES = 6


@dataclass(frozen=True, slots=True)
class SyncNote:
    """A record of at most 100 KiB from another of our own devices."""

    topic: SyncTopic
    data: bytes


@dataclass(frozen=True, slots=True)
class ComparisonStep:
    """A step of comparing keys by short authentication strings; ``data`` has at most 96 bytes."""

    transaction: bytes
    step: int
    data: bytes


@dataclass(frozen=True, slots=True)
class TokenRangeNote:
    """More send tokens for writing to the sender."""

    seed: Secret
    first: int


@dataclass(frozen=True, slots=True)
class ContactRequestNote:
    """A stranger's request to be added; ``note`` has at most 280 characters."""

    card: bytes
    note: str


@dataclass(frozen=True, slots=True)
class UsedUpLinkNote:
    """A note that an invite link was used up already, so its sender did not add its recipient.

    ``invite_lock`` (32 bytes) is the hash of the link's token.
    """

    invite_lock: bytes


@dataclass(frozen=True, slots=True)
class UnknownBody:
    """A body of a kind newer than this program; ``value`` is its encoding."""

    kind: int
    value: bytes


Body = (
    Hello
    | Manifest
    | RecallNote
    | KeyBundleNote
    | SyncNote
    | Receipts
    | Reaction
    | ComparisonStep
    | TokenRangeNote
    | ContactRequestNote
    | UsedUpLinkNote
    | UnknownBody
)


class FileRole(IntEnum):
    """How a file of a message is shown; the numbers are part of the wire format."""

    PICTURE = 1
    CLIP = 2
    VOICE = 3


#: The suffix of a written file, by its media type.
FILE_SUFFIX_BY_MEDIA_TYPE: Final = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "video/mp4": ".mp4",
    "audio/mp4": ".m4a",
    "audio/amr": ".amr",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "audio/wav": ".wav",
}


@dataclass(frozen=True, slots=True)
class MessageFileEntry:
    """A message frame's entry for one file. ``size`` is in bytes, before padding. File names are
    not sent.
    """

    media_type: str
    size: int
    role: FileRole


@dataclass(frozen=True, slots=True)
class MessageFrame:
    """Blob 0 of a message: the list of its files, and its text (docs/spec/content.md section 1)."""

    files: tuple[MessageFileEntry, ...]
    text: str | None = None


@dataclass(frozen=True, slots=True)
class ContentFile:
    """A file of a message, opened or about to be sealed."""

    media_type: str
    data: bytes
    role: FileRole = FileRole.PICTURE


@dataclass(frozen=True, slots=True)
class OpenedContent:
    """The opened files and text of one copy."""

    files: tuple[ContentFile, ...]
    caption: str | None = None


class BadContent(Malformed):
    """
    The message was decrypted, but its content is damaged or in a format that this version of
    Entrenous cannot read. No part of it is shown. Update Entrenous: {update}. Then ask the sender
    to send the message again.
    """


@dataclass(frozen=True, slots=True)
class StoredReaction:
    """A reaction, its author, and when it arrived."""

    reaction: Reaction
    by: PersonId
    at: datetime


REACTION_TABLE: Final = Table(REACTION, StoredReaction)


def is_valid_reaction(text: str) -> bool:
    """Return whether a reaction is visible and harmless on one line.

    A valid reaction has no control characters, no line breaks, and no characters that look like the
    space between a reaction and the name after it.
    """
    unsafe = (
        char.isspace() or char in CHARS_DRAWN_AS_GAP or is_terminal_control(char) for char in text
    )
    return bool(visible_text(text)) and not any(unsafe)


class BadReaction(Refused):
    """
    This reaction is too long, or contains a space or an invisible character. Nothing was sent. A
    reaction is one emoji or a very short word, at most {limit} bytes. To say more: entrenous send
    --text - --reply MESSAGE
    """


class NobodyToReactTo(NotFound):
    """
    There is nobody to whom this device can send a reaction to message {name}, so the reaction was
    not sent. The people who have the message are no longer in your contacts, or you blocked them,
    or there are contradictory lists of their devices. To see your contacts: entrenous person list
    """


class NeedsUpdate(Malformed):
    """
    At least one message arrived that this version of Entrenous cannot read, so it was discarded.
    Update Entrenous: {update}. Then, if you are expecting a message, ask the person who wrote it to
    send it again.
    """


@dataclass(frozen=True, slots=True)
class PeerDevice:
    """Another device that we exchange letters with (docs/spec/letter.md section 5).

    ``sessions`` are Olm sessions; the first one is used for writing. ``seal_to`` is the peer's
    latest X-Wing key. ``made_for_me`` is True if that key was made for this device, and False if it
    is a public prekey; ``key_epoch`` and ``key_head`` identify the peer's device list under which
    the peer gave out that key. ``mine`` are the ids of our own X-Wing keys to which the peer may
    seal letters, oldest first; ``used`` is the newest key to which a letter from the peer was
    sealed. ``sent`` is the counter of our last letter to the peer, and ``seen`` are the latest
    counters of the peer's letters that have arrived. ``prekey`` is the id of the one-time or
    fallback key with which we began the session.
    """

    device: DeviceId
    person: PersonId
    sessions: tuple[Secret, ...]
    seal_to: PublicXWingKey
    made_for_me: bool
    key_epoch: int
    key_head: bytes
    prekey: bytes | None = None
    mine: tuple[bytes, ...] = ()
    sent: int = 0
    seen: frozenset[int] = frozenset()
    used: bytes | None = None


PEER_TABLE: Final = Table(PEER, PeerDevice)


@dataclass(frozen=True, slots=True)
class OwnXWingKey:
    """One of our X-Wing keys. ``peer`` is the ``peer_key`` (device/vault_tables.py) of the device
    for which the key was made; it is None for a public prekey.
    """

    id: bytes
    private: Secret
    epoch: int
    head: bytes
    made_at: datetime
    peer: str | None = None


OWN_XWING_KEY_TABLE: Final = Table(OWN_XWING_KEY, OwnXWingKey)
