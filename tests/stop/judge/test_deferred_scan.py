"""Tests of the deferred scan: uploads held for review, and skipped or failed scans."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from entrenous.base.picture import Picture, PictureDecodingFailed
from entrenous.fingerprint.pdq import fingerprint
from entrenous.media.picture_reader import read_picture
from entrenous.stop.banks import PolicyChange, set_policy
from entrenous.stop.judge.decide import decide_upload, store_upload_bytes_if_needed
from entrenous.stop.judge.deferred_scan import run_next_deferred_scan, skip_overdue_deferred_scans
from entrenous.stop.judge.dry_run import dry_run
from entrenous.stop.judge.look_back import (
    clock_days_ahead,
    delete_expired_upload_data,
    record_clock,
)
from entrenous.stop.nouns import PEOPLE_BANK, GateLimits
from entrenous.stop.protect import withdraw_protection
from entrenous.stop.registration import ClaimState
from entrenous.stop.review import confirm_case, release_case
from entrenous.stop.store.review_queue import ReviewQueue
from entrenous.stop.upload_record import DueCounts, FoundBy, Outcome, ReviewState
from tests.stop.judge.test_decide import RecordingIndex
from tests.stop.judge.test_deferred_views import place_on_page
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload, png

pytestmark = pytest.mark.slow


def test_upload_found_by_the_deferred_scan_waits_with_its_bytes(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    protection = gate_setup.protect(her_picture, parts=False)
    page = jpeg(place_on_page(her_picture))
    decision = judge_upload(page, gate_setup.platform, "post 17")
    judge_upload(jpeg(other_picture), gate_setup.platform, "post 18")
    assert decision.outcome is Outcome.LET_THROUGH
    assert gate_setup.platform.reviews.count_due_work() == DueCounts(slow_looks=2, look_backs=1)
    assert [run_next_deferred_scan(gate_setup.platform) for _ in range(3)] == [True, True, False]
    (review,) = gate_setup.platform.reviews.published_to_review_or_remove("", 9)
    assert (review.case, review.found, review.reference) == (
        decision.case,
        FoundBy.SLOW_LOOK,
        "post 17",
    )
    (match,) = review.decision.matches
    assert (match.claim, match.how, match.part) == (protection.claim, "in a larger picture", True)
    assert review.bits == fingerprint(read_picture(page)).bits
    assert gate_setup.platform.reviews.upload_bytes(decision.case) == page
    assert gate_setup.platform.reviews.count_due_work() == DueCounts(look_backs=1)


@pytest.mark.parametrize("parts", [False, True])
def test_parts_are_scanned_only_if_the_bank_has_some(
    gate_setup: GateSetup, her_picture: Any, parts: Any
) -> None:
    gate_setup.protect(her_picture, parts=parts)
    index = RecordingIndex(gate_setup.platform.index)
    platform = replace(gate_setup.platform, index=index)
    page = jpeg(place_on_page(her_picture))
    judge_upload(page, gate_setup.platform)
    assert run_next_deferred_scan(platform)
    assert (True in index.searched_parts) is parts
    index.searched_parts.clear()
    assert dry_run(page, platform, deep=True).outcome is Outcome.HOLD
    assert (True in index.searched_parts) is parts


def judge_and_scan(gate_setup: GateSetup, pixels: Any) -> str:
    case = judge_upload(jpeg(place_on_page(pixels)), gate_setup.platform).case
    assert run_next_deferred_scan(gate_setup.platform)
    return case


def test_upload_confirmed_after_the_deferred_scan_is_held_before_publication(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    """The upload is a page that shows the registered picture. Another version of the page may show
    a different picture, so the gate holds every upload of the page for review.
    """
    protection = gate_setup.protect(her_picture, parts=False)
    confirm_case(judge_and_scan(gate_setup, her_picture), gate_setup.platform)
    assert gate_setup.platform.bank.claim(protection.claim).state is ClaimState.WAITING
    held = judge_upload(jpeg(place_on_page(her_picture)), gate_setup.platform)
    assert held.outcome is Outcome.HOLD
    confirm_case(judge_upload(jpeg(her_picture), gate_setup.platform).case, gate_setup.platform)
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.REFUSE
    assert (
        judge_upload(jpeg(place_on_page(her_picture)), gate_setup.platform).outcome is Outcome.HOLD
    )


def test_upload_released_after_the_deferred_scan_is_not_held_again(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    protection = gate_setup.protect(her_picture, parts=False)
    release_case(judge_and_scan(gate_setup, her_picture), gate_setup.platform)
    # The claim matched only as a part, so the release does not dispute it.
    assert gate_setup.platform.bank.claim(protection.claim).disputes == 0
    judge_and_scan(gate_setup, her_picture)
    assert gate_setup.platform.reviews.count_waiting_items() == 0
    gate_setup.clock.advance(minutes=1)
    gate_setup.protect(her_picture, parts=False)
    judge_and_scan(gate_setup, her_picture)
    assert gate_setup.platform.reviews.count_waiting_items() == 1


@pytest.mark.threat("withdrawal-ignored")
def test_withdrawal_closes_a_deferred_match(gate_setup: GateSetup, her_picture: Any) -> None:
    protection = gate_setup.protect(her_picture, parts=False)
    case = judge_and_scan(gate_setup, her_picture)
    withdraw_protection(protection, gate_setup.gate, gate_setup.device)
    assert gate_setup.platform.reviews.count_waiting_items() == 0
    assert gate_setup.platform.reviews.review(case).state is ReviewState.CLOSED


@pytest.mark.parametrize("change", [{"shadow": True}, {"on_claimed": Outcome.LET_THROUGH}])
def test_deferred_scan_holds_nothing_for_a_shadow_or_permissive_bank(
    gate_setup: GateSetup, her_picture: Any, change: Any
) -> None:
    gate_setup.protect(her_picture, parts=False)
    set_policy(PEOPLE_BANK, PolicyChange(**change), gate_setup.platform)
    judge_and_scan(gate_setup, her_picture)
    assert gate_setup.platform.reviews.count_waiting_items() == 0
    assert gate_setup.platform.reviews.count_due_work().slow_looks == 0


def test_deferred_scan_finds_a_claim_made_after_the_answer(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    protection = gate_setup.protect(her_picture, parts=False)
    assert run_next_deferred_scan(gate_setup.platform)
    (match,) = gate_setup.platform.reviews.review(case).decision.matches
    assert (match.claim, match.how, match.part) == (protection.claim, "as it is", False)


def test_deferred_scan_gathers_a_flood_into_one_item(her_picture: Any) -> None:
    gate_setup = GateSetup(limits=GateLimits(held_per_hash=2))
    gate_setup.protect(her_picture, parts=False)
    for _ in range(4):
        judge_and_scan(gate_setup, her_picture)
    assert gate_setup.platform.reviews.count_waiting_items() == 1
    assert len(gate_setup.platform.reviews.published_to_review_or_remove("", 9)) == 4


def test_only_accepted_uploads_get_a_deferred_scan(gate_setup: GateSetup, her_picture: Any) -> None:
    gate_setup.protect(her_picture, parts=False)
    # The gate holds the first upload because it matches, and the second because it is truncated.
    for data in (jpeg(her_picture), jpeg(her_picture)[:400]):
        assert judge_upload(data, gate_setup.platform).outcome is Outcome.HOLD
    assert not run_next_deferred_scan(gate_setup.platform)
    assert gate_setup.platform.reviews.count_due_work().slow_looks == 0


def test_deferred_scans_can_be_turned_off(her_picture: Any) -> None:
    gate_setup = GateSetup(limits=GateLimits(slow_looks=0))
    judge_upload(jpeg(her_picture), gate_setup.platform)
    gate_setup.clock.advance(hours=1)
    assert not run_next_deferred_scan(gate_setup.platform)
    assert skip_overdue_deferred_scans(gate_setup.platform) == 0
    assert gate_setup.platform.reviews.count_due_work() == DueCounts()


def test_scans_beyond_the_limit_or_without_bytes_are_skipped_and_counted(her_picture: Any) -> None:
    gate_setup = GateSetup(limits=GateLimits(slow_looks=1))
    first = decide_upload(jpeg(her_picture), gate_setup.platform)
    store_upload_bytes_if_needed(first, jpeg(her_picture), gate_setup.platform)
    second = decide_upload(jpeg(her_picture), gate_setup.platform)
    # The limit is one waiting scan, so the scan of the second upload is skipped.
    store_upload_bytes_if_needed(second, jpeg(her_picture), gate_setup.platform)
    decide_upload(jpeg(her_picture), gate_setup.platform)  # the bytes of this upload are not stored
    assert skip_overdue_deferred_scans(gate_setup.platform) == 0
    gate_setup.clock.advance(seconds=61)
    assert skip_overdue_deferred_scans(gate_setup.platform) == 2
    assert gate_setup.platform.reviews.count_due_work() == DueCounts(1, 2)
    assert run_next_deferred_scan(gate_setup.platform)
    assert gate_setup.platform.reviews.count_due_work() == DueCounts(0, 2)


def test_deferred_scan_is_tried_three_times_if_decoding_fails(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    def fail_to_decode(_data: bytes) -> Picture:
        raise PictureDecodingFailed

    judge_upload(jpeg(her_picture), gate_setup.platform)
    failing = replace(gate_setup.platform, read_picture=fail_to_decode)
    for _ in range(3):
        with pytest.raises(PictureDecodingFailed):
            run_next_deferred_scan(failing)
        assert not run_next_deferred_scan(failing)
        gate_setup.clock.advance(minutes=2)
    assert not run_next_deferred_scan(failing)
    assert skip_overdue_deferred_scans(gate_setup.platform) == 1


def test_hash_is_stored_after_the_deferred_scan_finds_a_match(her_picture: Any) -> None:
    gate_setup = GateSetup(limits=GateLimits(look_back_days=0))
    gate_setup.protect(her_picture, parts=False)
    case = judge_upload(jpeg(place_on_page(her_picture)), gate_setup.platform, "post 17").case
    delete_expired_upload_data(gate_setup.platform)
    before = gate_setup.platform.reviews.review(case)
    assert (before.bits, before.upload_sha256, before.reference) == (None, None, "post 17")
    assert run_next_deferred_scan(gate_setup.platform)
    after = gate_setup.platform.reviews.review(case)
    assert after.bits is not None
    assert after.upload_sha256 is not None
    confirm_case(case, gate_setup.platform)
    assert (
        judge_upload(jpeg(place_on_page(her_picture)), gate_setup.platform).outcome is Outcome.HOLD
    )


def test_one_row_without_bytes_is_written_before_every_answer(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate_setup.protect(her_picture, parts=False)
    written = list[bytes | None]()
    record = ReviewQueue.record_upload

    def note_and_record(self: ReviewQueue, review: Any, data: bytes | None) -> None:
        written.append(data)
        record(self, review, data)

    monkeypatch.setattr(ReviewQueue, "record_upload", note_and_record)
    for pixels in (her_picture, other_picture, np.zeros((300, 300, 3), np.uint8)):
        decide_upload(png(pixels), gate_setup.platform)
    assert written == [None] * 3
    assert gate_setup.platform.reviews.count_due_work().slow_looks == 0


def test_no_scan_is_skipped_while_the_clock_is_ahead(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture, parts=False)
    judge_upload(jpeg(place_on_page(her_picture)), gate_setup.platform)
    record_clock(gate_setup.platform)
    gate_setup.clock.advance(days=400)
    record_clock(gate_setup.platform)
    assert clock_days_ahead(gate_setup.platform) == 400
    assert skip_overdue_deferred_scans(gate_setup.platform) == 0
    gate_setup.clock.advance(days=-400)
    assert run_next_deferred_scan(gate_setup.platform)
