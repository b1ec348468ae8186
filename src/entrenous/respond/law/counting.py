"""Calculate the end of a time limit that starts with an event, under one legal system, in one
place.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from entrenous.base.language import language_of_person, long_day_in_words, translatable, translated
from entrenous.respond.law.counting_rules import CountingRule, HoursRule, MonthEnd
from entrenous.respond.law.places import Place
from entrenous.respond.law.working_days import (
    DayOff,
    day_off_reason,
    has_holidays,
    holiday_in_some_parts,
)
from entrenous.respond.law.zones import place_in_words, zones_of

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_LAST_SECOND: Final = time(23, 59, 59, fold=1)  # the last second of a day is still in time
_PERIOD_PATTERN: Final = re.compile(  # ISO 8601 durations, and working days, which ISO 8601 lacks
    r"(?:P(?:(?P<years>\d+)Y|(?P<months>\d+)M|(?P<days>\d+)D|T(?P<hours>\d+)H)(?![0-9A-Z])"
    r"|(?P<working>\d+) (?:business|working) days\b)"
)


class PeriodUnit(StrEnum):
    """The unit of a period."""

    HOURS = "hours"
    DAYS = "days"
    WORKING = "working days"
    MONTHS = "calendar months"
    YEARS = "years"


_PERIOD_TEXTS: Final = {
    PeriodUnit.HOURS: (translatable("one hour"), translatable("{count} hours")),
    PeriodUnit.DAYS: (translatable("one day"), translatable("{count} days")),
    PeriodUnit.WORKING: (translatable("one working day"), translatable("{count} working days")),
    PeriodUnit.MONTHS: (
        translatable("one calendar month"),
        translatable("{count} calendar months"),
    ),
    PeriodUnit.YEARS: (translatable("one year"), translatable("{count} years")),
}


@dataclass(frozen=True, slots=True)
class Period:
    """A number of units, e.g. 48 hours."""

    number: int
    unit: PeriodUnit

    def __str__(self) -> str:
        one, many = _PERIOD_TEXTS[self.unit]
        return translated(one if self.number == 1 else many).format(count=self.number)


@dataclass(frozen=True, slots=True)
class PeriodEnd:
    """When a period ends, in aware UTC, and the calculation, line by line.

    ``due_at`` is None if the legal system gives no date for such a period.
    """

    due_at: datetime | None
    calculation: tuple[str, ...]


@lru_cache(maxsize=1024)
def read_period(clause: str) -> Period | None:
    """Return the duration with which a clause begins; None if it begins with none.

    >>> str(read_period("10 business days to confirm receipt"))
    '10 working days'
    """
    found = _PERIOD_PATTERN.match(clause)
    if found is None:
        return None
    unit, number = next((unit, int(n)) for unit, n in found.groupdict().items() if n)
    return Period(number, PeriodUnit[unit.upper()])


def with_period_in_words(clause: str) -> str:
    """Return a clause with the ISO 8601 duration with which it may begin in words.

    >>> with_period_in_words("PT48H to confirm receipt")
    '48 hours to confirm receipt'
    """
    found = _PERIOD_PATTERN.match(clause)
    if found is None or found["working"]:  # working days are in words already
        return clause
    return f"{read_period(clause)}{clause[found.end() :]}"


def count_period(start: datetime, period: Period, rule: CountingRule, place: Place) -> PeriodEnd:
    """Return the end of a period that starts with an event. The end is never before the event.

    Args:
        start: the time of the event; aware.
        period: how much time the addressee has.
        rule: how the legal system counts time limits.
        place: whose clocks and holidays count. If it has several time zones, the latest end counts.
    """
    if period.unit is PeriodUnit.HOURS and rule.hours is HoursRule.NOT_COUNTED:
        return PeriodEnd(None, (translated(rule.silent_hours),))
    zones = zones_of(place)
    if period.unit is PeriodUnit.HOURS and rule.hours is HoursRule.ELAPSED:
        zones = zones[:1]  # elapsed hours are the same in every time zone
    ends = [
        _ZonePeriodCounter(start.astimezone(zone), zone, period, rule, place).compute_end()
        for zone in zones
    ]
    end = max(ends, key=lambda one: one.due_at or start)
    if len({one.due_at for one in ends}) > 1:
        sentence = translated(
            "There are several time zones in {place}: the latest end is taken."
        ).format(place=place_in_words(place))
        return PeriodEnd(end.due_at, (*end.calculation, sentence))
    return end


@dataclass(frozen=True, slots=True)
class _ZonePeriodCounter:
    """The calculation for one time zone; ``start`` is the time of the event in that zone."""

    start: datetime
    zone: ZoneInfo
    period: Period
    rule: CountingRule
    place: Place

    def compute_end(self) -> PeriodEnd:
        if self.period.unit is PeriodUnit.HOURS:
            return self._end_of_period_in_hours()
        last, calculation = _end_of_period_in_days(
            self.start.date(), self.period, self.rule, self.place, language_of_person()
        )
        return PeriodEnd(
            datetime.combine(last, _LAST_SECOND, self.zone).astimezone(UTC), calculation
        )

    def _end_of_period_in_hours(self) -> PeriodEnd:
        start, cited = self.start.astimezone(UTC), self.rule.citation_of(self.rule.cite_hours)
        length = self.period.number * _HOUR
        if self.rule.hours is HoursRule.WORKING:
            sentence = translated("Only the hours of working days count{cited}.").format(
                cited=cited
            )
            return PeriodEnd(self._add_working_hours(length).astimezone(UTC), (sentence,))
        if self.rule.hours is HoursRule.ELAPSED:
            sentence = translated(
                "{period} without a break, weekends and holidays too{cited}."
            ).format(period=_capitalized_period(self.period), cited=cited)
            return PeriodEnd(start + length, (sentence,))
        begun = timedelta(
            minutes=self.start.minute,
            seconds=self.start.second,
            microseconds=self.start.microsecond,
        )
        first = start - begun + _HOUR
        local = f"{first.astimezone(self.zone):%H:%M}"
        sentence = translated(
            "The hour of the event does not count{cited}: the time starts at {local}."
        ).format(cited=cited, local=local)
        return PeriodEnd(
            first + length, (sentence, translated("Hours run on weekends and holidays too."))
        )

    def _add_working_hours(self, left: timedelta) -> datetime:
        moment = self.start
        while True:
            if day_off_reason(moment.date(), self.place, self.rule.off):
                moment = self._midnight_after(moment)
                continue
            midnight = self._midnight_after(moment)
            today = midnight.astimezone(UTC) - moment.astimezone(UTC)
            if left <= today:
                return moment.astimezone(UTC) + left
            left, moment = left - today, midnight

    def _midnight_after(self, moment: datetime) -> datetime:
        return datetime.combine(moment.date() + _DAY, time(), self.zone)


@lru_cache(maxsize=8192)
def _end_of_period_in_days(
    event: date, period: Period, rule: CountingRule, place: Place, language: str
) -> tuple[date, tuple[str, ...]]:
    """Return the last day of a period in days or longer units, and the calculation."""
    del language  # only a cache key: the calculation is worded in this language
    return _DayPeriodCounter(event, period, rule, place).compute_end()


@dataclass(frozen=True, slots=True)
class _DayPeriodCounter:
    """The calculation for periods of days or longer units; ``event`` is the event's day in local
    time.
    """

    event: date
    period: Period
    rule: CountingRule
    place: Place

    def compute_end(self) -> tuple[date, tuple[str, ...]]:
        last, calculation = self._last_day_before_rolling()
        moved, moves = self._roll_to_working_day(last)
        sentence = translated("The last day counts to its end, 24:00{cited}.").format(
            cited=self.rule.citation_of(self.rule.cite_end)
        )
        return moved, (*calculation, *moves, *self._note_unknown_holidays(moved), sentence)

    def _last_day_before_rolling(self) -> tuple[date, tuple[str, ...]]:
        event, rule = self.event, self.rule
        first = translated("The day of the event, {said}, does not count{cited}.").format(
            said=_format_day(event), cited=rule.citation_of(rule.cite_day)
        )
        if self._counts_working_days():
            return self._last_day_in_working_days(first)
        if self.period.unit is PeriodUnit.DAYS:
            last = event + self.period.number * _DAY
            sentence = translated("{period} after it: {day}.").format(
                period=_capitalized_period(self.period), day=_format_day(last)
            )
            return self._with_enough_working_days(last, (first, sentence))
        return self._with_enough_working_days(*self._end_of_period_in_months())

    def _counts_working_days(self) -> bool:
        unit, short = self.period.unit, self.period.number <= self.rule.short_days
        in_days = unit is PeriodUnit.DAYS and (self.rule.days == "working" or short)
        return unit is PeriodUnit.WORKING or in_days

    def _last_day_in_working_days(self, first: str) -> tuple[date, tuple[str, ...]]:
        event, rule = self.event, self.rule
        *_, last = self._next_working_days(event, self.period.number)
        between = (event + n * _DAY for n in range(1, (last - event).days))
        left_out = [
            f"{_format_day(day)} ({self._day_off_reason(day)})"
            for day in between
            if self._day_off_reason(day)
        ]
        short = self.period.unit is PeriodUnit.DAYS and rule.days != "working"
        cited = rule.citation_of(rule.cite_short if short else rule.cite_working)
        skipped = (
            " " + translated("Left out: {days}.").format(days=", ".join(left_out))
            if left_out
            else ""
        )
        sentence = translated("Only working days count{cited}: number {number} is {day}.").format(
            cited=cited, number=self.period.number, day=_format_day(last)
        )
        return last, (first, sentence + skipped)

    def _next_working_days(self, day: date, number: int) -> Iterator[date]:
        yield day
        for _ in range(number):
            day += _DAY
            while self._day_off_reason(day):
                day += _DAY
            yield day

    def _end_of_period_in_months(self) -> tuple[date, tuple[str, ...]]:
        event, rule = self.event, self.rule
        number = self.period.number * (12 if self.period.unit is PeriodUnit.YEARS else 1)
        cited = rule.citation_of(rule.cite_months)
        begins = event + _DAY if rule.month_end is MonthEnd.DAY_BEFORE else event
        same = _same_day_of_later_month(begins, number)
        if same is not None:
            last = same - _DAY if rule.month_end is MonthEnd.DAY_BEFORE else same
            sentence = translated("{period} from {event}: {day}{cited}.").format(
                period=_capitalized_period(self.period),
                event=_format_day(event),
                day=_format_day(last),
                cited=cited,
            )
            return last, (sentence,)
        last = _last_day_of_later_month(begins, number)
        last = last + _DAY if rule.missing_day == "next" else last
        sentence = translated(
            "{period} from {event}: that month has no day {number}, so {last}{cited}."
        ).format(
            period=_capitalized_period(self.period),
            event=_format_day(event),
            number=begins.day,
            last=_format_day(last),
            cited=cited,
        )
        return last, (sentence,)

    def _with_enough_working_days(
        self, last: date, calculation: tuple[str, ...]
    ) -> tuple[date, tuple[str, ...]]:
        least, rule = self.rule.least_working_days, self.rule
        short = self.period.unit is PeriodUnit.DAYS and self.period.number < least
        if not least or short:
            return last, calculation
        *_, enough = self._next_working_days(self.event, least)
        if enough <= last:
            return last, calculation
        cited = rule.citation_of(rule.cite_least)
        sentence = translated(
            "The time must have at least {least} working days{cited}, so it ends on {day}."
        ).format(least=least, cited=cited, day=_format_day(enough))
        return enough, (*calculation, sentence)

    def _roll_to_working_day(self, last: date) -> tuple[date, tuple[str, ...]]:
        moved, why = last, []
        while reason := self._day_off_reason(moved):
            why.append(f"{_format_day(moved)} ({reason})")
            moved += _DAY
        if not why:
            return moved, ()
        cited = self.rule.citation_of(self.rule.cite_roll)
        sentence = translated("No working day: {names}. The end moves to {said}{cited}.").format(
            names=", ".join(why), said=_format_day(moved), cited=cited
        )
        return moved, (sentence,)

    def _note_unknown_holidays(self, last: date) -> tuple[str, ...]:
        """Return a note on holidays that were not considered, or nothing.

        These are all holidays, if none are known for the place; otherwise a holiday on the last day
        that only some parts of the place have.
        """
        if DayOff.HOLIDAY not in self.rule.off:
            return ()
        where = place_in_words(self.place)
        if not has_holidays(self.place):
            return (
                translated(
                    "No list of holidays is known for {where}: a holiday may make the end later."
                ).format(where=where),
            )
        name = holiday_in_some_parts(last, self.place)
        some = translated(
            "In some parts of {place}, {day} is a holiday ({name}): there the end is later. Name"
            " the region to see it."
        )
        return (some.format(place=where, day=_format_day(last), name=name),) if name else ()

    def _day_off_reason(self, day: date) -> str:
        return day_off_reason(day, self.place, self.rule.off)


def _format_day(day: date) -> str:
    return long_day_in_words(day)


def _capitalized_period(period: Period) -> str:
    words = str(period)
    return words[0].upper() + words[1:]


def _same_day_of_later_month(day: date, months: int) -> date | None:
    last = _last_day_of_later_month(day, months)
    return last.replace(day=day.day) if day.day <= last.day else None


def _last_day_of_later_month(day: date, months: int) -> date:
    """Return the last day of the month that is ``months`` later."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, calendar.monthrange(year, month + 1)[1])
