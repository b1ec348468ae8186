"""What letters carry besides messages, receipts and reactions (docs/spec/letter.md section 6)."""

from dataclasses import dataclass
from enum import IntEnum

from entrenous.model.errors import Malformed
from entrenous.model.ids import MessageId
from entrenous.model.secret import Secret


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


class NeedsUpdate(Malformed):
    """
    Something arrived that this version of Entrenous cannot show yet; it was put aside and cannot be
    shown later. Update it: {update}. Then ask who wrote to you to send it again.
    """
