"""Tests of appeals against decisions, and of the effects of releases and confirmations."""

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
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload, screenshot_crop


def judge_upload_of_confirmed_picture(
    gate_setup: GateSetup, pixels: Any
) -> tuple[Decision, Secret]:
    claim = gate_setup.protect(pixels, parts=False).claim
    gate_setup.platform.bank.apply_event(claim, ClaimEvent.CONFIRM)
    return judge_with_secret(gate_setup, jpeg(pixels))


def judge_with_secret(gate_setup: GateSetup, upload: bytes) -> tuple[Decision, Secret]:
    decision = judge_upload(upload, gate_setup.platform)
    assert decision.secret is not None
    return decision, decision.secret


def test_appealed_refusal_is_reviewed_with_the_file(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    decision, secret = judge_upload_of_confirmed_picture(gate_setup, her_picture)
    assert decision.outcome is Outcome.REFUSE
    submit_appeal(decision.case, secret, jpeg(her_picture), gate_setup.platform)
    review = gate_setup.platform.reviews.next_waiting_upload()
    assert review is not None
    assert (review.case, review.found) == (decision.case, FoundBy.APPEAL)
    assert gate_setup.platform.reviews.upload_bytes(decision.case) == jpeg(her_picture)
    with pytest.raises(AlreadyAppealed):
        submit_appeal(decision.case, secret, None, gate_setup.platform)
    release_case(decision.case, gate_setup.platform)
    claim = gate_setup.platform.bank.claim(decision.matches[0].claim)
    assert (claim.state, claim.disputes) == (ClaimState.CONFIRMED, 1)


def test_only_the_sha256_of_a_refused_upload_is_kept(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    decision, secret = judge_upload_of_confirmed_picture(gate_setup, her_picture)
    stored = gate_setup.platform.reviews.review(decision.case)
    assert stored.bits is None
    with pytest.raises(NoSuchReview):
        gate_setup.platform.reviews.upload_bytes(decision.case)
    with pytest.raises(UploadFileDiffers):
        submit_appeal(decision.case, secret, jpeg(her_picture, 51), gate_setup.platform)
    submit_appeal(decision.case, secret, None, gate_setup.platform)


def test_appeal_with_a_wrong_secret_is_refused(gate_setup: GateSetup, her_picture: Any) -> None:
    decision, secret = judge_upload_of_confirmed_picture(gate_setup, her_picture)
    other = Secret(bytes(16))
    for case, given_secret in ((decision.case, other), ("0000-0000-0000", secret)):
        with pytest.raises(NoSuchReview):
            submit_appeal(case, given_secret, None, gate_setup.platform)
    assert gate_setup.platform.reviews.count_waiting_items() == 0


@pytest.mark.threat("probing-registered")
def test_appeal_does_not_reveal_whether_an_upload_is_held(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    gate_setup.protect(her_picture, parts=False)
    for pixels in (her_picture, other_picture):
        decision, secret = judge_with_secret(gate_setup, jpeg(pixels))
        before = gate_setup.platform.reviews.review(decision.case)
        submit_appeal(decision.case, secret, b"whatever it is", gate_setup.platform)
        with pytest.raises(AlreadyAppealed):
            submit_appeal(decision.case, secret, b"whatever it is", gate_setup.platform)
        assert gate_setup.platform.reviews.review(decision.case) == before


def test_upload_refused_by_a_reviewer_can_be_appealed(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture, parts=False)
    decision, secret = judge_with_secret(gate_setup, jpeg(her_picture))
    confirm_case(decision.case, gate_setup.platform)
    submit_appeal(decision.case, secret, jpeg(her_picture), gate_setup.platform)
    assert release_case(decision.case, gate_setup.platform).found is FoundBy.APPEAL
    assert gate_setup.platform.reviews.review(decision.case).state is ReviewState.RELEASED


@pytest.mark.slow
def test_upload_released_on_appeal_is_not_refused_again(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    """The clock is set back between the confirmation and the release; the release still counts."""
    claim = gate_setup.protect(her_picture, parts=False).claim
    confirm_case(judge_with_secret(gate_setup, jpeg(her_picture))[0].case, gate_setup.platform)
    decision, secret = judge_with_secret(gate_setup, jpeg(her_picture))
    assert decision.outcome is Outcome.REFUSE
    submit_appeal(decision.case, secret, jpeg(her_picture), gate_setup.platform)
    gate_setup.clock.advance(hours=-1)
    release_case(decision.case, gate_setup.platform)
    for quality in (50, 60):  # 50 makes the released file again, 60 a similar one
        assert (
            judge_with_secret(gate_setup, jpeg(her_picture, quality))[0].outcome
            is Outcome.LET_THROUGH
        )
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.CONFIRMED
    gate_setup.protect(other_picture, parts=False)
    assert judge_with_secret(gate_setup, jpeg(other_picture))[0].outcome is Outcome.HOLD


@pytest.mark.slow
def test_release_after_an_appeal_without_the_file_covers_that_file_only(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    decision, secret = judge_upload_of_confirmed_picture(gate_setup, her_picture)
    submit_appeal(decision.case, secret, None, gate_setup.platform)
    release_case(decision.case, gate_setup.platform)
    assert dry_run(jpeg(her_picture), gate_setup.platform).outcome is Outcome.LET_THROUGH
    assert judge_with_secret(gate_setup, jpeg(her_picture))[0].outcome is Outcome.LET_THROUGH
    assert run_next_deferred_scan(gate_setup.platform)
    assert gate_setup.platform.reviews.count_waiting_items() == 0
    assert judge_with_secret(gate_setup, jpeg(her_picture, 51))[0].outcome is Outcome.REFUSE


@pytest.mark.slow
def test_confirmation_after_a_release_prevails(gate_setup: GateSetup, her_picture: Any) -> None:
    gate_setup.protect(her_picture)
    release_case(judge_with_secret(gate_setup, jpeg(her_picture))[0].case, gate_setup.platform)
    assert judge_with_secret(gate_setup, jpeg(her_picture))[0].outcome is Outcome.LET_THROUGH
    gate_setup.clock.advance(minutes=1)
    gate_setup.protect(her_picture)  # because of this second claim, the upload is held again
    case = judge_with_secret(gate_setup, jpeg(her_picture))[0].case
    gate_setup.clock.advance(hours=-1)
    confirm_case(case, gate_setup.platform)
    assert judge_with_secret(gate_setup, jpeg(her_picture))[0].outcome is Outcome.REFUSE


@pytest.mark.slow
@pytest.mark.parametrize("show_picture", [jpeg, screenshot_crop])
def test_confirmation_of_a_second_appealed_upload_prevails_over_the_release_of_the_first(
    gate_setup: GateSetup, her_picture: Any, show_picture: Any
) -> None:
    """The claim was confirmed before the release; neither appealed upload's hash was stored."""
    platform = gate_setup.platform
    upload = show_picture(her_picture)
    same_picture = [upload + bytes(number) for number in (1, 2, 3)]  # bytes after the end differ
    gate_setup.protect(her_picture)
    confirm_case(judge_with_secret(gate_setup, upload)[0].case, platform)
    appealed = [judge_with_secret(gate_setup, file) for file in same_picture[:2]]
    for (decision, secret), file in zip(appealed, same_picture, strict=False):
        assert decision.outcome is Outcome.REFUSE
        submit_appeal(decision.case, secret, file, platform)
    first, second = (decision.case for decision, _ in appealed)
    release_case(first, platform)
    assert judge_with_secret(gate_setup, same_picture[2])[0].outcome is Outcome.LET_THROUGH
    gate_setup.clock.advance(minutes=1)
    confirm_case(second, platform)
    assert judge_with_secret(gate_setup, same_picture[2])[0].outcome is Outcome.REFUSE


def test_releasing_a_look_alike_does_not_release_the_picture(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    decision, _ = judge_upload_of_confirmed_picture(gate_setup, her_picture)
    bits = gate_setup.platform.bank.whole_picture_hashes_of(decision.matches[0].claim)[0]
    alike = bytes([bits[0] ^ 0xFF]) + bits[1:]  # 8 bits differ
    entry = Claim(
        ClaimId("r"), RELEASED_BANK, ClaimState.CONFIRMED, "pdq", 100, gate_setup.clock.now()
    )
    gate_setup.platform.bank.register(Registration(entry, (alike,)))
    assert judge_with_secret(gate_setup, jpeg(her_picture))[0].outcome is Outcome.REFUSE
