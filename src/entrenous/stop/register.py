"""Register fingerprints, list hashes of the platform's own, and withdraw a registration.

A registration holds matching uploads for review; alone it never blocks one. The holder's token is
enough to withdraw it, at once.
"""

import hmac
from collections.abc import Iterable, Sequence

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import CLAIM_ID_BYTES, PDQ_QUALITY_MIN
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import (
    EMBEDDINGS_MAX,
    MODEL,
    ClipPrint,
    PicturePrint,
    Print,
    SoundPrint,
    TooFlat,
)
from entrenous.fingerprint.sound_index import refuse_too_quiet
from entrenous.stop.nouns import PEOPLE, BankUnreachable, Listing
from entrenous.stop.platform import Platform
from entrenous.stop.registration import (
    BadClaim,
    Claim,
    ClaimEvent,
    ClaimRequest,
    ClaimState,
    NoSuchClaim,
    NotTheHolder,
    Registration,
    claim_of,
    holder_hash,
)
from entrenous.stop.stores import ListingStore


def withdraw_claim(claim: ClaimId, token: Secret, platform: Platform) -> Claim:
    """The platform's side: the claim matches nothing any more, its hashes are deleted.

    Accepted uploads that were being looked back at for it are let be.

    Withdrawing again changes nothing, so that a device may repeat a request without an answer.

    Raises:
        NoSuchClaim: there is none of that name.
        NotTheHolder: the token is not the one that it was registered with.
    """
    held = platform.bank.claim(claim)
    known = held.holder_sha256 or b""
    if not hmac.compare_digest(known, holder_hash(token)):
        raise NotTheHolder(claim=claim)
    return platform.bank.move(claim, ClaimEvent.WITHDRAW)


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


_KIND = "pdq"
_QUALITY = 100  # of a hash without its picture, as lists have it


def list_hashes(hashes: Iterable[bytes], bank: BankName, note: str, platform: Platform) -> Claim:
    """A waiting claim without a holder; what was let through before is due to be looked back at.

    Raises:
        NoSuchBank.
    """
    claim = Claim(
        id=new_claim_id(platform),
        bank=bank,
        state=ClaimState.WAITING,
        kind=_KIND,
        quality=_QUALITY,
        made_at=platform.clock.now(),
        reason=note,
    )
    platform.bank.register(Registration(claim, tuple(hashes), looks_back=True))
    return claim


def list_again(
    old: Sequence[Claim], hashes: Iterable[bytes], platform: Platform, listings: ListingStore
) -> Claim:
    """A waiting claim on these hashes in the place of suspended ones of one bank, under the name
    that the platform gave them. May be done twice without harm: two claims on one hash are one.
    """
    made = list_hashes(hashes, old[0].bank, old[0].reason, platform)
    known = listings.listings([one.id for one in old])
    name = next((known[one.id].content_id for one in old if one.id in known), "")
    if name:
        listings.keep([made.id], Listing(name))
    platform.bank.withdraw(*(one.id for one in old))
    return made


def list_again_due(platform: Platform, listings: ListingStore) -> int:
    """Those that were switched off until a time which has come: how many match again."""
    due = listings.due(platform.clock.now())
    return sum(_on_again(platform.bank.claim(one), platform, listings) for one in due)


def _on_again(claim: Claim, platform: Platform, listings: ListingStore) -> bool:
    """False for one that matches already: whoever set its time died before it was suspended."""
    added = platform.bank.added_to([claim.id]).get(claim.id, {})
    hashes = [bits for bits in platform.bank.hashes_of(claim.id) if bits not in added]
    if claim.state is ClaimState.SUSPENDED and hashes:
        list_again([claim], hashes, platform, listings)
        return True
    kept = listings.listings([claim.id]).get(claim.id, Listing())
    listings.keep([claim.id], Listing(kept.content_id))
    return False
