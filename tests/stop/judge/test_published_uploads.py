"""Uploads that a platform published against the gate's decision.

The platform's connector (the hook) cannot hold uploads, or the hook or the gate is in shadow mode,
in which decisions are only recorded. Such uploads are listed for review, and for removal once a
reviewer confirms them.
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
from tests.stop.judge.test_deferred_views import place_on_page
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload, screenshot_crop


def states_of_listed_uploads(gate_setup: GateSetup) -> dict[str, ReviewState]:
    """Return the review state of each upload that is listed as published, by case number."""
    return {
        one.case: one.state
        for one in gate_setup.platform.reviews.published_to_review_or_remove("", 99)
    }


def judge_for_shadow_hook(gate_setup: GateSetup, data: bytes, reference: str = "") -> Decision:
    """Judge an upload that a hook in shadow mode publishes whatever the decision is."""
    return judge_upload(data, gate_setup.platform, reference, PublishedAnyway.ALL)


def stored_review(gate_setup: GateSetup, case: str) -> Review:
    return gate_setup.platform.reviews.review(case)


@pytest.mark.slow
@pytest.mark.threat("shadow-acts")
@pytest.mark.parametrize("publishes", [PublishedAnyway.HELD, PublishedAnyway.ALL])
def test_published_match_is_listed_until_the_listing_period_ends(
    gate_setup: GateSetup, her_picture: Any, publishes: PublishedAnyway
) -> None:
    gate_setup.protect(her_picture)
    decision = judge_upload(jpeg(her_picture), gate_setup.platform, "post 17", publishes)
    assert (decision.outcome, decision.listed) == (Outcome.HOLD, True)
    assert states_of_listed_uploads(gate_setup) == {decision.case: ReviewState.WAITING}
    waits = stored_review(gate_setup, decision.case)
    assert (waits.found, waits.reference, waits.has_bytes) == (FoundBy.PUBLISHED, "post 17", True)
    assert next_review(gate_setup.platform) == waits
    confirm_case(decision.case, gate_setup.platform)
    assert states_of_listed_uploads(gate_setup) == {decision.case: ReviewState.CONFIRMED}
    confirmed = stored_review(gate_setup, decision.case)
    assert (confirmed.reference, confirmed.bits) == ("post 17", None)
    gate_setup.clock.moment += PUBLISHED_LISTING_PERIOD
    delete_expired_upload_data(gate_setup.platform)
    assert (
        states_of_listed_uploads(gate_setup),
        stored_review(gate_setup, decision.case).reference,
    ) == (
        {},
        "",
    )


@pytest.mark.slow
@pytest.mark.threat("shadow-acts")
def test_refused_upload_that_a_shadow_hook_publishes_is_listed(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture)
    confirm_case(judge_upload(jpeg(her_picture), gate_setup.platform).case, gate_setup.platform)
    decision = judge_for_shadow_hook(gate_setup, jpeg(her_picture), "post 18")
    assert (decision.outcome, decision.listed) == (Outcome.REFUSE, True)
    assert states_of_listed_uploads(gate_setup) == {decision.case: ReviewState.WAITING}
    # By default, ``judge_upload`` assumes that the hook enforces every decision.
    enforced = judge_upload(jpeg(her_picture), gate_setup.platform)
    assert (enforced.outcome, enforced.listed) == (Outcome.REFUSE, False)
    confirm_case(decision.case, gate_setup.platform)
    assert states_of_listed_uploads(gate_setup) == {decision.case: ReviewState.CONFIRMED}


@pytest.mark.slow
@pytest.mark.threat("shadow-acts")
def test_upload_published_before_its_claim_is_listed_once_the_claim_is_confirmed(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    """The upload is published first; later its picture is registered, and the claim confirmed."""
    first = judge_for_shadow_hook(gate_setup, jpeg(her_picture), "post 17")
    assert (first.outcome, first.listed, states_of_listed_uploads(gate_setup)) == (
        Outcome.LET_THROUGH,
        False,
        {},
    )
    gate_setup.protect(her_picture)
    held = judge_upload(jpeg(her_picture, 60), gate_setup.platform)
    confirm_case(held.case, gate_setup.platform)
    while look_back_for_due_claims(gate_setup.platform):
        pass
    assert states_of_listed_uploads(gate_setup) == {first.case: ReviewState.WAITING}
    assert stored_review(gate_setup, first.case).reference == "post 17"


@pytest.mark.slow
def test_only_uploads_published_against_the_decision_are_listed(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    gate_setup.protect(her_picture)
    held = judge_upload(jpeg(her_picture), gate_setup.platform)
    unreadable = judge_upload(
        jpeg(other_picture)[:9000], gate_setup.platform, publishes=PublishedAnyway.HELD
    )
    fine = judge_upload(jpeg(other_picture), gate_setup.platform, publishes=PublishedAnyway.HELD)
    assert [one.outcome for one in (held, unreadable, fine)] == [
        Outcome.HOLD,
        Outcome.HOLD,
        Outcome.LET_THROUGH,
    ]
    assert not any(one.listed for one in (held, unreadable, fine))
    confirm_case(held.case, gate_setup.platform)
    refused = judge_upload(jpeg(her_picture), gate_setup.platform, publishes=PublishedAnyway.HELD)
    assert (refused.outcome, refused.listed, states_of_listed_uploads(gate_setup)) == (
        Outcome.REFUSE,
        False,
        {},
    )
    broken = judge_for_shadow_hook(gate_setup, jpeg(her_picture)[:9000])
    assert broken.listed
    assert states_of_listed_uploads(gate_setup) == {broken.case: ReviewState.WAITING}


@pytest.mark.slow
def test_released_upload_is_delisted_and_not_held_again(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture)
    case = judge_upload(jpeg(her_picture), gate_setup.platform, publishes=PublishedAnyway.HELD).case
    release_case(case, gate_setup.platform)
    assert (states_of_listed_uploads(gate_setup), stored_review(gate_setup, case).state) == (
        {},
        ReviewState.RELEASED,
    )
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.LET_THROUGH


@pytest.mark.slow
def test_withdrawal_delists_an_upload_and_a_later_claim_lists_it_again(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    protection = gate_setup.protect(her_picture)
    case = judge_upload(
        jpeg(her_picture), gate_setup.platform, "post 17", PublishedAnyway.HELD
    ).case
    withdraw_claim(protection.claim, protection.token, gate_setup.platform)
    closed = stored_review(gate_setup, case)
    assert (states_of_listed_uploads(gate_setup), closed.state) == ({}, ReviewState.CLOSED)
    assert (closed.decision.outcome, closed.has_bytes) == (Outcome.LET_THROUGH, False)
    gate_setup.protect(her_picture)
    while look_back_for_due_claims(gate_setup.platform):
        pass
    assert states_of_listed_uploads(gate_setup) == {case: ReviewState.WAITING}
    assert stored_review(gate_setup, case).found is FoundBy.LOOK_BACK


@pytest.mark.slow
@pytest.mark.threat("released-first")
def test_registered_screenshot_is_still_scanned_for_pictures_in_it(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    """A deferred scan finds the picture in the screenshot. The match with the picture keeps the
    upload listed after the screenshot's own claim is withdrawn.
    """
    gate_setup.protect(her_picture, parts=False)
    page = place_on_page(her_picture)
    page_protection = gate_setup.protect(page, parts=False)
    case = judge_upload(jpeg(page), gate_setup.platform, "post 17", PublishedAnyway.HELD).case
    assert {match.claim for match in stored_review(gate_setup, case).decision.matches} == {
        page_protection.claim
    }
    assert run_next_deferred_scan(gate_setup.platform)
    assert len(stored_review(gate_setup, case).decision.matches) == 2
    # The scan does not delete the bytes, which the reviewer needs.
    assert gate_setup.platform.reviews.upload_bytes(case) == jpeg(page)
    withdraw_claim(page_protection.claim, page_protection.token, gate_setup.platform)
    assert states_of_listed_uploads(gate_setup) == {case: ReviewState.WAITING}


@pytest.mark.slow
def test_many_published_uploads_of_one_picture_are_one_review_item(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.platform = replace(gate_setup.platform, limits=GateLimits(held_per_hash=3))
    gate_setup.protect(her_picture)
    cases = [
        judge_upload(
            jpeg(her_picture, quality), gate_setup.platform, f"post {quality}", PublishedAnyway.HELD
        ).case
        for quality in range(60, 67)
    ]
    assert gate_setup.platform.reviews.count_waiting_items() == 1
    assert set(states_of_listed_uploads(gate_setup)) == set(cases)
    confirm_case(cases[0], gate_setup.platform)
    assert set(states_of_listed_uploads(gate_setup)) == set(cases)
    assert set(states_of_listed_uploads(gate_setup).values()) == {ReviewState.CONFIRMED}
    assert stored_review(gate_setup, cases[-1]).reference == "post 66"


@pytest.mark.slow
@pytest.mark.threat("shadow-acts")
def test_one_setting_puts_the_whole_gate_in_shadow_mode(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    """Even matches of confirmed claims, and uploads that cannot be decoded, are let through."""
    gate_setup.platform = replace(gate_setup.platform, limits=GateLimits(shadow=True))
    gate_setup.protect(her_picture)
    waiting = judge_upload(jpeg(her_picture), gate_setup.platform, "post 1")
    part = judge_upload(screenshot_crop(her_picture), gate_setup.platform, "post 2")
    unreadable = judge_upload(jpeg(her_picture)[:9000], gate_setup.platform, "post 3")
    fine = judge_upload(jpeg(other_picture), gate_setup.platform, "post 4")
    confirm_case(waiting.case, gate_setup.platform)
    confirmed = judge_upload(jpeg(her_picture), gate_setup.platform, "post 5")
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
    listed = {
        stored_review(gate_setup, case).reference: state
        for case, state in states_of_listed_uploads(gate_setup).items()
    }
    assert listed == {
        "post 1": ReviewState.CONFIRMED,
        "post 2": ReviewState.WAITING,
        "post 3": ReviewState.WAITING,
        "post 5": ReviewState.WAITING,
    }
    gate_setup.platform = replace(gate_setup.platform, limits=GateLimits())
    live = judge_upload(jpeg(her_picture), gate_setup.platform)
    assert (live.outcome, live.would, live.listed) == (Outcome.REFUSE, None, False)
