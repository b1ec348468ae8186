"""Register a picture with a platform, from the person's own device: only fingerprints leave it."""

import hashlib

from entrenous.craft.fingerprint.parts import part_hashes
from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.model.bank import ClaimRequest, Protection, TooYoung
from entrenous.model.fingerprint import TooFlat
from entrenous.model.picture import Picture
from entrenous.model.secret import Secret
from entrenous.ports import BankClient, Clock, Dice
from entrenous.spec import HOLDER_TOKEN_BYTES, PDQ_QUALITY_MIN


def protect_picture(  # noqa: PLR0913 (two questions that a person must answer are arguments)
    picture: Picture,
    *,
    adult: bool,
    parts: bool,
    gate: BankClient,
    dice: Dice,
    clock: Clock,
    reason: str = "",
    jurisdiction: str = "",
) -> Protection:
    """Ask a platform to stop this picture; keep what comes back, it alone can withdraw the claim.

    Args:
        picture: all of its pixels; nothing of it is sent but fingerprints.
        adult: the person in the picture was 18 or older; ask, never guess.
        parts: she agrees to send hashes of windows too, so that cut-outs are held; each hash
            betrays a little more of the picture (docs/spec/gate.md section 8).
        gate: the platform.
        dice: makes the holder's token, of which the platform sees the hash.
        clock: when she registered it.
        reason: at most 64 characters; shown to reviewers. Leave it empty when in doubt.
        jurisdiction: a country code, or empty.

    Raises:
        TooYoung: somebody under 18; points to NCMEC's Take It Down.
        TooFlat: too little detail to be told apart.
        GateUnreachable, GateBusy, GateRefused, BadAnswer: see BankClient.
    """
    if not adult:
        raise TooYoung
    whole = fingerprint(picture)
    if whole.quality < PDQ_QUALITY_MIN:
        raise TooFlat(quality=whole.quality)
    windows = part_hashes(picture) if parts else ()
    token = Secret(dice.token(HOLDER_TOKEN_BYTES))
    request = ClaimRequest(whole, windows, holder_hash(token), reason, jurisdiction)
    status = gate.register(request)
    return Protection(status.claim, status.kind, status.state, gate.url, token, clock.now())


def holder_hash(token: Secret) -> bytes:
    """What the platform keeps of a holder's token: its SHA-256."""
    return hashlib.sha256(token.reveal()).digest()
