"""If two people have to confirm, nothing is refused after one confirmation."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.stop.nouns import GateLimits
from entrenous.stop.registration import ClaimState
from entrenous.stop.review import confirm_case, next_review, release_case
from entrenous.stop.reviewers import add_reviewer
from entrenous.stop.upload_record import AlreadyDecided, Outcome, ReviewState, SecondPersonNeeded
from tests.stop.platform_for_tests import Room, jpeg, judge_upload


@pytest.fixture
def room() -> Room:
    return Room(limits=GateLimits(confirmers=2, held_per_hash=3))


@pytest.fixture
def claim(room: Room, her_picture: Any) -> ClaimId:
    return room.protect(her_picture, parts=False).claim


@dataclass
class RemovingQueue:
    """A review queue that removes a reviewer while another one confirms."""

    real: Any
    name: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def record_first_confirmation(self, case: str, by: str) -> bool:
        first = self.real.record_first_confirmation(case, by)
        self.real.remove_reviewer(self.name)
        return bool(first)


@pytest.mark.threat("insider-decides")
def test_nothing_is_refused_until_a_second_person_confirms(
    room: Room, claim: ClaimId, her_picture: Any
) -> None:
    case = judge_upload(jpeg(her_picture), room.platform).case
    assert confirm_case(case, room.platform, "ana").state is ReviewState.WAITING
    assert judge_upload(jpeg(her_picture, 60), room.platform).outcome is Outcome.HOLD
    with pytest.raises(SecondPersonNeeded):
        confirm_case(case, room.platform, "ana")
    assert room.platform.bank.claim(claim).state is ClaimState.WAITING
    assert confirm_case(case, room.platform, "ben").state is ReviewState.CONFIRMED
    assert judge_upload(jpeg(her_picture, 60), room.platform).outcome is Outcome.REFUSE


@pytest.mark.threat("insider-decides")
def test_confirmation_of_a_reviewer_removed_meanwhile_does_not_count(
    room: Room, claim: ClaimId, her_picture: Any
) -> None:
    add_reviewer("ana", room.platform)
    case = judge_upload(jpeg(her_picture), room.platform).case
    confirm_case(case, room.platform, "ana")
    racing = replace(room.platform, reviews=RemovingQueue(room.platform.reviews, "ana"))  # type: ignore[arg-type]
    with pytest.raises(SecondPersonNeeded):
        confirm_case(case, racing, "ben")
    assert room.platform.bank.claim(claim).state is ClaimState.WAITING
    assert room.platform.reviews.review(case).state is ReviewState.WAITING
    assert confirm_case(case, room.platform, "ben").first_confirmer == "ben"


@pytest.mark.slow
@pytest.mark.usefixtures("claim")
def test_two_people_confirm_a_flood_as_one_item(room: Room, her_picture: Any) -> None:
    cases = [
        judge_upload(jpeg(her_picture, quality), room.platform).case for quality in range(40, 47)
    ]
    confirm_case(cases[0], room.platform, "ana")
    judge_upload(
        jpeg(her_picture, 48), room.platform
    )  # it joins; the first confirmation still counts
    assert set(confirm_case(cases[0], room.platform, "ben").also) >= set(cases[1:])


@pytest.mark.usefixtures("claim")
def test_case_released_by_one_person_cannot_be_confirmed(room: Room, her_picture: Any) -> None:
    case = judge_upload(jpeg(her_picture), room.platform).case
    confirm_case(case, room.platform, "ana")
    assert release_case(case, room.platform, "ben").state is ReviewState.RELEASED
    with pytest.raises(AlreadyDecided):
        confirm_case(case, room.platform, "cara")
    assert judge_upload(jpeg(her_picture, 60), room.platform).outcome is Outcome.LET_THROUGH


def test_first_confirmer_sees_the_case_again_if_one_person_suffices(
    room: Room, claim: ClaimId, her_picture: Any
) -> None:
    case = judge_upload(jpeg(her_picture), room.platform).case
    confirm_case(case, room.platform, "ana")
    assert next_review(room.platform, by="ana") is None
    alone = replace(room.platform, limits=replace(room.platform.limits, confirmers=1))
    shown = next_review(alone, by="ana")
    assert shown is not None
    assert shown.decision.case == case
    assert confirm_case(case, alone, "ana").state is ReviewState.CONFIRMED
    assert room.platform.bank.claim(claim).state is ClaimState.CONFIRMED
