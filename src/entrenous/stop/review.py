"""A person looks at what was held, and says what it is (docs/spec/gate.md section 7)."""

from typing import Final

from entrenous.model.bank import (
    RELEASED,
    AlreadyWithdrawn,
    Claim,
    ClaimEvent,
    ClaimState,
    NoSuchClaim,
    Registration,
    Review,
    ReviewState,
)
from entrenous.model.ids import ClaimId
from entrenous.ports import BankStore, Platform
from entrenous.stop.register import new_claim_id

DISPUTES_MAX: Final = 3  # as many reviewers who disagree suspend a claim


def next_review(platform: Platform) -> Review | None:
    """The upload that has waited longest; None when nothing waits."""
    return platform.reviews.next()


def confirm(case: str, platform: Platform) -> Review:
    """The upload is what the claims say: refuse it, and from now on its like without a person.

    Each claim that it fits is confirmed and gets the upload's own hash, so that the same cut-out is
    found as a whole next time. When the holder withdraws, that hash goes too.

    Raises:
        NoSuchReview, AlreadyDecided, BankUnreachable: nothing is changed.
    """
    return platform.reviews.close(case, ReviewState.CONFIRMED, _agree)


def release(case: str, platform: Platform) -> Review:
    """The upload is something else: let it through, and do not ask again about its like.

    A claim whose *whole* picture it fits was disputed; three disputes suspend it. A claim that it
    fits only in part is not blamed. A confirmed claim stays confirmed.

    Raises:
        NoSuchReview, AlreadyDecided, BankUnreachable: nothing is changed.
    """

    def disagree(review: Review, bank: BankStore) -> None:
        for match in review.decision.matches:
            if not match.part:
                _dispute(match.claim, bank)
        if review.bits is not None and review.decision.matches:
            bank.register(_let_through(review.bits, platform))

    return platform.reviews.close(case, ReviewState.RELEASED, disagree)


def _agree(review: Review, bank: BankStore) -> None:
    for match in review.decision.matches:
        try:
            bank.move(match.claim, ClaimEvent.CONFIRM)
            if review.bits is not None:
                bank.extend(match.claim, review.bits)
        except (AlreadyWithdrawn, NoSuchClaim):
            continue  # withdrawn while the upload waited: the holder's word stands


def _dispute(claim: ClaimId, bank: BankStore) -> None:
    disputed = bank.dispute(claim)
    if disputed.state is ClaimState.WAITING and disputed.disputes >= DISPUTES_MAX:
        bank.move(claim, ClaimEvent.SUSPEND)


def _let_through(bits: bytes, platform: Platform) -> Registration:
    """An entry of the negative bank: the hash of an upload that a person let through."""
    claim = Claim(
        id=new_claim_id(platform),
        bank=RELEASED,
        state=ClaimState.CONFIRMED,
        kind="pdq",
        quality=100,
        made_at=platform.clock.now(),
    )
    return Registration(claim, (bits,))
