"""Tests of plans (ordered steps for a situation), of plans for people under 18, and of ladders."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import CaseName
from entrenous.respond.fact_tables import BadTable, shipped_table
from entrenous.respond.law.ladders import CHAT_LADDER, THREAT_LADDER, read_ladder, shipped_ladder
from entrenous.respond.law.law_tables import shipped_routes
from entrenous.respond.law.legal_route import DocumentKind, RouteKind
from entrenous.respond.law.places import COUNTRIES, Place
from entrenous.respond.law.plan import HELP_LINE_KIND, PLAIN_STEP_KIND, Plan, make_plan
from entrenous.respond.law.plan_view import plan_json, plan_text
from entrenous.respond.law.routes import routes_for, situation_of
from entrenous.respond.nouns import Case, SightingReach
from entrenous.respond.platforms import PlatformKind, shipped_platforms
from entrenous.respond.situation import Demand, PictureMaker, Situation, Spread
from tests.respond.case_owner import make_sighting

TODAY = date(2026, 11, 30)
KIND_BY_FAMILY = {route.family: route.kind for route in shipped_routes()}
REMOVAL_KINDS = {
    *(RouteKind.PLATFORM, RouteKind.COPYRIGHT, RouteKind.SEARCH, RouteKind.DATA),
    *(RouteKind.SENDER, RouteKind.HELPER, RouteKind.ESCALATION),
}
optional_booleans = st.sampled_from([None, True, False])
JURISDICTIONS = sorted({route.jurisdiction for route in shipped_routes()} - {"EU/EEA", "US-states"})
places = st.sampled_from([*JURISDICTIONS, *sorted(COUNTRIES)])
situations = st.builds(
    Situation,
    places=st.lists(places, max_size=2, unique=True).map(lambda some: tuple(map(Place, some))),
    intimate=optional_booleans,
    altered=optional_booleans,
    taken_by=st.sampled_from(PictureMaker),
    name_must_stay_hidden=st.booleans(),
    platform_in=st.none() | places.map(Place),
    platform=st.sampled_from(["", "leaks.example", *(one.id for one in shipped_platforms())]),
    platform_kind=st.sampled_from(["", *PlatformKind]),
    posted=st.none() | st.sampled_from(Spread),
    demand=st.none() | st.sampled_from(Demand),
    depicts_me=optional_booleans,
    recipient_known=optional_booleans,
    on_behalf=st.booleans(),
)


@given(situations, st.dates(date(2018, 1, 1), date(2028, 1, 1)))
def test_every_applicable_route_is_a_step_and_no_refused_route_is_a_step(
    situation: Situation, day: date
) -> None:
    plan = make_plan(situation, day, day)
    ids = [step.route for step in plan.steps]
    assert len(set(ids)) == len(ids)
    assert plan.first == (ids[0] if ids else "")
    applicable = {one.route.family for one in routes_for(situation, day, day).ranked}
    if situation.posted is Spread.THREAT:
        assert not {KIND_BY_FAMILY[id_] for id_ in applicable} & REMOVAL_KINDS
    assert applicable <= set(ids)
    assert not {one.route for one in plan.refused} & set(ids)


@given(situations)
def test_first_step_is_verified_if_possible_and_a_first_letter_has_an_addressee(
    situation: Situation,
) -> None:
    plan = make_plan(situation, TODAY, TODAY)
    if not plan.steps:
        return
    first = plan.steps[0]
    if situation.posted in (Spread.GROUP, Spread.PRIVATE):
        assert (first.route, first.kind) == ("ladder-chat-step_01", PLAIN_STEP_KIND)
    if situation.posted is Spread.THREAT:
        assert first.kind in (HELP_LINE_KIND, PLAIN_STEP_KIND)
    if first.kind in (DocumentKind.LETTER, DocumentKind.FORM, DocumentKind.COMPLAINT):
        assert first.to
    assert (
        first.verified
        or first.kind == HELP_LINE_KIND
        or not any(step.verified for step in plan.steps)
    )


@given(situations)
def test_under_18_plan_has_only_help_and_hash_banks(situation: Situation) -> None:
    plan = make_plan(situation, TODAY, TODAY, under_18=True)
    assert plan.hand_over is not None
    assert plan.hand_over.contacts
    assert {step.kind for step in plan.steps} <= {DocumentKind.HASH_BANK}
    assert {step.route for step in plan.steps} <= {"uk-report-remove", "hash-takeitdown"}
    assert plan.first
    assert not plan.refused


@given(situation=situations, under_18=st.booleans())
def test_every_plan_can_be_shown(*, situation: Situation, under_18: bool) -> None:
    plan = make_plan(situation, TODAY, TODAY, under_18=under_18)
    shown = plan_json(plan)
    assert set(shown) == {"schema", "first", "routes", "refused", "hand_over"}
    lines = list(plan_text(plan, in_full=True))
    assert all(line.strip() for line in lines)
    assert len(list(plan_text(plan))) <= len(lines) + 1


def _british_plan(**facts: object) -> Plan:
    return make_plan(Situation((Place("GB"),), **facts), TODAY, TODAY)  # type: ignore[arg-type]


def test_step_for_signal_says_that_nobody_can_remove_messages() -> None:
    signal = next(
        step
        for step in _british_plan(posted=Spread.PRIVATE, platform="signal").steps
        if step.route == "platform-signal"
    )
    assert "nobody there can see or remove a message" in signal.why


def test_demand_adds_the_step_not_to_pay() -> None:
    ids = [step.route for step in _british_plan(posted=Spread.PUBLIC, demand=Demand.MONEY).steps]
    assert ids[1] == "ladder-threat-step_02"
    without = [step.route for step in _british_plan(posted=Spread.PUBLIC, demand=Demand.NONE).steps]
    assert "ladder-threat-step_02" not in without


@pytest.mark.parametrize(
    ("day", "names_66e", "names_66ab"),
    [
        (date(2026, 1, 1), False, False),
        (date(2026, 3, 1), True, False),
        (date(2026, 7, 1), True, True),
    ],
)
def test_law_change_is_mentioned_from_its_day_on(
    day: date, *, names_66e: bool, names_66ab: bool
) -> None:
    situation = Situation((Place("GB"),), intimate=True, posted=Spread.PUBLIC)
    plan = make_plan(situation, day, day)
    why = next(step.why for step in plan.steps if step.route == "uk-soa-66b")
    assert ("66E" in why) is names_66e
    assert ("66AB" in why) is names_66ab


def test_representative_is_told_who_has_to_file() -> None:
    plan = _british_plan(posted=Spread.PUBLIC, intimate=True, on_behalf=True, depicts_me=False)
    by_id = {step.route: step for step in plan.steps}
    assert "prepare it together" in by_id["uk-soa-66b"].why
    assert "prepare it together" not in by_id["uk-osa-20a"].why


def test_ladder_step_needs_a_known_sender_or_an_existing_route() -> None:
    unknown = [one.route for one in _british_plan(posted=Spread.GROUP, recipient_known=False).steps]
    known = [one.route for one in _british_plan(posted=Spread.GROUP, recipient_known=True).steps]
    assert "ladder-chat-step_06" in known
    assert "ladder-chat-step_06" not in unknown
    assert "ladder-chat-step_07" not in known  # no court of this place is in the tables
    austria = Situation((Place("AT"),), posted=Spread.GROUP, recipient_known=True)
    ids = [one.route for one in make_plan(austria, TODAY, TODAY).steps]
    assert ids.index("ladder-chat-step_07") == ids.index("at-mandatsverfahren") - 1


START = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stated", "reach", "posted"),
    [
        (None, (), None),
        (None, (SightingReach.PUBLIC,), Spread.PUBLIC),
        (None, (SightingReach.PRIVATE,), Spread.GROUP),
        (None, (SightingReach.PRIVATE, SightingReach.PUBLIC), Spread.PUBLIC),
        (Spread.PRIVATE, (SightingReach.PRIVATE,), Spread.PRIVATE),
        (Spread.THREAT, (), Spread.THREAT),
        (Spread.THREAT, (SightingReach.PRIVATE,), Spread.THREAT),  # the threat was made in a chat
        (Spread.PRIVATE, (SightingReach.PUBLIC,), Spread.PUBLIC),
    ],
)
def test_public_sighting_overrides_the_stated_spread_and_a_chat_only_a_missing_one(
    stated: Spread | None, reach: tuple[SightingReach, ...], posted: Spread | None
) -> None:
    sightings = tuple(
        replace(make_sighting(reach=one), number=n + 1) for n, one in enumerate(reach)
    )
    situation = Situation((Place("DE"),), posted=stated)
    case = Case(CaseName("case-1-calm-otter"), START, situation, sightings=sightings)
    assert situation_of(case).posted is posted


def test_hash_bank_is_not_suggested_for_a_picture_that_is_not_intimate() -> None:
    for posted in (Spread.GROUP, Spread.THREAT):
        addressees = {
            intimate: " ".join(
                step.to
                for step in make_plan(
                    Situation((), posted=posted, intimate=intimate), TODAY, TODAY
                ).steps
            )
            for intimate in (True, False, None)
        }
        assert ["StopNCII" in to for to in addressees.values()] == [True, False, True]


def test_plan_text_names_the_country_and_the_next_command() -> None:
    # NE is Niger, but people who type it may mean Nigeria.
    situation = Situation((Place("NE"),), posted=Spread.THREAT)
    lines = list(plan_text(make_plan(situation, TODAY, TODAY), case="case-1"))
    assert lines[1] == "For: Niger (NE)"
    assert lines[-1].endswith("entrenous case notice case-1 --route WORD")
    without = list(plan_text(make_plan(Situation((), posted=Spread.THREAT), TODAY, TODAY)))
    assert without[1].startswith("No place was named")
    assert without[-1].endswith("entrenous case open")


def test_every_route_that_a_ladder_names_exists() -> None:
    ids = {str(family) for family in KIND_BY_FAMILY}
    for name in (CHAT_LADDER, THREAT_LADDER):
        ladder = shipped_ladder(name)
        named = {id_ for step in ladder.steps for id_ in step.routes}
        assert named <= ids
        for words in ladder.police.values():
            codes = words.replace(",", " ").replace(";", " ").replace(")", " ").split()
            assert {word for word in codes if word.count("-") > 1} <= ids
        assert sum(step.help for step in ladder.steps) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"step_02", ', b""),
        (b"schema = 1", b"schema = 2"),
        (b'kinds = ["police"]', b'kinds = ["magic"]'),
        (b"sources = [", b"roots = ["),
    ],
)
def test_invalid_ladder_is_refused(old: bytes, new: bytes) -> None:
    data = shipped_table("chat-ladder.toml")
    assert old in data
    with pytest.raises(BadTable, match=r"chat-ladder\.toml"):
        read_ladder(CHAT_LADDER, data.replace(old, new, 1))
