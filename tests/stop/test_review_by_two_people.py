"""Gates at which two reviewers have to confirm before an upload is refused."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.stop.judge.look_back import look_back
from entrenous.stop.nouns import GateLimits
from entrenous.stop.registration import ClaimState
from entrenous.stop.review import confirm_case, next_review, release_case
from entrenous.stop.reviewers import add_reviewer
from entrenous.stop.upload_record import (
    AlreadyDecided,
    Outcome,
    ReviewState,
    SecondPersonNeeded,
    UnshownMatches,
)
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload


@pytest.fixture
def gate_setup() -> GateSetup:
    return GateSetup(limits=GateLimits(confirmers=2, held_per_hash=3))


@pytest.fixture
def claim(gate_setup: GateSetup, her_picture: Any) -> ClaimId:
    return gate_setup.protect(her_picture, parts=False).claim


@dataclass
class QueueThatRemovesReviewer:
    """A review queue that records a first confirmation and then removes ``reviewer``."""

    real_queue: Any
    reviewer: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real_queue, name)

    def record_first_confirmation(self, case: str, by: str, check: Any) -> bool:
        first = self.real_queue.record_first_confirmation(case, by, check)
        self.real_queue.remove_reviewer(self.reviewer)
        return bool(first)


@pytest.mark.threat("insider-decides")
def test_nothing_is_refused_until_a_second_person_confirms(
    gate_setup: GateSetup, claim: ClaimId, her_picture: Any
) -> None:
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    assert confirm_case(case, gate_setup.platform, "ana").state is ReviewState.WAITING
    assert judge_upload(jpeg(her_picture, 60), gate_setup.platform).outcome is Outcome.HOLD
    with pytest.raises(SecondPersonNeeded):
        confirm_case(case, gate_setup.platform, "ana")
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.WAITING
    assert confirm_case(case, gate_setup.platform, "ben").state is ReviewState.CONFIRMED
    assert judge_upload(jpeg(her_picture, 60), gate_setup.platform).outcome is Outcome.REFUSE


@pytest.mark.threat("insider-decides")
def test_confirmation_of_a_reviewer_removed_meanwhile_does_not_count(
    gate_setup: GateSetup, claim: ClaimId, her_picture: Any
) -> None:
    add_reviewer("ana", gate_setup.platform)
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    confirm_case(case, gate_setup.platform, "ana")
    queue: Any = QueueThatRemovesReviewer(gate_setup.platform.reviews, "ana")
    platform_with_removal = replace(gate_setup.platform, reviews=queue)
    with pytest.raises(SecondPersonNeeded):
        confirm_case(case, platform_with_removal, "ben")
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.WAITING
    assert gate_setup.platform.reviews.review(case).state is ReviewState.WAITING
    assert confirm_case(case, gate_setup.platform, "ben").first_confirmer == "ben"


@dataclass
class QueueWithNewClaim:
    """A review queue that calls ``make_claim`` just before it records a first confirmation."""

    real_queue: Any
    make_claim: Callable[[], object]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real_queue, name)

    def record_first_confirmation(self, *given: Any) -> bool:
        self.make_claim()
        return bool(self.real_queue.record_first_confirmation(*given))


@pytest.mark.threat("insider-decides")
def test_first_confirmation_does_not_count_for_a_claim_that_was_not_shown(
    gate_setup: GateSetup, claim: ClaimId, her_picture: Any
) -> None:
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case

    def make_claim() -> None:
        look_back([gate_setup.protect(her_picture, parts=False).claim], gate_setup.platform)

    queue: Any = QueueWithNewClaim(gate_setup.platform.reviews, make_claim)
    with pytest.raises(UnshownMatches):
        confirm_case(case, replace(gate_setup.platform, reviews=queue), "ana", shown=[claim])
    assert gate_setup.platform.reviews.review(case).first_confirmer == ""


@pytest.mark.slow
@pytest.mark.usefixtures("claim")
def test_two_people_confirm_a_flood_as_one_item(gate_setup: GateSetup, her_picture: Any) -> None:
    cases = [
        judge_upload(jpeg(her_picture, quality), gate_setup.platform).case
        for quality in range(40, 47)
    ]
    confirm_case(cases[0], gate_setup.platform, "ana")
    # This upload joins the flood after the first confirmation.
    judge_upload(jpeg(her_picture, 48), gate_setup.platform)
    assert set(confirm_case(cases[0], gate_setup.platform, "ben").also) >= set(cases[1:])


@pytest.mark.usefixtures("claim")
def test_case_released_by_one_person_cannot_be_confirmed(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    confirm_case(case, gate_setup.platform, "ana")
    assert release_case(case, gate_setup.platform, "ben").state is ReviewState.RELEASED
    with pytest.raises(AlreadyDecided):
        confirm_case(case, gate_setup.platform, "cara")
    assert judge_upload(jpeg(her_picture, 60), gate_setup.platform).outcome is Outcome.LET_THROUGH


def test_first_confirmer_sees_the_case_again_if_one_confirmation_suffices(
    gate_setup: GateSetup, claim: ClaimId, her_picture: Any
) -> None:
    case = judge_upload(jpeg(her_picture), gate_setup.platform).case
    confirm_case(case, gate_setup.platform, "ana")
    assert next_review(gate_setup.platform, by="ana") is None
    platform_for_one_confirmer = replace(
        gate_setup.platform, limits=replace(gate_setup.platform.limits, confirmers=1)
    )
    shown = next_review(platform_for_one_confirmer, by="ana")
    assert shown is not None
    assert shown.decision.case == case
    assert confirm_case(case, platform_for_one_confirmer, "ana").state is ReviewState.CONFIRMED
    assert gate_setup.platform.bank.claim(claim).state is ClaimState.CONFIRMED
