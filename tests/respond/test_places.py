"""Places as people type them, and whose law reaches them."""

import pytest

from entrenous.respond.law.places import COUNTRIES, EEA, EU, UnknownPlace, parse_place, reaches


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
    ],
)
def test_places_are_read_as_people_type_them(typed: str, code: str) -> None:
    assert parse_place(typed) == code


@pytest.mark.parametrize(
    "typed",
    ["", "Germany", "D", "US-", "US-CALI", "D\u0131", "12", "US_CA", "XX", "ZZ-CA", "EU-DE"],
)
def test_unknown_place_is_refused(typed: str) -> None:
    with pytest.raises(UnknownPlace, match="two letters"):
        parse_place(typed)


@pytest.mark.parametrize(
    ("jurisdiction", "where", "answer"),
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
def test_jurisdictions_reach_their_places(jurisdiction: str, where: str, *, answer: bool) -> None:
    assert reaches(jurisdiction, (parse_place(where),)) is answer


def test_the_unions_have_their_members() -> None:
    assert len(EU) == 27 + 1
    assert len(EEA) == 30 + 1
    assert len(COUNTRIES) == 249 + 1
    assert EEA - {"EU"} <= COUNTRIES
    assert not reaches("EU", ())
