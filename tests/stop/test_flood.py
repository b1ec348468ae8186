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
def test_flood_is_one_review_item_and_released_together(room: Room, her_picture: Any) -> None:
    claim = room.protect(her_picture, parts=False).claim
    decisions = [
        judge_upload(jpeg(her_picture, quality), room.platform) for quality in range(40, 47)
    ]
    assert {decision.outcome for decision in decisions} == {Outcome.HOLD}
    assert room.platform.reviews.count_waiting_items() == 1
    released = release_case(decisions[0].case, room.platform)
    assert set(released.also) == {decision.case for decision in decisions[1:]}
    for decision in decisions:
        assert room.platform.reviews.review(decision.case).state is ReviewState.RELEASED
    assert room.platform.bank.claim(claim).disputes == 1  # one review is one dispute
    assert room.platform.bank.bank(RELEASED_BANK)
    assert judge_upload(jpeg(her_picture, 50), room.platform).outcome is Outcome.LET_THROUGH


@pytest.mark.slow
def test_confirming_one_upload_of_a_flood_confirms_all(room: Room, her_picture: Any) -> None:
    room.protect(her_picture, parts=False)
    cases = [
        judge_upload(jpeg(her_picture, quality), room.platform).case for quality in range(40, 47)
    ]
    confirm_case(cases[0], room.platform)
    for case in cases:
        assert room.platform.reviews.review(case).state is ReviewState.CONFIRMED


@pytest.mark.slow
def test_a_flood_of_one_picture_does_not_hide_another(
    room: Room, her_picture: Any, other_picture: Any
) -> None:
    for pixels in (her_picture, other_picture):
        room.protect(pixels, parts=False)
    for quality in range(40, 47):
        judge_upload(jpeg(her_picture, quality), room.platform)
    case = judge_upload(jpeg(other_picture), room.platform).case
    assert room.platform.reviews.count_waiting_items() == 2
    assert room.platform.reviews.upload_bytes(case) == jpeg(other_picture)


@pytest.mark.slow
def test_many_claims_on_one_picture_make_one_flood(room: Room, her_picture: Any) -> None:
    for _ in range(3):
        room.protect(her_picture, parts=False)
    for quality in range(40, 47):
        judge_upload(jpeg(her_picture, quality), room.platform)
    assert room.platform.reviews.count_waiting_items() == 1


@pytest.mark.slow
def test_cut_outs_and_unreadable_uploads_are_held_too(room: Room, her_picture: Any) -> None:
    room.protect(her_picture, parts=True)
    for _ in range(2):
        assert judge_upload(screenshot_crop(her_picture), room.platform).outcome is Outcome.HOLD
        assert judge_upload(jpeg(her_picture)[:9000], room.platform).outcome is Outcome.HOLD
    assert room.platform.reviews.count_waiting_items() == 3  # the same unreadable file is one item
