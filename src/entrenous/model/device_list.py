"""Which devices are a person's, as a chain of lists (docs/spec/identity.md section 3)."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum, auto

from entrenous.model.errors import Unproven
from entrenous.model.ids import DeviceId, MailboxId, PersonId


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """One device of a list: ``proof`` is the hash of its certificate and both signatures over it
    (32 bytes), ``mailbox`` where it receives.
    """

    device: DeviceId
    proof: bytes
    mailbox: MailboxId


class RevokedAs(IntEnum):
    """Why a device is none any more; the numbers travel."""

    RETIRED = 1
    LOST = 2


@dataclass(frozen=True, slots=True)
class RevokedDevice:
    """A device that was one until ``at``, and never will be again."""

    device: DeviceId
    at: datetime
    kind: RevokedAs


@dataclass(frozen=True, slots=True)
class Speaks:
    """The protocol versions that all devices of a person speak."""

    floor: int
    newest: int


@dataclass(frozen=True, slots=True)
class DeviceList:
    """A person's list at one epoch; ``previous`` is the head of the list before (32 bytes), None in
    epoch 1. ``devices`` and ``revoked`` are sorted by device.
    """

    person: PersonId
    epoch: int
    previous: bytes | None
    devices: tuple[ListedDevice, ...]
    revoked: tuple[RevokedDevice, ...]
    name: str
    speaks: Speaks
    issued_at: datetime
    relay_url: str


@dataclass(frozen=True, slots=True)
class ListStatement:
    """A list, and the exact bytes that say it: its head is a hash of these."""

    said: DeviceList
    statement: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """What names one list of a person: its epoch, and its head (32 bytes)."""

    epoch: int
    digest: bytes


class Standing(Enum):
    """What a shown history is to one who knows an earlier list."""

    SAME = auto()
    NEWER = auto()  # and it contains what was known
    NEWER_UNPROVEN = auto()  # it does not reach back so far: the person is not verified any more


class OldList(Unproven):
    """
    The relay shows an older list of this person's devices than the one you have, so nothing was
    changed. Somebody may be standing in between. Try again later, or ask the person for a new link.
    """


class ForkedList(Unproven):
    """
    There are two lists of this person's devices that contradict each other, so nothing was changed
    and nothing is sent by the new one. Either somebody is standing in between, or somebody else has
    their keys. Talk to them over a channel you trust before you write to them again.
    """


class HeldBackList(Unproven):
    """
    A letter names a newer list of this person's devices than their relay shows. The relay may be
    late, or it keeps the list from you. It is asked again; if this goes on, ask the person for a
    new link.
    """
