"""Choose the legal routes that apply to a situation, best first, with the reason for each rank.

A route is a row of the law tables. The rules here read its columns and never name one law.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Final

from entrenous.base.errors import NotFound
from entrenous.base.language import day_in_words, translatable, translated
from entrenous.respond.law.deadlines import hours_to_remove
from entrenous.respond.law.law_tables import shipped_changes, shipped_routes
from entrenous.respond.law.legal_route import (
    RankedRoute,
    Route,
    RouteId,
    RouteKind,
    RouteRanking,
    WhetherCovered,
)
from entrenous.respond.law.places import WORLDWIDE, law_reaches
from entrenous.respond.nouns import Case, SightingReach
from entrenous.respond.platforms import PlatformKind, PlatformRecord, find_platform
from entrenous.respond.report_steps import platform_of_sighting
from entrenous.respond.situation import PictureMaker, Situation, Spread


class RouteNotApplicable(NotFound):
    """
    No legal route called {route} applies to this case on {on}, so nothing was drafted. To list the
    routes that apply: entrenous law routes {name}. A report to a platform needs no letter:
    entrenous case platform PLATFORM --case {name}
    """


_KIND_ORDER: Final = (
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
# stands for no deadline, so that such a route ranks after every route with a deadline
_HOURS_IF_NO_DEADLINE: Final = 10**6
_KINDS_UNDER_LAW_OF_EVENT_DAY: Final = frozenset({RouteKind.COURT, RouteKind.POLICE})
_CHAT_SPREADS: Final = frozenset({Spread.GROUP, Spread.PRIVATE})
# answers of the person that a sighting in a chat does not override
_SPREADS_NOT_OVERRIDDEN_BY_CHAT: Final = _CHAT_SPREADS | {Spread.THREAT}
_NONE_VERIFIED_TEXT: Final = translatable(
    "A help line comes first here, because no route for this case has been checked at its "
    "official text yet; it can tell you which of these routes apply."
)
_NONE_REACHES_CHAT_TEXT: Final = translatable(
    "A help line comes first here, because no route for this case that has been checked at its "
    "official text is sure to reach a copy in a chat; it can tell you what else you can do."
)
_ONLY_COPYRIGHT_TEXT: Final = translatable(
    "A help line comes first here, because the only route for this case that has been "
    "checked is copyright: it requires that you took the picture, and your name may reach "
    "the uploader."
)
_NO_ROUTE_TEXT: Final = translatable(
    "A help line comes first here, because none of the routes we know reaches this "
    "case; it may know more about the place you are in."
)


@dataclass(frozen=True, slots=True)
class InapplicableRoute:
    """A route that does not apply although its law covers a place of the situation; and why."""

    route: RouteId
    why: str


def routes_for(
    situation: Situation,
    on_date: date,
    today: date,
    routes: tuple[Route, ...] | None = None,
    *,
    also_in_chats: bool = False,
) -> RouteRanking:
    """Return every route that may apply, best first, each in its applicable version.

    Args:
        situation: the person's answers; an unanswered question excludes no route.
        on_date: the day of the event; courts and police apply the law of that day.
        today: the law of this day decides the duties of the addressees.
        routes: the shipped table if None.
        also_in_chats: the picture is also in a chat, whatever ``situation.posted`` says.
    """
    table = shipped_routes() if routes is None else routes
    fitting = [
        route for route in table if not reason_not_applicable(route, situation, on_date, today)
    ]
    ranked = tuple(
        RankedRoute(
            route,
            reason_for_route(route, situation),
            route_notes(
                route, situation, today, in_chats=also_in_chats or situation.posted in _CHAT_SPREADS
            ),
        )
        for route in sorted(fitting, key=lambda route: rank_key(route, situation))
    )
    if not ranked:
        return RouteRanking(None, (), translated(_NO_ROUTE_TEXT))
    if not ranked[0].route.verified:
        return RouteRanking(None, ranked, translated(_NONE_VERIFIED_TEXT))
    if cannot_reach_chat_copy(ranked[0].route, situation):
        return RouteRanking(None, ranked, translated(_NONE_REACHES_CHAT_TEXT))
    if is_copyright_unsure(ranked[0].route, situation):
        return RouteRanking(None, ranked, translated(_ONLY_COPYRIGHT_TEXT))
    first = ranked[0]
    why = translated("{law} ({provision}) comes first because {why}.").format(
        law=first.route.law, provision=first.route.provision, why=first.why
    )
    return RouteRanking(first, ranked[1:], why)


def inapplicable_routes(
    situation: Situation, on_date: date, today: date, routes: tuple[Route, ...] | None = None
) -> tuple[InapplicableRoute, ...]:
    """Return the routes that do not apply although their law covers a place of the situation, with
    reasons; arguments as for :func:`routes_for`.
    """
    table = shipped_routes() if routes is None else routes
    reasons = {route: reason_not_applicable(route, situation, on_date, today) for route in table}
    taken = {route.family for route, why in reasons.items() if not why}
    refused: dict[RouteId, str] = {}
    for route, why in reasons.items():
        if why and why != translated(_OTHER_PLACE_TEXT) and route.family not in taken:
            refused.setdefault(route.family, why)
    return tuple(InapplicableRoute(family, why) for family, why in refused.items())


def routes_for_minors(
    situation: Situation, today: date, routes: tuple[Route, ...] | None = None
) -> tuple[Route, ...]:
    """Return the routes for a picture of somebody under 18, those of the person's places first."""
    table = shipped_routes() if routes is None else routes
    fitting = [
        route
        for route in table
        if route.for_children and _reaches_place(route, situation) and route.is_in_force(today)
        if not _why_not_by_picture(route, situation)
    ]
    return tuple(sorted(fitting, key=lambda route: (route.jurisdiction == WORLDWIDE, route.id)))


def situation_of(case: Case) -> Situation:
    """Return a case's situation. How far the picture has spread is decided by the sightings first,
    and then by the person's answer.

    A copy in a chat counts as seen in a group chat, unless the person answered that it went from
    person to person. In a case about a threat, a chat does not count as a copy,
    because it is where the threat was made. If the person named no platform and all sightings are
    on one, that is the case's platform.
    """
    said = replace(case.situation, platform=case.situation.platform or _common_platform_id(case))
    if any(sighting.reach is SightingReach.PUBLIC for sighting in case.sightings):
        return replace(said, posted=Spread.PUBLIC)
    if case.sightings and said.posted not in _SPREADS_NOT_OVERRIDDEN_BY_CHAT:
        return replace(said, posted=Spread.GROUP)
    return said


def _common_platform_id(case: Case) -> str:
    """Return the id of the platform if all sightings are on the same one, else ""."""
    records = {platform_of_sighting(sighting, case.situation) for sighting in case.sightings}
    (record,) = records if len(records) == 1 else (None,)
    return record.id if record else ""


def routes_for_case(
    case: Case, on_date: date, today: date, routes: tuple[Route, ...] | None = None
) -> RouteRanking:
    """Return the routes for a case; arguments as for :func:`routes_for`."""
    in_chats = any(sighting.reach is SightingReach.PRIVATE for sighting in case.sightings)
    return routes_for(situation_of(case), on_date, today, routes, also_in_chats=in_chats)


def find_route(
    id_: str, case: Case, on_date: date, today: date, routes: tuple[Route, ...] | None = None
) -> Route:
    """Return the route with the id or family id ``id_``, in its applicable version; the other
    arguments are as for :func:`routes_for`. Raises RouteNotApplicable if no such route applies to
    this case today.
    """
    for ranked in routes_for_case(case, on_date, today, routes).ranked:
        if RouteId(id_) in (ranked.route.id, ranked.route.family):
            return ranked.route
    raise RouteNotApplicable(route=id_, on=today.isoformat(), name=case.name)


@cache
def versions_of(family: RouteId) -> tuple[Route, ...]:
    """Return every shipped version of a route, in the order of the tables."""
    return tuple(route for route in shipped_routes() if route.family == family)


def day_of_event(case: Case) -> date:
    """Return the day whose law courts and police apply: the day of the first sighting or, without a
    sighting, the day when the case was opened.
    """
    days = [sighting.first_seen_at.date() for sighting in case.sightings]
    return min(days, default=case.opened_at.date())


def reason_not_applicable(route: Route, situation: Situation, on_date: date, today: date) -> str:
    """Return why a route does not apply, in words; "" if it may. Arguments as for
    :func:`routes_for`.
    """
    if not _reaches_place(route, situation):
        return translated(_OTHER_PLACE_TEXT)
    # For courts and police, the law on the day of the event counts; for all others, today's law.
    day = on_date if route.kind in _KINDS_UNDER_LAW_OF_EVENT_DAY else today
    if not route.is_in_force(day):
        return _why_not_in_force(route, day)
    return next(filter(None, (rule(route, situation) for rule in _APPLICABILITY_RULES)), "")


_OTHER_PLACE_TEXT: Final = translatable("it is the law of another place")


def _reaches_place(route: Route, situation: Situation) -> bool:
    at_platform = (situation.platform_in,) if situation.platform_in and route.by_platform else ()
    return law_reaches(route.jurisdiction, (*situation.places, *at_platform))


def _why_not_in_force(route: Route, day: date) -> str:
    if route.in_force_from and day < route.in_force_from:
        return translated("it is in force from {day} only").format(
            day=day_in_words(route.in_force_from)
        )
    return translated("it was in force until {day}").format(
        day=day_in_words(route.in_force_until or day)
    )


def _why_not_by_age(route: Route, _: Situation) -> str:
    return (
        translated("only if somebody in it was under 18 when it was taken")
        if route.for_children
        else ""
    )


def _why_not_by_duty(route: Route, _: Situation) -> str:
    owed = route.kind is RouteKind.DUTY
    return (
        translated("it is what the platform owes to the uploader; you file nothing") if owed else ""
    )


def _why_not_by_picture(route: Route, situation: Situation) -> str:
    if route.intimate_only and situation.intimate is False:
        return translated("only for an intimate picture")
    if route.altered_only and situation.altered is False:
        return translated("only for a picture that software made or changed")
    return ""


def _why_not_by_maker(route: Route, situation: Situation) -> str:
    other = route.maker_only and situation.taken_by is PictureMaker.SOMEBODY_ELSE
    return translated("only for whoever took the picture") if other else ""


def _why_not_by_person_shown(route: Route, situation: Situation) -> str:
    if not route.depicted_only or situation.depicts_me is not False or situation.on_behalf:
        return ""
    return translated("only for the person in the picture, or for somebody who acts for them")


_SPREAD_REFUSAL_TEXTS: Final = {
    Spread.PUBLIC: translatable("it does not reach what is public"),
    Spread.GROUP: translatable("it does not reach a copy in a chat"),
    Spread.PRIVATE: translatable("it does not reach a copy that was sent to one person"),
    Spread.THREAT: translatable("nothing was shared yet, and it does not reach a threat"),
}


def _why_not_by_where_posted(route: Route, situation: Situation) -> str:
    if situation.posted is None or situation.posted in route.posted:
        return ""
    return translated(_SPREAD_REFUSAL_TEXTS[situation.posted])


def _why_not_by_platform_kind(route: Route, situation: Situation) -> str:
    kind = platform_kind(situation)
    if not kind or not route.platform_kinds or kind in route.platform_kinds:
        return ""
    return translated("it does not reach this kind of platform ({kind})").format(kind=kind)


def _why_not_by_sender(route: Route, situation: Situation) -> str:
    if not route.sender_known or situation.recipient_known is not False:
        return ""
    return translated("it goes against a person, and it is not known who passed it on")


_APPLICABILITY_RULES: Final[tuple[Callable[[Route, Situation], str], ...]] = (
    _why_not_by_duty,
    _why_not_by_age,
    _why_not_by_picture,
    _why_not_by_maker,
    _why_not_by_person_shown,
    _why_not_by_where_posted,
    _why_not_by_platform_kind,
    _why_not_by_sender,
)


def platform_record(situation: Situation) -> PlatformRecord | None:
    """Return the record of the platform that was named, if there is one."""
    return find_platform(situation.platform) if situation.platform else None


def platform_kind(situation: Situation) -> str:
    """Return the kind of the platform from its record, or else from the person's answer; "" if
    neither is known.
    """
    record = platform_record(situation)
    return str(record.kind) if record else situation.platform_kind


def rank_key(route: Route, situation: Situation) -> tuple[object, ...]:
    """Return a sort key (docs/spec/case.md section 4).

    Its parts are, in this order: whether the route is unverified; whether it is a copyright route
    that may be unsuitable; whether it cannot reach a copy in a chat; whether somebody acts for the
    person shown, but may not use it; the kind; whether a condition is unanswered; whether it is a
    route of another platform; the hours to removal; and the id.
    """
    user_may_file = not situation.on_behalf or route.representative is not WhetherCovered.NO
    return (
        not route.verified,
        is_copyright_unsure(route, situation),
        cannot_reach_chat_copy(route, situation),
        not user_may_file,
        kind_rank(route.kind, situation),
        bool(unanswered_conditions(route, situation)),
        bool(situation.platform) and route.platform not in ("", _platform_record_id(situation)),
        hours_to_remove(route) or _HOURS_IF_NO_DEADLINE,
        route.id,
    )


def kind_rank(kind: RouteKind, situation: Situation) -> int:
    """Return the rank of a kind; search engines come first if the picture was found in one."""
    if kind is RouteKind.SEARCH and platform_kind(situation) == PlatformKind.SEARCH:
        return -1
    return _KIND_ORDER.index(kind)


def _platform_record_id(situation: Situation) -> str:
    record = platform_record(situation)
    return record.id if record else ""


_OWN_COPYRIGHT_TEXT: Final = translatable(
    "you took the picture, so you may ask as its copyright owner, and in a study of one large"
    " platform all of 25 such notices were honoured within 25 hours, while none of 25 reports of"
    " non-consensual nudity was within 21 days (arXiv:2409.12138)"
)
_MAYBE_OWN_COPYRIGHT_TEXT: Final = translatable(
    "if you took the picture yourself, you may ask as its copyright owner; in a study of one large"
    " platform all of 25 such notices were honoured within 25 hours, while none of 25 reports of"
    " non-consensual nudity was within 21 days (arXiv:2409.12138)"
)
_REASON_TEXTS: Final = {
    RouteKind.PLATFORM: translatable("the platform itself has to act"),
    RouteKind.REGULATOR: translatable("an authority asks the platform for you"),
    RouteKind.DATA: translatable("a picture of you is personal data, whoever took it"),
    RouteKind.SEARCH: translatable(
        "it makes the picture harder to find, though the page itself stays"
    ),
    RouteKind.BANK: translatable("it can stop the next upload on the platforms that take part"),
    RouteKind.HELPER: translatable("an organisation whose notices have priority files it for you"),
    RouteKind.SENDER: translatable(
        "whoever passed it on can be made to stop and to delete every copy"
    ),
    RouteKind.COURT: translatable(
        "a court or tribunal can order removal or compensation; it takes longer"
    ),
    RouteKind.POLICE: translatable("it may be an offence; reporting it is your choice"),
    RouteKind.ESCALATION: translatable("it is for later, when somebody did not act"),
}
_CHAT_NOTES: Final = {
    WhetherCovered.UNCLEAR: translatable("it is unclear whether this reaches a copy inside a chat"),
    WhetherCovered.NO: translatable("this does not reach the copy inside a chat"),
}


def reason_for_route(route: Route, situation: Situation) -> str:
    """Return the reason for taking this route, with the number of hours to removal if the law sets
    one.
    """
    if route.maker_only:
        return translated(
            _OWN_COPYRIGHT_TEXT
            if situation.taken_by is PictureMaker.ME
            else _MAYBE_OWN_COPYRIGHT_TEXT
        )
    hours = hours_to_remove(route)
    why = translated(_REASON_TEXTS[route.kind])
    if not hours:
        return why
    return translated("{why}, within {hours} hours").format(why=why, hours=hours)


def is_copyright_unsure(route: Route, situation: Situation) -> bool:
    """Return whether this is a copyright route that may be unsuitable, because the person may not
    own the copyright, or because the route may reveal their name.
    """
    free = situation.taken_by is PictureMaker.ME and not situation.name_must_stay_hidden
    return route.maker_only and not free


def cannot_reach_chat_copy(route: Route, situation: Situation) -> bool:
    """Return whether the picture is in a chat from which the route cannot remove it."""
    return situation.posted in _CHAT_SPREADS and route.covers_private_sharing is WhetherCovered.NO


def unanswered_conditions(route: Route, situation: Situation) -> tuple[str, ...]:
    """Return conditions of this route that the person has not answered yet."""
    depends = (
        (
            route.intimate_only and situation.intimate is None,
            translated("only for an intimate picture; you can add whether this one is"),
        ),
        (
            route.altered_only and situation.altered is None,
            translated(
                "only for a picture that software made or changed; you can add whether this was"
            ),
        ),
        (
            route.maker_only and situation.taken_by is PictureMaker.UNSAID,
            translated("only if you took the picture yourself; you can add whether you did"),
        ),
        (
            route.sender_known and situation.recipient_known is None,
            translated("only if you know who passed it on; you can add whether you do"),
        ),
    )
    return tuple(words for open_, words in depends if open_)


_ONLY_DEPICTED_MAY_FILE_NOTE: Final = translatable(
    "only the person in the picture can file this: prepare it together"
)
_UNSURE_WHETHER_OTHERS_MAY_FILE_NOTE: Final = translatable(
    "whether you may file this for somebody else is not certain: ask a help line"
)


def route_notes(
    route: Route, situation: Situation, today: date, *, in_chats: bool = False
) -> tuple[str, ...]:
    """Return the notes to show with a route, e.g. that it does not reach a copy in a chat."""
    texts = [
        *route.cautions(today),
        *unanswered_conditions(route, situation),
        *law_change_notes(route, today),
    ]
    if route.maker_only and situation.name_must_stay_hidden:
        texts.append(translated("your name may reach the uploader, which you want to avoid"))
    if situation.on_behalf and route.representative is not WhetherCovered.YES:
        only = route.representative is WhetherCovered.NO
        texts.append(
            translated(
                _ONLY_DEPICTED_MAY_FILE_NOTE if only else _UNSURE_WHETHER_OTHERS_MAY_FILE_NOTE
            )
        )
    if in_chats and route.covers_private_sharing in _CHAT_NOTES:
        texts.append(translated(_CHAT_NOTES[route.covers_private_sharing]))
    return (*texts, *filter(None, [translated(route.caution)]))


def law_change_notes(route: Route, day: date) -> tuple[str, ...]:
    """Return sentences about changes to this route, or to the law around it, up to that day."""
    return tuple(
        translated(says)
        for change in shipped_changes()
        if change.route == route.family
        for since, says in change.tell
        if since <= day
    )
