"""What other platforms say of a claim, signed (docs/spec/gate.md section 4, 4.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.model.claim import Claim
from entrenous.model.errors import Malformed, NotFound, Refused
from entrenous.model.ids import ClaimId

ED25519_BYTES: Final = 32


class Stance(StrEnum):
    """What a platform thinks of a claim after looking at what fits it."""

    CONFIRMED = "confirmed"
    DISPUTED = "disputed"
    NOT_INTIMATE = "not intimate"


AGAINST: Final = frozenset({Stance.DISPUTED, Stance.NOT_INTIMATE})


@dataclass(frozen=True, slots=True)
class Opinion:
    """``key`` is the platform's Ed25519 public key; ``at`` is in whole seconds."""

    claim: ClaimId
    stance: Stance
    at: datetime
    key: bytes


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """What a reviewer decides by: a claim as it stands, and how many platforms say what of it."""

    claim: Claim
    opinions: Mapping[Stance, int]


@dataclass(frozen=True, slots=True)
class Partner:
    """Another platform that the operator knows by its Ed25519 key: its opinions count."""

    name: str
    key: bytes

    def __post_init__(self) -> None:
        if len(self.key) != ED25519_BYTES:
            raise ValueError("an Ed25519 public key has 32 bytes")
        if not (1 <= len(self.name) <= 100 and self.name.isprintable()):
            raise ValueError("a partner's name has 1 to 100 printable characters")


class BadOpinion(Malformed):
    """
    This opinion is not in the form that docs/spec/gate.md describes ({why}), so nothing was
    changed.
    """


class BadPartner(Malformed):
    """
    A partner has a name of 1 to 100 characters and an Ed25519 public key of 64 hexadecimal digits.
    These are not, so nothing was changed.
    """


class PartnerThere(Refused):
    """
    {name} is known here by the key {key}, so nothing was changed: a platform has one key, and a key
    one platform. To know it otherwise, drop that first: entrenous gate partner drop {key}
    """


class NoSuchPartner(NotFound):
    """
    There is no platform with this key or name here. Its operator gives you the key, and you add
    it: entrenous gate partner add
    """
