"""Sent messages and their copies, as stored in the ledger."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

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
from entrenous.base.language import translatable, translated
from entrenous.base.secret import Secret
from entrenous.device.vault_tables import COPY_DELIVERY, Table
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.wire.relay_nouns import EnvelopeState


@dataclass(frozen=True, slots=True)
class SentPicture:
    """One picture of a message: its original, and all copies made of it.

    ``original`` names the source file in the vault. ``size_px`` is the longest side to which the
    picture was scaled down before marking (None: not scaled). ``dither`` is the secret from which
    the dither of all copies is generated. The copies are encoded ``finer`` quality steps finer than
    the original. ``place`` is the picture's number among the message's files, from 1 (None: it was
    marked for another channel).
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
    """One clip of a message: its original, and all copies made of it.

    ``original`` names the source file in the vault, and ``survey`` its stored measurements
    (:class:`entrenous.base.audio_video.ClipMeasurements`). ``dither`` is the secret that all copies
    share. Width and height are those of upright frames. ``place`` is as in :class:`SentPicture`.
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
    """One sound of a message: its original, and all copies made of it.

    ``original`` names the source file in the vault, and ``contour`` its search index
    (docs/spec/sound.md, section 5). ``place`` is as in :class:`SentPicture`; a clip's sound has the
    clip's place.
    """

    original: BlobId
    contour: BlobId
    length_s: float
    copies: tuple[Copy, ...]
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was sent, or marked for another channel."""

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
    There is no message {name} on this device. Nothing was changed. To list your messages: entrenous
    inbox, or entrenous sent. A message that was sent to somebody else opens only on their devices;
    ask the sender to send it to you too.
    """


class SendState(StrEnum):
    """Whether a copy has left this device, in the words of ``entrenous sent``."""

    WAITING = translatable("not sent yet")
    TRIED = translatable("not confirmed yet")  # posted, but the relay has not answered
    ACKNOWLEDGED = translatable("sent")  # on the relay's disk
    REFUSED = translatable("refused")  # the relay refused it, and it is not sent again


@dataclass(frozen=True, slots=True)
class CopyDelivery:
    """One letter of a message, as its sender stores it to track and recall it.

    ``opened`` says whether the relay or the recipient's device has reported that the copy was
    opened. Times are by the relay's clock, except ``ended_at``: the time when the copy was recalled
    on this device.
    """

    message: MessageId
    to: RecipientId
    person: PersonId
    device: DeviceId
    relay_url: str
    envelope: EnvelopeId
    withdraw_token: Secret
    state: EnvelopeState = EnvelopeState.WAITING
    departure: SendState = SendState.WAITING
    opened: bool = False
    delivered_at: datetime | None = None
    opened_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_confirmed_by_relay(self) -> bool:
        """Return whether the relay has confirmed that it stored the copy."""
        return self.departure is SendState.ACKNOWLEDGED

    @property
    def state_in_words(self) -> str:
        """Return the copy's present or final state in a few words, in the person's language."""
        ended = self.state in (EnvelopeState.TAKEN_BACK, EnvelopeState.REVOKED)
        if ended and self.opened:
            words = translated("opened, then {state}")
            return words.format(state=translated(self.state.value))
        if self.state is EnvelopeState.TAKEN_BACK or self.is_confirmed_by_relay:
            return translated(self.state.value)
        return translated(self.departure.value)


COPY_DELIVERY_TABLE: Final = Table(COPY_DELIVERY, CopyDelivery)


@dataclass(frozen=True, slots=True)
class RecallResult:
    """The result of recalling one copy.

    ``opened`` says whether the copy had been opened before; it is None if unknown. ``asked`` says
    whether the recipient's program was or will be asked to delete the copy.
    """

    to: RecipientId
    opened: bool | None
    asked: bool = False
