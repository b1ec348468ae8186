"""What every process needs, and what lies outside of ours: time, chance, machines, authorities."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the nouns of RESPOND and LEARN, which other commands do not load
    from entrenous.model.advice import MachineFacts
    from entrenous.model.evidence import Stamp


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class Dice(Protocol):
    """Randomness; tests pass loaded ones."""

    def token(self, size: int) -> bytes:
        """``size`` bytes that nobody can guess."""
        ...


class Machine(Protocol):
    """What the check-up may see of this machine."""

    def look(self) -> MachineFacts:
        """How things are now; what cannot be seen is None."""
        ...


class StampChecker(Protocol):
    """Proves kept stamps again, without asking anybody."""

    def check(self, stamp: Stamp, manifest: bytes) -> None:
        """Prove that the stamp is over these bytes; raises StampDoesNotHold."""
        ...


class TimestampAuthority(StampChecker, Protocol):
    """States when something existed (RFC 3161). It sees a hash, never what was hashed."""

    def stamp(self, manifest: bytes) -> Stamp:
        """A stamp over the manifest's SHA-256, proven before it is returned.

        Raises AuthorityUnreachable, StampRefused, StampDoesNotHold.
        """
        ...
