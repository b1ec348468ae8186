"""Accept a person's claim at the platform. It holds fitting uploads; a claim alone never blocks."""

from entrenous.craft.fingerprint.sound.register import refuse_too_quiet
from entrenous.model.bank import PEOPLE, BankUnreachable
from entrenous.model.claim import (
    BadClaim,
    Claim,
    ClaimRequest,
    ClaimState,
    NoSuchClaim,
    Registration,
)
from entrenous.model.embedding import EMBEDDINGS_MAX, MODEL
from entrenous.model.fingerprint import TooFlat
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.print import ClipPrint, PicturePrint, Print, SoundPrint
from entrenous.ports import Platform
from entrenous.spec import CLAIM_ID_BYTES, PDQ_QUALITY_MIN
from entrenous.stop.holder import claim_of


def register_claim(request: ClaimRequest, platform: Platform, *, bank: BankName = PEOPLE) -> Claim:
    """Store the claim; the next upload is already compared with it.

    Asked again with the same holder's hash, because an answer was lost, it is the claim that is
    there, as it is now: also when it was withdrawn since.

    Raises:
        TooFlat, SoundTooQuiet: its fingerprint would fit many others.
        BadClaim: a frame of a video is flat; or its holder's hash begins like another one's, so it
            was not made by chance.
        NoSuchBank: the platform has no bank of that name.
    """
    _refuse_indistinct(request.print)
    if known := _known(request, platform):
        return known
    try:
        return _stored(request, platform, bank)
    except BankUnreachable:
        if stored := _known(request, platform):  # the same was asked twice at once
            return stored
        raise


def embedding_taken(platform: Platform) -> str | None:
    """The network whose embeddings are compared here; None if none are, or all places are taken."""
    if platform.likeness is None or platform.bank.embedding_count() >= EMBEDDINGS_MAX:
        return None
    return MODEL


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
        kind=request.kind,
        quality=request.print.quality,
        made_at=platform.clock.now(),
        holder_sha256=request.holder_sha256,
        reason=request.reason,
        jurisdiction=request.jurisdiction,
    )
    platform.bank.register(_registration(claim, request.print, platform))
    return claim


def _registration(claim: Claim, what: Print, platform: Platform) -> Registration:
    match what:
        case PicturePrint(whole, parts, embedding):
            named = embedding.model if embedding else None
            kept = embedding if named == embedding_taken(platform) else None
            hashes = (whole.bits,), parts
            return Registration(claim, *hashes, looks_back=True, embedding=kept)
        case ClipPrint(video, sound):
            return Registration(claim, looks_back=True, video=video, sound=sound)
        case SoundPrint():
            return Registration(claim, looks_back=True, sound=what)


def _refuse_indistinct(what: Print) -> None:
    """Of a video, flat frames are left out by whoever registers it; one is a broken request."""
    match what:
        case PicturePrint() if what.quality < PDQ_QUALITY_MIN:
            raise TooFlat(quality=what.quality)
        case ClipPrint() if what.quality < PDQ_QUALITY_MIN:
            raise BadClaim(why=f"a frame has a quality below {PDQ_QUALITY_MIN}")
        case ClipPrint(sound=SoundPrint() as sound) | (SoundPrint() as sound):
            refuse_too_quiet(sound)
