"""Registrations: a person asks that a picture, a video or a sound be stopped (gate.md, 4).

A registration holds fingerprints, a time and the hash of a token that only its holder has; nothing
in it says who that is. Other platforms' signed opinions of it are here too (4.1), and what the
holder's device keeps of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from entrenous.base.errors import Malformed, NotFound, Refused, Unproven, Unreachable
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import CLAIM_ID_BYTES
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import Embedding, Print, SoundPrint, VideoPrint


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


class ClaimState(StrEnum):
    """How far a claim has come."""

    WAITING = "waiting"  # nobody has looked yet: uploads that fit are held
    CONFIRMED = "confirmed"  # a reviewer agreed, or the platform listed it itself
    SUSPENDED = "suspended"  # disputed three times: matches nothing until confirmed
    WITHDRAWN = "withdrawn"  # by its holder, for good


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """What a gate says of a claim."""

    claim: ClaimId
    kind: str
    state: ClaimState


class BankClient(Protocol):
    """A platform's gate as seen from a device (docs/spec/gate.md section 6).

    Every method raises GateUnreachable, GateBusy, GateRefused or BadAnswer.
    """

    @property
    def url(self) -> str:
        """The gate's address."""
        ...

    def embedding_taken(self) -> str | None:
        """The network whose embeddings the platform compares, by name; None if it compares none."""
        ...

    def register(self, request: ClaimRequest) -> ClaimStatus:
        """Ask the platform to stop this; raises TooFlat, SoundTooQuiet."""
        ...

    def status(self, claim: ClaimId) -> ClaimStatus:
        """What became of a claim; raises NoSuchClaim."""
        ...

    def withdraw(self, claim: ClaimId, token: Secret) -> ClaimStatus:
        """Withdraw it at once; may be repeated; raises NoSuchClaim, NotTheHolder."""
        ...


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


def holder_hash(token: Secret) -> bytes:
    """What the platform keeps of a holder's token: its SHA-256."""
    return hashlib.sha256(token.reveal()).digest()


def claim_of(holder_sha256: bytes) -> ClaimId:
    """The name of the claim that this token's hash makes: its first 16 bytes, as hex digits.

    The token is random, so nobody can count or guess claims by it.
    """
    return ClaimId(holder_sha256[:CLAIM_ID_BYTES].hex())


@dataclass(frozen=True, slots=True)
class Consent:
    """What the person who registers something agreed to; ask, never guess.

    ``adult``: everybody in it was 18 or older. ``parts``: fingerprints of cut-outs go along, which
    betray a little more (docs/spec/gate.md section 8). ``sound``: a video's sound is registered
    too. ``embedding``: how a picture looks to a network goes along, which betrays more than all of
    these.
    """

    adult: bool
    parts: bool
    sound: bool = True
    embedding: bool = False


@dataclass(frozen=True, slots=True)
class Protection:
    """What a device keeps of something it registered; only ``token`` can withdraw the claim.

    ``state`` is what the platform said last; None until it has answered. ``sent_sha256`` is the
    SHA-256 of the fingerprints that were sent, so that asking again is known as the same asking.
    """

    claim: ClaimId
    kind: str
    state: ClaimState | None
    gate_url: str
    token: Secret
    made_at: datetime
    sent_sha256: bytes = b""


class TooYoung(Refused):
    """
    Pictures and videos of somebody under 18 are not registered here, because there is a service
    that does more for you: NCMEC's Take It Down. It is free, works without your name and also
    without sending the picture: https://takeitdown.ncmec.org
    """


class NotAgreed(Refused):
    """You did not say yes, so no fingerprint of this file was sent and nothing was registered."""


class NoSuchProtection(NotFound):
    """
    This device registered nothing as claim {claim} (see: entrenous protect --list). Check the
    spelling.
    """


class Unanswered(Unreachable):
    """
    The platform at {url} did not answer, so it is not known whether this was registered. Give the
    same command again: it is the same request then, not a second one. Or take it back:
    entrenous unprotect {claim}
    """


class OnlySound(Refused):
    """
    There is nothing but sound in this file, and you asked to leave sound out, so nothing was
    registered. To register it: the same command without --no-sound.
    """


class NothingToProtect(Refused):
    """There is no picture, video or sound in message {name}, so nothing was registered."""


class NotKeptHere(Refused):
    """
    The files of message {name} are not kept on this device: it was not opened here yet, or it opens
    a counted number of times. Nothing was registered. If you have a file of it, give that:
    entrenous protect FILE --gate URL
    """
