"""Tests that each scenario in tests/respond/scenarios/ leads to the expected steps."""

import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from entrenous.respond.law.law_tables import shipped_routes
from entrenous.respond.law.legal_route import DocumentKind, RouteId, RouteKind
from entrenous.respond.law.plan import HELP_LINE_KIND, Plan, make_plan
from entrenous.respond.law.scenario import Scenario, parse_scenario
from entrenous.respond.situation import Spread

SCENARIOS_FOLDER = Path(__file__).parent / "scenarios"
TODAY = date(2026, 11, 30)


def read_scenario_rows() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(SCENARIOS_FOLDER.glob("*.toml")):
        yield from tomllib.loads(file.read_text()).items()


SCENARIO_ROWS = dict(read_scenario_rows())
KIND_BY_FAMILY = {route.family: route.kind for route in shipped_routes()}


def scenario_of(row: dict[str, Any]) -> Scenario:
    return parse_scenario(row["given"], TODAY)


def plan_for(row: dict[str, Any]) -> Plan:
    given = scenario_of(row)
    return make_plan(given.situation, given.day, given.day, under_18=given.under_18)


def help_ids(plan: Plan) -> set[str]:
    """Return the ids of verified help lines. If there are none, return the id of the step that says
    to tell somebody.
    """
    contacts = plan.hand_over.contacts if plan.hand_over else ()
    lines = {step.route for step in plan.steps if step.kind == HELP_LINE_KIND and step.verified}
    return (lines | {line.id for line in contacts}) or {"ladder-threat-step_01"}


def test_at_least_80_scenarios_from_40_countries_have_reasons_and_unique_names() -> None:
    countries = {scenario_of(row).situation.places[0][:2] for row in SCENARIO_ROWS.values()}
    assert len(SCENARIO_ROWS) >= 80
    assert len(countries) >= 40
    assert all(row["why"] for row in SCENARIO_ROWS.values())
    assert len(SCENARIO_ROWS) == sum(
        len(tomllib.loads(f.read_text())) for f in SCENARIOS_FOLDER.glob("*.toml")
    )


@pytest.mark.parametrize("scenario_name", SCENARIO_ROWS)
def test_scenario_leads_to_the_expected_steps(scenario_name: str) -> None:
    row = SCENARIO_ROWS[scenario_name]
    plan = plan_for(row)
    ids = [step.route for step in plan.steps]
    allowed = row["first"] if isinstance(row["first"], list) else [row["first"]]
    assert plan.first in allowed or ("help" in allowed and plan.first in help_ids(plan)), plan.first
    assert set(row.get("must", [])) <= set(ids)
    assert not set(row.get("must_not", [])) & set(ids)
    assert set(row.get("refused", [])) <= {one.route for one in plan.refused}
    assert (plan.hand_over is not None) is row.get("hand_over", False)
    by_id = {step.route: step for step in plan.steps}
    for id_, words in row.get("expected", {}).items():
        assert words in by_id[id_].expected
    for id_, words in row.get("to", {}).items():
        assert by_id[id_].to == words


@pytest.mark.parametrize("scenario_name", SCENARIO_ROWS)
def test_first_step_is_verified_and_first_letters_have_an_addressee(scenario_name: str) -> None:
    given, plan = scenario_of(SCENARIO_ROWS[scenario_name]), plan_for(SCENARIO_ROWS[scenario_name])
    if not plan.steps:
        assert plan.hand_over is not None
        return
    first = plan.steps[0]
    if first.kind in (DocumentKind.LETTER, DocumentKind.FORM, DocumentKind.COMPLAINT):
        assert first.to
        assert given.situation.posted in (Spread.PUBLIC, None)
    assert first.verified
    letters = [step for step in plan.steps if step.kind == DocumentKind.LETTER]
    if given.situation.posted is Spread.THREAT:
        assert not letters
    if letters and given.situation.posted in (Spread.GROUP, Spread.PRIVATE):
        has_addressee = (
            letters[0].platform or KIND_BY_FAMILY[RouteId(letters[0].route)] is RouteKind.SENDER
        )
        assert has_addressee, letters[0]


@pytest.mark.parametrize("scenario_name", SCENARIO_ROWS)
def test_each_step_is_listed_once_and_is_not_refused(scenario_name: str) -> None:
    plan = plan_for(SCENARIO_ROWS[scenario_name])
    ids = [step.route for step in plan.steps]
    assert len(set(ids)) == len(ids)
    assert not {one.route for one in plan.refused} & set(ids)
    assert all(one.why for one in plan.refused)
    assert all(step.why and (step.to or step.kind == HELP_LINE_KIND) for step in plan.steps)
