"""Why a route stands where it does, and what to know before choosing it: the words beside it."""

from datetime import date
from typing import Final

from entrenous.model.case import Case, Reach, TakenBy
from entrenous.model.route import Reaches, Route, RouteKind
from entrenous.respond.deadlines import hours_to_remove

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
    RouteKind.COURT: "a court or tribunal can order removal or compensation; it takes longer",
    RouteKind.POLICE: "it may be an offence; reporting it is your choice",
    RouteKind.ESCALATION: "it is for later, when somebody did not act",
}
_ABOUT_CHATS: Final = {
    Reaches.UNCLEAR: ("it is unclear whether this reaches a copy inside a chat",),
    Reaches.NO: ("this does not reach the copy inside a chat",),
}


def why(route: Route, case: Case) -> str:
    """Why this route, and within how many hours they have to remove it if the law says so."""
    if route.kind is RouteKind.COPYRIGHT:
        return (_HERS if case.situation.taken_by is TakenBy.ME else _IF_HERS) + _STUDY
    hours = hours_to_remove(route)
    return f"{_WHY[route.kind]}, within {hours} hours" if hours else _WHY[route.kind]


def unsure_copyright(route: Route, case: Case) -> bool:
    """Whether it is a copyright route that may not be hers to take, or that may name her."""
    said = case.situation
    free = said.taken_by is TakenBy.ME and not said.name_must_stay_hidden
    return route.kind is RouteKind.COPYRIGHT and not free


def open_questions(route: Route, case: Case) -> tuple[str, ...]:
    """What the person has not said yet, and this route depends on."""
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
    """Everything that is said beside a route: not verified, read long ago, open, out of reach."""
    said = [*route.cautions(today), *open_questions(route, case)]
    if route.kind is RouteKind.COPYRIGHT and case.situation.name_must_stay_hidden:
        said.append("your name may reach the uploader, which you want to avoid")
    if any(sighting.reach is Reach.PRIVATE for sighting in case.sightings):
        said.extend(_ABOUT_CHATS.get(route.covers_private_sharing, ()))
    return (*said, *filter(None, [route.caution]))
