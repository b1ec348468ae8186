"""Accept a person's claim at the platform. It holds fitting uploads; a claim alone never blocks."""

from entrenous.model.bank import PEOPLE, Claim, ClaimRequest, ClaimState, Registration
from entrenous.model.fingerprint import TooFlat
from entrenous.model.ids import BankName, ClaimId
from entrenous.ports import Platform
from entrenous.spec import CLAIM_ID_BYTES, PDQ_QUALITY_MIN


def register_claim(request: ClaimRequest, platform: Platform, *, bank: BankName = PEOPLE) -> Claim:
    """Store the claim; the next upload is already compared with it.

    Raises:
        TooFlat: its fingerprint would fit many other pictures.
        NoSuchBank: the platform has no bank of that name.
    """
    if request.whole.quality < PDQ_QUALITY_MIN:
        raise TooFlat(quality=request.whole.quality)
    claim = Claim(
        id=new_claim_id(platform),
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


def new_claim_id(platform: Platform) -> ClaimId:
    """A random name, so that nobody can count or guess claims."""
    return ClaimId(platform.dice.token(CLAIM_ID_BYTES).hex())
