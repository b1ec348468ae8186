"""Name the next step for pages of a case whose platform was not asked yet to remove the picture."""

from typing import Final

from entrenous.base.language import translatable, translated
from entrenous.respond.law.legal_route import Route, RouteKind
from entrenous.respond.nouns import Case, Notice, NoticeState, Sighting, SightingReach
from entrenous.respond.platforms import host_of
from entrenous.respond.report_steps import platform_of

_ASKS: Final = frozenset(
    {
        RouteKind.COPYRIGHT,
        RouteKind.PLATFORM,
        RouteKind.DATA,
        RouteKind.REGULATOR,
        RouteKind.HELPER,
    }
)
_FOR_ANY_HOST: Final = frozenset({RouteKind.COPYRIGHT, RouteKind.PLATFORM, RouteKind.DATA})
_LETTER: Final = translatable(
    "No letter yet asks to remove it from place {number} ({where}). To write the same letter for"
    " it: entrenous case notice {name} --route {route} --sighting {number}. Other routes: entrenous"
    " law routes {name}"
)
_CHOOSE: Final = translatable(
    "No letter yet asks to remove it from place {number} ({where}). Choose what to do, and write"
    " the letter for it: entrenous law routes {name}"
)


def unreported_pages(case: Case) -> tuple[Sighting, ...]:
    """Return the pages that no notice to their host names.

    A search engine or the police may know of such a page, but the page stays online.
    """
    named = {seen.number for notice in _notices_asking_removal(case) for seen in notice.told}
    public = (seen for seen in case.sightings if seen.reach is SightingReach.PUBLIC)
    return tuple(seen for seen in public if seen.number not in named)


def unreported_page_step(case: Case) -> str:
    """Return the step for the first of these pages; "" if there is none, or nothing was drafted."""
    left = unreported_pages(case)
    if not case.notices or not left:
        return ""
    seen, route = left[0], _route_to_repeat(case)
    words = _CHOOSE if route is None else _LETTER
    return translated(words).format(
        number=seen.number,
        where=_place_in_words(seen, case),
        name=case.name,
        route="" if route is None else route.family,
    )


def _notices_asking_removal(case: Case) -> tuple[Notice, ...]:
    return tuple(
        notice
        for notice in case.notices
        if notice.route.kind in _ASKS and notice.state is not NoticeState.WITHDRAWN
    )


def _route_to_repeat(case: Case) -> Route | None:
    """Return the route of the newest notice that can be repeated for another platform."""
    routes = (notice.route for notice in reversed(_notices_asking_removal(case)))
    return next((one for one in routes if one.kind in _FOR_ANY_HOST and not one.platform), None)


def _place_in_words(seen: Sighting, case: Case) -> str:
    record = platform_of(seen, case.situation)
    return record.name if record else host_of(seen.where) or seen.where
