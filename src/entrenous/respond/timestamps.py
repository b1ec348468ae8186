"""Trusted timestamps (RFC 3161) and their errors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from entrenous.base.errors import Refused, Unproven, Unreachable
from entrenous.base.language import translatable


@dataclass(frozen=True, slots=True)
class Stamp:
    """An RFC 3161 timestamp over ``manifest``, verified against ``authorities`` (PEM).

    ``token`` is the authority's whole response in DER; ``at`` is the time in that response.
    """

    manifest: bytes
    token: bytes
    at: datetime
    authority_url: str
    authorities: bytes


class NothingToStamp(Refused):
    """Case {name} contains no evidence yet, so there is nothing to stamp. Add a file first:
    entrenous case add {name} FILE
    """


class ItemDiffersFromStamp(Unproven):
    """Item {number} of case {name} does not match its time stamp: the stamp says {stamped}, the
    case says {told}. Somebody changed the case afterwards. Make no changes, keep a copy of the
    device's folder, and show it to somebody you trust.
    """


class AuthorityUnreachable(Unreachable):
    """The stamp authority at {url} did not answer. Your evidence is safe without a stamp. Try again
    soon: a stamp proves only that the evidence existed when it was stamped.
    """


class StampRefused(Unreachable):
    """The stamp authority at {url} answered, but issued no stamp ({why}). Your evidence is safe
    without one. Try again later, or use another authority.
    """


class NoAuthorityAnswered(Unreachable):
    """None of the stamp authorities issued a stamp: {why}. Your evidence is safe without one. Try
    again when this device is online.
    """


PROVES: Final = translatable(
    "This proves that the evidence existed by then, not that what it shows is true."
)
AUTHORITY_SEES: Final = translatable(
    "The stamp authority sees one number, made from your evidence, and the address of your internet"
    " connection. It sees neither the evidence nor who you are."
)


class StampPostponed(Unreachable):
    """
    No stamp authority could be reached ({why}). Your evidence is safe, and case {name} is noted as
    waiting for a stamp. To stamp its evidence when this device is online: entrenous evidence stamp
    {name}
    """
