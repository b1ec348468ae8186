"""A message on its way, copy by copy, as its sender remembers it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from entrenous.model.envelope import EnvelopeState
from entrenous.model.ids import (
    DeviceId,
    EnvelopeId,
    MessageId,
    PersonId,
    RecipientId,
)
from entrenous.model.secret import Secret


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
