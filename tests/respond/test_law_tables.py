"""The shipped facts: all there, each with source and day; anything odd makes the table refused."""

import re
import tomllib
from datetime import date
from importlib import resources
from pathlib import Path

import pytest

from entrenous.respond.law.deadlines import due, span
from entrenous.respond.law.law_tables import (
    BadTable,
    read_help_lines,
    read_routes,
    shipped_help_lines,
    shipped_routes,
)
from entrenous.respond.law.legal_route import ClockStart, RouteKind
from tests.respond.room import START

SHELF = resources.files("entrenous.respond").joinpath("facts")
LAWS, WORDS, SUPPORT = (
    SHELF.joinpath(name).read_bytes() for name in ("laws.toml", "wordings.toml", "support.toml")
)
FACTS = Path(__file__).parents[3] / "shared" / "facts"
READ_ON = date(2026, 11, 25)


def test_every_route_and_help_line_carries_source_and_day() -> None:
    assert all(route.source and route.read_on >= READ_ON for route in shipped_routes())
    assert all(line.web and line.read_on >= READ_ON for line in shipped_help_lines())


def test_every_route_is_classified_and_no_two_share_an_id() -> None:
    routes = shipped_routes()
    assert len({route.id for route in routes}) == len(routes) == 34
    assert {route.kind for route in routes} == set(RouteKind)


@pytest.mark.skipif(not FACTS.exists(), reason="../shared/facts is not here")
@pytest.mark.parametrize("name", ["laws.toml", "support.toml"])
def test_nothing_that_was_read_was_changed_on_the_way_here(name: str) -> None:
    read = tomllib.loads((FACTS / name).read_text())
    ours = tomllib.loads(SHELF.joinpath(name).read_text())
    table = "route" if name == "laws.toml" else "contact"
    for id_, row in read[table].items():
        assert {column: ours[table][id_][column] for column in row} == row


def test_the_hours_of_a_route_are_those_of_its_rule() -> None:
    for route in shipped_routes():
        if route.deadline_hours is not None:
            until = due(START, route.deadline_rule)
            assert until is not None
            assert (until - START).total_seconds() == route.deadline_hours * 3600, route.id


def test_a_month_is_never_given_in_hours() -> None:
    monthly = [route for route in shipped_routes() if re.match(r"P\d+M", route.deadline_rule)]
    assert len(monthly) == 3
    assert all(route.deadline_hours is None for route in monthly)


def test_a_clock_has_a_rule_and_a_rule_has_a_clock() -> None:
    for route in shipped_routes():
        assert (route.clock is ClockStart.NONE) == (not span(route.deadline_rule)), route.id


def test_as_another_route_means_its_words() -> None:
    by_id = {route.id: route for route in shipped_routes()}
    search, report = by_id["uk-osa-27-search"], by_id["uk-osa-20a"]  # type: ignore[index]
    assert search.elements == report.elements
    assert len(search.wordings) == len(report.wordings) == 5
    assert search.addressee != report.addressee
    assert not any(
        text.startswith("as ") and text[3:] in by_id
        for route in shipped_routes()
        for text in (*route.elements, route.scope, route.who_may_file, route.addressee)
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"schema = 1", b"schema = 2"),
        (b'kind = "platform"', b'kind = "magic"'),
        (b"\nverified = true", b'\nverified = "yes"'),
        (b"\nverified = true", b"\nverified = true\nverifed_at = 1"),
        (b"deadline_hours = 48", b"deadline_hours = 48.5"),
        (b"in_force_from = 2026-05-19", b'in_force_from = "2026-05-19"'),
        (b'source = "https://uscode', b'sauce = "https://uscode'),
        (b'clock = "receipt"', b""),
        (b'  "in writing",', b""),
        (b"schema = 1", b"schema = 1\n[["),
        (b"schema = 1", b"\xff"),
    ],
)
def test_an_odd_law_table_is_refused_whole(old: bytes, new: bytes) -> None:
    assert old in LAWS
    with pytest.raises(BadTable, match=r"laws\.toml"):
        read_routes(LAWS.replace(old, new, 1), WORDS)


def test_a_wording_for_a_route_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadTable, match=r"wordings\.toml"):
        read_routes(LAWS, WORDS.replace(b"eu-dsa-16 =", b"eu-dsa-61 ="))


def test_an_odd_help_table_is_refused() -> None:
    with pytest.raises(BadTable, match=r"support\.toml"):
        read_help_lines(SUPPORT.replace(b"verified = true", b"verified = 1", 1))
