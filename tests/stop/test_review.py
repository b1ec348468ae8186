"""Reviews: confirming refuses similar uploads, releasing lets them through."""

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
from tests.new_bank import busy_at
from tests.stop.platform_for_tests import Room, jpeg, judge_upload, screenshot_crop


@pytest.mark.slow
def test_reviews_come_in_the_order_of_arrival(room: Room, her_picture: Any) -> None:
    room.protect(her_picture)
    cases = [judge_upload(jpeg(her_picture, quality), room.platform).case for quality in (40, 50)]
    for case in cases:
        review = next_review(room.platform)
        assert review is not None
        assert review.case == case
        assert room.platform.reviews.upload_bytes(case)
        confirm_case(case, room.platform)
    assert next_review(room.platform) is None


@pytest.mark.slow
def test_confirming_refuses_the_next_upload_or_cut_out(room: Room, her_picture: Any) -> None:
    protection = room.protect(her_picture)
    confirm_case(judge_upload(screenshot_crop(her_picture), room.platform).case, room.platform)
    assert room.platform.bank.claim(protection.claim).state is ClaimState.WAITING
    assert judge_upload(screenshot_crop(her_picture), room.platform).outcome is Outcome.REFUSE
    whole = judge_upload(jpeg(her_picture), room.platform)
    assert whole.outcome is Outcome.HOLD  # the rest of the picture was not reviewed
    confirm_case(whole.case, room.platform)
    assert room.platform.bank.claim(protection.claim).state is ClaimState.CONFIRMED
    assert judge_upload(jpeg(her_picture), room.platform).outcome is Outcome.REFUSE
    withdraw_protection(protection, room.gate, room.device)
    assert judge_upload(screenshot_crop(her_picture), room.platform).outcome is Outcome.LET_THROUGH


@pytest.mark.slow
@pytest.mark.threat("claim-censors")
def test_a_released_picture_is_not_asked_about_again(room: Room, her_picture: Any) -> None:
    room.protect(her_picture)
    release_case(judge_upload(jpeg(her_picture), room.platform).case, room.platform)
    decision = judge_upload(jpeg(her_picture, 70), room.platform)
    assert decision.outcome is Outcome.LET_THROUGH
    assert room.platform.reviews.count_waiting_items() == 0


@pytest.mark.slow
def test_new_claim_after_a_release_holds_the_upload(room: Room, her_picture: Any) -> None:
    room.protect(her_picture)
    release_case(judge_upload(jpeg(her_picture), room.platform).case, room.platform)
    room.clock.advance(minutes=1)
    room.protect(her_picture)
    assert judge_upload(jpeg(her_picture), room.platform).outcome is Outcome.HOLD


@pytest.mark.slow
@pytest.mark.threat("claim-censors")
def test_three_disputes_suspend_a_claim(room: Room, her_picture: Any) -> None:
    claim = room.protect(her_picture).claim
    cases = [judge_upload(jpeg(her_picture), room.platform).case for _ in range(3)]
    for case in cases:
        assert room.platform.bank.claim(claim).state is ClaimState.WAITING
        release_case(case, room.platform)
    assert room.platform.bank.claim(claim).state is ClaimState.SUSPENDED


@pytest.mark.slow
def test_releasing_a_cut_out_disputes_no_claim(room: Room, her_picture: Any) -> None:
    claim = room.protect(her_picture).claim
    release_case(judge_upload(screenshot_crop(her_picture), room.platform).case, room.platform)
    assert room.platform.bank.claim(claim).disputes == 0
    assert judge_upload(screenshot_crop(her_picture), room.platform).outcome is Outcome.LET_THROUGH
    assert judge_upload(jpeg(her_picture), room.platform).outcome is Outcome.HOLD


@pytest.mark.slow
@pytest.mark.parametrize("days", [0, 30])
def test_upload_is_decided_once_and_its_bytes_are_deleted(her_picture: Any, days: int) -> None:
    """The data that look-backs need is kept for ``days`` days after the release."""
    room = Room(limits=GateLimits(look_back_days=days))
    room.protect(her_picture)
    case = judge_upload(jpeg(her_picture), room.platform, "post 1").case
    release_case(case, room.platform)
    with pytest.raises(AlreadyDecided):
        confirm_case(case, room.platform)
    with pytest.raises(NoSuchReview):
        room.platform.reviews.upload_bytes(case)
    kept = room.platform.reviews.review(case)
    assert (kept.bits is None, kept.upload_sha256 is None) == (days == 0, days == 0)
    assert kept.reference == ("" if days == 0 else "post 1")


@pytest.mark.slow
def test_a_claim_withdrawn_while_its_upload_waited_stays_withdrawn(
    room: Room, her_picture: Any
) -> None:
    protection = room.protect(her_picture)
    case = judge_upload(jpeg(her_picture), room.platform).case
    withdraw_protection(protection, room.gate, room.device)
    confirm_case(case, room.platform)
    assert room.platform.bank.claim(protection.claim).state is ClaimState.WITHDRAWN
    assert room.platform.bank.count_claims_and_hashes().hashes == 0


@pytest.mark.parametrize("kept", [0.35, 0.9])
def test_unreadable_file_passes_after_its_release(
    room: Room, her_picture: Any, kept: float
) -> None:
    whole = jpeg(her_picture)
    cut = whole[: int(len(whole) * kept)]
    case = judge_upload(cut, room.platform).case
    release_case(case, room.platform)
    assert judge_upload(cut, room.platform).outcome is Outcome.LET_THROUGH
    assert dry_run(cut, room.platform).outcome is Outcome.LET_THROUGH
    assert judge_upload(cut[:-1], room.platform).outcome is Outcome.HOLD  # only those bytes pass


@pytest.mark.slow
def test_released_unreadable_file_is_compared_once_it_is_readable(
    room: Room, her_picture: Any
) -> None:
    upload = jpeg(her_picture)
    release_case(judge_upload(upload, with_failing_decoder(room)).case, with_failing_decoder(room))
    assert judge_upload(upload, with_failing_decoder(room)).outcome is Outcome.LET_THROUGH
    room.protect(her_picture)
    decision = judge_upload(upload, room.platform)
    assert decision.outcome is Outcome.HOLD
    confirm_case(decision.case, room.platform)
    assert judge_upload(upload, room.platform).outcome is Outcome.REFUSE


def with_failing_decoder(room: Room) -> Platform:
    """Return the gate with a decoder that fails on everything."""

    def fail(*_: object, **__: object) -> Any:
        raise PictureDecodingFailed

    return replace(room.platform, read_picture=fail, read_luma=fail)


@pytest.mark.slow
@pytest.mark.parametrize("decide", [confirm_case, release_case])
def test_upload_stays_undecided_if_the_database_is_busy(
    her_picture: Any, decide: Callable[[str, Platform], Review]
) -> None:
    room = Room()
    claim = room.protect(her_picture).claim
    case = judge_upload(jpeg(her_picture), room.platform).case
    before = room.platform.bank.claim(claim)
    with busy_at(room.bank, "INSERT INTO claim_hash"), pytest.raises(BankUnreachable):
        decide(case, room.platform)
    assert room.platform.bank.claim(claim) == before
    decide(case, room.platform)
    assert room.platform.bank.claim(claim) != before
    assert room.platform.bank.claim(claim).disputes <= 1
