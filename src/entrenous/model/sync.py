"""What the devices of one person tell each other (docs/spec/devices.md section 5).

``at`` is when it was changed last, on whichever device: the newest counts.
"""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.circle import CircleId
from entrenous.model.errors import Malformed
from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.move import SiblingHome
from entrenous.model.person import Trust
from entrenous.model.secret import Secret
from entrenous.model.window import LentToken


@dataclass(frozen=True, slots=True)
class SharedContact:
    """Somebody whom we know; ``lent`` are tokens for first letters to each of their devices."""

    person: PersonId
    at: datetime
    name: str
    trust: Trust
    since: datetime
    card: bytes
    receipts: bool | None = None
    lent: tuple[tuple[DeviceId, tuple[LentToken, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class SharedGone:
    """Somebody was forgotten."""

    person: PersonId
    at: datetime


@dataclass(frozen=True, slots=True)
class SharedCircle:
    """A circle; one without a name is no more."""

    id: CircleId
    at: datetime
    name: str | None
    people: tuple[PersonId, ...]
    made_at: datetime


@dataclass(frozen=True, slots=True)
class SharedClose:
    """What the device that says so is called, and what deletes its mailbox."""

    device: DeviceId
    at: datetime
    name: str
    close: Secret


@dataclass(frozen=True, slots=True)
class SharedBlock:
    """Somebody was blocked, or let in again."""

    person: PersonId
    at: datetime
    blocked: bool


@dataclass(frozen=True, slots=True)
class SharedHomes:
    """Every mailbox of the device that says so: where it is, where it was, where it may move."""

    device: DeviceId
    at: datetime
    homes: tuple[SiblingHome, ...]


Shared = SharedContact | SharedGone | SharedCircle | SharedClose | SharedBlock | SharedHomes


class BadSync(Malformed):
    """
    Something that another device of yours told this one could not be read, so it was passed over.
    Update Entrenous on both: {update}
    """
