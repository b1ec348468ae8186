"""Tests of ranking legal routes: which routes apply on a day, their order, and their notes."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import CaseName
from entrenous.respond.law.law_tables import shipped_routes
from entrenous.respond.law.legal_route import (
    RankedRoute,
    RouteId,
    RouteKind,
    RouteRanking,
    WhetherCovered,
)
from entrenous.respond.law.places import Place
from entrenous.respond.law.routes import (
    RouteNotApplicable,
    day_of_event,
    find_route,
    routes_for_case,
)
from entrenous.respond.nouns import Case, SightingReach
from entrenous.respond.situation import PictureMaker, Situation
from tests.respond.case_owner import START, make_sighting, situation_in

TODAY = START.date()
ROUTES = shipped_routes()


def case_with_sightings(situation: Situation, *reach: SightingReach) -> Case:
    sightings = tuple(replace(make_sighting(reach=r), number=n + 1) for n, r in enumerate(reach))
    return Case(CaseName("case-1-calm-otter"), START, situation, sightings=sightings)


def route_ids(ranking: RouteRanking) -> list[RouteId]:
    return [ranked.route.id for ranked in ranking.ranked]


def rank_routes(case: Case, day: date = TODAY, today: date | None = None) -> RouteRanking:
    return routes_for_case(case, day, today or day, ROUTES)


def ranked_route(ranking: RouteRanking, route_id: str) -> RankedRoute:
    return next(one for one in ranking.ranked if one.route.id == route_id)


def test_copyright_comes_first_for_the_maker_with_a_short_reason() -> None:
    ranking = rank_routes(case_with_sightings(situation_in("US"), SightingReach.PUBLIC))
    assert ranking.first is not None
    assert ranking.first.route.kind is RouteKind.COPYRIGHT
    assert route_ids(ranking)[1] == "us-tida-removal"
    assert "25 such notices" in ranking.why
    assert "arXiv:2409.12138" in ranking.why
    assert ranking.why.rstrip(".").count(". ") == ranking.why.count("U.S.C. ") == 1


def test_copyright_route_warns_that_the_name_is_disclosed() -> None:
    ranking = rank_routes(case_with_sightings(situation_in("US"), SightingReach.PUBLIC))
    assert ranking.first is not None
    assert any("name and address may reach the abuser" in note for note in ranking.first.notes)


def test_name_that_must_stay_hidden_ranks_copyright_lower() -> None:
    hidden = replace(situation_in("US"), name_must_stay_hidden=True)
    ranking = rank_routes(case_with_sightings(hidden, SightingReach.PUBLIC))
    assert route_ids(ranking)[0] == "us-tida-removal"
    dmca = next(r for r in ranking.ranked if r.route.kind is RouteKind.COPYRIGHT)
    assert "your name may reach the uploader, which you want to avoid" in dmca.notes


def test_copyright_is_offered_unless_somebody_else_took_the_picture() -> None:
    other = situation_in("US", taken_by=PictureMaker.SOMEBODY_ELSE)
    assert "us-dmca-512c" not in route_ids(
        rank_routes(case_with_sightings(other, SightingReach.PUBLIC))
    )
    unsaid = situation_in("US", taken_by=PictureMaker.UNSAID)
    ranking = rank_routes(case_with_sightings(unsaid, SightingReach.PUBLIC))
    assert route_ids(ranking)[0] == "us-tida-removal"
    assert "us-dmca-512c" in route_ids(ranking)


@pytest.mark.parametrize("taken_by", [PictureMaker.UNSAID, PictureMaker.ME])
@pytest.mark.parametrize("intimate", [None, True, False])
@pytest.mark.parametrize("hidden", [False, True])
def test_copyright_is_first_only_for_a_maker_whose_name_may_be_known(
    taken_by: PictureMaker, *, intimate: bool | None, hidden: bool
) -> None:
    situation = Situation(
        (Place("US"),), intimate=intimate, taken_by=taken_by, name_must_stay_hidden=hidden
    )
    ranking = rank_routes(case_with_sightings(situation, SightingReach.PUBLIC))
    if taken_by is PictureMaker.ME and not hidden:
        assert ranking.first is not None
        assert ranking.first.route.kind is RouteKind.COPYRIGHT
        return
    verified = [one for one in ranking.ranked if one.route.verified]
    assert verified[-1].route.kind is RouteKind.COPYRIGHT
    assert (ranking.first is None) is (len(verified) == 1)
    assert "copyright owner" not in ranking.why
    assert verified[-1].why.startswith("if you took") is (taken_by is PictureMaker.UNSAID)


def test_person_in_germany_with_an_american_platform_sees_both_laws() -> None:
    found = route_ids(
        rank_routes(
            case_with_sightings(
                situation_in("DE", "US", taken_by=PictureMaker.SOMEBODY_ELSE), SightingReach.PUBLIC
            )
        )
    )
    assert found.index(RouteId("us-tida-removal")) < found.index(RouteId("eu-dsa-16"))
    assert "eu-gdpr-17" in found
    assert not [route_id for route_id in found if route_id.startswith(("uk-", "in-", "us-ca-"))]


@pytest.mark.parametrize(
    ("day", "route_id", "hours"),
    [
        (date(2026, 2, 19), "in-it-3-2-b-until-2026-02-19", 24),
        (date(2026, 2, 20), "in-it-3-2-b", 2),
    ],
)
def test_indian_deadline_changes_from_24_to_2_hours_in_february_2026(
    day: date, route_id: str, hours: int
) -> None:
    route = find_route(
        "in-it-3-2-b",
        case_with_sightings(situation_in("IN"), SightingReach.PUBLIC),
        day,
        day,
        ROUTES,
    )
    assert (route.id, route.deadline_hours) == (route_id, hours)


@pytest.mark.parametrize(
    ("day", "offered"), [(date(2026, 6, 28), False), (date(2026, 6, 29), True)]
)
def test_british_48_hour_duty_begins_on_29_june_2026(day: date, *, offered: bool) -> None:
    found = route_ids(
        rank_routes(case_with_sightings(situation_in("GB"), SightingReach.PUBLIC), day)
    )
    assert ("uk-osa-20a" in found) is offered


def test_duties_follow_todays_law_and_offences_the_law_of_their_day() -> None:
    """The picture was first seen in 2024, so the law of 2024 decides about offences. A platform's
    duty begins with a request today.
    """
    ranking = rank_routes(
        case_with_sightings(situation_in("US", "GB"), SightingReach.PUBLIC), date(2024, 5, 1), TODAY
    )
    assert {"us-tida-removal", "us-tida-ftc", "uk-osa-20a", "us-6851"} <= set(route_ids(ranking))
    assert "us-tida-crime" not in route_ids(ranking)


def test_a_directive_that_is_not_yet_law_is_not_offered() -> None:
    case = case_with_sightings(situation_in("FR"), SightingReach.PUBLIC)
    assert "eu-2024-1385" not in route_ids(rank_routes(case))
    assert "eu-2024-1385" in route_ids(rank_routes(case, date(2027, 6, 14)))


def test_copy_in_a_chat_gets_only_routes_that_may_reach_chats() -> None:
    ranking = rank_routes(
        case_with_sightings(situation_in("US", "GB", "DE"), SightingReach.PRIVATE)
    )
    lawful = [ranked for ranked in ranking.ranked if ranked.route.kind is not RouteKind.BANK]
    reaches = {ranked.route.covers_private_sharing for ranked in lawful}
    assert reaches == {WhetherCovered.YES, WhetherCovered.UNCLEAR}
    unclear = [
        r for r in ranking.ranked if r.route.covers_private_sharing is WhetherCovered.UNCLEAR
    ]
    assert all(
        "it is unclear whether this reaches a copy inside a chat" in r.notes for r in unclear
    )


def test_route_that_does_not_cover_the_chat_says_so() -> None:
    ranking = rank_routes(
        case_with_sightings(situation_in("US"), SightingReach.PRIVATE, SightingReach.PUBLIC)
    )
    dmca = next(r for r in ranking.ranked if r.route.id == "us-dmca-512c")
    assert "this does not reach the copy inside a chat" in dmca.notes


def test_a_picture_that_is_not_intimate_gets_no_intimate_only_route() -> None:
    ranking = rank_routes(
        case_with_sightings(situation_in("US", "DE", intimate=False), SightingReach.PUBLIC)
    )
    assert ranking.ranked
    assert not [r for r in ranking.ranked if r.route.intimate_only]


def test_route_that_depends_on_a_missing_answer_has_a_note() -> None:
    unstated = replace(situation_in("GB"), intimate=None)
    ranking = rank_routes(case_with_sightings(unstated, SightingReach.PUBLIC))
    notes = ranked_route(ranking, "uk-osa-20a").notes
    assert "only for an intimate picture; you can add whether this one is" in notes


def test_only_a_forgery_gets_the_route_for_forgeries() -> None:
    unstated = situation_in("US-CA")
    real, forged = replace(unstated, altered=False), replace(unstated, altered=True)
    assert "us-ca-22671" not in route_ids(
        rank_routes(case_with_sightings(real, SightingReach.PUBLIC))
    )
    assert not ranked_route(
        rank_routes(case_with_sightings(forged, SightingReach.PUBLIC)), "us-ca-22671"
    ).notes
    assert any(
        "you can add whether this was" in note
        for note in ranked_route(
            rank_routes(case_with_sightings(unstated, SightingReach.PUBLIC)), "us-ca-22671"
        ).notes
    )


@pytest.mark.parametrize(
    ("place", "route_id", "hours"),
    [
        ("US", "us-tida-removal", "within 48 hours"),
        ("AU", "au-osa-77", ""),  # this law's 24 hours run from the authority's notice
        ("US-CA", "us-ca-22671", ""),  # this law's 48 hours are for confirming receipt
        ("JP", "jp-platform", ""),  # this law's 7 days are for reporting the decision
    ],
)
def test_hours_are_named_only_if_they_run_from_notice_to_removal(
    place: str, route_id: str, hours: str
) -> None:
    why = ranked_route(
        rank_routes(case_with_sightings(situation_in(place), SightingReach.PUBLIC)), route_id
    ).why
    assert why.endswith(hours)
    assert bool(hours) is ("hours" in why)


def test_where_no_verified_route_reaches_a_chat_a_help_line_comes_first() -> None:
    ranking = rank_routes(case_with_sightings(situation_in("PK"), SightingReach.PRIVATE))
    assert ranking.first is None
    assert route_ids(ranking) == [
        "hash-stopncii",
        "pk-peca-21",
    ]  # a hash bank does not reach the copy in the chat; it only stops later uploads
    assert "check with a help line" in ranking.others[1].notes
    assert ranking.why.startswith("A help line comes first")
    assert "is sure to reach a copy in a chat" in ranking.why


def test_where_nothing_was_verified_a_help_line_comes_first() -> None:
    ranking = rank_routes(
        case_with_sightings(situation_in("JP", intimate=False), SightingReach.PUBLIC)
    )
    assert ranking.first is None
    assert route_ids(ranking) == ["jp-platform"]
    assert not ranking.others[0].route.verified
    assert ranking.why.startswith("A help line comes first")
    assert "no route for this case has been checked" in ranking.why


def test_without_an_applicable_route_a_help_line_comes_first() -> None:
    ranking = rank_routes(
        case_with_sightings(situation_in("MZ", intimate=False), SightingReach.PRIVATE)
    )
    assert (ranking.first, ranking.others) == (None, ())
    assert "help line" in ranking.why


@pytest.mark.parametrize(("days", "has_note"), [(180, False), (181, True)])
def test_route_read_more_than_180_days_ago_has_a_note(days: int, *, has_note: bool) -> None:
    today = date.fromordinal(date(2026, 11, 25).toordinal() + days)
    ranking = rank_routes(
        case_with_sightings(situation_in("US"), SightingReach.PUBLIC), TODAY, today
    )
    stale = {
        any("180 days" in note for note in ranked.notes)
        for ranked in ranking.ranked
        if ranked.route.read_on == date(2026, 11, 25)
    }
    assert stale == {has_note}


def test_day_of_the_event_is_the_day_of_the_earliest_sighting() -> None:
    early = datetime(2026, 2, 1, 23, 0, tzinfo=UTC)
    case = case_with_sightings(situation_in("IN"), SightingReach.PUBLIC)
    case = replace(case, sightings=(*case.sightings, make_sighting(at=early)))
    assert day_of_event(case) == date(2026, 2, 1)
    assert day_of_event(replace(case, sightings=())) == START.date()


def test_route_that_does_not_apply_is_not_found() -> None:
    with pytest.raises(RouteNotApplicable, match="uk-osa-20a"):
        find_route(
            "uk-osa-20a",
            case_with_sightings(situation_in("US"), SightingReach.PUBLIC),
            TODAY,
            TODAY,
            ROUTES,
        )


PLACES = ("US", "US-CA", "GB", "GB-SCT", "DE", "NO", "AU", "IN", "CA", "CA-BC", "KR", "BR", "EU")
situations = st.builds(
    Situation,
    places=st.lists(st.sampled_from(PLACES), max_size=3).map(
        lambda codes: tuple(map(Place, codes))
    ),
    intimate=st.sampled_from([None, True, False]),
    altered=st.sampled_from([None, True, False]),
    taken_by=st.sampled_from(PictureMaker),
    name_must_stay_hidden=st.booleans(),
)


@given(situations, st.lists(st.sampled_from(SightingReach), max_size=3), st.dates(date(2020, 1, 1)))
def test_any_ranking_has_only_applicable_routes_with_verified_ones_first(
    situation: Situation, reach: list[SightingReach], day: date
) -> None:
    ranking = rank_routes(case_with_sightings(situation, *reach), day, day)
    routes = [ranked.route for ranked in ranking.ranked]
    assert len({route.family for route in routes}) == len(routes)  # at most one version per law
    assert all(route.is_in_force(day) and not route.for_children for route in routes)
    assert ranking.first is None or ranking.first.route.verified
    flags = [route.verified for route in routes]
    assert flags == sorted(flags, reverse=True)
    unverified = [r for r in ranking.ranked if not r.route.verified]
    assert all("check with a help line" in ranked.notes for ranked in unverified)
    if ranking.first is not None and ranking.first.route.kind is RouteKind.COPYRIGHT:
        assert situation.taken_by is PictureMaker.ME
        assert not situation.name_must_stay_hidden
    if situation.intimate is False:
        assert not any(route.intimate_only for route in routes)
    if set(reach) == {SightingReach.PRIVATE}:
        not_covering = [r for r in routes if r.covers_private_sharing is WhetherCovered.NO]
        assert all(route.kind is RouteKind.BANK for route in not_covering)
        assert ranking.first is None or ranking.first.route not in not_covering
