"""A message that came, as its recipient remembers it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from entrenous.model.errors import Malformed
from entrenous.model.ids import (
    BlobId,
    EnvelopeId,
    MessageId,
    MessageName,
    PersonId,
)
from entrenous.model.letter import Manifest, ReplyTo
from entrenous.model.secret import Secret


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


class NotACopy(Malformed):
    """
    This file is not a picture, clip or sound as Entrenous writes them: it is broken, or it holds
    something else, or more than that.
    """


class UnsafeFiles(Malformed):
    """
    {files} of {name}: no picture, clip or sound as Entrenous writes them, but broken, or something
    else, or with something more in it. Such a file can attack the program that shows it, so nothing
    of the message was written. Ask the person what they sent. To write all of it as it came, for a
    program that you trust with it: entrenous open {name} --unchecked. One that opens once needs
    --export as well.
    """
