"""What a platform keeps to protect people: banks of fingerprints, claims, decisions, reviews.

Nothing here says who somebody is: a claim holds fingerprints, a time and the hash of a token that
only its holder has (docs/spec/gate.md sections 4 to 7).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.model.errors import Malformed, NotFound, Refused, Unproven, Unreachable
from entrenous.model.fingerprint import Fingerprint, Match
from entrenous.model.ids import BankName, ClaimId
from entrenous.spec import PARTS_MAX, PDQ_BYTES, PDQ_RADIUS

PEOPLE: Final = BankName("people")  # what people register themselves
RELEASED: Final = BankName("released")  # uploads that a reviewer let through


class Outcome(StrEnum):
    """What happens to an upload, from mildest to strictest."""

    LET_THROUGH = "let through"
    HOLD = "hold"  # not published until a person has looked
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Bank:
    """A set of protected fingerprints and the platform's policy for it.

    ``radius`` is the largest distance that counts, in bits. ``on_claimed`` is what happens to an
    upload that fits an unconfirmed claim, ``on_confirmed`` to one that fits a confirmed claim.
    """

    name: BankName
    radius: int = PDQ_RADIUS
    on_claimed: Outcome = Outcome.HOLD
    on_confirmed: Outcome = Outcome.REFUSE

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= PDQ_RADIUS:
            raise ValueError("a radius lies between 0 and 31 bits")
        if self.on_claimed is Outcome.REFUSE:
            raise ValueError("a claim alone never blocks")


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
    (ClaimState.CONFIRMED, ClaimEvent.WITHDRAW): ClaimState.WITHDRAWN,
    (ClaimState.SUSPENDED, ClaimEvent.CONFIRM): ClaimState.CONFIRMED,
    (ClaimState.SUSPENDED, ClaimEvent.SUSPEND): ClaimState.SUSPENDED,
    (ClaimState.SUSPENDED, ClaimEvent.WITHDRAW): ClaimState.WITHDRAWN,
    (ClaimState.WITHDRAWN, ClaimEvent.WITHDRAW): ClaimState.WITHDRAWN,
}
MATCHING: Final = frozenset({ClaimState.WAITING, ClaimState.CONFIRMED})


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody asks that a picture be stopped; nothing about who.

    ``holder_sha256`` is the hash of the token that withdraws it, None for what the platform or a
    list brought in. ``disputes`` counts reviewers who let a fitting upload through.
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


@dataclass(frozen=True, slots=True)
class Registration:
    """A claim with its hashes: of the whole picture, and of windows of it."""

    claim: Claim
    whole: tuple[bytes, ...]
    parts: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One distinct registered hash. Numbers grow and are never used again."""

    number: int
    bits: bytes
    part: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """How full a store is: claims that match, distinct hashes, reviews that wait."""

    claims: int
    hashes: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to an upload, and why. ``case`` is the number to quote when asking again."""

    outcome: Outcome
    case: str
    matches: tuple[Match, ...] = ()


class ReviewState(StrEnum):
    """Where an upload is."""

    WAITING = "waiting"  # held, for a person to look at
    CONFIRMED = "confirmed"  # a person refused it
    RELEASED = "released"  # a person let it through
    CLOSED = "closed"  # decided without a person


@dataclass(frozen=True, slots=True)
class Review:
    """An upload that was judged. ``bits`` is its hash, kept only while it is needed."""

    decision: Decision
    at: datetime
    state: ReviewState
    bits: bytes | None = None

    @property
    def case(self) -> str:
        """The case number."""
        return self.decision.case


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """All that leaves a person's device: hashes, the hash of a token, two words of context."""

    whole: Fingerprint
    parts: tuple[bytes, ...]
    holder_sha256: bytes
    reason: str = ""
    jurisdiction: str = ""

    def __post_init__(self) -> None:
        if len(self.holder_sha256) != 32:
            raise ValueError("a SHA-256 hash has 32 bytes")
        if len(self.parts) > PARTS_MAX or any(len(one) != PDQ_BYTES for one in self.parts):
            raise ValueError(f"at most {PARTS_MAX} windows, each a hash of {PDQ_BYTES} bytes")
        if len(self.reason) > 64 or len(self.jurisdiction) > 8:
            raise ValueError("reason has at most 64 characters, jurisdiction at most 8")


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """What a gate says of a claim."""

    claim: ClaimId
    kind: str
    state: ClaimState


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a list of hashes: lines by number, with the reason they were refused."""

    accepted: int
    refused: tuple[tuple[int, str], ...]


class BadClaim(Malformed):
    """
    This request to protect a picture is not in the form that docs/spec/gate.md describes ({why}),
    so nothing was registered.
    """


class BadAnswer(Malformed):
    """
    The platform at {url} answered with something that is not in the form that Entrenous knows, so
    nothing was changed here. Check the address; it may not be an Entrenous gate.
    """


class NoSuchClaim(NotFound):
    """There is no claim {claim} at this platform. It may have been made at another one."""


class NoSuchBank(NotFound):
    """There is no bank called {bank} here."""


class NoSuchReview(NotFound):
    """There is no upload with the case number {case} here."""


class NotTheHolder(Unproven):
    """
    This token does not belong to claim {claim}, so it was not withdrawn. Only the device that
    registered the picture has the right one.
    """


class AlreadyDecided(Refused):
    """Somebody has already decided case {case}: it is {state}. Take the next one."""


class AlreadyWithdrawn(Refused):
    """Claim {claim} was withdrawn by its holder, so it can no longer be changed."""


class GateBusy(Unreachable):
    """
    The platform has too much to do right now. Nothing was lost or published; try again in a
    moment.
    """


class GateUnreachable(Unreachable):
    """
    The platform at {url} does not answer. Check the address and your connection, then try again.
    """


class GateRefused(Refused):
    """The platform at {url} did not accept this: {detail}"""


class NotAGate(Refused):
    """
    {url} is not the address of a platform, so nothing was sent. It looks like
    https://gate.example. Check the spelling.
    """


class NotPrivate(Refused):
    """
    The address {url} would send this over the network in the clear, so nothing was sent. Use the
    platform's https:// address.
    """


class BankUnreachable(Unreachable):
    """
    The platform's database does not answer: {why}. Nothing was accepted; try again in a
    moment.
    """
