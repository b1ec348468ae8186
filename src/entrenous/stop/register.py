"""Register fingerprints, list the platform's own hashes, and withdraw claims.

Until a reviewer has confirmed a claim, uploads that match it are at most held for review, never
refused. The holder's token withdraws a claim at once.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.limits import CLAIM_ID_BYTES, PDQ_QUALITY_MIN
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import (
    EMBEDDING_MODEL,
    EMBEDDINGS_MAX,
    PICTURE_KIND,
    ClipPrint,
    MediaFingerprint,
    PicturePrint,
    SoundPrint,
    TooFlat,
)
from entrenous.fingerprint.sound_index import refuse_too_indistinct
from entrenous.stop.nouns import PEOPLE_BANK, BankUnreachable, ClaimListing
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
    claim_id_of,
    holder_token_hash,
)

if TYPE_CHECKING:
    from entrenous.stop.store.registration_changes import ClaimListingStore


def withdraw_claim(claim: ClaimId, token: Secret, platform: Platform) -> Claim:
    """Withdraw a claim: it matches nothing any more, and its hashes are deleted.

    An upload that was published, and then waited for a reviewer because of this claim alone, is
    accepted again. Withdrawing again changes nothing, so a device may repeat a request that got no
    answer.

    Raises:
        NoSuchClaim: there is no such claim.
        NotTheHolder: the claim was not registered with this token.
    """
    holder_sha256 = platform.bank.claim(claim).holder_sha256 or b""
    if not hmac.compare_digest(holder_sha256, holder_token_hash(token)):
        raise NotTheHolder(claim=claim)
    return platform.bank.apply_event(claim, ClaimEvent.WITHDRAW)


def register_claim(
    request: ClaimRequest, platform: Platform, *, bank: BankName = PEOPLE_BANK
) -> Claim:
    """Store a claim; the next upload is compared with it.

    The first answer may have been lost, so a repeated request (with the same holder's hash) returns
    the existing claim as it is now, even if it has been withdrawn.

    Raises:
        TooFlat, SoundTooQuiet: the fingerprint would match many others.
        BadClaim: a frame of a video is flat; or the holder's hash begins like that of another
            claim, so it is not random.
        NoSuchBank: the platform has no bank of that name.
    """
    _refuse_indistinct(request.print)
    if known := _existing_claim(request, platform):
        return known
    try:
        return _store_claim(request, platform, bank)
    except BankUnreachable:
        if stored := _existing_claim(request, platform):  # a concurrent request has made it
            return stored
        raise


def accepted_embedding_model(platform: Platform) -> str | None:
    """Return the network whose embeddings are compared here.

    Return None if none are compared, or if the bank has no room for further embeddings.
    """
    if platform.embedding_comparison is None or platform.bank.embedding_count() >= EMBEDDINGS_MAX:
        return None
    return EMBEDDING_MODEL


def new_claim_id(platform: Platform) -> ClaimId:
    """Return a random id for a claim without a holder."""
    return ClaimId(platform.random_source.token(CLAIM_ID_BYTES).hex())


def _existing_claim(request: ClaimRequest, platform: Platform) -> Claim | None:
    try:
        claim = platform.bank.claim(claim_id_of(request.holder_sha256))
    except NoSuchClaim:
        return None
    if claim.holder_sha256 != request.holder_sha256:
        raise BadClaim(why="a registration with a different token already has this number")
    return claim


def _store_claim(request: ClaimRequest, platform: Platform, bank: BankName) -> Claim:
    claim = Claim(
        id=claim_id_of(request.holder_sha256),
        bank=bank,
        state=ClaimState.WAITING,
        kind=request.kind,
        quality=request.print.quality,
        made_at=platform.clock.now(),
        holder_sha256=request.holder_sha256,
        reason=request.reason,
        jurisdiction=request.jurisdiction,
    )
    platform.bank.register(_make_registration(claim, request.print, platform))
    return claim


def _make_registration(
    claim: Claim, fingerprint: MediaFingerprint, platform: Platform
) -> Registration:
    match fingerprint:
        case PicturePrint(whole, parts, embedding):
            named = embedding.model if embedding else None
            kept = embedding if named == accepted_embedding_model(platform) else None
            hashes = (whole.bits,), parts
            return Registration(claim, *hashes, looks_back=True, embedding=kept)
        case ClipPrint(video, sound):
            return Registration(claim, looks_back=True, video=video, sound=sound)
        case SoundPrint():
            return Registration(claim, looks_back=True, sound=fingerprint)


def _refuse_indistinct(fingerprint: MediaFingerprint) -> None:
    """Refuse fingerprints that would match many others.

    A device leaves flat frames out of a video, so a request that has one is malformed.
    """
    match fingerprint:
        case PicturePrint() if fingerprint.quality < PDQ_QUALITY_MIN:
            raise TooFlat(quality=fingerprint.quality)
        case ClipPrint() if fingerprint.quality < PDQ_QUALITY_MIN:
            raise BadClaim(why=f"a frame has a quality below {PDQ_QUALITY_MIN}")
        case ClipPrint(sound=SoundPrint() as sound) | (SoundPrint() as sound):
            refuse_too_indistinct(sound)


QUALITY_UNKNOWN: Final = 100  # the quality of a hash from a list, whose picture is unknown


def register_platform_claim(
    hashes: Iterable[bytes], bank: BankName, note: str, platform: Platform
) -> Claim:
    """Make a waiting claim without a holder, and schedule its look-back; raises NoSuchBank."""
    claim = Claim(
        id=new_claim_id(platform),
        bank=bank,
        state=ClaimState.WAITING,
        kind=PICTURE_KIND,
        quality=QUALITY_UNKNOWN,
        made_at=platform.clock.now(),
        reason=note,
    )
    platform.bank.register(Registration(claim, tuple(hashes), looks_back=True))
    return claim


def replace_suspended_claims(
    old: Sequence[Claim],
    hashes: Iterable[bytes],
    platform: Platform,
    listings: ClaimListingStore,
) -> Claim:
    """Replace suspended claims of one bank by a waiting claim on these hashes.

    The new claim keeps the reason and the platform's name for the content. If this is interrupted
    and repeated, there are two new claims. That is harmless, since two claims on one hash act as
    one.
    """
    made = register_platform_claim(hashes, old[0].bank, old[0].reason, platform)
    known = listings.listings([one.id for one in old])
    name = next((known[one.id].content_id for one in old if one.id in known), "")
    if name:
        listings.set_listing([made.id], ClaimListing(name))
    platform.bank.withdraw(*(one.id for one in old))
    return made


def relist_due_claims(platform: Platform, listings: ClaimListingStore) -> int:
    """Relist claims whose suspension is over; return how many match again."""
    due = listings.claims_to_relist(platform.clock.now())
    return sum(_relist_claim(platform.bank.claim(one), platform, listings) for one in due)


def _relist_claim(claim: Claim, platform: Platform, listings: ClaimListingStore) -> bool:
    """Relist one suspended claim, with its hashes except those that a reviewer added.

    If the claim is not suspended after all, because suspending it was interrupted, or if it has no
    such hash, only clear its time of relisting and return False.
    """
    added = platform.bank.hashes_added_to([claim.id]).get(claim.id, {})
    hashes = [bits for bits in platform.bank.whole_picture_hashes_of(claim.id) if bits not in added]
    if claim.state is ClaimState.SUSPENDED and hashes:
        replace_suspended_claims([claim], hashes, platform, listings)
        return True
    kept = listings.listings([claim.id]).get(claim.id, ClaimListing())
    listings.set_listing([claim.id], ClaimListing(kept.content_id))
    return False
