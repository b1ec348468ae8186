"""Tests of parsing places as people type them, and of which laws apply to a place."""

import subprocess
import sys

import pytest
from babel.core import Locale
from babel.localedata import locale_identifiers
from holidays.countries import Australia, Canada, UnitedStates
from hypothesis import given
from hypothesis import strategies as st

from entrenous.respond.law.places import (
    COUNTRIES,
    EEA,
    EU,
    LANGUAGES_SEARCHED_FIRST,
    AmbiguousPlace,
    MisspelledPlace,
    UnknownPlace,
    fold_name,
    law_reaches,
    parse_place,
    parts_of,
    place_name,
)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("uk", "GB"),
        (" us-ca ", "US-CA"),
        ("DE", "DE"),
        ("eu", "EU"),
        ("worldwide", "worldwide"),
        ("uk-sct", "GB-SCT"),
        ("USA-CA", "US-CA"),
        ("xk", "XK"),
        ("U.K.", "GB"),
        ("Germany", "DE"),
        ("Deutschland", "DE"),
        ("ALLEMAGNE", "DE"),
        ("deu", "DE"),
        ("United States", "US"),
        ("U.S.A.", "US"),
        ("Nigeria", "NG"),
        ("México", "MX"),
        ("mexico", "MX"),
        ("Türkiye", "TR"),
        ("Turkey", "TR"),
        ("Côte d'Ivoire", "CI"),
        ("cote d\u2019ivoire", "CI"),
        ("Ivory Coast", "CI"),
        ("The Gambia", "GM"),
        ("Saint Lucia", "LC"),
        ("Trinidad and Tobago", "TT"),
        ("Hongkong", "HK"),
        ("Korea, South", "KR"),
        ("日本", "JP"),
        ("Україна", "UA"),
        ("ไทย", "TH"),
        ("European Union", "EU"),
        ("California", "US-CA"),
        ("Escocia", "GB-SCT"),
        ("québec", "CA-QC"),
        ("Scotland", "GB-SCT"),
        ("England", "GB-ENG"),
        ("New South Wales", "AU-NSW"),
        ("Georgia, USA", "US-GA"),
        ("Toronto, Ontario", "CA-ON"),
        ("Lagos, Nigeria", "NG"),
    ],
)
def test_place_is_read_as_people_type_it(typed: str, code: str) -> None:
    assert parse_place(typed) == code


@pytest.mark.parametrize(
    "typed",
    ["", "Xyzzy", "D", "US-", "US-CALI", "US-ZZ", "D\u0131", "12", "US_CA", "XX", "ZZ-CA", "EU-DE"],
)
def test_unknown_place_is_refused(typed: str) -> None:
    with pytest.raises(UnknownPlace, match="is not a place that Entrenous knows"):
        parse_place(typed)


@pytest.mark.parametrize(
    ("jurisdiction", "place", "reaches"),
    [
        ("US", "US-CA", True),
        ("US-CA", "US", False),
        ("US-states", "US-NY", True),
        ("US-states", "CA", False),
        ("EU", "DE", True),
        ("EU", "NO", False),
        ("EU/EEA", "NO", True),
        ("EU", "GB", False),
        ("GB", "GB-SCT", True),
        ("GB-EAW", "GB-SCT", False),
        ("GB-EAW", "GB", True),
        ("CA-BC", "CA", False),
        ("worldwide", "BR", True),
    ],
)
def test_jurisdiction_reaches_only_its_places(
    jurisdiction: str, place: str, *, reaches: bool
) -> None:
    assert law_reaches(jurisdiction, (parse_place(place),)) is reaches


def test_unions_and_countries_are_complete_and_the_eus_law_reaches_no_empty_list() -> None:
    assert len(EU) == 27 + 1  # the members, and the code "EU" itself
    assert len(EEA) == 30 + 1
    assert len(COUNTRIES) == 249 + 1  # the countries of ISO 3166-1, and Kosovo
    assert EEA - {"EU"} <= COUNTRIES
    assert not law_reaches("EU", ())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Germny", "Germany (DE)"),
        ("Philipines", "Philippines (PH)"),
        ("Trinidad", "Trinidad & Tobago (TT)"),
        ("Dominican", "Dominica (DM) or Dominican Republic (DO)"),
        ("Califronia", "California (US-CA)"),
        ("Europe", "European Union (EU)"),
    ],
)
def test_misspelled_place_suggests_the_closest(typed: str, meant: str) -> None:
    with pytest.raises(MisspelledPlace) as refused:
        parse_place(typed)
    assert f"Did you mean {meant}?" in " ".join(str(refused.value).split())


@pytest.mark.parametrize(
    ("typed", "codes"),
    [
        ("Congo", {"CG", "CD"}),
        ("korea", {"KR", "KP"}),
        ("Corée", {"KR", "KP"}),
        ("Georgia", {"GE", "US-GA"}),
        ("Guinea", {"GN", "GW", "GQ", "PG"}),
        ("nigeri", {"NE", "NG"}),
        ("Nigera", {"NE", "NG"}),
    ],
)
def test_name_of_several_places_is_refused_with_their_codes(typed: str, codes: set[str]) -> None:
    with pytest.raises(AmbiguousPlace) as refused:
        parse_place(typed)
    message = " ".join(str(refused.value).split())
    assert all(f"({code})" in message and parse_place(code) == code for code in codes)


#: The Mazandarani name of Lithuania is the Persian name of Latvia. In Toki Pona, the names of
#: Latvia and Malawi differ only by a space.
MISLEADING_NAMES = {("mzn", "LT"), ("tok", "LV")}


def _country_names() -> list[tuple[str, str, str]]:
    """Return (language, code, name) for the names of countries in CLDR, except MISLEADING_NAMES."""
    return [
        (language, code, name)
        for language in locale_identifiers()
        if (locale := Locale.parse(language)).territory is None
        for code, name in locale.territories.items()
        if code in COUNTRIES and (language, code) not in MISLEADING_NAMES
    ]


@given(
    st.deferred(lambda: st.sampled_from(_country_names())),
    st.sampled_from([str, str.upper, str.lower, str.title]),
)
def test_a_country_is_found_by_its_name_in_every_language(
    country_name: tuple[str, str, str], change_case: type[str]
) -> None:
    _, code, name = country_name
    if parse_place_or_none(name) in COUNTRIES - {code} and len(name) <= len("DEU"):
        return  # this name is also the code of another country
    assert code in code_or_candidates(f" {change_case(name)} ")


def code_or_candidates(typed: str) -> str:
    """Return the code of a place, or the error message that lists several places."""
    try:
        return parse_place(typed)
    except AmbiguousPlace as asked:
        return str(asked)


def parse_place_or_none(typed: str) -> str | None:
    try:
        return parse_place(typed)
    except UnknownPlace:
        return None


@given(st.sampled_from(sorted(COUNTRIES)), st.sampled_from(LANGUAGES_SEARCHED_FIRST))
def test_shown_name_of_a_place_is_parsed_as_that_place(code: str, language: str) -> None:
    name = place_name(parse_place(code), language)
    assert name != code
    assert code in code_or_candidates(name)


def test_no_name_but_guinea_and_congo_means_two_countries_in_the_large_languages() -> None:
    """If a name meant two countries, the order of the languages would decide which one is found."""
    code_of_name: dict[str, str] = {}
    for language in LANGUAGES_SEARCHED_FIRST:
        for code, name in Locale.parse(language).territories.items():
            if code in COUNTRIES and fold_name(name) not in {"guinea", "congo"}:
                assert code_of_name.setdefault(fold_name(name), code) == code, (language, name)


@pytest.mark.parametrize(
    ("country", "holidays_class"), [("US", UnitedStates), ("CA", Canada), ("AU", Australia)]
)
def test_parts_of_a_country_are_those_in_the_holidays_package(
    country: str, holidays_class: type[UnitedStates | Canada | Australia]
) -> None:
    assert parts_of(country) == {part for part in holidays_class.subdivisions if " " not in part}
    for name, part in holidays_class.subdivisions_aliases.items():
        if part in parts_of(country) and len(part) <= 3 and " " not in part:
            assert parse_place_or_none(f"{name}, {country}") in {f"{country}-{part}", country}


def test_parsing_a_code_does_not_import_babel() -> None:
    """Importing Babel takes a long time."""
    program = (
        "import sys; from entrenous.respond.law.places import parse_place; parse_place('uk-sct');"
        "sys.exit('babel' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
