"""Tests of calendar files of deadlines, read with icalendar and with vobject."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import vobject
from icalendar import Calendar

from entrenous.base.identifiers import CaseName
from entrenous.respond.calendar_file import (
    CalendarEntry,
    NoRunningDeadline,
    format_calendar_file,
    running_deadline_entries,
)
from entrenous.respond.law.deadlines import deadlines_of_case
from entrenous.respond.law.law_tables import shipped_routes
from entrenous.respond.letters.draft import draft_notice
from entrenous.respond.nouns import Case, NoticeState
from tests.respond.case_owner import START, make_sighting, situation_in

ROUTES = {route.id: route for route in shipped_routes()}
CASE = Case(
    CaseName("case-1-calm-otter"), START, situation_in("US", "IE"), sightings=(make_sighting(),)
)


def deadline_entries(
    *route_ids: str, received_at: datetime | None = None
) -> tuple[CalendarEntry, ...]:
    notices = tuple(
        replace(
            draft_notice(CASE, ROUTES[id_], START),  # type: ignore[index]
            state=NoticeState.SENT,
            sent_at=START,
            received_at=received_at,
        )
        for id_ in route_ids
    )
    numbered = tuple(replace(one, number=i + 1) for i, one in enumerate(notices))
    case = replace(CASE, notices=numbered)
    return running_deadline_entries(case, deadlines_of_case(case, START))


def events_in(data: bytes) -> list[Calendar]:
    return list(Calendar.from_ical(data).walk("VEVENT"))


def test_every_running_deadline_is_an_event_at_its_time() -> None:
    found = deadline_entries("eu-gdpr-17", "us-tida-removal")
    events = events_in(format_calendar_file(found, START))
    assert [event["DTSTART"].dt for event in events] == [
        START + timedelta(hours=48),
        datetime.fromisoformat(
            "2026-12-28T23:59:59+00:00"
        ),  # the month ends on a Friday, which is Christmas Day; Monday is the next working day
    ]
    assert [event["SUMMARY"] for event in events] == ["Reminder 1", "Reminder 2"]


def test_calendar_reveals_nothing_about_the_case() -> None:
    data = format_calendar_file(
        deadline_entries("us-tida-removal"), START, alarm=timedelta(hours=2)
    )
    for word in ("TAKE", "223a", "otter", "entrenous", "example", "notice", "law", "deadline"):
        assert word.casefold() not in data.decode().casefold()


def test_plain_titles_name_the_law() -> None:
    (event,) = events_in(
        format_calendar_file(deadline_entries("us-tida-removal"), START, plain_titles=True)
    )
    assert event["SUMMARY"].startswith("they have until Friday 27 November 2026, 12:00 UTC (TAKE")


def test_alarm_is_written_only_if_requested() -> None:
    found = deadline_entries("us-tida-removal")
    assert b"VALARM" not in format_calendar_file(found, START)
    (event,) = events_in(format_calendar_file(found, START, alarm=timedelta(hours=24)))
    (alarm,) = event.walk("VALARM")
    assert alarm["TRIGGER"].dt == timedelta(hours=-24)


def test_each_deadline_keeps_its_own_uid() -> None:
    first, again = (
        deadline_entries("us-tida-removal", "eu-gdpr-17"),
        deadline_entries("us-tida-removal"),
    )
    assert first[0].uid == again[0].uid
    (moved,) = deadline_entries("us-tida-removal", received_at=START + timedelta(hours=1))
    assert (moved.uid, moved.at - again[0].at) == (again[0].uid, timedelta(hours=1))
    assert first[0].uid != first[1].uid


def test_vobject_reads_the_same_times() -> None:
    found = deadline_entries("eu-gdpr-17", "us-tida-removal")
    parsed = vobject.readOne(format_calendar_file(found, START, alarm=timedelta(hours=1)).decode())
    assert parsed.validate(raiseException=True)
    assert [event.dtstart.value for event in parsed.vevent_list] == [entry.at for entry in found]


def test_entries_of_a_case_without_a_running_deadline_are_refused() -> None:
    with pytest.raises(NoRunningDeadline, match="case-1-calm-otter"):
        running_deadline_entries(CASE, ())
