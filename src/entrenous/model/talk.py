"""What is remembered of writing to somebody, so that the guard knows what is ordinary."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.ids import DeviceId, MessageId


@dataclass(frozen=True, slots=True)
class Talk:
    """One message that we sent to one person.

    ``devices`` got it, and ``verified`` says whether they counted as hers without doubt;
    ``asked_at`` is when the guard last asked about a device of hers that was not heard of.
    """

    at: datetime
    message: MessageId
    devices: frozenset[DeviceId]
    verified: bool
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """When one device was last heard of, and when its relay was asked about it."""

    at: datetime
    looked_at: datetime | None = None
