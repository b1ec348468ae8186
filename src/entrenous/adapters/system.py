"""This machine's clock and randomness."""

import secrets
from datetime import UTC, datetime


class SystemClock:
    """A :class:`entrenous.ports.Clock`."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 -- here the clock comes in


class SystemDice:
    """A :class:`entrenous.ports.Dice` that nobody can load."""

    def token(self, size: int) -> bytes:
        """``size`` bytes from the operating system."""
        return secrets.token_bytes(size)
