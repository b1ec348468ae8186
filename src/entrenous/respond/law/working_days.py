"""The weekends and public holidays of places, from the package ``holidays`` and
facts/holidays.toml.
"""

import calendar
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from typing import Final, Literal

import msgspec

from entrenous.base.language import weekday_in_words
from entrenous.respond.fact_tables import read_table, shipped_table
from entrenous.respond.law.places import Place

_SATURDAY: Final = 5
_SUNDAY: Final = 6
_USUAL_WEEKEND: Final = frozenset({_SATURDAY, _SUNDAY})
_LIBRARY_PART_OF_PLACE: Final[Mapping[str, str]] = {
    "GB-EAW": "ENG"
}  # England and Wales share their bank holidays
_WEEKDAY_NAMES: Final = tuple(calendar.day_name)


class DayOff(StrEnum):
    """A kind of day on which, in some legal systems, no period may end."""

    SATURDAY = "saturday"
    SUNDAY = "sunday"
    WEEKEND = "weekend"  # the weekend of the country, e.g. Friday and Saturday
    HOLIDAY = "holiday"


class _AdditionalHoliday(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    place: str
    name: str
    month: int
    source: str
    day: int = 0
    weekday: str = ""
    nth: int = 0
    observed: bool = False


class _AdditionalHolidaysTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    read_on: date
    holiday: tuple[_AdditionalHoliday, ...]


def day_off_reason(day: date, place: Place, kinds: frozenset[DayOff]) -> str:
    """Return why a day is off in a place, e.g. "Sunday" or "Good Friday"; "" on a working day.

    Args:
        day: the date in the place's local time.
        place: a country or a part of one.
        kinds: the kinds of days that count as days off.
    """
    weekday = day.weekday()
    named = {_SATURDAY: DayOff.SATURDAY, _SUNDAY: DayOff.SUNDAY}.get(weekday)
    if named in kinds or (
        DayOff.WEEKEND in kinds and weekday in _weekend_days(place.partition("-")[0])
    ):
        return weekday_in_words(day)
    return holidays_of(place, day.year).get(day, "") if DayOff.HOLIDAY in kinds else ""


def has_holidays(place: Place) -> bool:
    """Return whether a list of holidays is known for a place."""
    return place.partition("-")[0] in _listed_countries()


@lru_cache(maxsize=1024)
def holidays_of(place: Place, year: int) -> Mapping[date, str]:
    """Return a year's public holidays by date, with their English names; empty if none are known.

    For a whole country, a holiday counts if most of its parts have it, e.g. Easter Monday in the
    United Kingdom, which only Scotland does not have.
    """
    if not has_holidays(place):
        return {}
    part = _known_part(place)
    listed = _library_holidays(place.partition("-")[0], part, year)
    return listed if part else listed | _holidays_of_parts(place, year, of_most_parts=True)


def holiday_in_some_parts(day: date, place: Place) -> str:
    """Return the name of the holiday that at most half of a country's parts have on this day; "" if
    there is none.
    """
    if not has_holidays(place) or _known_part(place):
        return ""
    return _holidays_of_parts(place, day.year, of_most_parts=False).get(day, "")


def _known_part(place: Place) -> str | None:
    country, _, part = place.partition("-")
    part = _LIBRARY_PART_OF_PLACE.get(place, part)
    return part if part in _parts_of(country) else None


@lru_cache(maxsize=256)
def _holidays_of_parts(place: Place, year: int, *, of_most_parts: bool) -> dict[date, str]:
    """Return the holidays that most parts of a country have, or, if not ``of_most_parts``, those
    that at most half of the parts have.
    """
    country = place.partition("-")[0]
    lists = [_library_holidays(country, part, year) for part in _parts_of(country)]
    counts = Counter(day for one in lists for day in one)
    names = {day: name for one in lists for day, name in one.items()}
    return {day: names[day] for day, n in counts.items() if (2 * n > len(lists)) is of_most_parts}


@lru_cache(maxsize=4096)
def _library_holidays(country: str, part: str | None, year: int) -> dict[date, str]:
    import holidays  # noqa: PLC0415 - slow to load; most deadlines are hours

    with warnings.catch_warnings():  # the library warns about years with incomplete data
        warnings.simplefilter("ignore")
        found = holidays.country_holidays(country, subdiv=part, years=year, language="en_US")
    own = dict(_additional_holidays(f"{country}-{part}" if part else country, year))
    return {day: str(name) for day, name in found.items()} | own


def _additional_holidays(place: str, year: int) -> Iterator[tuple[date, str]]:
    """Yield further holidays of a place from facts/holidays.toml."""
    for one in _additional_holidays_table().holiday:
        if one.place == place:
            yield _holiday_date(one, year), one.name


def _holiday_date(holiday: _AdditionalHoliday, year: int) -> date:
    if holiday.nth:
        first = date(year, holiday.month, 1)
        ahead = (_WEEKDAY_NAMES.index(holiday.weekday) - first.weekday()) % len(_WEEKDAY_NAMES)
        return first + timedelta(days=ahead, weeks=holiday.nth - 1)
    day = date(year, holiday.month, holiday.day)
    moved = {_SATURDAY: -1, _SUNDAY: 1}.get(day.weekday(), 0) if holiday.observed else 0
    return day + timedelta(days=moved)


@cache
def _additional_holidays_table() -> _AdditionalHolidaysTable:
    return read_table(_AdditionalHolidaysTable, shipped_table("holidays.toml"), "holidays.toml")


@cache
def _listed_countries() -> frozenset[str]:
    import holidays  # noqa: PLC0415 - slow to load

    return frozenset(holidays.list_supported_countries(include_aliases=False))


@lru_cache(maxsize=256)
def _parts_of(country: str) -> tuple[str, ...]:
    import holidays  # noqa: PLC0415 - slow to load

    return tuple(holidays.country_holidays(country).subdivisions)


@lru_cache(maxsize=256)
def _weekend_days(country: str) -> frozenset[int]:
    import holidays  # noqa: PLC0415 - slow to load

    if not has_holidays(Place(country)):
        return _USUAL_WEEKEND
    return frozenset(holidays.country_holidays(country).weekend)
