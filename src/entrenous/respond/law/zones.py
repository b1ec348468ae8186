"""The time zones of places, and times in words for people who read them."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from importlib import resources
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from entrenous.base.language import (
    ENGLISH,
    language_of_person,
    long_day_in_words,
    translated,
)
from entrenous.respond.fact_tables import read_table, shipped_table
from entrenous.respond.law.places import WORLDWIDE, Place, place_name

_PLACES_WITH_ARTICLE_PATTERN: Final = re.compile(
    "AE|BS|CD|CF|CG|DO|EU|GB|GM|KM|MH|MV|NL|PH|SB|SC|TC|US|VA"
)
_ENGLAND_AND_WALES: Final = "GB-EAW"


class _ZonesTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    read_on: date
    source: str
    capital: dict[str, str]
    rest: dict[str, str]
    part: dict[str, tuple[str, ...]]


@lru_cache(maxsize=512)
def zones_of(place: Place) -> tuple[ZoneInfo, ...]:
    """Return the time zones of a place, UTC for the whole world and for unknown places.

    For a part of a country, these are the zones in zones.toml; without an entry there, all zones of
    the country. The EU has only the zone of Brussels.
    """
    table, country = _zones_table(), place.partition("-")[0]
    if place in table.part:
        names = table.part[place]
    elif place != country and country in table.rest:
        names = (table.rest[country],)
    elif place in ("EU", WORLDWIDE):
        names = (table.capital[place],)
    else:
        names = _zones_by_country().get(country, ("UTC",))
    return tuple(ZoneInfo(name) for name in names)


@lru_cache(maxsize=512)
def capital_zone(place: Place) -> ZoneInfo:
    """Return the time zone that decides on which day an event took place, and so which version of
    the law applies.
    """
    country = place.partition("-")[0]
    if place == country and country in _zones_table().capital:
        return ZoneInfo(_zones_table().capital[country])
    return zones_of(place)[0]


def single_zone_at(place: Place, moment: datetime) -> tzinfo | None:
    """Return the time zone of a place; None for the whole world, and for a place with several zones
    that differ at that time.
    """
    zones = zones_of(place)
    alike = len({moment.astimezone(zone).utcoffset() for zone in zones}) == 1
    return zones[0] if alike and place != WORLDWIDE else None


def moment_at_place_in_words(moment: datetime, place: Place, home: Place | None = None) -> str:
    """Return a time as shown by clocks in a place, followed by the time where the person is.

    Args:
        moment: aware.
        place: the place whose clocks count. If it has several times at that moment, UTC is used.
        home: where the person is. If this is unknown or has the same time, UTC is shown instead.

    >>> moment_at_place_in_words(datetime(2026, 2, 26, 18, 40, tzinfo=UTC), Place("IN"))
    'Friday 27 February 2026, 00:10 in India (18:40 UTC the day before)'
    """
    zone = single_zone_at(place, moment)
    local = moment.astimezone(zone or UTC)
    if not local.utcoffset():
        return f"{long_day_in_words(local)}, {local:%H:%M} UTC"
    beside, name = _time_for_comparison(moment, local, home)
    aside = f"{beside:%H:%M} {name}{_day_difference_in_words(beside.date(), local.date())}"
    return translated("{day}, {time} in {place} ({beside})").format(
        day=long_day_in_words(local),
        time=f"{local:%H:%M}",
        place=place_in_words(place),
        beside=aside,
    )


def place_in_words(place: Place) -> str:
    """Return a place's name. English names have the article that they need after "in".

    >>> place_in_words(Place("US")), place_in_words(Place("US-CA")), place_in_words(Place("DE-BY"))
    ('the United States', 'California', 'Germany (BY)')
    """
    return _place_in_language(place, language_of_person())


@lru_cache(maxsize=512)
def _place_in_language(place: Place, language: str) -> str:
    if place == _ENGLAND_AND_WALES:
        return translated("England and Wales")
    country, _, part = place.partition("-")
    name = place_name(place, language)
    if part and name == place:
        return f"{_place_in_language(Place(country), language)} ({part})"
    with_article = language == ENGLISH and _PLACES_WITH_ARTICLE_PATTERN.fullmatch(place)
    return f"the {name}" if with_article else name


def _time_for_comparison(
    moment: datetime, local: datetime, home: Place | None
) -> tuple[datetime, str]:
    """Return the time where the person is if it differs from ``local``, otherwise UTC; and that
    zone's name.
    """
    there = single_zone_at(home, moment) if home else None
    if home and there and moment.astimezone(there).utcoffset() != local.utcoffset():
        return moment.astimezone(there), translated("in {place}").format(place=place_in_words(home))
    return moment.astimezone(UTC), "UTC"


def _day_difference_in_words(beside: date, local: date) -> str:
    if beside == local:
        return ""
    before = beside == local - timedelta(days=1)
    return f" {translated('the day before') if before else translated('the day after')}"


@cache
def _zones_table() -> _ZonesTable:
    return read_table(_ZonesTable, shipped_table("zones.toml"), "zones.toml")


@cache
def _zones_by_country() -> Mapping[str, tuple[str, ...]]:
    """Return the zones of each country, in the order of the IANA database's zone.tab."""
    text = resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text("utf-8")
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            country, _, zone, *_ = line.split("\t")
            found[country] = (*found.get(country, ()), zone)
    return found
