"""Draft a notice: the sightings it names, and every element that the law requires, worded or marked
as missing.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Final
from urllib.parse import urlsplit

from entrenous.base.errors import Refused
from entrenous.device.device import Device
from entrenous.respond.case_file import edit_case, find_open_case
from entrenous.respond.law.deadlines import Due, time_for
from entrenous.respond.law.legal_route import Reaches, Route, RouteKind, Wording
from entrenous.respond.law.routes import day_of_event, find_route
from entrenous.respond.nouns import (
    Case,
    Element,
    NothingThere,
    Notice,
    NoticeState,
    Reach,
    Sighting,
)
from entrenous.respond.situation import Situation, TakenBy


class ChatNotReached(Refused):
    """Sighting {number} of case {name} is in a chat, and this route reaches no chat, so nothing was
    drafted. Leave that number out, or see which routes may reach it: entrenous law routes {name}
    """


NO_PLACE: Final = "[where it can be seen: the web address of the page]"
NOT_SENT: Final = "You have not sent it yet."
_HERE: Final = "It is here:\n{places}"
_ASKS: Final[Mapping[RouteKind, str]] = {
    RouteKind.COPYRIGHT: "Please remove the material or disable access to it.",
    RouteKind.PLATFORM: "Please remove it, and every other copy of it that you can find.",
    RouteKind.DATA: "Please erase it, stop processing it, and tell me what you have done.",
    RouteKind.SEARCH: "Please stop showing it in results.",
}
_SAFER: Final = (
    "It holds no picture and names nobody who passed it on; it is stronger and safer that way."
)
_READ: Final = "It holds no picture, but {what}: read whether that says more than you want."
_LEFT_OUT: Final = (
    "Left out, so that nobody learns more than they need: {places}. To choose yourself, add"
    " --sighting NUMBER, once for each."
)
_ASK: Final = "Please act on this, and tell me what you have done."
_PREVIEW: Final = """\
{sent}
{gaps}
{holds}
{left_out}
----
{letter}
----
{leave_out}{cautions}Ground: {ground}.
What comes after: {escalation}.
"""


def write_notice(
    name: str, route_id: str, device: Device, sightings: tuple[int, ...] = ()
) -> Notice:
    """Draft a notice along the chosen route, and store it in the case.

    Args:
        name: the case.
        route_id: the route's name, or its family's.
        device: its vault stores the case.
        sightings: numbers of those to name; as few as necessary if empty.

    Raises:
        NoSuchCase, CaseClosed, NothingThere, ChatNotReached.
        UnknownRoute: no such route applies to this case today.
    """
    case = find_open_case(name, device)
    now = device.clock.now()
    route = find_route(route_id, case, day_of_event(case), now.date())

    def with_draft(fresh: Case) -> Case:
        drafted = draft_notice(fresh, route, now, sightings)
        return replace(fresh, notices=(*fresh.notices, drafted))

    return edit_case(name, device, with_draft, f"drafted a notice: {route.law}").notices[-1]


def draft_notice(
    case: Case, route: Route, now: datetime, sightings: tuple[int, ...] = ()
) -> Notice:
    """Draft a notice for one route from a case's facts; pure.

    Args:
        case: its sightings say where the copy is; ``taken_by`` decides what she may swear.
        route: the law in force on the applicable day; stored in the notice.
        now: aware, UTC.
        sightings: as for :func:`write_notice`, with the same errors.
    """
    told = sightings_for_notice(case, route, sightings) if lists_places(route) else ()
    elements = _elements(case, route, "\n".join(f"- {_place(sighting)}" for sighting in told))
    return Notice(
        number=len(case.notices) + 1,
        route=route,
        drafted_at=now,
        elements=elements,
        letter=_letter(route, elements),
        told=told,
    )


def left_out(notice: Notice, case: Case) -> tuple[Sighting, ...]:
    """Return the case's sightings that this notice could have named, and does not."""
    if not lists_places(notice.route):
        return ()
    return tuple(sighting for sighting in case.sightings if sighting not in notice.told)


def preview(notice: Notice, case: Case, today: date) -> str:
    """Format what the person reads before sending: what is missing, the letter, its ground."""
    route = notice.route
    return _PREVIEW.format(
        sent=_sent(notice),
        gaps=_gaps(notice),
        holds=_holds(notice),
        left_out=_left_out(notice, case),
        letter=notice.letter,
        leave_out=_lines("Not needed", route.leave_out),
        cautions=_lines("Know first", (*route.cautions(today), *filter(None, [route.caution]))),
        ground=route.cited(),
        escalation=route.escalation,
    )


def _elements(case: Case, route: Route, places: str) -> tuple[Element, ...]:
    wordings = route.wordings or tuple(Wording(gap=f"[{need}]") for need in route.elements)
    return tuple(
        _element(need, _with_gaps_for_unsaid(wording, case.situation), places)
        for need, wording in zip(route.elements, wordings, strict=True)
    )


def _with_gaps_for_unsaid(wording: Wording, said: Situation) -> Wording:
    """Put claims that she has not made into brackets; where the picture can be seen stays."""
    unsaid = [
        wording.if_maker_unsaid if said.taken_by is not TakenBy.ME else "",
        wording.if_intimate_unsaid if said.intimate is None else "",
    ]
    if not any(unsaid):
        return wording
    says = _HERE if "{places}" in wording.says else ""
    return Wording(says, "\n".join(filter(None, [*unsaid, wording.gap])))


def _element(need: str, wording: Wording, places: str) -> Element:
    gaps = tuple(wording.gap.splitlines())
    if "{places}" in wording.says and not places:
        gaps = (*gaps, NO_PLACE)
    says = wording.says.replace("{places}", places or NO_PLACE)
    return Element(need, "\n".join(filter(None, [says, wording.gap])), gaps)


def _place(sighting: Sighting) -> str:
    handle = f", shown at the account {sighting.handle}" if sighting.handle else ""
    kind = " (in a chat)" if sighting.reach is Reach.PRIVATE else ""
    return f"{sighting.where}{kind}{handle}, seen {sighting.first_seen_at:%Y-%m-%d %H:%M} UTC"


def _letter(route: Route, elements: tuple[Element, ...]) -> str:
    body = [
        f"{number}. {element.required}:\n{element.text}"
        for number, element in enumerate(elements, start=1)
    ]
    return "\n\n".join(
        [
            f"To: {route.addressee}",
            f"Notice under {route.law}, {route.provision}",
            *body,
            _ASKS.get(route.kind, _ASK),
            *_deadline_lines(route),
        ]
    )


def _deadline_lines(route: Route) -> list[str]:
    since = route.deadline_from or "receipt"
    if time := time_for(route, Due.REMOVE):
        return [f"Time that the law gives: {time} after {since}."]
    if time := time_for(route, Due.ANSWER):
        return [f"Time that the law gives for an answer: {time} after {since}."]
    return []


def _sent(notice: Notice) -> str:
    if notice.sent_at is None:
        ended = notice.state is NoticeState.WITHDRAWN
        return "You withdrew this draft; it was not sent." if ended else NOT_SENT
    return f"You sent it on {notice.sent_at:%Y-%m-%d %H:%M} UTC."


def _gaps(notice: Notice) -> str:
    if not notice.missing:
        return "Nothing is missing. Read it once more: it speaks in your name."
    return "Still missing, for you to fill in: " + " ".join(notice.missing)


def _holds(notice: Notice) -> str:
    what = []
    if any(sighting.reach is Reach.PRIVATE for sighting in notice.told):
        what.append("your own words for a chat")
    if any(sighting.handle for sighting in notice.told):
        what.append("the name of an account")
    return _READ.format(what=" and ".join(what)) if what else _SAFER


def _left_out(notice: Notice, case: Case) -> str:
    places = "; ".join(
        f"sighting {sighting.number} "
        + ("(a chat)" if sighting.reach is Reach.PRIVATE else sighting.where)
        for sighting in left_out(notice, case)
    )
    return _LEFT_OUT.format(places=places) + "\n" if places else ""


def _lines(title: str, texts: tuple[str, ...]) -> str:
    return f"{title}: {'; '.join(text.rstrip('.') for text in texts)}.\n" if texts else ""


_ONE_HOST: Final = frozenset({RouteKind.COPYRIGHT, RouteKind.PLATFORM, RouteKind.DATA})


def sightings_for_notice(case: Case, route: Route, picked: tuple[int, ...]) -> tuple[Sighting, ...]:
    """Return the sightings the person picked, or else the public ones that this addressee needs.

    Args:
        case: its sightings, and those that its notices have named.
        route: a platform is told about one host, a search engine about every page.
        picked: numbers of sightings; chats are named only if picked.

    Raises:
        NothingThere: there is no sighting of that number.
        ChatNotReached: a chat was picked, and the route covers none.
    """
    if picked:
        return tuple(_picked(number, case, route) for number in dict.fromkeys(picked))
    public = tuple(sighting for sighting in case.sightings if sighting.reach is Reach.PUBLIC)
    if route.kind not in _ONE_HOST:
        return public
    host = _next_host(case, route, public)
    return tuple(sighting for sighting in public if _host(sighting) == host)


def lists_places(route: Route) -> bool:
    """Whether drafts along this route say where the picture is."""
    return any("{places}" in wording.says for wording in route.wordings)


def _picked(number: int, case: Case, route: Route) -> Sighting:
    for sighting in case.sightings:
        if sighting.number == number:
            if sighting.reach is Reach.PRIVATE and route.covers_private_sharing is Reaches.NO:
                raise ChatNotReached(name=case.name, number=number)
            return sighting
    raise NothingThere(name=case.name, what="sighting", number=number)


def _next_host(case: Case, route: Route, public: tuple[Sighting, ...]) -> str:
    """Return the first host that no notice along this route has named, else the first one."""
    hosts = dict.fromkeys(map(_host, public))
    asked = {
        _host(sighting)
        for notice in case.notices
        if notice.route.family == route.family and notice.state is not NoticeState.WITHDRAWN
        for sighting in notice.told
    }
    return next((host for host in hosts if host not in asked), next(iter(hosts), ""))


def _host(sighting: Sighting) -> str:
    """Return the host of a web address; for any other place, its words."""
    try:
        host = urlsplit(sighting.where).hostname
    except ValueError:  # unbalanced brackets
        host = None
    return (host or sighting.where).removeprefix("www.")
