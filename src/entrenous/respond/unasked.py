"""Name the next step for pages of a case whose platform has not yet been asked to remove the
picture.
"""

from typing import Final

from entrenous.base.language import translatable, translated
from entrenous.respond.law.legal_route import Route, RouteKind
from entrenous.respond.nouns import Case, Notice, NoticeState, Sighting, SightingReach
from entrenous.respond.platforms import host_of
from entrenous.respond.report_steps import platform_of

_REMOVAL_ROUTE_KINDS: Final = frozenset(
    {
        RouteKind.COPYRIGHT,
        RouteKind.PLATFORM,
        RouteKind.DATA,
        RouteKind.REGULATOR,
        RouteKind.HELPER,
    }
)
_REPEATABLE_ROUTE_KINDS: Final = frozenset(
    {RouteKind.COPYRIGHT, RouteKind.PLATFORM, RouteKind.DATA}
)
_REPEAT_LETTER_TEXT: Final = translatable(
    "No letter yet asks to remove it from place {number} ({where}). To write the same letter for"
    " it: entrenous case notice {name} --route {route} --sighting {number}. Other routes: entrenous"
    " law routes {name}"
)
_CHOOSE_ROUTE_TEXT: Final = translatable(
    "No letter yet asks to remove it from place {number} ({where}). Choose what to do, and write"
    " the letter for it: entrenous law routes {name}"
)


def unreported_pages(case: Case) -> tuple[Sighting, ...]:
    """Return the pages that no notice asks to take the picture off.

    A notice to a search engine or to the police does not count, because the page stays online.
    """
    named = {seen.number for notice in _notices_asking_removal(case) for seen in notice.told}
    public = (seen for seen in case.sightings if seen.reach is SightingReach.PUBLIC)
    return tuple(seen for seen in public if seen.number not in named)


def unreported_page_step(case: Case) -> str:
    """Return the step for the first unreported page; "" if there is none, or if no notice was
    drafted.
    """
    pages = unreported_pages(case)
    if not case.notices or not pages:
        return ""
    seen, route = pages[0], _route_to_repeat(case)
    words = _CHOOSE_ROUTE_TEXT if route is None else _REPEAT_LETTER_TEXT
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
        if notice.route.kind in _REMOVAL_ROUTE_KINDS and notice.state is not NoticeState.WITHDRAWN
    )


def _route_to_repeat(case: Case) -> Route | None:
    """Return the route of the newest notice that can be repeated for another platform."""
    routes = (notice.route for notice in reversed(_notices_asking_removal(case)))
    return next(
        (one for one in routes if one.kind in _REPEATABLE_ROUTE_KINDS and not one.platform), None
    )


def _place_in_words(sighting: Sighting, case: Case) -> str:
    record = platform_of(sighting, case.situation)
    return record.name if record else host_of(sighting.where) or sighting.where
