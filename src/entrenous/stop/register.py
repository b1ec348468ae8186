"""Accept a person's claim at the platform. It holds fitting uploads; a claim alone never blocks."""

from entrenous.model.bank import PEOPLE, BankUnreachable
from entrenous.model.claim import (
    BadClaim,
    Claim,
    ClaimRequest,
    ClaimState,
    NoSuchClaim,
    Registration,
)
from entrenous.model.fingerprint import TooFlat
from entrenous.model.ids import BankName, ClaimId
from entrenous.ports import Platform
from entrenous.spec import CLAIM_ID_BYTES, PDQ_QUALITY_MIN
from entrenous.stop.holder import claim_of


def register_claim(request: ClaimRequest, platform: Platform, *, bank: BankName = PEOPLE) -> Claim:
    """Store the claim; the next upload is already compared with it.

    Asked again with the same holder's hash, because an answer was lost, it is the claim that is
    there, as it is now: also when it was withdrawn since.

    Raises:
        TooFlat: its fingerprint would fit many other pictures.
        BadClaim: its holder's hash begins like another one's, so it was not made by chance.
        NoSuchBank: the platform has no bank of that name.
    """
    if request.whole.quality < PDQ_QUALITY_MIN:
        raise TooFlat(quality=request.whole.quality)
    if known := _known(request, platform):
        return known
    try:
        return _stored(request, platform, bank)
    except BankUnreachable:
        if stored := _known(request, platform):  # the same was asked twice at once
            return stored
        raise


def new_claim_id(platform: Platform) -> ClaimId:
    """A random name for a claim without a holder."""
    return ClaimId(platform.dice.token(CLAIM_ID_BYTES).hex())


def _known(request: ClaimRequest, platform: Platform) -> Claim | None:
    try:
        claim = platform.bank.claim(claim_of(request.holder_sha256))
    except NoSuchClaim:
        return None
    if claim.holder_sha256 != request.holder_sha256:
        raise BadClaim(why="the hash of its token names another claim")
    return claim


def _stored(request: ClaimRequest, platform: Platform, bank: BankName) -> Claim:
    claim = Claim(
        id=claim_of(request.holder_sha256),
        bank=bank,
        state=ClaimState.WAITING,
        kind=request.whole.kind,
        quality=request.whole.quality,
        made_at=platform.clock.now(),
        holder_sha256=request.holder_sha256,
        reason=request.reason,
        jurisdiction=request.jurisdiction,
    )
    platform.bank.register(Registration(claim, (request.whole.bits,), request.parts))
    return claim
