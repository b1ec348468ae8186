"""A sender's house in memory: what marks and traces in the bench is what does so for a user.

The device is the product's own, on a vault in memory, with a still clock and dice that are loaded
so that a run can be repeated. Files are decoded in this process: a jailed child would add its start
to every figure, and the files are our own.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from bench.attacks.kinds import Rgb
from entrenous.base.identifiers import RecipientId
from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.picture_reader import read_picture
from entrenous.send.copies.mark_file import mark_picture_copies
from entrenous.watermark.verdict import Trace
from tests.in_memory.courier import memory_courier
from tests.in_memory.vault import MemoryVault
from tests.trace.offline_device import trace_picture

RECIPIENTS = 24


@dataclass(frozen=True, slots=True)
class StillClock:
    """A clock that stands."""

    moment: datetime = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        """The moment at which it stands."""
        return self.moment


@dataclass(slots=True)
class LoadedDice:
    """The same sequence for the same seed: a bench must be repeatable, and hides nothing."""

    seed: str
    thrown: int = 0

    def token(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        self.thrown += 1
        return hashlib.shake_256(f"{self.seed} {self.thrown}".encode()).digest(size)


@dataclass(frozen=True, slots=True)
class Sent:
    """A photograph that was sent to everybody: the sender's device, and the copies as files."""

    device: Device
    copies: dict[str, bytes]

    def samples(self, who: str) -> Rgb:
        """What a recipient sees."""
        return decoded(self.copies[who])

    def traced(self, leak: bytes) -> Trace:
        """What the sender is told about a found file."""
        return trace_picture(leak, self.device)


def people(count: int = RECIPIENTS) -> tuple[str, ...]:
    """Names of recipients."""
    return tuple(f"recipient {number:02d}" for number in range(1, count + 1))


def sender(seed: str) -> Device:
    """A device without a network."""
    vault = MemoryVault()
    courier = memory_courier({})
    dice = LoadedDice(seed)
    return Device(StillClock(), dice, vault, VaultLedger(vault), courier, read_picture)


def send(original: bytes, names: Sequence[str], seed: str) -> Sent:
    """Mark one copy of a photograph for everybody."""
    device = sender(seed)
    to = [RecipientId(name) for name in names]
    made = mark_picture_copies(original, to, None, device)
    return Sent(device, {str(copy.to): copy.data for _, copy in made})


def decoded(data: bytes) -> Rgb:
    """Samples of any file that is read here, upright: (H, W, 3) uint8."""
    return np.asarray(read_picture(data))
