"""What is remembered of writing to somebody, so that the guard knows what is ordinary."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.ids import DeviceId, MessageId
from entrenous.model.person import Trust


@dataclass(frozen=True, slots=True)
class Talk:
    """One message that we sent to one person.

    ``devices`` got it, and ``trust`` is what was known of her keys. ``media`` says whether this
    message or an earlier one under the same trust had a picture, clip or voice note. ``asked_at``
    is when the guard last asked about a device of hers that was not heard of.
    """

    at: datetime
    message: MessageId
    devices: frozenset[DeviceId]
    trust: Trust
    media: bool = False
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """When one device was last heard of, and when its relay was asked about it."""

    at: datetime
    looked_at: datetime | None = None
