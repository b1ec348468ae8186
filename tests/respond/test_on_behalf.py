"""Acting for somebody else: with consent that is noted, never without."""

import pytest

from entrenous.respond.age_gate import ForYoungPeople
from entrenous.respond.case_file import all_cases, find_case
from entrenous.respond.custody import verify_chain
from entrenous.respond.nouns import AgeAnswer, Representative, RepresentativeRole
from entrenous.respond.on_behalf import (
    NoConsent,
    record_representative,
    representative_with_consent,
)
from entrenous.respond.open_case import describe_case, open_case
from tests.respond.room import START, Room, lived_in

FRIEND = Representative(
    RepresentativeRole.FRIEND, "Ana asked me on the phone to write to the site", START
)


def test_a_case_for_somebody_else_keeps_who_acts_and_the_consent(room: Room) -> None:
    case = open_case(None, lived_in("GB"), AgeAnswer.ADULTS, room.device, FRIEND)
    stored = find_case(case.name, room.device)
    assert stored.representative == FRIEND
    assert stored.situation.on_behalf
    assert stored.steps[0].what == "opened without a trace, for somebody else"


def test_consent_can_be_noted_later_and_is_a_link_of_custody(room: Room) -> None:
    case = room.opens()
    assert (case.representative, case.situation.on_behalf) == (None, False)
    record_representative(case.name, FRIEND, room.device)
    stored = find_case(case.name, room.device)
    assert (stored.representative, stored.situation.on_behalf) == (FRIEND, True)
    assert len(verify_chain(case.name, room.device)) == 2


def test_saying_more_about_a_case_keeps_who_acts(room: Room) -> None:
    case = open_case(None, lived_in("GB"), AgeAnswer.ADULTS, room.device, FRIEND)
    described = describe_case(case.name, lived_in("DE"), room.device)
    assert described.situation.on_behalf
    assert described.situation.places == ("GB", "DE")


@pytest.mark.parametrize("nothing", ["", "  ", "\n\t"])
def test_without_consent_nobody_acts(nothing: str) -> None:
    with pytest.raises(NoConsent, match="Ask them first"):
        representative_with_consent(RepresentativeRole.FRIEND, nothing, START)
    with pytest.raises(ValueError, match="consent"):
        Representative(RepresentativeRole.FRIEND, nothing, START)


def test_consent_is_noted_in_one_line() -> None:
    assert (
        representative_with_consent(RepresentativeRole.TEACHER, " she \n agreed ", START).consent
        == "she agreed"
    )


@pytest.mark.threat("under-eighteen")
def test_for_a_child_nothing_is_stored_whoever_asks(room: Room) -> None:
    parent = Representative(RepresentativeRole.PARENT, "my daughter asked me", START)
    with pytest.raises(ForYoungPeople):
        open_case(None, lived_in("GB"), AgeAnswer.CHILD, room.device, parent)
    assert all_cases(room.device) == ()
    assert room.vault._drawers == {}
