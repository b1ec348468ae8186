"""Working days of a place: its weekend and its public holidays, from the package ``holidays``."""

import calendar
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from functools import cache, lru_cache
from typing import Final

from entrenous.respond.law.places import Place

_SATURDAY: Final = 5
_SUNDAY: Final = 6
_USUAL_WEEKEND: Final = frozenset({_SATURDAY, _SUNDAY})
_PARTS: Final[Mapping[str, str]] = {"GB-EAW": "ENG"}  # England and Wales share their bank holidays
_DAYS: Final = tuple(calendar.day_name)


class DayOff(StrEnum):
    """A sort of day on which an order lets no period end."""

    SATURDAY = "saturday"
    SUNDAY = "sunday"
    WEEKEND = "weekend"  # of that country
    HOLIDAY = "holiday"


def day_off(day: date, place: Place, kinds: frozenset[DayOff]) -> str:
    """Return why a day is off there, e.g. "Sunday" or "Good Friday"; "" on a working day.

    Args:
        day: in the place's own calendar.
        place: a country or a part of one. A holiday of some parts counts for a country without a
            part, since nobody knows in which part the addressee is: the later end is the safer one.
        kinds: the sorts of days that count as off.
    """
    weekday = day.weekday()
    named = {_SATURDAY: DayOff.SATURDAY, _SUNDAY: DayOff.SUNDAY}.get(weekday)
    if named in kinds or (DayOff.WEEKEND in kinds and weekday in _weekend(place.partition("-")[0])):
        return _DAYS[weekday]
    return holidays_of(place, day.year).get(day, "") if DayOff.HOLIDAY in kinds else ""


def has_holidays(place: Place) -> bool:
    """Return whether a list of holidays is known for a place."""
    return place.partition("-")[0] in _listed_countries()


@lru_cache(maxsize=1024)
def holidays_of(place: Place, year: int) -> Mapping[date, str]:
    """Return a year's public holidays by date, with their English names; none if unknown."""
    country, _, part = place.partition("-")
    if not has_holidays(place):
        return {}
    parts = _parts_of(country)
    part = _PARTS.get(place, part)
    if part in parts:
        return _listed(country, part, year)
    everywhere = _listed(country, None, year)
    some = {day: name for one in parts for day, name in _listed(country, one, year).items()}
    return {day: f"{name}, in some parts" for day, name in some.items()} | everywhere


@cache
def _listed_countries() -> frozenset[str]:
    import holidays  # noqa: PLC0415 - slow to load; most deadlines are hours

    return frozenset(holidays.list_supported_countries(include_aliases=False))


def _listed(country: str, part: str | None, year: int) -> dict[date, str]:
    import holidays  # noqa: PLC0415

    found = holidays.country_holidays(country, subdiv=part, years=year, language="en_US")
    return {day: str(name) for day, name in found.items()}


@lru_cache(maxsize=256)
def _parts_of(country: str) -> tuple[str, ...]:
    import holidays  # noqa: PLC0415

    return tuple(holidays.country_holidays(country).subdivisions)


@lru_cache(maxsize=256)
def _weekend(country: str) -> frozenset[int]:
    import holidays  # noqa: PLC0415

    if not has_holidays(Place(country)):
        return _USUAL_WEEKEND
    return frozenset(holidays.country_holidays(country).weekend)
