"""Tests of the history of a notice (events and delays), and of durations in words."""

from dataclasses import replace
from datetime import timedelta

import pytest

from entrenous.base.language import duration_in_words
from entrenous.respond.case_file import find_case
from entrenous.respond.case_status import NoticeEvent, record_notice_event
from entrenous.respond.letters.case_lines import HistoryEvent, HistoryLine, notice_history
from entrenous.respond.letters.draft import draft_and_store_notice
from entrenous.respond.next_step import next_step, step_if_deadline_passes
from entrenous.respond.nouns import NoticeState
from entrenous.respond.open_case import add_sighting
from tests.respond.case_owner import PAGE_URL, START, CaseOwner, make_sighting, situation_in

HOUR = timedelta(hours=1)


def record_history(
    owner: CaseOwner, *events: tuple[NoticeEvent, float], hours: float
) -> tuple[HistoryLine, ...]:
    """Send a notice with a 48-hour limit, record the events, and return the history.

    All hours count from the sending of the notice. The history is read after ``hours``.
    """
    case = owner.open_case()
    add_sighting(case.name, make_sighting(), owner.device)
    draft_and_store_notice(case.name, "us-tida-removal", owner.device)
    owner.clock.moment = START + hours * HOUR
    for event, after in ((NoticeEvent.SEND, 0.0), *events):
        case = record_notice_event(case.name, 1, event, START + after * HOUR, owner.device)
    return notice_history(case, case.notices[0], owner.clock.moment)


def event_hours(lines: tuple[HistoryLine, ...]) -> list[tuple[HistoryEvent, float]]:
    return [(line.event, (line.at - START) / HOUR) for line in lines]


def test_a_draft_has_no_history() -> None:
    owner = CaseOwner()
    case = owner.open_case()
    add_sighting(case.name, make_sighting(), owner.device)
    drafted = draft_and_store_notice(case.name, "us-tida-removal", owner.device)
    assert notice_history(replace(case, notices=(drafted,)), drafted, START + 100 * HOUR) == ()


def test_missed_deadline_is_in_the_history_with_its_delay() -> None:
    lines = record_history(CaseOwner(), (NoticeEvent.RECEIPT, 1), hours=52.5)
    assert event_hours(lines) == [
        (HistoryEvent.REQUESTED, 0),
        (HistoryEvent.CONFIRMED, 1),
        (HistoryEvent.DUE, 49),
        (HistoryEvent.MISSED, 52.5),
    ]
    assert lines[0].places == (PAGE_URL,)
    assert (lines[-1].late, lines[-1].open) == (3.5 * HOUR, True)


def test_before_the_deadline_nothing_is_called_late() -> None:
    assert event_hours(record_history(CaseOwner(), hours=48 - 1 / 60)) == [
        (HistoryEvent.REQUESTED, 0)
    ]


def test_late_removal_is_in_the_history_with_its_delay() -> None:
    lines = record_history(CaseOwner(), (NoticeEvent.REMOVAL, 74), hours=200)
    assert event_hours(lines) == [
        (HistoryEvent.REQUESTED, 0),
        (HistoryEvent.DUE, 48),
        (HistoryEvent.REMOVED, 74),
        (HistoryEvent.MISSED, 74),
    ]
    assert (lines[-1].late, lines[-1].open) == (26 * HOUR, False)


def test_questions_partial_removals_and_refusals_each_have_a_line() -> None:
    steps = (NoticeEvent.ASK, 2), (NoticeEvent.SUPPLY, 3), (NoticeEvent.PARTIAL, 4)
    lines = record_history(CaseOwner(), *steps, (NoticeEvent.REFUSAL, 5), hours=6)
    assert event_hours(lines) == [
        (HistoryEvent.REQUESTED, 0),
        (HistoryEvent.ASKED, 2),
        (HistoryEvent.SUPPLIED, 3),
        (HistoryEvent.PARTLY, 4),
        (HistoryEvent.REFUSED, 5),
    ]


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(), "less than a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(hours=2), "2 hours"),
        (timedelta(days=3, minutes=5), "3 days and 5 minutes"),
    ],
)
def test_duration_is_shown_in_at_most_two_units(duration: timedelta, words: str) -> None:
    assert duration_in_words(duration) == words


def test_removal_may_follow_a_partial_removal() -> None:
    owner = CaseOwner()
    lines = record_history(owner, (NoticeEvent.PARTIAL, 1), (NoticeEvent.REMOVAL, 9), hours=9)
    assert [event for event, _ in event_hours(lines)][-1] is HistoryEvent.REMOVED
    assert NoticeState.PARTLY == "partly removed"


def test_complaint_calls_nothing_late_while_they_wait_for_the_person() -> None:
    owner = CaseOwner()
    case = owner.open_case(situation_in("DE"))
    add_sighting(case.name, make_sighting(), owner.device)
    draft_and_store_notice(case.name, "eu-gdpr-17", owner.device)
    record_notice_event(case.name, 1, NoticeEvent.SEND, START, owner.device)
    owner.clock.advance(days=5)
    record_notice_event(case.name, 1, NoticeEvent.ASK, owner.clock.now(), owner.device)
    running = find_case(case.name, owner.device)
    assert step_if_deadline_passes(running, owner.clock.now()).endswith("it shows your next step.")
    owner.clock.advance(days=40)  # the month ended on 28 December
    step = next_step(find_case(case.name, owner.device), owner.clock.now())
    assert step.startswith("They asked for more about letter 1. Give it to them if you like")
    letter = draft_and_store_notice(case.name, "eu-gdpr-77", owner.device).letter
    assert "more was asked for about notice 1" in letter
    assert "has not been done so far" not in letter
    assert "the time that the law gives for notice 1 ended" not in letter
    record_notice_event(case.name, 1, NoticeEvent.SUPPLY, owner.clock.now(), owner.device)
    owner.clock.advance(days=40)
    late = draft_and_store_notice(case.name, "eu-gdpr-77", owner.device).letter
    assert "what was due after notice 1 has not been done so far" in late


def test_due_second_is_not_in_the_history() -> None:
    lines = record_history(CaseOwner(), hours=48 + 0.5 / 3600)
    assert event_hours(lines) == [(HistoryEvent.REQUESTED, 0)]
