"""Tests of the deadlines of a case: start, end, time zone, state, order and text."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import CaseName
from entrenous.respond.law.deadlines import (
    Deadline,
    DeadlineState,
    clause_due_at,
    clause_duration,
    deadline_in_words,
    deadline_in_words_for_person,
    deadlines_of_case,
)
from entrenous.respond.law.law_tables import shipped_routes
from entrenous.respond.law.legal_route import Route
from entrenous.respond.law.places import Place
from entrenous.respond.letters.draft import draft_notice
from entrenous.respond.nouns import Case, Notice, NoticeState
from tests.respond.case_owner import START, make_sighting, situation_in

ROUTES = {route.id: route for route in shipped_routes()}
CASE = Case(CaseName("case-1-calm-otter"), START, situation_in("US"), sightings=(make_sighting(),))
HOUR = timedelta(hours=1)
timestamps = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis adds the zone


def unsent_notice(route_id: str, **facts: object) -> Notice:
    route: Route = ROUTES[route_id]  # type: ignore[index]
    return replace(draft_notice(CASE, route, START), **facts)  # type: ignore[arg-type]


def deadlines_of(
    *notices: Notice, now: datetime = START, lives_in: str = "US"
) -> tuple[Deadline, ...]:
    numbered = tuple(replace(n, number=i + 1) for i, n in enumerate(notices))
    return deadlines_of_case(replace(CASE, situation=situation_in(lives_in), notices=numbered), now)


def last_second_in_california(day: str) -> datetime:

    return datetime.fromisoformat(f"{day}T23:59:59").replace(tzinfo=ZoneInfo("America/Los_Angeles"))


def sent_notice(route_id: str, at: datetime = START, **facts: object) -> Notice:
    return unsent_notice(route_id, **{"state": NoticeState.SENT, "sent_at": at, **facts})


def test_unsent_notice_says_when_its_deadline_will_start() -> None:
    (clock,) = deadlines_of(unsent_notice("us-tida-removal"))
    assert (clock.state, clock.due_at) == (DeadlineState.NOT_STARTED, None)
    assert clock.starts == (
        "starts when you send it: 48 hours after receipt of the valid removal request"
    )
    assert "TAKE IT DOWN Act" in clock.law
    assert "223a" in clock.provision
    assert (clock.source[:8], clock.read_on.isoformat()) == ("https://", "2026-11-25")


@pytest.mark.parametrize(
    ("route_id", "hours"), [("us-tida-removal", 48), ("uk-osa-20a", 48), ("in-it-3-2-b", 2)]
)
def test_hours_are_counted_from_sending_and_then_from_receipt(route_id: str, hours: int) -> None:
    (clock,) = deadlines_of(sent_notice(route_id))
    assert (clock.state, clock.due_at) == (DeadlineState.RUNNING, START + hours * HOUR)
    later = sent_notice(route_id, received_at=START + HOUR, state=NoticeState.RECEIVED)
    assert deadlines_of(later)[0].due_at == START + (hours + 1) * HOUR


@pytest.mark.parametrize(
    ("after", "state"),
    [(48 * HOUR, DeadlineState.RUNNING), (48 * HOUR + timedelta(seconds=1), DeadlineState.MISSED)],
)
def test_last_second_of_a_deadline_is_in_time(after: timedelta, state: DeadlineState) -> None:
    (clock,) = deadlines_of(sent_notice("us-tida-removal"), now=START + after)
    assert clock.state is state


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-31", "2026-03-02"),  # 28 February 2026 is a Saturday
        ("2028-01-31", "2028-02-29"),
        ("2026-02-28", "2026-03-30"),  # 28 March 2026 is a Saturday
        ("2026-12-15", "2027-01-15"),
        ("2026-03-31", "2026-04-30"),
        ("2026-07-31", "2026-08-31"),
    ],
)
def test_a_month_is_a_calendar_month_to_the_end_of_a_working_day(start: str, end: str) -> None:
    began = datetime.fromisoformat(f"{start}T09:30:00+00:00")
    (clock,) = deadlines_of(sent_notice("eu-gdpr-17", began), now=began, lives_in="IE")
    assert clock.due_at is not None
    assert clock.due_at.astimezone(ZoneInfo("Europe/Dublin")) == datetime.fromisoformat(
        f"{end}T23:59:59"
    ).replace(tzinfo=ZoneInfo("Europe/Dublin"))


@given(timestamps, st.integers(0, 999))
def test_hours_of_a_clause_are_added_to_the_start(began: datetime, hours: int) -> None:
    assert clause_due_at(began, f"PT{hours}H, at once") == began + timedelta(hours=hours)


@pytest.mark.parametrize(
    "clause",
    ["none", "undue-delay", "authority", "expeditiously", "timely", "P", "PT", "P1MX"],
)
def test_clause_without_a_valid_period_has_no_duration(clause: str) -> None:
    assert clause_due_at(START, clause) is None
    assert clause_duration(clause) == ""


def test_law_without_a_time_limit_is_quoted() -> None:
    (clock,) = deadlines_of(sent_notice("eu-dsa-16"))
    assert (clock.state, clock.due_at) == (DeadlineState.NO_FIXED_TIME, None)
    assert "without undue delay" in deadline_in_words(clock)


def test_rule_of_several_clauses_has_several_deadlines() -> None:
    found = deadlines_of(sent_notice("us-ca-22671"))
    assert [clock.due_at for clock in found] == [
        START + 48 * HOUR,  # Friday 27 November 2026, 12:00 UTC
        last_second_in_california("2026-12-02"),
        last_second_in_california("2026-12-28"),  # 25 December is a holiday, 26 and 27 a weekend
        None,
    ]


def test_confirmation_meets_only_the_deadline_for_confirming() -> None:
    confirmed = sent_notice("us-ca-22671", received_at=START + HOUR, state=NoticeState.RECEIVED)
    states = {clock.rule[:5]: clock.state for clock in deadlines_of(confirmed)}
    assert states["PT48H"] is DeadlineState.MET
    assert states["P7D f"] is DeadlineState.RUNNING


def test_late_confirmation_misses_its_deadline() -> None:
    late = sent_notice("us-ca-22671", received_at=START + 50 * HOUR, state=NoticeState.RECEIVED)
    confirm = next(
        c for c in deadlines_of(late, now=START + 51 * HOUR) if c.rule.startswith("PT48H")
    )
    assert confirm.state is DeadlineState.MISSED


def test_deadline_that_an_authority_starts_is_not_started_by_sending() -> None:
    (clock,) = deadlines_of(sent_notice("au-osa-77"), now=START + 100 * HOUR)
    assert clock.state is DeadlineState.NOT_STARTED
    assert "NOT the victim's complaint" in clock.starts
    assert clock.starts.startswith("does not start with what you send")


@pytest.mark.parametrize(
    ("state", "after", "expected"),
    [
        (NoticeState.REMOVED, 10 * HOUR, DeadlineState.MET),
        (NoticeState.REMOVED, 49 * HOUR, DeadlineState.MISSED),
        (NoticeState.REFUSED, 10 * HOUR, DeadlineState.MISSED),
    ],
)
def test_only_removal_in_time_meets_a_duty_to_remove(
    state: NoticeState, after: timedelta, expected: DeadlineState
) -> None:
    answered = sent_notice("us-tida-removal", state=state, answered_at=START + after)
    assert deadlines_of(answered, now=START + 60 * HOUR)[0].state is expected


def test_any_answer_in_time_meets_a_duty_to_answer() -> None:
    refused = sent_notice("eu-gdpr-17", state=NoticeState.REFUSED, answered_at=START + HOUR)
    assert deadlines_of(refused)[0].state is DeadlineState.MET


def test_late_removal_does_not_make_an_earlier_answer_late() -> None:
    late = START + timedelta(days=40)
    facts = {"state": NoticeState.REMOVED, "answered_at": START + HOUR, "removed_at": late}
    assert deadlines_of(sent_notice("eu-gdpr-17", **facts), now=late)[0].state is DeadlineState.MET
    assert (
        deadlines_of(sent_notice("uk-osa-20a", **facts), now=late)[0].state is DeadlineState.MISSED
    )


def test_question_confirms_receipt_and_does_not_move_a_deadline() -> None:
    asked = sent_notice("us-ca-22671", state=NoticeState.RECEIVED, asked_at=START + HOUR)
    found = {clock.rule[:5]: clock for clock in deadlines_of(asked, now=START + 50 * HOUR)}
    assert found["PT48H"].state is DeadlineState.MET
    assert found["P30D "].due_at == last_second_in_california("2026-12-28")


def test_withdrawn_notice_has_no_deadline() -> None:
    assert deadlines_of(unsent_notice("us-tida-removal", state=NoticeState.WITHDRAWN)) == ()


def test_running_deadlines_come_first_then_missed_and_then_not_started_ones() -> None:
    found = deadlines_of(
        unsent_notice("us-dmca-512c"),
        sent_notice("eu-gdpr-17"),
        unsent_notice("us-tida-removal"),
        sent_notice("us-tida-removal", START - 100 * HOUR),
        sent_notice("uk-osa-20a"),
    )
    assert [clock.notice for clock in found] == [5, 2, 4, 3, 1]


def test_texts_of_running_and_missed_deadlines_differ() -> None:
    running = deadlines_of(sent_notice("uk-osa-20a"))[0]
    assert deadline_in_words(running).startswith(
        "they have until Friday 27 November 2026, 12:00 UTC (Online"
    )
    missed = deadlines_of(sent_notice("uk-osa-20a"), now=START + 60 * HOUR)[0]
    assert "ran out on Friday 27 November 2026" in deadline_in_words(missed)


def test_deadline_shows_the_addressees_time_and_then_the_persons_time() -> None:
    began = datetime(2026, 2, 26, 16, 40, tzinfo=UTC)
    case = replace(
        CASE,
        situation=replace(situation_in("DE"), platform_in=Place("IN")),
        notices=(sent_notice("in-it-3-2-b", began),),
    )
    (clock,) = deadlines_of_case(case, began)
    assert deadline_in_words(clock).startswith(
        "they have until Friday 27 February 2026, 00:10 in India (19:40 in Germany the day before)"
    )
    (alone,) = deadlines_of(sent_notice("in-it-3-2-b", began), now=began, lives_in="IN")
    assert deadline_in_words(alone).startswith(
        "they have until Friday 27 February 2026, 00:10 in India (18:40 UTC the day before)"
    )


def test_platforms_country_decides_the_deadline_only_if_the_law_applies_there() -> None:
    began = datetime(2026, 2, 6, 10, tzinfo=UTC)  # one month later: Friday 6 March 2026
    here = replace(CASE, notices=(sent_notice("eu-gdpr-17", began),))
    ends = [
        deadlines_of_case(
            replace(here, situation=replace(situation_in("DE"), platform_in=where)), began
        )[0]
        for where in (None, Place("FI"), Place("US"))
    ]
    assert [clock.place for clock in ends] == ["DE", "FI", "DE"]


def test_waiting_for_the_persons_answer_extends_only_data_protection_deadlines() -> None:
    began = datetime(2026, 6, 1, 10, tzinfo=UTC)
    facts = {
        "state": NoticeState.RECEIVED,
        "asked_at": began + timedelta(days=2),
        "supplied_at": began + timedelta(days=7),
    }
    (data,) = deadlines_of(sent_notice("uk-gdpr-17", began, **facts), now=began, lives_in="GB-ENG")
    # one month, and the five days of waiting for the person's answer
    assert data.due_at == datetime(2026, 7, 6, 22, 59, 59, tzinfo=UTC)
    (platform,) = deadlines_of(
        sent_notice("uk-osa-20a", began, **facts), now=began, lives_in="GB-ENG"
    )
    assert platform.due_at == began + 48 * HOUR


DATA_REQUEST_AT = datetime(2026, 1, 5, 10, tzinfo=UTC)  # one month later: 5 February 2026
DATA_DUE_AT = datetime(2026, 2, 5, 22, 59, 59, tzinfo=UTC)


def data_deadline(after: timedelta, **facts: object) -> Deadline:
    """Return the deadline of a request under the GDPR, seen some time after it was sent."""
    notice = sent_notice("eu-gdpr-17", DATA_REQUEST_AT, **facts)
    (clock,) = deadlines_of(notice, now=DATA_REQUEST_AT + after, lives_in="DE")
    return clock


@pytest.mark.parametrize("days", [20, 45])
def test_deadline_says_that_it_may_be_paused_until_the_person_has_answered(days: int) -> None:
    asked = {"state": NoticeState.ASKED, "asked_at": DATA_REQUEST_AT + timedelta(days=7)}
    waiting = data_deadline(timedelta(days=days), **asked)
    assert (waiting.due_at, waiting.may_be_paused) == (DATA_DUE_AT, True)
    note = ". Until they have what they asked for, their time may stand still"
    assert deadline_in_words(waiting).endswith(note)
    assert deadline_in_words_for_person(waiting).endswith(f"your time{note}")
    supplied = {"supplied_at": DATA_REQUEST_AT + timedelta(days=9), "state": NoticeState.RECEIVED}
    refused = {"answered_at": DATA_REQUEST_AT + timedelta(days=9), "state": NoticeState.REFUSED}
    for over in (supplied, refused):
        clock = data_deadline(timedelta(days=days), **{**asked, **over})
        assert not clock.may_be_paused
        assert note not in deadline_in_words(clock)


def test_only_data_protection_deadlines_may_be_paused() -> None:
    asked = sent_notice("us-tida-removal", state=NoticeState.ASKED, asked_at=START + HOUR)
    assert not deadlines_of(asked)[0].may_be_paused


def test_question_after_the_end_pauses_nothing() -> None:
    late = {"state": NoticeState.ASKED, "asked_at": DATA_DUE_AT + timedelta(seconds=1)}
    waiting = data_deadline(timedelta(days=70), **late)
    assert (waiting.due_at, waiting.may_be_paused) == (DATA_DUE_AT, False)
    supplied = {"state": NoticeState.RECEIVED, "supplied_at": DATA_DUE_AT + timedelta(days=10)}
    assert data_deadline(timedelta(days=70), **{**late, **supplied}).due_at == DATA_DUE_AT
    in_time = {**late, **supplied, "asked_at": DATA_DUE_AT}
    assert data_deadline(timedelta(days=70), **in_time).due_at == DATA_DUE_AT + timedelta(days=11)


def test_whole_due_second_is_in_time() -> None:
    within = DATA_DUE_AT - DATA_REQUEST_AT + timedelta(seconds=0.5)
    assert data_deadline(within).state is DeadlineState.RUNNING
    answered = {"state": NoticeState.REFUSED, "answered_at": DATA_REQUEST_AT + within}
    assert data_deadline(within, **answered).state is DeadlineState.MET
    assert data_deadline(within + timedelta(seconds=0.5)).state is DeadlineState.MISSED
