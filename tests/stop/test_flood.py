"""Each upload in a flood of one picture is quarantined, and one review decides about all."""

from typing import Any

import pytest

from entrenous.stop.nouns import RELEASED_BANK, GateLimits
from entrenous.stop.review import confirm_case, release_case
from entrenous.stop.upload_record import Outcome, ReviewState
from tests.stop.platform_for_tests import Room, jpeg, judge_upload, screenshot_crop


@pytest.fixture
def room() -> Room:
    return Room(limits=GateLimits(held_per_hash=3))


@pytest.mark.slow
@pytest.mark.threat("uploads-flood")
def test_flood_is_one_review_item_and_released_together(room: Room, hers: Any) -> None:
    claim = room.protect(hers, parts=False).claim
    decisions = [judge_upload(jpeg(hers, quality), room.platform) for quality in range(40, 47)]
    assert {decision.outcome for decision in decisions} == {Outcome.HOLD}
    assert room.platform.reviews.count_waiting_items() == 1
    released = release_case(decisions[0].case, room.platform)
    assert set(released.also) == {decision.case for decision in decisions[1:]}
    for decision in decisions:
        assert room.platform.reviews.review(decision.case).state is ReviewState.RELEASED
    assert room.platform.bank.claim(claim).disputes == 1  # one review is one dispute
    assert room.platform.bank.bank(RELEASED_BANK)
    assert judge_upload(jpeg(hers, 50), room.platform).outcome is Outcome.LET_THROUGH


@pytest.mark.slow
def test_confirming_one_upload_of_a_flood_confirms_all(room: Room, hers: Any) -> None:
    room.protect(hers, parts=False)
    cases = [judge_upload(jpeg(hers, quality), room.platform).case for quality in range(40, 47)]
    confirm_case(cases[0], room.platform)
    for case in cases:
        assert room.platform.reviews.review(case).state is ReviewState.CONFIRMED


@pytest.mark.slow
def test_a_flood_of_one_picture_does_not_hide_another(room: Room, hers: Any, another: Any) -> None:
    for pixels in (hers, another):
        room.protect(pixels, parts=False)
    for quality in range(40, 47):
        judge_upload(jpeg(hers, quality), room.platform)
    case = judge_upload(jpeg(another), room.platform).case
    assert room.platform.reviews.count_waiting_items() == 2
    assert room.platform.reviews.upload_bytes(case) == jpeg(another)


@pytest.mark.slow
def test_many_claims_on_one_picture_make_one_flood(room: Room, hers: Any) -> None:
    for _ in range(3):
        room.protect(hers, parts=False)
    for quality in range(40, 47):
        judge_upload(jpeg(hers, quality), room.platform)
    assert room.platform.reviews.count_waiting_items() == 1


@pytest.mark.slow
def test_cut_outs_and_unreadable_uploads_are_held_too(room: Room, hers: Any) -> None:
    room.protect(hers, parts=True)
    for _ in range(2):
        assert judge_upload(screenshot_crop(hers), room.platform).outcome is Outcome.HOLD
        assert judge_upload(jpeg(hers)[:9000], room.platform).outcome is Outcome.HOLD
    assert room.platform.reviews.count_waiting_items() == 3  # the same unreadable file is one item
