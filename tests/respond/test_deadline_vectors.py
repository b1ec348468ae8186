"""Tests of deadlines that were worked out by hand, and of properties of counting rules."""

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrenous.respond.law.counting import Period, PeriodUnit, count_period, read_period
from entrenous.respond.law.counting_rules import counting_rules
from entrenous.respond.law.law_tables import shipped_routes
from entrenous.respond.law.one_deadline import RequestEvent, count_deadline
from entrenous.respond.law.places import Place

VECTORS_FOLDER = Path(__file__).parent / "vectors" / "deadlines"
VECTOR_TABLES = {
    file.stem: tomllib.loads(file.read_text()) for file in sorted(VECTORS_FOLDER.glob("*.toml"))
}
RULE_NAMES = [name for name in VECTOR_TABLES if name != "routes"]
COUNTING_RULES = counting_rules()
PLACES = (
    *("DE", "DE-BY", "FR", "ES", "ES-CN", "IT", "IE", "GB", "GB-SCT", "US", "US-CA", "US-TX", "CA"),
    *("BR", "BR-SP", "IN", "JP", "KR", "AU", "AU-NSW", "CO", "IL", "AE", "EU", "worldwide", "KI"),
)
timestamps = st.datetimes(datetime(2024, 1, 1), datetime(2029, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis adds the zone
periods = st.builds(
    Period,
    st.integers(0, 40),
    st.sampled_from([one for one in PeriodUnit if one is not PeriodUnit.YEARS]),
)


def test_at_least_250_vectors_each_have_a_reason_and_a_source() -> None:
    rows = [(name, row) for name, table in VECTOR_TABLES.items() for row in table["vector"]]
    assert len(rows) >= 250
    assert len({f"{name} {sorted(row.items(), key=str)}" for name, row in rows}) == len(rows)
    assert all(row["why"] for _, row in rows)
    for name, table in VECTOR_TABLES.items():
        assert all("source" in row or "source" in table for row in table["vector"]), name


def test_every_counting_rule_has_vectors() -> None:
    assert set(COUNTING_RULES) - {"none"} == set(RULE_NAMES)


@pytest.mark.parametrize("rule_name", RULE_NAMES)
def test_counting_rule_matches_its_vectors(rule_name: str) -> None:
    wrong = [
        row
        for row in VECTOR_TABLES[rule_name]["vector"]
        if _counted_end(rule_name, row) != _expected_end(row)
    ]
    assert wrong == []


@pytest.mark.parametrize("row", VECTOR_TABLES["routes"]["vector"], ids=lambda row: row["why"])
def test_deadline_of_a_route_matches_its_vector(row: dict[str, Any]) -> None:
    place = Place("-".join(filter(None, [row["country"], row.get("region")])))
    events = {RequestEvent(what): datetime.fromisoformat(at) for what, at in row["events"].items()}
    found = count_deadline(row["route"], events, place)
    assert (found.due_at, found.in_force) == (_expected_end(row), row.get("in_force", True))
    if "version" in row:
        assert found.route.id == row["version"]


@given(timestamps, st.timedeltas(timedelta(), timedelta(days=45)), periods, st.data())
@example(datetime(2026, 1, 31, tzinfo=UTC), timedelta(days=1), Period(1, PeriodUnit.MONTHS), None)
@example(datetime(2026, 4, 2, 10, tzinfo=UTC), timedelta(days=1), Period(2, PeriodUnit.DAYS), None)
def test_later_start_never_gives_an_earlier_end(
    start: datetime, later: timedelta, period: Period, data: st.DataObject | None
) -> None:
    choices = [(rule, place) for rule in COUNTING_RULES.values() for place in PLACES]
    for rule, place in choices if data is None else [data.draw(st.sampled_from(choices))]:
        first = count_period(start, period, rule, Place(place)).due_at
        second = count_period(start + later, period, rule, Place(place)).due_at
        assert (first is None) == (second is None)
        if first is not None and second is not None:
            assert start <= first <= second


def test_deadlines_are_in_the_order_of_their_starts() -> None:
    starts = [datetime(2026, 1, 1, 10, 30, tzinfo=UTC) + timedelta(days=n) for n in range(800)]
    for name, place in (("eu-1182-71", "DE-BY"), ("jp-civil-139", "JP"), ("br-cc-132", "BR-SP")):
        for clause in ("P1M", "P2D", "P7D", "PT72H", "5 business days"):
            period = read_period(clause)
            assert period is not None
            ends = [
                count_period(start, period, COUNTING_RULES[name], Place(place)).due_at
                for start in starts
            ]
            assert ends == sorted(ends, key=lambda end: end or starts[0])


def test_every_period_in_a_law_gives_a_date_and_its_calculation() -> None:
    start = {RequestEvent.RECEIVED: datetime(2026, 11, 25, 10, tzinfo=UTC)}
    for route in shipped_routes():
        if read_period(route.deadline_rule) and route.is_in_force(datetime(2026, 11, 25).date()):  # noqa: DTZ001
            found = count_deadline(route.id, start, Place("US-CA"))
            assert found.due_at is not None, route.id
            assert any("They have until" in line for line in found.calculation), route.id


def _counted_end(rule_name: str, row: dict[str, Any]) -> datetime | None:
    period = read_period(row["clause"])
    assert period is not None
    return count_period(
        datetime.fromisoformat(row["event"]), period, COUNTING_RULES[rule_name], Place(row["place"])
    ).due_at


def _expected_end(row: dict[str, Any]) -> datetime | None:
    return datetime.fromisoformat(row["due"]) if "due" in row else None
