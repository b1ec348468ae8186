"""Which legal route first? The choice decides the outcome, so it is a table that gives its reason.

On one large platform all of 25 copyright notices were honoured within 25 hours, and none of 25
reports of "non-consensual nudity" within 21 days (arXiv:2409.12138). So a person who took the
picture herself sees copyright first, unless her name has to stay hidden: a counter-notice hands it
to the uploader. Nothing here is advice, and nothing unverified is ever put first.
"""

from collections.abc import Callable
from datetime import date
from typing import Final

from entrenous.model.case import Case, Reach, TakenBy
from entrenous.model.route import Choice, Ranked, Reaches, Route, RouteId, RouteKind, UnknownRoute
from entrenous.respond.places import reaches
from entrenous.respond.tables import shipped_routes

_ORDER: Final = (
    RouteKind.COPYRIGHT,
    RouteKind.PLATFORM,
    RouteKind.REGULATOR,
    RouteKind.DATA,
    RouteKind.SEARCH,
    RouteKind.BANK,
    RouteKind.HELPER,
    RouteKind.COURT,
    RouteKind.POLICE,
    RouteKind.ESCALATION,
)
_NO_HOURS: Final = 10**6  # a route without a clock stands behind every one that has a clock

_WHY: Final = {
    RouteKind.COPYRIGHT: "you took the picture, so you may ask as its copyright owner, and in a"
    " study of one large platform all of 25 such notices were honoured within 25 hours, while none"
    " of 25 reports of non-consensual nudity was within 21 days (arXiv:2409.12138)",
    RouteKind.PLATFORM: "it obliges the platform itself",
    RouteKind.REGULATOR: "an authority asks the platform for you",
    RouteKind.DATA: "a picture of you is personal data, whoever took it",
    RouteKind.SEARCH: "it makes the picture harder to find, though the page itself stays",
    RouteKind.BANK: "it can stop the next upload on the platforms that take part",
    RouteKind.HELPER: "an organisation whose notices have priority files it for you",
    RouteKind.COURT: "a court or tribunal can order removal or compensation; it takes longer",
    RouteKind.POLICE: "it may be an offence; reporting it is your choice",
    RouteKind.ESCALATION: "it is for later, when somebody did not act",
}
_NONE_VERIFIED: Final = (
    "A help line comes first here, because no route for this case has been checked at its official"
    " text yet; it can tell you which of these holds."
)
_NOTHING: Final = (
    "A help line comes first here, because none of the routes we know reaches this case; it may"
    " know more about the place you are in."
)


def routes_for(
    case: Case, on_date: date, today: date, routes: tuple[Route, ...] | None = None
) -> Choice:
    """Every route that may reach a case, best first, in the version in force on ``on_date``.

    Args:
        case: its situation and its sightings decide; what is unsaid rules nothing out.
        on_date: the day of the event, e.g. of the first sighting.
        today: for saying that a fact was read too long ago.
        routes: the shipped table when None.
    """
    table = shipped_routes() if routes is None else routes
    open_ones = [route for route in table if route.in_force(on_date) and _may_reach(route, case)]
    ranked = tuple(
        Ranked(route, _why(route), _notes(route, case, today))
        for route in sorted(open_ones, key=lambda route: _place_in_line(route, case))
    )
    if not ranked:
        return Choice(None, (), _NOTHING)
    if not ranked[0].route.verified:
        return Choice(None, ranked, _NONE_VERIFIED)
    return Choice(ranked[0], ranked[1:], _first_because(ranked[0]))


def route_called(
    id_: str, case: Case, on_date: date, routes: tuple[Route, ...] | None = None
) -> Route:
    """The version in force on ``on_date`` of the route that a person picked by name.

    Raises:
        UnknownRoute: no such route reaches this case on that day.
    """
    for ranked in routes_for(case, on_date, on_date, routes).ranked:
        if RouteId(id_) in (ranked.route.id, ranked.route.family):
            return ranked.route
    raise UnknownRoute(route=id_, on=on_date.isoformat())


def day_of_event(case: Case) -> date:
    """The day whose law counts: of the earliest sighting, else of opening the case."""
    days = [sighting.first_seen_at.date() for sighting in case.sightings]
    return min(days, default=case.opened_at.date())


def _may_reach(route: Route, case: Case) -> bool:
    return all(rule(route, case) for rule in _RULES)


def _fits_age(route: Route, _: Case) -> bool:
    return not route.for_children and route.kind is not RouteKind.DUTY


def _fits_place(route: Route, case: Case) -> bool:
    return reaches(route.jurisdiction, case.situation.places)


def _fits_picture(route: Route, case: Case) -> bool:
    said = case.situation
    not_intimate = route.intimate_only and said.intimate is False
    not_altered = route.altered_only and said.altered is not True
    return not (not_intimate or not_altered)


def _fits_maker(route: Route, case: Case) -> bool:
    return not (
        route.kind is RouteKind.COPYRIGHT and case.situation.taken_by is TakenBy.SOMEBODY_ELSE
    )


def _fits_sighting(route: Route, case: Case) -> bool:
    only_in_chats = bool(case.sightings) and not _seen(case, Reach.PUBLIC)
    return not (only_in_chats and route.covers_private_sharing is Reaches.NO)


_RULES: Final[tuple[Callable[[Route, Case], bool], ...]] = (
    _fits_age,
    _fits_place,
    _fits_picture,
    _fits_maker,
    _fits_sighting,
)


def _place_in_line(route: Route, case: Case) -> tuple[bool, bool, int, int, str]:
    """Sort key: verified, free of open questions, then by kind, then by the shorter clock."""
    return (
        not route.verified,
        _has_open_question(route, case),
        _ORDER.index(route.kind),
        route.deadline_hours or _NO_HOURS,
        route.id,
    )


def _has_open_question(route: Route, case: Case) -> bool:
    said = case.situation
    unsaid_maker = said.taken_by is not TakenBy.ME or said.name_must_stay_hidden
    unsure_copyright = route.kind is RouteKind.COPYRIGHT and unsaid_maker
    unsure_picture = route.intimate_only and said.intimate is None
    return unsure_copyright or unsure_picture


def _seen(case: Case, reach: Reach) -> bool:
    return any(sighting.reach is reach for sighting in case.sightings)


def _why(route: Route) -> str:
    hours = f", within {route.deadline_hours} hours" if route.deadline_hours else ""
    return f"{_WHY[route.kind]}{hours}"


def _first_because(first: Ranked) -> str:
    return f"{first.route.law} ({first.route.provision}) comes first because {first.why}."


def _notes(route: Route, case: Case, today: date) -> tuple[str, ...]:
    said = case.situation
    notes = list(route.cautions(today))
    if route.intimate_only and said.intimate is None:
        notes.append("only for an intimate picture; you have not said whether this one is")
    if route.kind is RouteKind.COPYRIGHT and said.taken_by is TakenBy.UNSAID:
        notes.append("only if you took the picture yourself")
    if route.kind is RouteKind.COPYRIGHT and said.name_must_stay_hidden:
        notes.append("your name may reach the uploader, which you want to avoid")
    if route.covers_private_sharing is Reaches.UNCLEAR and _seen(case, Reach.PRIVATE):
        notes.append("it is unclear whether this reaches a copy inside a chat")
    if route.covers_private_sharing is Reaches.NO and _seen(case, Reach.PRIVATE):
        notes.append("this does not reach the copy inside a chat")
    if route.caution:
        notes.append(route.caution)
    return tuple(notes)
