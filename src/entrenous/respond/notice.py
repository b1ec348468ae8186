"""Draft a notice: every element that the law wants, worded or marked as still missing.

A draft never holds the picture and is never sent from here: the person reads it, fills in the gaps,
and sends it herself. It tells no more places than its addressee needs. Statutory words stay as the
law has them.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Final

from entrenous.model.case import (
    Case,
    Element,
    Notice,
    NoticeState,
    Reach,
    Sighting,
    Situation,
    TakenBy,
)
from entrenous.model.route import Route, RouteKind, Wording
from entrenous.ports import Device
from entrenous.respond.case_file import change, open_case_called
from entrenous.respond.deadlines import Due, time_for
from entrenous.respond.routes import day_of_event, route_called
from entrenous.respond.told import sightings_to_tell, takes_places

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
    """Draft a notice along the route a person picked, and put it into the case.

    Args:
        name: the case.
        route_id: the route's name, or its family's.
        device: its vault keeps the case.
        sightings: numbers of those that the letter tells; as few as it needs when empty.

    Raises:
        NoSuchCase, CaseClosed, NothingThere, ChatNotReached: as their messages say.
        UnknownRoute: no such route reaches this case today.
    """
    case = open_case_called(name, device)
    now = device.clock.now()
    route = route_called(route_id, case, day_of_event(case), now.date())

    def with_draft(fresh: Case) -> Case:
        drafted = draft_notice(fresh, route, now, sightings)
        return replace(fresh, notices=(*fresh.notices, drafted))

    return change(name, device, with_draft, f"drafted a notice: {route.law}").notices[-1]


def draft_notice(
    case: Case, route: Route, now: datetime, sightings: tuple[int, ...] = ()
) -> Notice:
    """A notice for one route, from what the case knows; pure.

    Args:
        case: its sightings say where the copy is, and whether she took it what she may swear.
        route: the law as in force on the day that counts for it; kept inside the notice.
        now: aware, UTC.
        sightings: as for :func:`write_notice`, whose errors of numbers it raises.
    """
    told = sightings_to_tell(case, route, sightings) if takes_places(route) else ()
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
    """Sightings of the case that this notice could have told, and does not."""
    if not takes_places(notice.route):
        return ()
    return tuple(sighting for sighting in case.sightings if sighting not in notice.told)


def preview(notice: Notice, case: Case, today: date) -> str:
    """What the person reads before anything is sent: what is missing, the letter, its ground."""
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
        _element(need, _as_far_as_said(wording, case.situation), places)
        for need, wording in zip(route.elements, wordings, strict=True)
    )


def _as_far_as_said(wording: Wording, said: Situation) -> Wording:
    """What she has not said stands in brackets; where it can be seen is said all the same."""
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
            *_by_when(route),
        ]
    )


def _by_when(route: Route) -> list[str]:
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
