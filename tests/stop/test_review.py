"""Reviews: their order, and the effects of decisions on claims and on similar uploads."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from entrenous.base.picture import PictureDecodingFailed
from entrenous.stop.judge.dry_run import dry_run
from entrenous.stop.nouns import BankUnreachable, GateLimits
from entrenous.stop.platform import Platform
from entrenous.stop.protect import withdraw_protection
from entrenous.stop.registration import ClaimState
from entrenous.stop.review import confirm_case, next_review, release_case
from entrenous.stop.upload_record import AlreadyDecided, NoSuchReview, Outcome, Review
from tests.new_bank import fail_statements
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload, screenshot_crop


@pytest.mark.slow
def test_reviews_come_in_the_order_of_arrival(gate_setup: GateSetup, her_picture: Any) -> None:
    gate_setup.protect(her_picture)
    cases = [
        judge_upload(jpeg(her_picture, quality), gate_setup.platform).case for quality in (40, 50)
    ]
    for case in cases:
        review = next_review(gate_setup.platform)
        assert review is not None
        assert review.case == case
        assert gate_setup.platform.reviews.upload_bytes(case)
        confirm_case(case, gate_setup.platform)
    assert next_review(gate_setup.platform) is None


@pytest.mark.slow
def test_confirmed_uploads_and_cut_outs_are_refused_until_the_withdrawal(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    protection = gate_setup.protect(her_picture)
    confirm_case(
        judge_upload(screenshot_crop(her_picture), gate_setup.platform).case, gate_setup.platform
    )
    assert gate_setup.platform.bank.claim(protection.claim).state is ClaimState.WAITING
    assert judge_upload(screenshot_crop(her_picture), gate_setup.platform).outcome is Outcome.REFUSE
    whole = judge_upload(jpeg(her_picture), gate_setup.platform)
    assert whole.outcome is Outcome.HOLD  # the reviewer saw only a part of the picture
    confirm_case(whole.case, gate_setup.platform)
    assert gate_setup.platform.bank.claim(protection.claim).state is ClaimState.CONFIRMED
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.REFUSE
    withdraw_protection(protection, gate_setup.gate, gate_setup.device)
    assert (
        judge_upload(screenshot_crop(her_picture), gate_setup.platform).outcome
        is Outcome.LET_THROUGH
    )


@pytest.mark.slow
@pytest.mark.threat("claim-censors")
def test_released_picture_is_not_reviewed_again(gate_setup: GateSetup, her_picture: Any) -> None:
    gate_setup.protect(her_picture)
    release_case(judge_upload(jpeg(her_picture), gate_setup.platform).case, gate_setup.platform)
    decision = judge_upload(jpeg(her_picture, 70), gate_setup.platform)
    assert decision.outcome is Outcome.LET_THROUGH
    assert gate_setup.platform.reviews.count_waiting_items() == 0


@pytest.mark.slow
def test_new_claim_after_a_release_holds_the_upload(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture)
    release_case(judge_upload(jpeg(her_picture), gate_setup.platform).case, gate_setup.platform)
    gate_setup.clock.advance(minutes=1)
    gate_setup.protect(her_picture)
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.HOLD


@pytest.mark.slow
@pytest.mark.threat("claim-censors")
def test_releasing_three_uploads_suspends_a_claim(gate_setup: GateSetup, her_picture: Any) -> None:
    claim = gate_setup.protect(her_picture).claim
    cases = [judge_upload(jpeg(her_picture), gate_setup.platform).case for _ in range(3)]
    for case in cases:
        assert gate_setup.platform.bank.claim(claim).state is ClaimState.WAITING
        release_case(case, gate_setup.platform)
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.SUSPENDED


@pytest.mark.slow
def test_releasing_a_cut_out_disputes_no_claim(gate_setup: GateSetup, her_picture: Any) -> None:
    claim = gate_setup.protect(her_picture).claim
    release_case(
        judge_upload(screenshot_crop(her_picture), gate_setup.platform).case, gate_setup.platform
    )
    assert gate_setup.platform.bank.claim(claim).disputes == 0
    assert (
        judge_upload(screenshot_crop(her_picture), gate_setup.platform).outcome
        is Outcome.LET_THROUGH
    )
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.HOLD


@pytest.mark.slow
@pytest.mark.parametrize("look_back_days", [0, 30])
def test_upload_is_decided_once_and_then_its_bytes_are_deleted(
    her_picture: Any, look_back_days: int
) -> None:
    """If earlier uploads are compared with new claims, a released upload's hashes and reference
    stay.
    """
    gate_setup = GateSetup(limits=GateLimits(look_back_days=look_back_days))
    gate_setup.protect(her_picture)
    case = judge_upload(jpeg(her_picture), gate_setup.platform, "post 1").case
    release_case(case, gate_setup.platform)
    with pytest.raises(AlreadyDecided):
        confirm_case(case, gate_setup.platform)
    with pytest.raises(NoSuchReview):
        gate_setup.platform.reviews.upload_bytes(case)
    kept = gate_setup.platform.reviews.review(case)
    assert (kept.bits is None, kept.upload_sha256 is None) == (
        look_back_days == 0,
        look_back_days == 0,
    )
    assert kept.reference == ("" if look_back_days == 0 else "post 1")


@pytest.mark.slow
def test_a_claim_withdrawn_while_its_upload_waited_stays_withdrawn(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    protection = gate_setup.protect(her_picture)
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    withdraw_protection(protection, gate_setup.gate, gate_setup.device)
    confirm_case(case, gate_setup.platform)
    assert gate_setup.platform.bank.claim(protection.claim).state is ClaimState.WITHDRAWN
    assert gate_setup.platform.bank.count_claims_and_hashes().hashes == 0


@pytest.mark.parametrize("kept_share", [0.35, 0.9])
def test_unreadable_file_passes_after_its_release(
    gate_setup: GateSetup, her_picture: Any, kept_share: float
) -> None:
    whole = jpeg(her_picture)
    cut = whole[: int(len(whole) * kept_share)]
    case = judge_upload(cut, gate_setup.platform).case
    release_case(case, gate_setup.platform)
    assert judge_upload(cut, gate_setup.platform).outcome is Outcome.LET_THROUGH
    assert dry_run(cut, gate_setup.platform).outcome is Outcome.LET_THROUGH
    # A file that is one byte shorter than the released file does not pass.
    assert judge_upload(cut[:-1], gate_setup.platform).outcome is Outcome.HOLD


@pytest.mark.slow
def test_released_unreadable_file_is_compared_once_it_is_readable(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    upload = jpeg(her_picture)
    release_case(
        judge_upload(upload, platform_with_failing_decoder(gate_setup)).case,
        platform_with_failing_decoder(gate_setup),
    )
    assert (
        judge_upload(upload, platform_with_failing_decoder(gate_setup)).outcome
        is Outcome.LET_THROUGH
    )
    gate_setup.protect(her_picture)
    decision = judge_upload(upload, gate_setup.platform)
    assert decision.outcome is Outcome.HOLD
    confirm_case(decision.case, gate_setup.platform)
    assert judge_upload(upload, gate_setup.platform).outcome is Outcome.REFUSE


def platform_with_failing_decoder(gate_setup: GateSetup) -> Platform:
    """Return the platform with a picture decoder that always fails."""

    def fail_to_decode(*_: object, **__: object) -> Any:
        raise PictureDecodingFailed

    return replace(gate_setup.platform, read_picture=fail_to_decode, read_luma=fail_to_decode)


@pytest.mark.slow
@pytest.mark.parametrize("decide", [confirm_case, release_case])
def test_claim_is_unchanged_by_a_decision_that_the_database_refuses(
    her_picture: Any, decide: Callable[[str, Platform], Review]
) -> None:
    gate_setup = GateSetup()
    claim = gate_setup.protect(her_picture).claim
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    before = gate_setup.platform.bank.claim(claim)
    with fail_statements(gate_setup.bank, "INSERT INTO claim_hash"), pytest.raises(BankUnreachable):
        decide(case, gate_setup.platform)
    assert gate_setup.platform.bank.claim(claim) == before
    decide(case, gate_setup.platform)
    assert gate_setup.platform.bank.claim(claim) != before
    assert gate_setup.platform.bank.claim(claim).disputes == (decide is release_case)
