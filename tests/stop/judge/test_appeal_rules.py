"""Appeals by an uploader, with the secret that came with the decision."""

from typing import Any

import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.base.secret import Secret
from entrenous.stop.judge.decide import submit_appeal
from entrenous.stop.judge.deferred_scan import run_next_deferred_scan
from entrenous.stop.judge.dry_run import dry_run
from entrenous.stop.nouns import RELEASED_BANK
from entrenous.stop.registration import Claim, ClaimEvent, ClaimState, Registration
from entrenous.stop.review import confirm_case, release_case
from entrenous.stop.upload_record import (
    AlreadyAppealed,
    Decision,
    FoundBy,
    NoSuchReview,
    Outcome,
    ReviewState,
    UploadFileDiffers,
)
from tests.stop.platform_for_tests import Room, jpeg, judge_upload


def judge_refused(room: Room, pixels: Any) -> tuple[Decision, Secret]:
    claim = room.protect(pixels, parts=False).claim
    room.platform.bank.apply_event(claim, ClaimEvent.CONFIRM)
    return judge(room, jpeg(pixels))


def judge(room: Room, data: bytes) -> tuple[Decision, Secret]:
    decision = judge_upload(data, room.platform)
    assert decision.secret is not None
    return decision, decision.secret


def test_appealed_refusal_is_reviewed_with_the_file(room: Room, her_picture: Any) -> None:
    decision, secret = judge_refused(room, her_picture)
    assert decision.outcome is Outcome.REFUSE
    submit_appeal(decision.case, secret, jpeg(her_picture), room.platform)
    review = room.platform.reviews.next_waiting_upload()
    assert review is not None
    assert (review.case, review.found) == (decision.case, FoundBy.APPEAL)
    assert room.platform.reviews.upload_bytes(decision.case) == jpeg(her_picture)
    with pytest.raises(AlreadyAppealed):
        submit_appeal(decision.case, secret, None, room.platform)
    release_case(decision.case, room.platform)
    claim = room.platform.bank.claim(decision.matches[0].claim)
    assert (claim.state, claim.disputes) == (ClaimState.CONFIRMED, 1)


def test_only_the_sha256_of_a_refused_upload_is_kept(room: Room, her_picture: Any) -> None:
    decision, secret = judge_refused(room, her_picture)
    stored = room.platform.reviews.review(decision.case)
    assert stored.bits is None
    with pytest.raises(NoSuchReview):
        room.platform.reviews.upload_bytes(decision.case)
    with pytest.raises(UploadFileDiffers):
        submit_appeal(decision.case, secret, jpeg(her_picture, 51), room.platform)
    submit_appeal(decision.case, secret, None, room.platform)


def test_appeal_with_a_wrong_secret_is_refused(room: Room, her_picture: Any) -> None:
    decision, secret = judge_refused(room, her_picture)
    other = Secret(bytes(16))
    for case, given_secret in ((decision.case, other), ("0000-0000-0000", secret)):
        with pytest.raises(NoSuchReview):
            submit_appeal(case, given_secret, None, room.platform)
    assert room.platform.reviews.count_waiting_items() == 0


@pytest.mark.threat("probing-registered")
def test_appeal_does_not_reveal_whether_an_upload_is_held(
    room: Room, her_picture: Any, other_picture: Any
) -> None:
    room.protect(her_picture, parts=False)
    for pixels in (her_picture, other_picture):
        decision, secret = judge(room, jpeg(pixels))
        before = room.platform.reviews.review(decision.case)
        submit_appeal(decision.case, secret, b"whatever it is", room.platform)
        with pytest.raises(AlreadyAppealed):
            submit_appeal(decision.case, secret, b"whatever it is", room.platform)
        assert room.platform.reviews.review(decision.case) == before


def test_upload_refused_by_a_reviewer_can_be_appealed(room: Room, her_picture: Any) -> None:
    room.protect(her_picture, parts=False)
    decision, secret = judge(room, jpeg(her_picture))
    confirm_case(decision.case, room.platform)
    submit_appeal(decision.case, secret, jpeg(her_picture), room.platform)
    assert release_case(decision.case, room.platform).found is FoundBy.APPEAL
    assert room.platform.reviews.review(decision.case).state is ReviewState.RELEASED


@pytest.mark.slow
def test_upload_released_on_appeal_is_not_refused_again(
    room: Room, her_picture: Any, other_picture: Any
) -> None:
    """The order of decisions counts, not the clock, which runs backwards here."""
    claim = room.protect(her_picture, parts=False).claim
    confirm_case(judge(room, jpeg(her_picture))[0].case, room.platform)
    decision, secret = judge(room, jpeg(her_picture))
    assert decision.outcome is Outcome.REFUSE
    submit_appeal(decision.case, secret, jpeg(her_picture), room.platform)
    room.clock.advance(hours=-1)
    release_case(decision.case, room.platform)
    for quality in (50, 60):  # and a similar upload
        assert judge(room, jpeg(her_picture, quality))[0].outcome is Outcome.LET_THROUGH
    assert room.platform.bank.claim(claim).state is ClaimState.CONFIRMED
    room.protect(other_picture, parts=False)
    assert judge(room, jpeg(other_picture))[0].outcome is Outcome.HOLD


@pytest.mark.slow
def test_release_after_an_appeal_without_the_file_covers_that_file_only(
    room: Room, her_picture: Any
) -> None:
    decision, secret = judge_refused(room, her_picture)
    submit_appeal(decision.case, secret, None, room.platform)
    release_case(decision.case, room.platform)
    assert dry_run(jpeg(her_picture), room.platform).outcome is Outcome.LET_THROUGH
    assert judge(room, jpeg(her_picture))[0].outcome is Outcome.LET_THROUGH
    assert run_next_deferred_scan(room.platform)
    assert room.platform.reviews.count_waiting_items() == 0
    assert judge(room, jpeg(her_picture, 51))[0].outcome is Outcome.REFUSE


@pytest.mark.slow
def test_confirmation_after_a_release_prevails(room: Room, her_picture: Any) -> None:
    room.protect(her_picture)
    release_case(judge(room, jpeg(her_picture))[0].case, room.platform)
    assert judge(room, jpeg(her_picture))[0].outcome is Outcome.LET_THROUGH
    room.clock.advance(minutes=1)
    room.protect(her_picture)  # another person's claim, so that the upload is held again
    case = judge(room, jpeg(her_picture))[0].case
    room.clock.advance(hours=-1)
    confirm_case(case, room.platform)
    assert judge(room, jpeg(her_picture))[0].outcome is Outcome.REFUSE


def test_releasing_a_look_alike_does_not_release_the_picture(room: Room, her_picture: Any) -> None:
    decision, _ = judge_refused(room, her_picture)
    bits = room.platform.bank.whole_picture_hashes_of(decision.matches[0].claim)[0]
    alike = bytes([bits[0] ^ 0xFF]) + bits[1:]  # 8 of its bits differ
    entry = Claim(ClaimId("r"), RELEASED_BANK, ClaimState.CONFIRMED, "pdq", 100, room.clock.now())
    room.platform.bank.register(Registration(entry, (alike,)))
    assert judge(room, jpeg(her_picture))[0].outcome is Outcome.REFUSE
