"""Choose the legal route to try first, with the reason for each route's rank."""

from collections.abc import Callable
from datetime import date
from typing import Final

from entrenous.base.errors import NotFound
from entrenous.respond.law.deadlines import hours_to_remove
from entrenous.respond.law.law_tables import shipped_routes
from entrenous.respond.law.legal_route import (
    RankedRoute,
    Reaches,
    Route,
    RouteChoice,
    RouteId,
    RouteKind,
)
from entrenous.respond.law.places import reaches
from entrenous.respond.nouns import Case, Reach
from entrenous.respond.situation import TakenBy


class UnknownRoute(NotFound):
    """There is no route called {route} that reaches this case on {on}. See which ones do: entrenous
    law routes CASE
    """


_ORDER: Final = (
    RouteKind.COPYRIGHT,
    RouteKind.PLATFORM,
    RouteKind.REGULATOR,
    RouteKind.DATA,
    RouteKind.SEARCH,
    RouteKind.BANK,
    RouteKind.HELPER,
    RouteKind.SENDER,
    RouteKind.COURT,
    RouteKind.POLICE,
    RouteKind.ESCALATION,
)
_NO_HOURS: Final = 10**6  # ranks a route without a deadline behind every one with a deadline
_BY_THE_DAY_OF_THE_EVENT: Final = frozenset({RouteKind.COURT, RouteKind.POLICE})
_NONE_VERIFIED: Final = (
    "A help line comes first here, because no route for this case has been checked at its official"
    " text yet; it can tell you which of these holds."
)
_ONLY_COPYRIGHT: Final = (
    "A help line comes first here, because the only route for this case that has been checked is"
    " copyright: it needs that you took the picture, and your name may reach the uploader."
)
_NO_ROUTE: Final = (
    "A help line comes first here, because none of the routes we know reaches this case; it may"
    " know more about the place you are in."
)


def routes_for(
    case: Case, on_date: date, today: date, routes: tuple[Route, ...] | None = None
) -> RouteChoice:
    """Return every route that may apply to a case, best first, each in the version that counts.

    Args:
        case: its situation and sightings decide; unanswered questions exclude nothing.
        on_date: the day of the event, e.g. of the first sighting: courts apply its law.
        today: the law of this day decides what somebody must do when asked.
        routes: the shipped table if None.
    """
    table = shipped_routes() if routes is None else routes
    open_ones = [
        route
        for route in table
        # Today's law decides about duties, that of the event's day about offences.
        if route.in_force(on_date if route.kind in _BY_THE_DAY_OF_THE_EVENT else today)
        and all(rule(route, case) for rule in _RULES)
    ]
    ranked = tuple(
        RankedRoute(route, reason_for_route(route, case), notes(route, case, today))
        for route in sorted(open_ones, key=lambda route: _rank_key(route, case))
    )
    if not ranked:
        return RouteChoice(None, (), _NO_ROUTE)
    if not ranked[0].route.verified:
        return RouteChoice(None, ranked, _NONE_VERIFIED)
    if unsure_copyright(ranked[0].route, case):
        return RouteChoice(None, ranked, _ONLY_COPYRIGHT)
    first = ranked[0]
    why = f"{first.route.law} ({first.route.provision}) comes first because {first.why}."
    return RouteChoice(first, ranked[1:], why)


def find_route(
    id_: str, case: Case, on_date: date, today: date, routes: tuple[Route, ...] | None = None
) -> Route:
    """Return a route by name, in the version that counts; arguments as for :func:`routes_for`.

    Raises UnknownRoute if no such route applies to this case today.
    """
    for ranked in routes_for(case, on_date, today, routes).ranked:
        if RouteId(id_) in (ranked.route.id, ranked.route.family):
            return ranked.route
    raise UnknownRoute(route=id_, on=today.isoformat())


def day_of_event(case: Case) -> date:
    """Return the day whose law counts in court: of the first sighting, or of opening the case."""
    days = [sighting.first_seen_at.date() for sighting in case.sightings]
    return min(days, default=case.opened_at.date())


def _fits_age(route: Route, _: Case) -> bool:
    return not route.for_children and route.kind is not RouteKind.DUTY


def _fits_place(route: Route, case: Case) -> bool:
    return reaches(route.jurisdiction, case.situation.places)


def _fits_picture(route: Route, case: Case) -> bool:
    said = case.situation
    not_intimate = route.intimate_only and said.intimate is False
    not_altered = route.altered_only and said.altered is False
    return not (not_intimate or not_altered)


def _fits_maker(route: Route, case: Case) -> bool:
    return not (
        route.kind is RouteKind.COPYRIGHT and case.situation.taken_by is TakenBy.SOMEBODY_ELSE
    )


def _fits_sighting(route: Route, case: Case) -> bool:
    public = any(sighting.reach is Reach.PUBLIC for sighting in case.sightings)
    only_in_chats = bool(case.sightings) and not public
    return not (only_in_chats and route.covers_private_sharing is Reaches.NO)


_RULES: Final[tuple[Callable[[Route, Case], bool], ...]] = (
    _fits_age,
    _fits_place,
    _fits_picture,
    _fits_maker,
    _fits_sighting,
)


def _rank_key(route: Route, case: Case) -> tuple[bool, bool, bool, int, int, str]:
    """Sort key: verified, copyright only if hers, no open questions, kind, hours."""
    return (
        not route.verified,
        unsure_copyright(route, case),
        bool(open_questions(route, case)),
        _ORDER.index(route.kind),
        hours_to_remove(route) or _NO_HOURS,
        route.id,
    )


_HERS: Final = "you took the picture, so you may ask as its copyright owner, and"
_IF_HERS: Final = "if you took the picture yourself, you may ask as its copyright owner;"
_STUDY: Final = (
    " in a study of one large platform all of 25 such notices were honoured within 25 hours, while"
    " none of 25 reports of non-consensual nudity was within 21 days (arXiv:2409.12138)"
)
_WHY: Final = {
    RouteKind.PLATFORM: "it obliges the platform itself",
    RouteKind.REGULATOR: "an authority asks the platform for you",
    RouteKind.DATA: "a picture of you is personal data, whoever took it",
    RouteKind.SEARCH: "it makes the picture harder to find, though the page itself stays",
    RouteKind.BANK: "it can stop the next upload on the platforms that take part",
    RouteKind.HELPER: "an organisation whose notices have priority files it for you",
    RouteKind.SENDER: "whoever passed it on can be made to stop and to delete every copy",
    RouteKind.COURT: "a court or tribunal can order removal or compensation; it takes longer",
    RouteKind.POLICE: "it may be an offence; reporting it is your choice",
    RouteKind.ESCALATION: "it is for later, when somebody did not act",
}
_ABOUT_CHATS: Final = {
    Reaches.UNCLEAR: ("it is unclear whether this reaches a copy inside a chat",),
    Reaches.NO: ("this does not reach the copy inside a chat",),
}


def reason_for_route(route: Route, case: Case) -> str:
    """Return why to take this route, with the hours to removal if the law sets them."""
    if route.kind is RouteKind.COPYRIGHT:
        return (_HERS if case.situation.taken_by is TakenBy.ME else _IF_HERS) + _STUDY
    hours = hours_to_remove(route)
    return f"{_WHY[route.kind]}, within {hours} hours" if hours else _WHY[route.kind]


def unsure_copyright(route: Route, case: Case) -> bool:
    """Whether it is a copyright route that may not be hers, or that may reveal her name."""
    said = case.situation
    free = said.taken_by is TakenBy.ME and not said.name_must_stay_hidden
    return route.kind is RouteKind.COPYRIGHT and not free


def open_questions(route: Route, case: Case) -> tuple[str, ...]:
    """Return conditions of this route that the person has not answered yet."""
    said = case.situation
    depends = (
        (
            route.intimate_only and said.intimate is None,
            "only for an intimate picture; you have not said whether this one is",
        ),
        (
            route.altered_only and said.altered is None,
            "only for a picture that software made or changed; you have not said whether this was",
        ),
        (
            route.kind is RouteKind.COPYRIGHT and said.taken_by is TakenBy.UNSAID,
            "only if you took the picture yourself; you have not said whether you did",
        ),
    )
    return tuple(words for open_, words in depends if open_)


def notes(route: Route, case: Case, today: date) -> tuple[str, ...]:
    """Return the notes beside a route: unverified, outdated, open questions, not covering chats."""
    said = [*route.cautions(today), *open_questions(route, case)]
    if route.kind is RouteKind.COPYRIGHT and case.situation.name_must_stay_hidden:
        said.append("your name may reach the uploader, which you want to avoid")
    if any(sighting.reach is Reach.PRIVATE for sighting in case.sightings):
        said.extend(_ABOUT_CHATS.get(route.covers_private_sharing, ()))
    return (*said, *filter(None, [route.caution]))
