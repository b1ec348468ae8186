"""Perceptual fingerprints: numbers that stay close when a picture is edited a little."""

from dataclasses import dataclass

from entrenous.model.errors import Malformed, Refused
from entrenous.model.ids import BankName, ClaimId


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """``bits`` is the hash (PDQ: 32 bytes, bit 255 first); ``quality`` runs from 0 to 100."""

    kind: str
    bits: bytes
    quality: int

    def __post_init__(self) -> None:
        if self.kind == "pdq" and len(self.bits) != 32:
            raise ValueError("a PDQ hash has 32 bytes")
        if not 0 <= self.quality <= 100:
            raise ValueError("quality lies between 0 and 100")

    @property
    def hex(self) -> str:
        """The hash as lower-case hex digits."""
        return self.bits.hex()


@dataclass(frozen=True, slots=True)
class Near:
    """Query number ``query`` lies ``distance`` bits from the registered entry ``entry``."""

    query: int
    entry: int
    distance: int


@dataclass(frozen=True, slots=True)
class Match:
    """An upload resembles what a claim registered.

    ``distance`` is in bits; ``how`` says what had been done to the registered picture, e.g.
    "mirror, border removed"; ``part`` is true when the upload only resembles a part of it, and
    ``added`` when it resembles an upload that a reviewer confirmed, not what was registered.
    """

    bank: BankName
    claim: ClaimId
    distance: int
    how: str
    part: bool = False
    added: bool = False


class BadFingerprint(Malformed):
    """This is not a PDQ fingerprint: it should be 64 hexadecimal digits."""


class TooFlat(Refused):
    """
    This picture has so little detail (quality {quality} of 100) that its fingerprint would fit many
    other pictures too, so it was not registered. Register a version with more of the scene in it.
    """
