"""Look-backs hold uploads that were accepted before a matching claim; old hashes expire."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from entrenous.stop.banks import PolicyChange, set_policy
from entrenous.stop.judge.look_back import (
    LEASE_DURATION,
    clock_days_ahead,
    delete_expired_upload_data,
    look_back,
    look_back_for_due_claims,
    record_clock,
    schedule_look_backs,
)
from entrenous.stop.nouns import PEOPLE_BANK, Bank, GateLimits
from entrenous.stop.protect import (
    fingerprint_picture,
    register_fingerprints,
    withdraw_protection,
)
from entrenous.stop.registration import ClaimEvent, ClaimState, Consent
from entrenous.stop.review import confirm_case, release_case
from entrenous.stop.upload_record import PUBLISHED_LISTING_PERIOD, FoundBy, Outcome, ReviewState
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload, picture, png

pytestmark = pytest.mark.slow

EDITS = {
    "as it is": lambda pixels: jpeg(pixels, 30),
    "mirror": lambda pixels: jpeg(np.fliplr(pixels)),
    "turned 90": lambda pixels: jpeg(np.rot90(pixels)),
    "turned 180": lambda pixels: jpeg(np.rot90(pixels, 2)),
    "turned 270": lambda pixels: jpeg(np.rot90(pixels, 3)),
    "mirror, turned 90": lambda pixels: jpeg(np.fliplr(np.rot90(pixels))),
    "colours inverted": lambda pixels: png(255 - pixels),
    "mirror, colours inverted": lambda pixels: png(255 - np.fliplr(pixels)),
}


def protect_and_look_back(gate_setup: GateSetup, pixels: Any) -> Any:
    """Register a picture and make the look-back that follows the gate's answer."""
    protection = gate_setup.protect(pixels, parts=False)
    look_back([protection.claim], gate_setup.platform)
    return protection


@pytest.mark.parametrize("how", EDITS)
def test_an_upload_that_was_let_through_is_found_by_a_new_claim(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any, how: str
) -> None:
    case = judge_upload(EDITS[how](her_picture), gate_setup.platform, "post 17").case
    judge_upload(jpeg(other_picture), gate_setup.platform, "post 18")
    claim = protect_and_look_back(gate_setup, her_picture).claim
    review = gate_setup.platform.reviews.next_waiting_upload()
    assert review is not None
    assert (review.case, review.found, review.reference) == (case, FoundBy.LOOK_BACK, "post 17")
    (match,) = review.decision.matches
    assert (match.bank, match.claim) == (PEOPLE_BANK, claim)
    assert match.distance <= 31
    # After a turn by 90 or 270 degrees, two orientations may be equally near.
    if "turned" not in how or how == "turned 180":
        assert match.how == how
    assert gate_setup.platform.reviews.count_waiting_items() == 1


def test_confirming_a_look_back_confirms_the_claim_and_deletes_the_hash(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    case = judge_upload(jpeg(her_picture), gate_setup.platform, "post 17").case
    protect_and_look_back(gate_setup, her_picture)
    assert confirm_case(case, gate_setup.platform).reference == "post 17"
    stored = gate_setup.platform.reviews.review(case)
    assert (stored.state, stored.bits, stored.reference) == (ReviewState.CONFIRMED, None, "post 17")
    # The upload is listed for removal until this period ends.
    gate_setup.clock.moment += PUBLISHED_LISTING_PERIOD
    delete_expired_upload_data(gate_setup.platform)
    assert gate_setup.platform.reviews.review(case).reference == ""
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.REFUSE


def test_upload_released_after_a_look_back_is_not_held_again(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    claim = protect_and_look_back(gate_setup, her_picture).claim
    release_case(case, gate_setup.platform)
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.LET_THROUGH
    assert look_back([claim], gate_setup.platform) == 0


@pytest.mark.threat("released-first")
@pytest.mark.parametrize("found_by", ["late", "as it came"])
def test_claim_after_a_release_is_reviewed_again(
    gate_setup: GateSetup, her_picture: Any, found_by: str
) -> None:
    """A publisher must not keep a picture online by claiming it first and having it released."""
    if found_by == "late":
        case = judge_upload(jpeg(her_picture), gate_setup.platform, "post 17").case
        protect_and_look_back(gate_setup, her_picture)
    else:
        gate_setup.protect(her_picture, parts=False)
        case = judge_upload(jpeg(her_picture), gate_setup.platform, "post 17").case
    release_case(case, gate_setup.platform)
    gate_setup.clock.advance(days=1)
    second = protect_and_look_back(gate_setup, her_picture)
    review = gate_setup.platform.reviews.review(case)
    assert (review.state, review.found) == (ReviewState.WAITING, FoundBy.LOOK_BACK)
    assert ([one.claim for one in review.decision.matches], review.reference) == (
        [second.claim],
        "post 17",
    )
    withdraw_protection(second, gate_setup.gate, gate_setup.device)
    assert gate_setup.platform.reviews.count_waiting_items() == 0
    protect_and_look_back(gate_setup, her_picture)
    assert gate_setup.platform.reviews.count_waiting_items() == 1
    confirm_case(case, gate_setup.platform)
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.REFUSE


def test_hash_of_a_released_upload_expires(gate_setup: GateSetup, her_picture: Any) -> None:
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    protect_and_look_back(gate_setup, her_picture)
    release_case(case, gate_setup.platform)
    gate_setup.clock.advance(days=31)
    delete_expired_upload_data(gate_setup.platform)
    stored = gate_setup.platform.reviews.review(case)
    assert (stored.state, stored.bits, stored.upload_sha256) == (ReviewState.RELEASED, None, None)
    protect_and_look_back(gate_setup, her_picture)
    assert gate_setup.platform.reviews.count_waiting_items() == 0


@pytest.mark.threat("withdrawal-ignored")
def test_withdrawal_closes_a_look_back_match_and_the_next_claim_finds_it(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    case = judge_upload(jpeg(her_picture), gate_setup.platform, "post 17").case
    before = gate_setup.platform.reviews.review(case)
    withdraw_protection(
        protect_and_look_back(gate_setup, her_picture), gate_setup.gate, gate_setup.device
    )
    assert gate_setup.platform.reviews.count_waiting_items() == 0
    assert gate_setup.platform.reviews.review(case) == before
    protect_and_look_back(gate_setup, her_picture)
    assert gate_setup.platform.reviews.count_waiting_items() == 1


def test_hashes_of_accepted_uploads_expire(gate_setup: GateSetup, her_picture: Any) -> None:
    judge_upload(jpeg(her_picture), gate_setup.platform)
    gate_setup.clock.advance(days=29)
    delete_expired_upload_data(gate_setup.platform)
    assert len(gate_setup.platform.reviews.stored_picture_hashes(0, 9)) == 1
    gate_setup.clock.advance(days=2)
    delete_expired_upload_data(gate_setup.platform)
    assert gate_setup.platform.reviews.stored_picture_hashes(0, 9) == ()
    protect_and_look_back(gate_setup, her_picture)
    assert gate_setup.platform.reviews.count_waiting_items() == 0


def test_look_back_finds_nothing_if_no_hashes_are_kept(her_picture: Any) -> None:
    gate_setup = GateSetup(limits=GateLimits(look_back_days=0))
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    assert gate_setup.platform.reviews.review(case).bits is None
    protect_and_look_back(gate_setup, her_picture)
    assert gate_setup.platform.reviews.count_waiting_items() == 0


def test_look_back_skips_claims_of_shadow_or_permissive_banks(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    judge_upload(jpeg(her_picture), gate_setup.platform)
    set_policy(PEOPLE_BANK, PolicyChange(shadow=True), gate_setup.platform)
    protect_and_look_back(gate_setup, her_picture)
    set_policy(
        PEOPLE_BANK, PolicyChange(shadow=False, on_claimed=Outcome.LET_THROUGH), gate_setup.platform
    )
    claim = protect_and_look_back(gate_setup, her_picture).claim
    assert gate_setup.platform.reviews.count_waiting_items() == 0
    confirmed = gate_setup.platform.bank.apply_event(claim, ClaimEvent.CONFIRM)
    assert look_back([confirmed.id], gate_setup.platform) == 1


def test_look_back_for_two_claims_gives_one_case_two_matches(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    judge_upload(jpeg(her_picture), gate_setup.platform)
    claims = [gate_setup.protect(her_picture).claim for _ in range(2)]
    assert look_back(claims, gate_setup.platform) == 1
    review = gate_setup.platform.reviews.next_waiting_upload()
    assert review is not None
    assert {match.claim for match in review.decision.matches} == set(claims)


def test_look_back_that_a_killed_gate_left_is_made_later(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    """No look-back follows the registration, as if the gate had been killed after its answer."""
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    claim = gate_setup.protect(her_picture, parts=False).claim
    assert gate_setup.platform.reviews.count_due_work().look_backs == 1
    assert look_back_for_due_claims(gate_setup.platform) == 1
    assert gate_setup.platform.reviews.review(case).decision.matches[0].claim == claim
    assert gate_setup.platform.reviews.count_due_work().look_backs == 0
    assert look_back_for_due_claims(gate_setup.platform) == 0


def test_look_back_interrupted_by_a_kill_is_repeated(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    judge_upload(jpeg(her_picture), gate_setup.platform)
    gate_setup.protect(her_picture, parts=False)
    # A gate leases the look-back, and is killed before it makes the look-back.
    assert (
        len(
            gate_setup.platform.reviews.lease_look_backs(gate_setup.clock.now() + LEASE_DURATION, 9)
        )
        == 1
    )
    assert look_back_for_due_claims(gate_setup.platform) == 0
    gate_setup.clock.advance(minutes=2)
    assert look_back_for_due_claims(gate_setup.platform) == 1


def test_match_of_sixty_claims_lists_all_of_them(gate_setup: GateSetup, her_picture: Any) -> None:
    cases = [judge_upload(jpeg(her_picture), gate_setup.platform).case for _ in range(2)]
    fingerprints = fingerprint_picture(
        picture(her_picture), Consent(adult=True, parts=False), gate_setup.device
    )
    protections = [
        register_fingerprints(fingerprints, gate_setup.gate, gate_setup.device) for _ in range(60)
    ]
    look_back_for_due_claims(gate_setup.platform)
    matched = {one.claim for one in gate_setup.platform.reviews.review(cases[0]).decision.matches}
    assert matched == {one.claim for one in protections}
    confirm_case(cases[0], gate_setup.platform)
    states = {gate_setup.platform.bank.claim(one.claim).state for one in protections}
    assert states == {ClaimState.CONFIRMED}
    for one in protections[:59]:
        withdraw_protection(one, gate_setup.gate, gate_setup.device)
    (left,) = gate_setup.platform.reviews.review(cases[1]).decision.matches
    assert left.claim == protections[59].claim
    withdraw_protection(protections[59], gate_setup.gate, gate_setup.device)
    assert gate_setup.platform.reviews.count_waiting_items() == 0


@pytest.mark.threat("released-first")
def test_withdrawal_of_the_first_claim_keeps_the_second_match(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    """A publisher must not keep a picture online by making and withdrawing the first claim."""
    case = judge_upload(jpeg(her_picture), gate_setup.platform, "post 17").case
    first, second = (
        protect_and_look_back(gate_setup, her_picture),
        protect_and_look_back(gate_setup, her_picture),
    )
    withdraw_protection(first, gate_setup.gate, gate_setup.device)
    review = gate_setup.platform.reviews.review(case)
    assert review.state is ReviewState.WAITING
    assert [match.claim for match in review.decision.matches] == [second.claim]
    assert [
        one.case for one in gate_setup.platform.reviews.published_to_review_or_remove("", 9)
    ] == [case]


def test_waiting_upload_gets_a_later_claim(gate_setup: GateSetup, her_picture: Any) -> None:
    first = gate_setup.protect(her_picture, parts=False).claim
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    second = protect_and_look_back(gate_setup, her_picture).claim
    review = gate_setup.platform.reviews.review(case)
    assert (review.found, review.state) == (FoundBy.UPLOAD, ReviewState.WAITING)
    assert [match.claim for match in review.decision.matches] == [first, second]
    assert [one.what for one in gate_setup.platform.bank.log(0, 99)][-1] == "case fits more"
    assert look_back([first, second], gate_setup.platform) == 0
    confirm_case(case, gate_setup.platform)
    states = {gate_setup.platform.bank.claim(one).state for one in (first, second)}
    assert states == {ClaimState.CONFIRMED}


def test_confirmed_cut_out_is_found_among_accepted_uploads(
    gate_setup: GateSetup, her_picture: Any, other_picture: Any
) -> None:
    """A look-back finds a cut-out only after a reviewer has confirmed it in another upload."""
    gate_setup.platform.bank.set_bank(Bank(PEOPLE_BANK))
    piece = her_picture[: her_picture.shape[0] * 4 // 5, : her_picture.shape[1] * 4 // 5]
    earlier = judge_upload(jpeg(piece), gate_setup.platform, "post 1")
    assert earlier.outcome is Outcome.LET_THROUGH
    judge_upload(jpeg(other_picture), gate_setup.platform, "post 2")
    gate_setup.protect(her_picture)  # The parts are registered as well.
    assert look_back_for_due_claims(gate_setup.platform) == 1
    assert gate_setup.platform.reviews.count_waiting_items() == 0
    later = judge_upload(jpeg(piece, 60), gate_setup.platform, "post 3")
    assert later.outcome is Outcome.HOLD
    confirm_case(later.case, gate_setup.platform)
    assert look_back_for_due_claims(gate_setup.platform) == 1
    (found,) = gate_setup.platform.reviews.published_to_review_or_remove("", 9)
    assert (found.case, found.reference, found.found) == (earlier.case, "post 1", FoundBy.LOOK_BACK)


def test_repeated_look_back_does_not_hold_a_released_upload(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    """A release after the claim protects similar uploads until the claim is confirmed."""
    claim = gate_setup.protect(her_picture, parts=False).claim
    first = judge_upload(jpeg(her_picture), gate_setup.platform)
    release_case(first.case, gate_setup.platform)
    again = judge_upload(jpeg(her_picture, 60), gate_setup.platform)
    assert again.outcome is Outcome.LET_THROUGH
    look_back_for_due_claims(gate_setup.platform)
    gate_setup.platform.bank.add_upload_hashes([claim], b"\x55" * 32, confirmed=True)
    assert look_back_for_due_claims(gate_setup.platform) == 1
    assert gate_setup.platform.reviews.count_waiting_items() == 0
    gate_setup.platform.bank.apply_event(claim, ClaimEvent.CONFIRM)
    assert judge_upload(jpeg(her_picture, 60), gate_setup.platform).outcome is Outcome.REFUSE
    assert look_back_for_due_claims(gate_setup.platform) == 1
    found = [one.case for one in gate_setup.platform.reviews.published_to_review_or_remove("", 9)]
    assert found == [first.case, again.case]


def test_operator_can_repeat_look_backs_for_a_former_shadow_bank(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    shadow = set_policy(PEOPLE_BANK, PolicyChange(shadow=True), gate_setup.platform)
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    protect_and_look_back(gate_setup, her_picture)
    assert schedule_look_backs(shadow, gate_setup.platform) == 0
    look_back_for_due_claims(gate_setup.platform)
    live = set_policy(PEOPLE_BANK, PolicyChange(shadow=False), gate_setup.platform)
    assert gate_setup.platform.reviews.count_due_work().look_backs == 0
    assert schedule_look_backs(live, gate_setup.platform) == 1
    assert look_back_for_due_claims(gate_setup.platform) == 1
    assert [
        one.case for one in gate_setup.platform.reviews.published_to_review_or_remove("", 9)
    ] == [case]


def test_nothing_expires_while_the_clock_is_ahead(gate_setup: GateSetup, her_picture: Any) -> None:
    judge_upload(jpeg(her_picture), gate_setup.platform, "post 17")
    record_clock(gate_setup.platform)
    assert clock_days_ahead(gate_setup.platform) == 0
    correct_time = gate_setup.clock.moment
    gate_setup.clock.advance(days=400)
    for _ in range(59):
        record_clock(gate_setup.platform)
        assert clock_days_ahead(gate_setup.platform) == 400
        delete_expired_upload_data(gate_setup.platform)
        gate_setup.clock.advance(minutes=1)
    gate_setup.clock.moment = correct_time + timedelta(hours=1)
    record_clock(gate_setup.platform)
    assert clock_days_ahead(gate_setup.platform) == 0
    protect_and_look_back(gate_setup, her_picture)
    assert gate_setup.platform.reviews.count_waiting_items() == 1


def test_data_expires_an_hour_after_a_long_downtime(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    judge_upload(jpeg(her_picture), gate_setup.platform)
    record_clock(gate_setup.platform)
    gate_setup.clock.advance(days=60)
    for _ in range(62):
        record_clock(gate_setup.platform)
        gate_setup.clock.advance(minutes=1)
    delete_expired_upload_data(gate_setup.platform)
    assert gate_setup.platform.reviews.stored_picture_hashes(0, 9) == ()


def test_claim_made_while_the_clock_was_ahead_is_looked_back_for(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    judge_upload(jpeg(her_picture), gate_setup.platform, "post 17")
    correct_time = gate_setup.clock.moment
    gate_setup.clock.advance(days=400)
    gate_setup.protect(her_picture, parts=False)  # the look-back is due, but not yet made
    gate_setup.clock.moment = correct_time + timedelta(hours=1)
    assert look_back_for_due_claims(gate_setup.platform, 10) == 1
    assert look_back_for_due_claims(gate_setup.platform, 10) == 0
    assert gate_setup.platform.reviews.count_waiting_items() == 1
