"""Uploads that a platform published against the gate's decision.

Its hook cannot hold uploads, or the hook or the gate is in shadow. They are listed, and are to be
removed once a person confirms them.
"""

from dataclasses import replace
from typing import Any

import pytest

from entrenous.stop.judge.deferred_scan import run_next_deferred_scan
from entrenous.stop.judge.look_back import delete_expired_upload_data, look_back_for_due_claims
from entrenous.stop.nouns import GateLimits
from entrenous.stop.register import withdraw_claim
from entrenous.stop.review import confirm_case, next_review, release_case
from entrenous.stop.upload_record import (
    PUBLISHED_LISTING_PERIOD,
    Decision,
    FoundBy,
    Outcome,
    PublishedAnyway,
    Review,
    ReviewState,
)
from tests.stop.judge.test_deferred_views import on_a_page
from tests.stop.platform_for_tests import Room, jpeg, judge_upload, screenshot_crop


def listed_states(room: Room) -> dict[str, ReviewState]:
    """Return the platform's list: cases and their states."""
    return {
        one.case: one.state for one in room.platform.reviews.published_to_review_or_remove("", 99)
    }


def judge_in_shadow(room: Room, data: bytes, reference: str = "") -> Decision:
    """Judge an upload that a hook in shadow mode publishes in any case."""
    return judge_upload(data, room.platform, reference, PublishedAnyway.ALL)


def review_of(room: Room, case: str) -> Review:
    return room.platform.reviews.review(case)


@pytest.mark.slow
@pytest.mark.threat("shadow-acts")
@pytest.mark.parametrize("publishes", [PublishedAnyway.HELD, PublishedAnyway.ALL])
def test_published_match_is_listed_until_removed(
    room: Room, her_picture: Any, publishes: PublishedAnyway
) -> None:
    room.protect(her_picture)
    decision = judge_upload(jpeg(her_picture), room.platform, "post 17", publishes)
    assert (decision.outcome, decision.listed) == (Outcome.HOLD, True)
    assert listed_states(room) == {decision.case: ReviewState.WAITING}
    waits = review_of(room, decision.case)
    assert (waits.found, waits.reference, waits.has_bytes) == (FoundBy.PUBLISHED, "post 17", True)
    assert next_review(room.platform) == waits
    confirm_case(decision.case, room.platform)
    assert listed_states(room) == {decision.case: ReviewState.CONFIRMED}  # to be removed
    confirmed = review_of(room, decision.case)
    assert (confirmed.reference, confirmed.bits) == ("post 17", None)
    room.clock.moment += PUBLISHED_LISTING_PERIOD
    delete_expired_upload_data(room.platform)
    assert (listed_states(room), review_of(room, decision.case).reference) == ({}, "")


@pytest.mark.slow
@pytest.mark.threat("shadow-acts")
def test_a_hook_in_shadow_says_that_it_publishes_what_is_refused(
    room: Room, her_picture: Any
) -> None:
    room.protect(her_picture)
    confirm_case(judge_upload(jpeg(her_picture), room.platform).case, room.platform)
    decision = judge_in_shadow(room, jpeg(her_picture), "post 18")
    assert (decision.outcome, decision.listed) == (Outcome.REFUSE, True)
    assert listed_states(room) == {decision.case: ReviewState.WAITING}
    again = judge_upload(jpeg(her_picture), room.platform)
    assert (again.outcome, again.listed) == (Outcome.REFUSE, False)  # by a hook that enforces it
    confirm_case(decision.case, room.platform)
    assert listed_states(room) == {decision.case: ReviewState.CONFIRMED}


@pytest.mark.slow
@pytest.mark.threat("shadow-acts")
def test_upload_passed_in_shadow_is_listed_after_a_confirmation(
    room: Room, her_picture: Any
) -> None:
    """The claim and the confirmation of another upload both come later."""
    first = judge_in_shadow(room, jpeg(her_picture), "post 17")
    assert (first.outcome, first.listed, listed_states(room)) == (Outcome.LET_THROUGH, False, {})
    room.protect(her_picture)
    held = judge_upload(jpeg(her_picture, 60), room.platform)
    confirm_case(held.case, room.platform)
    while look_back_for_due_claims(room.platform):
        pass
    assert listed_states(room) == {first.case: ReviewState.WAITING}
    assert review_of(room, first.case).reference == "post 17"


@pytest.mark.slow
def test_only_published_uploads_are_listed(
    room: Room, her_picture: Any, other_picture: Any
) -> None:
    room.protect(her_picture)
    held = judge_upload(jpeg(her_picture), room.platform)
    unreadable = judge_upload(
        jpeg(other_picture)[:9000], room.platform, publishes=PublishedAnyway.HELD
    )
    fine = judge_upload(jpeg(other_picture), room.platform, publishes=PublishedAnyway.HELD)
    assert [one.outcome for one in (held, unreadable, fine)] == [
        Outcome.HOLD,
        Outcome.HOLD,
        Outcome.LET_THROUGH,
    ]
    assert not any(one.listed for one in (held, unreadable, fine))
    confirm_case(held.case, room.platform)
    refused = judge_upload(jpeg(her_picture), room.platform, publishes=PublishedAnyway.HELD)
    assert (refused.outcome, refused.listed, listed_states(room)) == (Outcome.REFUSE, False, {})
    broken = judge_in_shadow(room, jpeg(her_picture)[:9000])
    assert broken.listed
    assert listed_states(room) == {broken.case: ReviewState.WAITING}


@pytest.mark.slow
def test_released_upload_is_delisted_and_not_held_again(room: Room, her_picture: Any) -> None:
    room.protect(her_picture)
    case = judge_upload(jpeg(her_picture), room.platform, publishes=PublishedAnyway.HELD).case
    release_case(case, room.platform)
    assert (listed_states(room), review_of(room, case).state) == ({}, ReviewState.RELEASED)
    assert judge_upload(jpeg(her_picture), room.platform).outcome is Outcome.LET_THROUGH


@pytest.mark.slow
def test_withdrawal_delists_an_upload_and_a_later_claim_finds_it(
    room: Room, her_picture: Any
) -> None:
    protection = room.protect(her_picture)
    case = judge_upload(jpeg(her_picture), room.platform, "post 17", PublishedAnyway.HELD).case
    withdraw_claim(protection.claim, protection.token, room.platform)
    closed = review_of(room, case)
    assert (listed_states(room), closed.state) == ({}, ReviewState.CLOSED)
    assert (closed.decision.outcome, closed.has_bytes) == (Outcome.LET_THROUGH, False)
    room.protect(her_picture)
    while look_back_for_due_claims(room.platform):
        pass
    assert listed_states(room) == {case: ReviewState.WAITING}
    assert review_of(room, case).found is FoundBy.LOOK_BACK


@pytest.mark.slow
@pytest.mark.threat("released-first")
def test_registered_page_is_still_scanned(room: Room, her_picture: Any) -> None:
    """Otherwise nobody would scan a page that its publisher registered and then withdrew."""
    room.protect(her_picture, parts=False)
    page = on_a_page(her_picture)
    his = room.protect(page, parts=False)
    case = judge_upload(jpeg(page), room.platform, "post 17", PublishedAnyway.HELD).case
    assert {match.claim for match in review_of(room, case).decision.matches} == {his.claim}
    assert run_next_deferred_scan(room.platform)
    assert len(review_of(room, case).decision.matches) == 2
    assert room.platform.reviews.upload_bytes(case) == jpeg(page)  # still stored for the reviewer
    withdraw_claim(his.claim, his.token, room.platform)
    assert listed_states(room) == {case: ReviewState.WAITING}


@pytest.mark.slow
def test_flood_of_published_uploads_is_one_item(room: Room, her_picture: Any) -> None:
    room.platform = replace(room.platform, limits=GateLimits(held_per_hash=3))
    room.protect(her_picture)
    cases = [
        judge_upload(
            jpeg(her_picture, quality), room.platform, f"post {quality}", PublishedAnyway.HELD
        ).case
        for quality in range(60, 67)
    ]
    assert room.platform.reviews.count_waiting_items() == 1
    assert set(listed_states(room)) == set(cases)
    confirm_case(cases[0], room.platform)
    assert set(listed_states(room)) == set(cases)
    assert set(listed_states(room).values()) == {ReviewState.CONFIRMED}
    assert review_of(room, cases[-1]).reference == "post 66"


@pytest.mark.slow
@pytest.mark.threat("shadow-acts")
def test_one_switch_has_the_whole_gate_in_shadow(
    room: Room, her_picture: Any, other_picture: Any
) -> None:
    """This covers claims, cut-outs, unreadable uploads, and confirmed claims."""
    room.platform = replace(room.platform, limits=GateLimits(shadow=True))
    room.protect(her_picture)
    waiting = judge_upload(jpeg(her_picture), room.platform, "post 1")
    part = judge_upload(screenshot_crop(her_picture), room.platform, "post 2")
    unreadable = judge_upload(jpeg(her_picture)[:9000], room.platform, "post 3")
    fine = judge_upload(jpeg(other_picture), room.platform, "post 4")
    confirm_case(waiting.case, room.platform)
    confirmed = judge_upload(jpeg(her_picture), room.platform, "post 5")
    every = (waiting, part, unreadable, fine, confirmed)
    assert {one.outcome for one in every} == {Outcome.LET_THROUGH}
    assert [one.would for one in every] == [
        Outcome.HOLD,
        Outcome.HOLD,
        Outcome.HOLD,
        None,
        Outcome.REFUSE,
    ]
    assert [one.listed for one in every] == [True, True, True, False, True]
    listed = {review_of(room, case).reference: state for case, state in listed_states(room).items()}
    assert listed == {
        "post 1": ReviewState.CONFIRMED,
        "post 2": ReviewState.WAITING,
        "post 3": ReviewState.WAITING,
        "post 5": ReviewState.WAITING,
    }
    room.platform = replace(room.platform, limits=GateLimits())
    live = judge_upload(jpeg(her_picture), room.platform)
    assert (live.outcome, live.would, live.listed) == (Outcome.REFUSE, None, False)
