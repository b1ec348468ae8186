"""A clock that tests set, and a random source with a seed."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass
class SettableClock:
    """A clock that stands still until a test sets or advances it."""

    moment: datetime = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def advance(self, **duration: float) -> None:
        """Advance the clock by a duration, given as the arguments of ``timedelta``."""
        self.moment += timedelta(**duration)


@dataclass
class SeededRandomSource:
    """A source of bytes that depend only on the seed, the number of earlier calls and the size."""

    seed: str = "test"
    calls: int = 0

    def token(self, size: int) -> bytes:
        self.calls += 1
        return hashlib.shake_256(f"{self.seed} {self.calls}".encode()).digest(size)
