"""Work out when a help line is open, in its own time zone and in the person's."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from entrenous.base.language import month_day_in_words, translated, weekday_in_words

TimeSpan = tuple[time, time]  # from start to end; an end of 00:00 means the end of that day
IsHoliday = Callable[[str, date], bool]
_DAY_ABBREVIATIONS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_RULE_PATTERN: Final = re.compile(r"(\w{3})(?:-(\w{3}))? (\S+(?:, \S+)*)")
_SPAN_PATTERN: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")
_NEXT_OPENING_SEARCH_DAYS: Final = 15
ALWAYS_OPEN_TEXT: Final = "always"


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """Opening hours by day of the week (Monday first), in ``zone``.

    ``holidays_of``: the place on whose public holidays the line is closed, or "".
    """

    week: tuple[tuple[TimeSpan, ...], ...]
    zone: str
    holidays_of: str = ""
    always: bool = False


@dataclass(frozen=True, slots=True)
class OpeningState:
    """Whether a line is open now, and when it next closes or opens.

    ``changes_at`` is aware, in the line's zone. None means that the line never closes, or does not
    open soon.
    """

    is_open: bool
    changes_at: datetime | None


def parse_opening_hours(text: str, zone: str = "", holidays_of: str = "") -> OpeningHours:
    """Parse ``always``, or rules such as ``Mon-Fri 10:00-16:00; Sat 10:00-12:00, 14:00-16:00``.

    Raises:
        ValueError: the text does not follow the grammar in docs/spec/help.md.
        ZoneInfoNotFoundError: there is no such time zone.

    >>> parse_opening_hours("Fri-Sat 20:00-24:00", "Europe/London").week[4]
    ((datetime.time(20, 0), datetime.time(0, 0)),)
    """
    if text == ALWAYS_OPEN_TEXT:
        return OpeningHours((), "UTC", always=True)
    ZoneInfo(zone)  # raises for an unknown zone
    week: list[tuple[TimeSpan, ...]] = [()] * len(_DAY_ABBREVIATIONS)
    for rule in text.split("; "):
        found = _RULE_PATTERN.fullmatch(rule)
        if not found:
            raise ValueError(f"not a rule of opening hours: {rule!r}")
        first, last = (
            _DAY_ABBREVIATIONS.index(found[1]),
            _DAY_ABBREVIATIONS.index(found[2] or found[1]),
        )
        if first > last:
            raise ValueError(f"a week begins on Monday: {rule!r}")
        for day in range(first, last + 1):
            week[day] = tuple(_parse_span(span) for span in found[3].split(", "))
    return OpeningHours(tuple(week), zone, holidays_of)


def opening_state_at(hours: OpeningHours, now: datetime, is_holiday: IsHoliday) -> OpeningState:
    """Return whether a line is open at ``now`` (aware), and when that changes.

    Hours that a change of the clocks skips or repeats are converted by the rules of the time zone.
    """
    if hours.always:
        return OpeningState(is_open=True, changes_at=None)
    for start, end in _opening_spans(hours, now, is_holiday):
        if start <= now < end:
            return OpeningState(is_open=True, changes_at=end.astimezone(ZoneInfo(hours.zone)))
        if now < start:
            return OpeningState(is_open=False, changes_at=start.astimezone(ZoneInfo(hours.zone)))
    return OpeningState(is_open=False, changes_at=None)


def opening_state_in_words(opening: OpeningState, now: datetime, person_zone: tzinfo | None) -> str:
    """Format an opening: "opens tomorrow at 10:00 there, 05:00 your time".

    Args:
        opening: as returned by :func:`opening_state_at`.
        now: aware.
        person_zone: the person's time zone; None means this machine's.
    """
    if opening.changes_at is None:
        return translated("open day and night") if opening.is_open else translated("closed now")
    there, mine = opening.changes_at, opening.changes_at.astimezone(person_zone)
    at = f"{there:%H:%M}"
    if there.utcoffset() != mine.utcoffset():
        my_day = "" if there.date() == mine.date() else f"{weekday_in_words(mine)} "
        at = translated("{there} there, {mine} your time").format(
            there=at, mine=f"{my_day}{mine:%H:%M}"
        )
    if opening.is_open:
        return translated("open now, until {time}").format(time=at)
    return _opening_time_template(there, now).format(
        time=at, weekday=weekday_in_words(there), day=month_day_in_words(there)
    )


def _opening_spans(
    hours: OpeningHours, now: datetime, is_holiday: IsHoliday
) -> Iterator[tuple[datetime, datetime]]:
    """Yield opening spans as UTC times, from the day before ``now`` on."""
    zone = ZoneInfo(hours.zone)
    today = now.astimezone(zone).date()
    for days in range(-1, _NEXT_OPENING_SEARCH_DAYS):
        day = today + timedelta(days)
        if hours.holidays_of and is_holiday(hours.holidays_of, day):
            continue
        for first, last in hours.week[day.weekday()]:
            end_day = day + timedelta(1) if last <= first else day
            start = datetime.combine(day, first, zone).astimezone(UTC)
            yield start, datetime.combine(end_day, last, zone).astimezone(UTC)


def _opening_time_template(there: datetime, now: datetime) -> str:
    """Return a sentence that says when a line opens. Its placeholders are {time} and, where the day
    is named, {weekday} or {day}.
    """
    days = (there.date() - now.astimezone(there.tzinfo).date()).days
    if days == 0:
        return translated("closed now, opens at {time}")
    if days == 1:
        return translated("closed now, opens tomorrow at {time}")
    if days < len(_DAY_ABBREVIATIONS):
        return translated("closed now, opens on {weekday} at {time}")
    return translated("closed now, opens on {day} at {time}")


def _parse_span(text: str) -> TimeSpan:
    found = _SPAN_PATTERN.fullmatch(text)
    if not found:
        raise ValueError(f"not a span of time: {text!r}")
    end = time(int(found[3]), int(found[4])) if found[3] else time()
    start = time(int(found[1]), int(found[2]))
    if end != time() and end <= start:
        raise ValueError(f"ends before it begins: {text!r}")
    return start, end
