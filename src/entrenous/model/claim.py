"""Claims: somebody asks that a picture, a video or a sound be stopped, and nothing says who.

A claim holds fingerprints, a time and the hash of a token that only its holder has
(docs/spec/gate.md section 4).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.model.embedding import Embedding
from entrenous.model.errors import Malformed, NotFound, Refused, Unproven
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.print import Print, SoundPrint, VideoPrint


class ClaimState(StrEnum):
    """How far a claim has come."""

    WAITING = "waiting"  # nobody has looked yet: uploads that fit are held
    CONFIRMED = "confirmed"  # a reviewer agreed, or the platform listed it itself
    SUSPENDED = "suspended"  # disputed three times: matches nothing until confirmed
    WITHDRAWN = "withdrawn"  # by its holder, for good


class ClaimEvent(StrEnum):
    """What can happen to a claim."""

    CONFIRM = "confirm"
    SUSPEND = "suspend"
    WITHDRAW = "withdraw"


CLAIM_MOVES: Final[Mapping[tuple[ClaimState, ClaimEvent], ClaimState]] = {
    (ClaimState.WAITING, ClaimEvent.CONFIRM): ClaimState.CONFIRMED,
    (ClaimState.WAITING, ClaimEvent.SUSPEND): ClaimState.SUSPENDED,
    (ClaimState.WAITING, ClaimEvent.WITHDRAW): ClaimState.WITHDRAWN,
    (ClaimState.CONFIRMED, ClaimEvent.CONFIRM): ClaimState.CONFIRMED,
    (ClaimState.CONFIRMED, ClaimEvent.SUSPEND): ClaimState.SUSPENDED,
    (ClaimState.CONFIRMED, ClaimEvent.WITHDRAW): ClaimState.WITHDRAWN,
    (ClaimState.SUSPENDED, ClaimEvent.CONFIRM): ClaimState.CONFIRMED,
    (ClaimState.SUSPENDED, ClaimEvent.SUSPEND): ClaimState.SUSPENDED,
    (ClaimState.SUSPENDED, ClaimEvent.WITHDRAW): ClaimState.WITHDRAWN,
    (ClaimState.WITHDRAWN, ClaimEvent.WITHDRAW): ClaimState.WITHDRAWN,
}
MATCHING: Final = frozenset({ClaimState.WAITING, ClaimState.CONFIRMED})


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody asks that a picture, a video or a sound be stopped; nothing about who.

    ``holder_sha256`` is the hash of the token that withdraws it, None for what the platform or a
    list brought in. ``disputes`` counts reviewers who let a fitting upload through. ``confirmed``
    is the number of the change by which it last became confirmed, which the store gives; 0: it
    never was. ``added``, of a claim that was found by a hash: a reviewer added that hash, and
    ``state`` and ``confirmed`` are what was said of that upload, not of what its owner registered.
    """

    id: ClaimId
    bank: BankName
    state: ClaimState
    kind: str
    quality: int
    made_at: datetime
    holder_sha256: bytes | None = None
    reason: str = ""
    jurisdiction: str = ""
    disputes: int = 0
    confirmed: int = field(default=0, compare=False)
    added: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Registration:
    """A claim with what was registered: of a picture, hashes of the whole and of windows of it; of
    a video, its frames; of a sound, its words. A video may come with its sound: one claim for both.
    ``looks_back``: what was let through before is due to be compared with it.
    """

    claim: Claim
    whole: tuple[bytes, ...] = ()
    parts: tuple[bytes, ...] = ()
    video: VideoPrint | None = None
    sound: SoundPrint | None = None
    looks_back: bool = False
    embedding: Embedding | None = None

    def __post_init__(self) -> None:
        if self.embedding is not None and not self.whole:
            raise ValueError("an embedding goes with the hash of the whole picture")


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """All that leaves a person's device: hashes, the hash of a token, two words of context.

    ``print`` is what is registered of a picture, of a video or of a sound; it alone differs.
    """

    print: Print
    holder_sha256: bytes
    reason: str = ""
    jurisdiction: str = ""

    def __post_init__(self) -> None:
        if len(self.holder_sha256) != 32:
            raise ValueError("a SHA-256 hash has 32 bytes")
        if len(self.reason) > 64 or len(self.jurisdiction) > 8:
            raise ValueError("reason has at most 64 characters, jurisdiction at most 8")

    @property
    def kind(self) -> str:
        """What is registered: ``pdq``, ``pdq-video`` or ``chromaprint``."""
        return self.print.kind


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """What a gate says of a claim."""

    claim: ClaimId
    kind: str
    state: ClaimState


@dataclass(frozen=True, slots=True)
class Change:
    """A claim in its newest state, for partners (docs/spec/gate.md section 4, 4.2).

    ``number`` grows with every change of any claim; ``hashes`` are of whole pictures, none of a
    withdrawn claim.
    """

    number: int
    at: datetime
    claim: ClaimId
    bank: BankName
    kind: str
    state: ClaimState
    hashes: tuple[bytes, ...] = ()


class BadClaim(Malformed):
    """
    This request to protect something is not in the form that docs/spec/gate.md describes ({why}),
    so nothing was registered.
    """


class NoSuchClaim(NotFound):
    """There is no claim {claim} at this platform. It may have been made at another one."""


class NotTheHolder(Unproven):
    """
    This token does not belong to claim {claim}, so it was not withdrawn. Only the device that
    registered it has the right one.
    """


class AlreadyWithdrawn(Refused):
    """Claim {claim} was withdrawn by its holder, so it can no longer be changed."""
