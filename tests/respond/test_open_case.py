"""Tests of opening cases, also on behalf of somebody else, and of the refusal under 18."""

import pytest

from entrenous.base.errors import Refused
from entrenous.base.identifiers import RecipientId
from entrenous.respond.age_gate import SomebodyUnder18
from entrenous.respond.case_file import all_cases, find_case
from entrenous.respond.custody import verify_chain
from entrenous.respond.nouns import AgeAnswer, CaseState, Representative, RepresentativeRole
from entrenous.respond.open_case import (
    ADVICE_BEFORE_CAPTURE,
    NoConsent,
    add_facts_to_case,
    open_case,
    record_representative,
    representative_with_consent,
)
from entrenous.watermark.verdict import Finding, Trace, Verdict
from tests.respond.case_owner import START, CaseOwner, situation_in


def test_a_case_opens_without_a_trace(owner: CaseOwner) -> None:
    case = owner.open_case()
    assert case.name.startswith("case-")
    assert (case.state, case.trace, case.opened_at) == (CaseState.OPEN, None, START)
    assert find_case(case.name, owner.device) == case
    assert len(verify_chain(case.name, owner.device)) == 1


def test_a_case_opens_from_a_trace_and_keeps_its_verdict(owner: CaseOwner) -> None:
    verdict = Verdict(Finding.NOBODY, (), {RecipientId("ana"): 0.4}, {RecipientId("ana"): 0.2})
    trace = Trace(7, START, b"x" * 32, verdict)
    case = open_case(trace, situation_in("GB"), AgeAnswer.ADULTS, owner.device)
    assert find_case(case.name, owner.device).trace == trace


@pytest.mark.threat("under-eighteen")
@pytest.mark.parametrize("answer", [AgeAnswer.CHILD, AgeAnswer.UNSURE])
@pytest.mark.parametrize(
    ("country", "helper"), [("GB", "Childline"), ("US", "takeitdown.ncmec.org"), ("BR", "NCMEC")]
)
def test_under_18_nothing_is_stored_and_a_helper_is_named(
    answer: AgeAnswer, country: str, helper: str, owner: CaseOwner
) -> None:
    with pytest.raises(SomebodyUnder18) as refused:
        open_case(None, situation_in(country), answer, owner.device)
    assert isinstance(refused.value, Refused)
    assert helper in str(refused.value)
    assert "nothing was captured or stored" in " ".join(str(refused.value).split())
    assert owner.vault._tables == {}
    assert owner.vault._files == {}


def test_names_are_unique_and_the_newest_case_is_listed_first(owner: CaseOwner) -> None:
    names = []
    for _ in range(30):
        owner.clock.advance(seconds=1)
        names.append(owner.open_case().name)
    assert len(set(names)) == 30
    assert [case.name for case in all_cases(owner.device)] == names[::-1]


def test_advice_before_capture_has_five_lines_without_must_or_should() -> None:
    assert len(ADVICE_BEFORE_CAPTURE) == 5
    assert not any("must" in line or "should" in line for line in ADVICE_BEFORE_CAPTURE)


FRIEND_WITH_CONSENT = Representative(
    RepresentativeRole.FRIEND, "Ana asked me on the phone to write to the site", START
)


def test_case_for_somebody_else_stores_the_representative_and_the_consent(owner: CaseOwner) -> None:
    case = open_case(None, situation_in("GB"), AgeAnswer.ADULTS, owner.device, FRIEND_WITH_CONSENT)
    stored = find_case(case.name, owner.device)
    assert stored.representative == FRIEND_WITH_CONSENT
    assert stored.situation.on_behalf
    assert stored.steps[0].what == "opened without a trace, for somebody else"


def test_consent_can_be_recorded_later_and_is_in_the_chain(owner: CaseOwner) -> None:
    case = owner.open_case()
    assert (case.representative, case.situation.on_behalf) == (None, False)
    record_representative(case.name, FRIEND_WITH_CONSENT, owner.device)
    stored = find_case(case.name, owner.device)
    assert (stored.representative, stored.situation.on_behalf) == (FRIEND_WITH_CONSENT, True)
    assert len(verify_chain(case.name, owner.device)) == 2


def test_adding_facts_keeps_the_representative(owner: CaseOwner) -> None:
    case = open_case(None, situation_in("GB"), AgeAnswer.ADULTS, owner.device, FRIEND_WITH_CONSENT)
    described = add_facts_to_case(case.name, situation_in("DE"), owner.device)
    assert described.situation.on_behalf
    assert described.situation.places == ("GB", "DE")


@pytest.mark.parametrize("consent", ["", "  ", "\n\t"])
def test_representative_without_consent_is_refused(consent: str) -> None:
    with pytest.raises(NoConsent, match="Ask them first"):
        representative_with_consent(RepresentativeRole.FRIEND, consent, START)
    with pytest.raises(ValueError, match="consent"):
        Representative(RepresentativeRole.FRIEND, consent, START)


def test_consent_is_noted_in_one_line() -> None:
    assert (
        representative_with_consent(RepresentativeRole.TEACHER, " she \n agreed ", START).consent
        == "she agreed"
    )


@pytest.mark.threat("under-eighteen")
def test_representative_cannot_open_a_case_for_a_child(owner: CaseOwner) -> None:
    parent = Representative(RepresentativeRole.PARENT, "my daughter asked me", START)
    with pytest.raises(SomebodyUnder18):
        open_case(None, situation_in("GB"), AgeAnswer.CHILD, owner.device, parent)
    assert all_cases(owner.device) == ()
    assert owner.vault._tables == {}
