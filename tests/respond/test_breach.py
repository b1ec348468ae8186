"""Tests of cases in which an organisation's systems are breached: law, deadline and duties."""

from datetime import UTC, datetime, timedelta

import pytest

from entrenous.base.errors import EntrenousError
from entrenous.device.vault_tables import pack, unpack
from entrenous.respond.breach import (
    CaseHasNoBreach,
    NoBreachLaw,
    breach_duties_in_words,
    breach_next_step,
    find_breach_law,
    record_breach,
    record_breach_notified,
    unstored_breach_deadline_text,
)
from entrenous.respond.calendar_file import running_deadline_entries
from entrenous.respond.case_file import find_case
from entrenous.respond.custody import verify_chain
from entrenous.respond.law.deadlines import (
    Deadline,
    DeadlineState,
    deadline_in_words,
    deadlines_of_case,
)
from entrenous.respond.law.places import Place
from entrenous.respond.next_step import next_step
from entrenous.respond.nouns import Case, ImpossibleTime
from tests.respond.case_owner import START, CaseOwner, situation_in

HOUR = timedelta(hours=1)
AWARE_AT = START - 2 * HOUR


@pytest.fixture
def case(owner: CaseOwner) -> Case:
    opened = owner.open_case(situation_in("DE"))
    return record_breach(opened.name, AWARE_AT, owner.device)


def dated_deadline(case: Case, now: datetime) -> Deadline:
    (one,) = [clock for clock in deadlines_of_case(case, now) if clock.yours and clock.due_at]
    return one


def test_72_hours_run_from_the_time_of_awareness(case: Case) -> None:
    clock = dated_deadline(case, START)
    assert clock.state is DeadlineState.RUNNING
    assert clock.started_at == AWARE_AT
    assert clock.due_at == AWARE_AT + 72 * HOUR
    assert deadline_in_words(clock).startswith("your organisation has until Saturday 28 November")
    assert (clock.provision, clock.notice) == ("Art. 33(1), 33(4), 34(1)", 0)


def test_correcting_the_time_of_awareness_moves_the_deadline(owner: CaseOwner, case: Case) -> None:
    by = timedelta(minutes=17, seconds=3)
    moved = record_breach(case.name, AWARE_AT + by, owner.device)
    assert dated_deadline(moved, START).due_at == AWARE_AT + by + 72 * HOUR


def test_duties_without_a_date_are_among_the_deadlines(case: Case) -> None:
    undated = [
        clock for clock in deadlines_of_case(case, START) if clock.yours and not clock.due_at
    ]
    assert {clock.state for clock in undated} == {DeadlineState.NO_FIXED_TIME}
    rules = " ".join(clock.rule for clock in undated)
    assert "Art. 33(4)" in rules
    assert "Art. 34(1)" in rules


@pytest.mark.parametrize(
    ("hours", "state"),
    [(0, DeadlineState.MET), (69, DeadlineState.MET), (71, DeadlineState.MISSED)],
)
def test_time_of_notification_decides_whether_the_deadline_is_met(
    hours: int, state: DeadlineState, owner: CaseOwner, case: Case
) -> None:
    owner.clock.advance(hours=hours)
    notified = record_breach_notified(case.name, owner.clock.now(), owner.device, notified=True)
    assert dated_deadline(notified, owner.clock.now()).state is state
    assert breach_next_step(notified, owner.clock.now()) == ""


def test_deadline_is_missed_one_second_after_its_end(case: Case) -> None:
    due_at = AWARE_AT + 72 * HOUR
    assert dated_deadline(case, due_at).state is DeadlineState.RUNNING
    assert dated_deadline(case, due_at + timedelta(seconds=1)).state is DeadlineState.MISSED


def test_next_step_is_to_notify_and_after_72_hours_to_give_reasons(case: Case) -> None:
    step = next_step(case, START)
    assert step.startswith("Tell the data protection authority")
    assert f"entrenous case breach {case.name} --notified" in step
    assert "reasons" not in step
    assert "the law asks for the reasons" in next_step(case, AWARE_AT + 73 * HOUR)


def test_duties_list_the_content_of_the_notification_and_its_source(case: Case) -> None:
    text = "\n".join(breach_duties_in_words(case, START))
    for words in (
        *("the nature of the breach", "the likely consequences", "data protection officer"),
        *("what was done or is planned", "the reasons for the delay", "Art. 33(5)"),
        *("https://gdprhub.eu/Article_33_GDPR", "read on 30 November 2026", "not noted yet"),
    ):
        assert words in text


def test_first_notification_counts_and_informing_people_is_separate(
    owner: CaseOwner, case: Case
) -> None:
    record_breach_notified(case.name, START, owner.device, notified=True)
    owner.clock.advance(hours=5)
    again = record_breach_notified(
        case.name, owner.clock.now(), owner.device, notified=True, people_notified=True
    )
    assert again.breach is not None
    assert again.breach.notified_at == START
    assert again.breach.people_notified_at == START + 5 * HOUR


def test_impossible_times_are_refused_and_change_nothing(owner: CaseOwner, case: Case) -> None:
    before = find_case(case.name, owner.device)
    with pytest.raises(ImpossibleTime):
        record_breach(case.name, START + HOUR, owner.device)
    with pytest.raises(ImpossibleTime):
        record_breach_notified(case.name, AWARE_AT - HOUR, owner.device, notified=True)
    with pytest.raises(ImpossibleTime):
        record_breach_notified(case.name, START + HOUR, owner.device, people_notified=True)
    assert find_case(case.name, owner.device) == before
    record_breach_notified(case.name, AWARE_AT + HOUR, owner.device, notified=True)
    with pytest.raises(ImpossibleTime):
        record_breach(case.name, START, owner.device)


def test_chain_is_valid_and_record_is_read_back_after_notification(
    owner: CaseOwner, case: Case
) -> None:
    done = record_breach_notified(case.name, START, owner.device, notified=True)
    verify_chain(done.name, owner.device)
    assert unpack(Case, pack(done)) == done
    assert any("breach" in step.what for step in done.steps)


def test_case_without_a_breach_has_no_duties_and_takes_no_notification(owner: CaseOwner) -> None:
    opened = owner.open_case(situation_in("DE"))
    assert breach_duties_in_words(opened, START) == ()
    assert breach_next_step(opened, START) == ""
    with pytest.raises(CaseHasNoBreach):
        record_breach_notified(opened.name, START, owner.device, notified=True)


@pytest.mark.parametrize(
    ("place", "law"),
    [("DE", "eu-gdpr-33"), ("FR", "eu-gdpr-33"), ("NO", "eu-gdpr-33"), ("GB", "uk-gdpr-33")],
)
def test_place_decides_the_breach_law(place: str, law: str) -> None:
    assert find_breach_law((Place(place),), START).id == law


@pytest.mark.parametrize("places", [(), (Place("JP"),), (Place("US"),)])
def test_place_without_a_known_law_is_an_error(places: tuple[Place, ...]) -> None:
    with pytest.raises(NoBreachLaw) as refused:
        find_breach_law(places, START)
    assert isinstance(refused.value, EntrenousError)
    assert "There may still be such a law" in str(refused.value)


def test_law_that_is_not_yet_in_force_is_not_found() -> None:
    with pytest.raises(NoBreachLaw):
        find_breach_law((Place("DE"),), datetime(2018, 5, 24, tzinfo=UTC))


def test_under_18_the_deadline_is_shown_without_a_case() -> None:
    text = unstored_breach_deadline_text((Place("GB"),), AWARE_AT)
    assert "Saturday 28 November 2026, 10:00" in text
    assert "Nothing about it is stored here." in text


def test_deadline_has_a_calendar_entry(case: Case) -> None:
    (entry,) = running_deadline_entries(case, deadlines_of_case(case, START))
    assert entry.at == AWARE_AT + 72 * HOUR
