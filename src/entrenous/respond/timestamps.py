"""Trusted timestamps (RFC 3161): stamps, what states and checks them, and what can fail.

The protocols stand here so that the rules load neither HTTP nor X.509: StampChecker has two
implementations, TimestampAuthority one (later).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from entrenous.base.errors import Refused, Unproven, Unreachable


@dataclass(frozen=True, slots=True)
class Stamp:
    """An RFC 3161 time stamp over ``manifest``, already proven against ``authorities`` (PEM).

    ``token`` is the authority's whole DER response; ``at`` is the time it states.
    """

    manifest: bytes
    token: bytes
    at: datetime
    authority_url: str
    authorities: bytes


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


class NothingToStamp(Refused):
    """
    Case {name} holds no evidence yet, so there is nothing to stamp. Add a file first:
    entrenous case add {name} FILE
    """


class NotAsStamped(Unproven):
    """
    Item {number} of case {name} is not told as it was stamped: the stamp says {stamped}, the case
    says {told}. Somebody changed the case since. Make no changes, keep a copy of the device's
    folder, and show it to somebody you trust.
    """


class AuthorityUnreachable(Unreachable):
    """
    The stamp authority at {url} did not answer. Your evidence is safe without a stamp; try again
    later, because a stamp proves only that it existed by the time of stamping.
    """


class StampRefused(Unreachable):
    """
    The stamp authority at {url} answered, but gave no stamp ({why}). Your evidence is safe without
    one. Try again later, or use another authority.
    """
