"""What a device keeps of a picture that it asked a platform to stop."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.claim import ClaimState
from entrenous.model.errors import NotFound, Refused, Unreachable
from entrenous.model.ids import ClaimId
from entrenous.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Protection:
    """What a device keeps of a picture it registered; only ``token`` can withdraw the claim.

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
    Pictures of somebody under 18 are not registered here, because there is a service that does more
    for you: NCMEC's Take It Down. It is free, works without your name and also without sending the
    picture: https://takeitdown.ncmec.org
    """


class NoSuchProtection(NotFound):
    """
    This device registered nothing as claim {claim} (see: entrenous protect --list). Check the
    spelling.
    """


class Unanswered(Unreachable):
    """
    The platform at {url} did not answer, so it is not known whether the picture was registered.
    Give the same command again: it is the same request then, not a second one. Or take it back:
    entrenous unprotect {claim}
    """
