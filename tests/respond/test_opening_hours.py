"""Tests of help lines' opening hours: parsing, time zones, daylight saving time and holidays."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.respond.help_lines import shipped_help_lines
from entrenous.respond.help_report import opening_state_of
from entrenous.respond.opening_hours import (
    OpeningState,
    opening_state_at,
    opening_state_in_words,
    parse_opening_hours,
)
from entrenous.respond.who_helps import is_public_holiday

LONDON, NEW_YORK = "Europe/London", "America/New_York"
LONDON_OFFICE = parse_opening_hours("Mon-Fri 10:00-16:00", LONDON)


def no_holidays(_: str, __: date) -> bool:
    return False


def state_text(hours: str, zone: str, now: datetime, local_zone: str = NEW_YORK) -> str:
    found = opening_state_at(parse_opening_hours(hours, zone), now, no_holidays)
    return opening_state_in_words(found, now, ZoneInfo(local_zone))


def utc_time(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (utc_time(2026, 11, 30, 9, 59), "closed now, opens at 10:00 there, 05:00 your time"),
        (utc_time(2026, 11, 30, 10, 0), "open now, until 16:00 there, 11:00 your time"),
        (utc_time(2026, 11, 30, 15, 59, 59), "open now, until 16:00 there, 11:00 your time"),
        (
            utc_time(2026, 11, 30, 16, 0),
            "closed now, opens tomorrow at 10:00 there, 05:00 your time",
        ),
        (
            utc_time(2026, 12, 4, 16, 0),
            "closed now, opens on Monday at 10:00 there, 05:00 your time",
        ),
        # 30 October: daylight saving time has ended in London, but not yet in New York.
        (utc_time(2026, 10, 30, 9, 0), "closed now, opens at 10:00 there, 06:00 your time"),
    ],
)
def test_hours_are_shown_in_both_time_zones(now: datetime, words: str) -> None:
    assert state_text("Mon-Fri 10:00-16:00", LONDON, now) == words


def test_text_names_a_differing_day_and_no_second_time_in_a_shared_zone() -> None:
    now = utc_time(2026, 11, 30, 9, 0)
    assert state_text("Mon-Sun 08:00-09:00", "Pacific/Auckland", now) == (
        "closed now, opens tomorrow at 08:00 there, Monday 14:00 your time"
    )
    assert state_text("Mon-Fri 10:00-16:00", LONDON, now, LONDON) == "closed now, opens at 10:00"


def test_line_that_is_always_open_is_open_day_and_night() -> None:
    assert state_text("always", "", utc_time(2026, 11, 30, 9, 0)) == "open day and night"


def test_daylight_saving_time_keeps_the_local_opening_hour() -> None:
    """British clocks go forward on 29 March 2026 and back on 25 October 2026."""
    before = opening_state_at(LONDON_OFFICE, utc_time(2026, 3, 27, 17), no_holidays)
    assert before.changes_at == utc_time(2026, 3, 30, 9)  # 10:00 in London
    after = opening_state_at(LONDON_OFFICE, utc_time(2026, 10, 23, 17), no_holidays)
    assert after.changes_at == utc_time(2026, 10, 26, 10)


def test_span_over_a_clock_change_ends_at_its_local_time() -> None:
    night = parse_opening_hours("Sun 00:30-03:00", LONDON)
    assert opening_state_at(
        night, utc_time(2026, 3, 29, 0, 45), no_holidays
    ).changes_at == utc_time(2026, 3, 29, 2)
    assert opening_state_at(night, utc_time(2026, 10, 24, 23, 45), no_holidays) == OpeningState(
        is_open=True, changes_at=utc_time(2026, 10, 25, 3)
    )


def test_span_until_midnight_ends_at_midnight() -> None:
    late = parse_opening_hours("Fri 20:00-24:00", "Europe/Berlin")
    assert opening_state_at(late, utc_time(2026, 12, 4, 22, 59), no_holidays).is_open
    assert not opening_state_at(late, utc_time(2026, 12, 4, 23, 0), no_holidays).is_open


def test_line_with_a_holiday_calendar_is_closed_on_public_holidays() -> None:
    bank = parse_opening_hours("Mon-Fri 10:00-16:00", LONDON, "GB-ENG")
    # 25 December 2026 is a Friday. Monday 28 December is the substitute day for Boxing Day.
    christmas = utc_time(2026, 12, 25, 11)
    assert opening_state_at(bank, christmas, is_public_holiday).changes_at == utc_time(
        2026, 12, 29, 10
    )
    assert opening_state_at(LONDON_OFFICE, christmas, is_public_holiday).is_open


@pytest.mark.parametrize(
    "text",
    ["", "Mon", "Mon 9-17", "Mon 25:00-26:00", "Mon 10:00-09:00", "Mo 10:00-11:00", "Fri-Mon 1"],
)
def test_invalid_opening_hours_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_opening_hours(text, LONDON)


def test_unknown_time_zone_is_refused() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        parse_opening_hours("Mon 10:00-11:00", "Europe/Nowhere")


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 -- made aware below
    st.sampled_from([line for line in shipped_help_lines() if line.opening]),
)
def test_opening_state_changes_at_the_announced_second(naive_now: datetime, line: object) -> None:
    now = naive_now.replace(tzinfo=UTC)
    found = opening_state_of(line, now)  # type: ignore[arg-type]
    assert found is not None
    if found.changes_at is None:
        assert found.is_open
        return
    assert found.changes_at > now
    just_before = opening_state_of(line, found.changes_at - timedelta(seconds=1))  # type: ignore[arg-type]
    at_change = opening_state_of(line, found.changes_at)  # type: ignore[arg-type]
    assert just_before is not None
    assert at_change is not None
    assert (just_before.is_open, at_change.is_open) == (found.is_open, not found.is_open)


def test_several_spans_in_a_day_are_parsed() -> None:
    week = parse_opening_hours("Mon-Tue 09:00-12:00, 13:30-17:00; Sat 10:00-24:00", LONDON).week
    assert week[0] == week[1] == ((time(9), time(12)), (time(13, 30), time(17)))
    assert week[5] == ((time(10), time(0)),)
    assert week[6] == ()
