"""A sender's device in memory, which marks and traces with the product's own functions.

Its vault is in memory. Its clock stands still and its random generator is seeded, so that a run can
be repeated. Files are decoded in this process and not in the sandbox: they are our own, and the
start of the sandbox's process would add to every figure.
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
class FixedClock:
    """A clock that always shows the same time."""

    moment: datetime = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


@dataclass(slots=True)
class SeededRandomSource:
    """A random source that generates the same bytes for the same seed.

    A benchmark must be repeatable, and has no secrets to protect.
    """

    seed: str
    calls: int = 0

    def token(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        self.calls += 1
        return hashlib.shake_256(f"{self.seed} {self.calls}".encode()).digest(size)


@dataclass(frozen=True, slots=True)
class Sent:
    """A photograph that was sent: the sender's device, and each recipient's copy as a file."""

    device: Device
    copies: dict[str, bytes]

    def samples(self, who: str) -> Rgb:
        """Return the decoded samples of a recipient's copy."""
        return decoded(self.copies[who])

    def traced(self, leak: bytes) -> Trace:
        """Trace a found file on the sender's device."""
        return trace_picture(leak, self.device)


def people(count: int = RECIPIENTS) -> tuple[str, ...]:
    """Return the names of ``count`` recipients."""
    return tuple(f"recipient {number:02d}" for number in range(1, count + 1))


def sender(seed: str) -> Device:
    """Return a device without a network, whose random generator has this seed."""
    vault = MemoryVault()
    courier = memory_courier({})
    random_source = SeededRandomSource(seed)
    return Device(FixedClock(), random_source, vault, VaultLedger(vault), courier, read_picture)


def send(original: bytes, names: Sequence[str], seed: str) -> Sent:
    """Mark one copy of a photograph for each name."""
    device = sender(seed)
    to = [RecipientId(name) for name in names]
    made = mark_picture_copies(original, to, None, device)
    return Sent(device, {str(copy.to): copy.data for _, copy in made})


def decoded(data: bytes) -> Rgb:
    """Decode a picture file of any supported format; return (H, W, 3) uint8 samples, upright."""
    return np.asarray(read_picture(data))
