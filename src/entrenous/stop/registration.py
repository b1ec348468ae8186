"""Claims: a person's registrations of pictures, videos and sounds to be stopped (gate.md, 4).

A claim has fingerprints, a time and the hash of a token that only its holder has; it does not
identify the holder. Other platforms' signed opinions of claims (4.1) and the record on the holder's
device are here too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.base.errors import Malformed, NotFound, Refused, Unproven, Unreachable
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import CLAIM_ID_BYTES
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import Embedding, MediaFingerprint, SoundPrint, VideoPrint


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """The data that a person's device sends: fingerprints, the hash of a token, a reason, a
    jurisdiction.

    ``print`` has the fingerprints of a picture, a video or a sound.
    """

    print: MediaFingerprint
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
        """Return the kind of fingerprint: ``pdq``, ``pdq-video`` or ``chromaprint``."""
        return self.print.kind


class ClaimState(StrEnum):
    """The state of a claim."""

    WAITING = "waiting"  # nobody has confirmed it yet: matching uploads are at most held
    CONFIRMED = "confirmed"  # by a reviewer, or because the platform trusts its list or source
    SUSPENDED = "suspended"  # by three disputes or by the platform: it matches nothing
    WITHDRAWN = "withdrawn"  # by its holder or source, or by the platform; permanently


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """A gate's answer about a claim."""

    claim: ClaimId
    kind: str
    state: ClaimState


class ClaimEvent(StrEnum):
    CONFIRM = "confirm"
    SUSPEND = "suspend"
    WITHDRAW = "withdraw"


CLAIM_TRANSITIONS: Final[Mapping[tuple[ClaimState, ClaimEvent], ClaimState]] = {
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
MATCHING_STATES: Final = frozenset({ClaimState.WAITING, ClaimState.CONFIRMED})


@dataclass(frozen=True, slots=True)
class Claim:
    """A request to stop a picture, a video or a sound; it does not identify anybody.

    ``holder_sha256`` is the hash of the token that withdraws it; None if the claim came from the
    platform, a list, a partner or a source. ``disputes`` counts the uploads of what was registered
    that reviewers released. ``confirmed`` is the number, in the store, of the change that last
    confirmed it; 0 means that it was never confirmed. ``added`` means that the claim was found by a
    hash that a reviewer added. ``state`` and ``confirmed`` then apply to the upload with that hash,
    not to what was registered originally.
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
    """A claim with its fingerprints.

    A picture has hashes of the whole picture and of windows (parts) of it, a video has hashes of
    its frames, and a sound has its fingerprint. A video and its sound may share a claim.
    ``looks_back`` says that a look-back is due: a comparison of accepted uploads with the claim.
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
class ClaimChange:
    """The newest change of a claim, with its state, for partners (docs/spec/gate.md section 4,
    4.2).

    ``number`` increases with every change of any claim. ``hashes`` are of whole pictures; a
    withdrawn claim has none.
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
    This registration was not accepted: {why}. Nothing was registered. Correct the registration and
    send it again; docs/spec/gate.md describes its form.
    """


class NoSuchClaim(NotFound):
    """
    This platform has no registration {claim}. Nothing was changed. Perhaps the registration was
    made at another platform.
    """


class NotTheHolder(Unproven):
    """
    This token does not belong to registration {claim}. Nothing was withdrawn. Only the device that
    made the registration has the right token.
    """


class AlreadyWithdrawn(Refused):
    """
    The person or partner who made registration {claim} has withdrawn it, so it can no longer be
    changed.
    """


ED25519_KEY_BYTES: Final = 32


class Stance(StrEnum):
    """A platform's view of a claim after reviewing what matches it."""

    CONFIRMED = "confirmed"
    DISPUTED = "disputed"
    NOT_INTIMATE = "not intimate"


STANCES_AGAINST: Final = frozenset({Stance.DISPUTED, Stance.NOT_INTIMATE})


@dataclass(frozen=True, slots=True)
class Opinion:
    """A platform's opinion on a claim. The platform is named by its Ed25519 public key; ``at`` is
    in whole seconds.
    """

    claim: ClaimId
    stance: Stance
    at: datetime
    key: bytes


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """The facts about a claim for a reviewer: its present state, and the number of platforms with
    each view.
    """

    claim: Claim
    opinions: Mapping[Stance, int]


@dataclass(frozen=True, slots=True)
class Partner:
    """Another platform whose opinions count, with its Ed25519 key."""

    name: str
    key: bytes

    def __post_init__(self) -> None:
        if len(self.key) != ED25519_KEY_BYTES:
            raise ValueError("an Ed25519 public key has 32 bytes")
        if not (1 <= len(self.name) <= 100 and self.name.isprintable()):
            raise ValueError("a partner's name has 1 to 100 printable characters")


class BadOpinion(Malformed):
    """
    This opinion about a registration was not accepted: {why}. Nothing was changed. Correct the
    opinion and send it again; docs/spec/gate.md describes its form.
    """


class BadPartner(Malformed):
    """
    A partner needs a name of 1 to 100 characters and an Ed25519 public key of 64 hexadecimal
    digits. One of these is not valid, so nothing was changed. Check the name and the key, and try
    again.
    """


class PartnerAlreadyKnown(Refused):
    """
    {name} already has the key {key} here, and each platform has one name and one key. Nothing was
    changed. To change the name or the key, first remove the platform: entrenous gate partner drop
    {key}. Then add it again.
    """


class NoSuchPartner(NotFound):
    """
    This gate has no partner platform with this key or name. Nothing was changed. To list the
    partners: entrenous gate partner list. If your own platform should be a partner here, give its
    key to the operator of this gate.
    """


def holder_token_hash(token: Secret) -> bytes:
    """Return the SHA-256 of a holder's token; the platform stores only this."""
    return hashlib.sha256(token.reveal()).digest()


def claim_id_of(holder_sha256: bytes) -> ClaimId:
    """Return the id of the claim with this token hash: the first 16 bytes of the hash, as
    hexadecimal digits.

    The token is random, so ids reveal no count and cannot be guessed.
    """
    return ClaimId(holder_sha256[:CLAIM_ID_BYTES].hex())


@dataclass(frozen=True, slots=True)
class Consent:
    """The consent of the person who registers something. Ask for it; never guess it.

    ``adult``: everybody in the file was 18 or older. ``parts``: also send hashes of windows of a
    picture or of frames without edges, which together reveal more (docs/spec/gate.md section 8).
    ``sound``: also register a video's sound. ``embedding``: also send a network's embedding of a
    picture, which reveals more than all of its hashes.
    """

    adult: bool
    parts: bool
    sound: bool = True
    embedding: bool = False


@dataclass(frozen=True, slots=True)
class Protection:
    """A device's record of a registration; only its ``token`` can withdraw the claim.

    ``state`` is the platform's last answer; None until it has answered. ``sent_sha256`` is the
    SHA-256 of the fingerprints that were sent, by which the device notices that it is about to
    register the same ones again.
    """

    claim: ClaimId
    kind: str
    state: ClaimState | None
    gate_url: str
    token: Secret
    made_at: datetime
    sent_sha256: bytes = b""


class NotEverybodyAdult(Refused):
    """
    Nothing was registered: pictures and videos of somebody under 18 are not registered here,
    because another service does more for you. NCMEC's Take It Down is free, and needs neither your
    name nor the picture itself: https://takeitdown.ncmec.org
    """


class ConsentNotGiven(Refused):
    """
    You did not answer “yes”, so this was not registered, and no fingerprint of it was sent. To
    register it after all, try again and answer “yes”.
    """


class NoSuchProtection(NotFound):
    """
    This device has no registration {claim}. Nothing was changed. Check the spelling; to list its
    registrations: entrenous protect --list
    """


class RegistrationUnanswered(Unreachable):
    """
    The platform at {url} gave no usable answer, so it is not known whether this was registered. To
    find out, run the same command again, which does not register it twice. To withdraw it:
    entrenous unprotect {claim}
    """


class FileHasOnlySound(Refused):
    """
    This file contains only sound, and you chose to leave sound out, so this file was not
    registered. To register the sound, run the same command without --no-sound.
    """


class NothingToProtect(Refused):
    """Message {name} contains no picture, video or sound. Nothing was registered."""


class FilesNotOnDevice(Refused):
    """
    This device does not have the files of message {name}: either the message has not been opened
    here yet, or it can be opened only a limited number of times, and the files of such messages are
    not stored. Nothing was registered. If you have not opened the message yet, open it first:
    entrenous open {name}. If you have one of its files, register that: entrenous protect FILE
    --gate URL
    """
