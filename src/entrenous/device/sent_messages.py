"""Sent messages and their copies, as the ledger keeps them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from entrenous.base.copies import Copy
from entrenous.base.errors import NotFound
from entrenous.base.identifiers import (
    BlobId,
    DeviceId,
    EnvelopeId,
    MessageId,
    MessageName,
    PersonId,
    RecipientId,
)
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.wire.relay_nouns import EnvelopeState


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


class Departure(StrEnum):
    """Whether a sealed copy has left this device, in the words of ``entrenous sent``."""

    WAITING = "not sent yet"
    TRIED = "not confirmed yet"  # it was posted, and no answer has come
    ACKNOWLEDGED = "sent"  # the relay has it on disk
    REFUSED = "refused"  # and is not tried again


@dataclass(frozen=True, slots=True)
class SealedCopy:
    """One letter of a message as its sender remembers it: enough to look after it and to take it
    back. ``opened`` means that its relay or the device that has it has said so at some time; the
    times are its relay's, but ``ended_at``, which is when it was taken back here.
    """

    message: MessageId
    to: RecipientId
    person: PersonId
    device: DeviceId
    relay_url: str
    envelope: EnvelopeId
    withdraw_token: Secret
    state: EnvelopeState = EnvelopeState.WAITING
    departure: Departure = Departure.WAITING
    opened: bool = False
    delivered_at: datetime | None = None
    opened_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def acknowledged(self) -> bool:
        """Whether its relay has said that it has it on disk."""
        return self.departure is Departure.ACKNOWLEDGED

    @property
    def fate(self) -> str:
        """What became of it, in a few words: how it ended, or how far it has come."""
        ended = self.state in (EnvelopeState.TAKEN_BACK, EnvelopeState.REVOKED)
        if ended and self.opened:
            return f"opened, then {self.state.value}"
        if self.state is EnvelopeState.TAKEN_BACK or self.acknowledged:
            return self.state.value
        return self.departure.value


@dataclass(frozen=True, slots=True)
class Recall:
    """What a recall achieved for one copy.

    ``opened`` means it had been opened before; None, that this is not known (any more). ``asked``
    means that the recipient's program is, or will be, asked to forget it.
    """

    to: RecipientId
    opened: bool | None
    asked: bool = False
