"""What a device keeps of a picture, video or sound that it asked a platform to stop."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.claim import ClaimState
from entrenous.model.errors import NotFound, Refused, Unreachable
from entrenous.model.ids import ClaimId
from entrenous.model.secret import Secret


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
