"""Which sightings a notice tells: as few as it needs, so that nobody learns where else it is.

What stands in a letter goes to whoever it is sent to. A platform needs the pages on its own host
and no other; and the words a person has for a chat may name people. docs/spec/case.md section 4.
"""

from typing import Final
from urllib.parse import urlsplit

from entrenous.model.case import (
    Case,
    ChatNotReached,
    NothingThere,
    NoticeState,
    Reach,
    Sighting,
)
from entrenous.model.route import Reaches, Route, RouteKind

_ONE_HOST: Final = frozenset({RouteKind.COPYRIGHT, RouteKind.PLATFORM, RouteKind.DATA})


def sightings_to_tell(case: Case, route: Route, picked: tuple[int, ...]) -> tuple[Sighting, ...]:
    """Those that the person picked, else the public ones that this addressee needs.

    Args:
        case: its sightings, and what its notices have told already.
        route: a platform is told of one host, a search engine of every page.
        picked: numbers of sightings; the only way for a chat into a letter.

    Raises:
        NothingThere: a number is of no sighting.
        ChatNotReached: a chat was picked, and the route reaches none.
    """
    if picked:
        return tuple(_picked(number, case, route) for number in dict.fromkeys(picked))
    public = tuple(sighting for sighting in case.sightings if sighting.reach is Reach.PUBLIC)
    if route.kind not in _ONE_HOST:
        return public
    host = _next_host(case, route, public)
    return tuple(sighting for sighting in public if _host(sighting) == host)


def takes_places(route: Route) -> bool:
    """Whether a draft along this route says where the picture is."""
    return any("{places}" in wording.says for wording in route.wordings)


def _picked(number: int, case: Case, route: Route) -> Sighting:
    for sighting in case.sightings:
        if sighting.number == number:
            if sighting.reach is Reach.PRIVATE and route.covers_private_sharing is Reaches.NO:
                raise ChatNotReached(name=case.name, number=number)
            return sighting
    raise NothingThere(name=case.name, what="sighting", number=number)


def _next_host(case: Case, route: Route, public: tuple[Sighting, ...]) -> str:
    """The first host that no notice along this route has told of, else the first one."""
    hosts = dict.fromkeys(map(_host, public))
    asked = {
        _host(sighting)
        for notice in case.notices
        if notice.route.family == route.family and notice.state is not NoticeState.WITHDRAWN
        for sighting in notice.told
    }
    return next((host for host in hosts if host not in asked), next(iter(hosts), ""))


def _host(sighting: Sighting) -> str:
    """The host of a web address; for any other place, its words."""
    try:
        host = urlsplit(sighting.where).hostname
    except ValueError:  # brackets that do not fit
        host = None
    return (host or sighting.where).removeprefix("www.")
