"""Floods: many uploads of one picture are quarantined and reviewed as one item."""

from typing import Any

import pytest

from entrenous.stop.nouns import RELEASED_BANK, GateLimits
from entrenous.stop.review import confirm_case, release_case
from entrenous.stop.upload_record import Outcome, ReviewState
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload, screenshot_crop


@pytest.fixture
def gate_setup() -> GateSetup:
    return GateSetup(limits=GateLimits(held_per_hash=3))


@pytest.mark.slow
@pytest.mark.threat("uploads-flood")
def test_flood_is_one_review_item_and_released_together(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    claim = gate_setup.protect(her_picture, parts=False).claim
    decisions = [
        judge_upload(jpeg(her_picture, quality), gate_setup.platform) for quality in range(40, 47)
    ]
    assert {decision.outcome for decision in decisions} == {Outcome.HOLD}
    assert gate_setup.platform.reviews.count_waiting_items() == 1
    released = release_case(decisions[0].case, gate_setup.platform)
    assert set(released.also) == {decision.case for decision in decisions[1:]}
    for decision in decisions:
        assert gate_setup.platform.reviews.review(decision.case).state is ReviewState.RELEASED
    # Releasing the whole flood counts as one dispute.
    assert gate_setup.platform.bank.claim(claim).disputes == 1
    assert gate_setup.platform.bank.bank(RELEASED_BANK)
    assert judge_upload(jpeg(her_picture, 50), gate_setup.platform).outcome is Outcome.LET_THROUGH


@pytest.mark.slow
def test_confirming_one_upload_of_a_flood_confirms_all(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture, parts=False)
    cases = [
        judge_upload(jpeg(her_picture, quality), gate_setup.platform).case
        for quality in range(40, 47)
    ]
    confirm_case(cases[0], gate_setup.platform)
    for case in cases:
        assert gate_setup.platform.reviews.review(case).state is ReviewState.CONFIRMED


@pytest.mark.slow
def test_a_flood_of_one_picture_does_not_hide_another(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    for pixels in (her_picture, other_picture):
        gate_setup.protect(pixels, parts=False)
    for quality in range(40, 47):
        judge_upload(jpeg(her_picture, quality), gate_setup.platform)
    case = judge_upload(jpeg(other_picture), gate_setup.platform).case
    assert gate_setup.platform.reviews.count_waiting_items() == 2
    assert gate_setup.platform.reviews.upload_bytes(case) == jpeg(other_picture)


@pytest.mark.slow
def test_many_claims_on_one_picture_make_one_flood(gate_setup: GateSetup, her_picture: Any) -> None:
    for _ in range(3):
        gate_setup.protect(her_picture, parts=False)
    for quality in range(40, 47):
        judge_upload(jpeg(her_picture, quality), gate_setup.platform)
    assert gate_setup.platform.reviews.count_waiting_items() == 1


@pytest.mark.slow
def test_repeated_crops_and_unreadable_uploads_are_held(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture, parts=True)
    for _ in range(2):
        assert (
            judge_upload(screenshot_crop(her_picture), gate_setup.platform).outcome is Outcome.HOLD
        )
        assert judge_upload(jpeg(her_picture)[:9000], gate_setup.platform).outcome is Outcome.HOLD
    # Two crops and one unreadable file.
    assert gate_setup.platform.reviews.count_waiting_items() == 3
