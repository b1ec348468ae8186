"""The steps for a situation, in order: what to do, where it goes, and the answer to expect.

The order is defined in docs/spec/routes.md section 3; inside it, respond/law/routes.py ranks the
routes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from entrenous.base.language import ENGLISH, language_of_person, translatable, translated
from entrenous.respond.help_lines import HelpKind, HelpLine
from entrenous.respond.law.deadlines import RECEIPT, RequiredAct, clause_duration, time_allowed
from entrenous.respond.law.ladders import CHAT, THREAT, Ladder, LadderStep, shipped_ladder
from entrenous.respond.law.legal_route import (
    ClockStart,
    DocumentKind,
    RankedRoute,
    Route,
    RouteKind,
)
from entrenous.respond.law.places import WORLDWIDE, Place
from entrenous.respond.law.routes import (
    Refusal,
    kind_rank,
    platform_kind,
    platform_record,
    rank_key,
    refusals,
    routes_for,
    routes_for_minors,
    unsure_copyright,
)
from entrenous.respond.letters.wordings import cited_in
from entrenous.respond.platforms import (
    PlatformKind,
    PlatformRecord,
    PrivateMessages,
    platform_named,
)
from entrenous.respond.situation import Demand, Situation, Spread
from entrenous.respond.who_helps import Need, who_helps

STEP: Final = "step"
HELP: Final = "help"


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step. ``route`` is its id, ``kind`` a kind of document, or ``STEP`` or ``HELP``.

    ``title`` names it, ``to`` is the address or the addressee, ``expected`` the answer and when it
    is due, in words. ``platform`` is the id of the addressed platform's record, or "".
    """

    route: str
    kind: str
    title: str
    why: str
    to: str
    expected: str
    verified: bool
    source: str
    read_on: date
    platform: str = ""


@dataclass(frozen=True, slots=True)
class ChildHelpHandOver:
    """A hand-over to people who help, if somebody was under 18. Nothing is captured or stored."""

    why: str
    contacts: tuple[HelpLine, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps in order, the routes that do not apply, and a hand-over if any.

    ``places`` are those whose laws and help lines were considered.
    """

    first: str
    steps: tuple[PlanStep, ...]
    refused: tuple[Refusal, ...]
    hand_over: ChildHelpHandOver | None = None
    places: tuple[Place, ...] = ()


_UNDER_18: Final = translatable(
    "Somebody in the picture was under 18 when it was taken. Nothing is captured or "
    "stored here; these people help free of charge, do not judge, and need no copy of "
    "the picture."
)
_LADDERS: Final = {Spread.GROUP: CHAT, Spread.PRIVATE: CHAT, Spread.THREAT: THREAT}


def plan_for(said: Situation, on_date: date, today: date, *, under_18: bool = False) -> Plan:
    """Return the steps for a situation, the first one first.

    Args:
        said: unanswered questions exclude nothing.
        on_date: the day of the event, for courts and police.
        today: the day whose duties apply, and on which facts are shown.
        under_18: somebody in the picture was under 18 when it was taken.
    """
    if under_18:
        return _plan_for_minor(said, on_date)
    ranked = routes_for(said, on_date, today).ranked
    ladder = _LADDERS.get(said.posted) if said.posted else None
    if ladder is None:
        steps = _steps_by_rank(said, ranked, today)
    else:
        steps = tuple(_steps_by_ladder(shipped_ladder(ladder), said, ranked, today))
    steps = _add_demand_steps(steps, said, today)
    first = steps[0].route if steps else ""
    return Plan(first, steps, refusals(said, on_date, today), places=said.places)


def _plan_for_minor(said: Situation, on_date: date) -> Plan:
    contacts = who_helps(said.places, Need(under_18=True, threat=said.posted is Spread.THREAT))
    routes = routes_for_minors(said, on_date)
    banks = tuple(
        _route_step(RankedRoute(route, translated(_BANK_FOR_MINORS)), said) for route in routes
    )
    first = banks[0].route if banks else contacts[0].id
    return Plan(first, banks, (), ChildHelpHandOver(translated(_UNDER_18), contacts), said.places)


_BANK_FOR_MINORS: Final = translatable("it stops the picture on the platforms that take part")


def _steps_by_ladder(
    ladder: Ladder, said: Situation, ranked: tuple[RankedRoute, ...], today: date
) -> Iterator[PlanStep]:
    """Yield each step of a ladder, with the platform, the routes and the people that belong to
    it.
    """
    for step in ladder.steps:
        routes = [_route_step(one, said) for one in ranked if one.route.kind in step.kinds]
        nobody = step.sender_known and said.recipient_known is False
        if nobody or (step.only_with_routes and not routes):
            continue
        people = list(_help_line_steps(said, today)) if step.help else []
        yield from (one for one in people if one.verified)
        yield _ladder_step(step, _police_contact(ladder, step, said), today)
        yield from (one for one in people if not one.verified)
        if step.platform:
            yield from _platform_steps(said, ranked, today)
        yield from routes


def _steps_by_rank(
    said: Situation, ranked: tuple[RankedRoute, ...], today: date
) -> tuple[PlanStep, ...]:
    """Merge laws with the platform's own report; people come first if no route is verified."""
    keyed = [(rank_key(one.route, said), _route_step(one, said)) for one in ranked]
    reports = _platform_steps(said, ranked, today)
    keyed.extend((_platform_key(report, said), report) for report in reports)
    steps = [step for _, step in sorted(keyed, key=lambda pair: pair[0])]
    people = list(_help_line_steps(said, today))
    unsure = {one.route.family for one in ranked if unsure_copyright(one.route, said)}
    if not steps or not steps[0].verified or steps[0].route in unsure:
        return (*people, *steps)
    return (*steps, *people)


def _platform_key(step: PlanStep, said: Situation) -> tuple[object, ...]:
    """Rank a platform's own report after its legal duties and those of regulators."""
    after = kind_rank(RouteKind.REGULATOR, said) + 0.5
    return (not step.verified, False, False, False, after, False, False, 0, step.route)


def _add_demand_steps(
    steps: tuple[PlanStep, ...], said: Situation, today: date
) -> tuple[PlanStep, ...]:
    if said.posted is Spread.THREAT or said.demand in (None, Demand.NONE):
        return steps
    more = [
        _ladder_step(step, "", today) for step in shipped_ladder(THREAT).steps if step.if_demanded
    ]
    sure = 1 if steps and steps[0].verified else 0  # no unverified step comes first
    return (*steps[:sure], *more, *steps[sure:])


def _ladder_step(step: LadderStep, to: str, today: date) -> PlanStep:
    said = map(translated, (step.says,) if step.says else (step.what, step.caution))
    words = (
        translated('Words that you may use: "{words}"').format(words=translated(step.words))
        if step.words
        else ""
    )
    parts = [*(text.rstrip(".") for text in said), words, *step.cautions(today)]
    return PlanStep(
        route=step.id,
        kind=STEP,
        title=translated(step.name),
        why=". ".join(filter(None, parts)),
        to=to or translated(step.to),
        expected="",
        verified=step.verified,
        source=step.sources[0],
        read_on=step.read_on,
    )


def _police_contact(ladder: Ladder, step: LadderStep, said: Situation) -> str:
    """Return who takes the report in the person's countries, for the step about the police."""
    if RouteKind.POLICE not in step.kinds:
        return ""
    countries = dict.fromkeys(Place(place.partition("-")[0]) for place in said.places)
    return "; ".join(translated(ladder.police[one]) for one in countries if one in ladder.police)


def _help_line_steps(said: Situation, today: date) -> Iterator[PlanStep]:
    """Yield help lines of the person's own places, at most three; crisis lines are only in
    `entrenous help`.
    """
    lines = who_helps(said.places, Need(threat=said.posted is Spread.THREAT))
    near = [line for line in lines if line.place != WORLDWIDE and line.kind not in _NOT_FOR_THIS]
    for line in near[:_PEOPLE]:
        yield PlanStep(
            route=line.id,
            kind=HELP,
            title=line.name,
            why=". ".join([translated(line.who), *line.cautions(today)]),
            to=", ".join(filter(None, [line.phone_in_words, line.web])),
            expected=translated(line.hours),
            verified=line.verified,
            source=line.source,
            read_on=line.read_on,
        )


_PEOPLE: Final = 3
_NOT_FOR_THIS: Final = frozenset({HelpKind.CRISIS, HelpKind.CHILDREN})
_GENERIC: Final = ("generic_site", "generic_host")
_HAS_PAGES: Final = frozenset(
    {
        *(PlatformKind.SOCIAL, PlatformKind.HOST, PlatformKind.ADULT, PlatformKind.DATING),
        *(PlatformKind.FORUM, PlatformKind.CLOUD, PlatformKind.GENERIC),
    }
)


def _platform_steps(
    said: Situation, ranked: tuple[RankedRoute, ...], today: date
) -> Iterator[PlanStep]:
    """Yield the report to the platform itself or, for a site without a record, how to find its
    host.
    """
    record = platform_record(said)
    if record is not None:
        if not _has_route_of_its_own(record, ranked):
            yield _platform_step(record, said, today)
    elif said.platform or platform_kind(said) in _HAS_PAGES:
        for id_ in _GENERIC:
            yield _platform_step(platform_named(id_), said, today)


def _has_route_of_its_own(record: PlatformRecord, ranked: tuple[RankedRoute, ...]) -> bool:
    """Return whether a route is about this platform, such as a search engine's form."""
    return any(one.route.platform == record.id for one in ranked)


_IN_CHATS: Final = {
    PrivateMessages.REACHABLE: translatable("In its chats, staff can act on a report with a link"),
    PrivateMessages.IN_APP: translatable(
        "In its chats, only somebody who has the message can report it"
    ),
    PrivateMessages.NOT_MODERATED: translatable(
        "In its chats, nobody there can see or remove a message"
    ),
}


_ACCOUNT: Final = translatable(
    "Report the account that threatens there, once the demand is saved; a picture is not needed"
)


def _platform_step(record: PlatformRecord, said: Situation, today: date) -> PlanStep:
    form = record.report_url if said.posted in (None, Spread.PUBLIC) else ""
    to = form or translated(record.in_app) or record.report_url or record.name_in_words
    why = [*_what_to_report(record, said), *record.cautions(today)]
    return PlanStep(
        route=f"platform-{record.id}",
        kind=DocumentKind.FORM if to.startswith("https://") else STEP,
        title=record.name_in_words,
        why=". ".join(why),
        to=to,
        expected="; ".join(filter(None, map(translated, [record.receipt, record.time]))),
        verified=record.verified,
        source=record.source,
        read_on=record.read_on,
        platform=record.id,
    )


def _what_to_report(record: PlatformRecord, said: Situation) -> Iterator[str]:
    if said.posted is Spread.THREAT:
        yield translated(_ACCOUNT)
        return
    yield translated(record.first_step).rstrip(".")
    if said.posted in (Spread.GROUP, Spread.PRIVATE) and record.private_messages is not None:
        yield translated(_IN_CHATS[record.private_messages])


def _route_step(one: RankedRoute, said: Situation) -> PlanStep:
    route, record = one.route, _platform_of_route(one.route, said)
    return PlanStep(
        route=route.family,
        kind=route.document,
        title=_title(route),
        why=_why_with_notes(one),
        to=_route_address(route, said),
        expected=expected(route),
        verified=route.verified,
        source=route.source,
        read_on=route.read_on,
        platform="" if record is None else record.id,
    )


def _why_with_notes(one: RankedRoute) -> str:
    """Return the reason followed by the notes. A note that is a sentence of its own remains a
    separate sentence.
    """
    why = one.why
    for note in one.notes:
        why += (". " if note[:1].isupper() else "; ") + note.rstrip(".")
    return why


def _title(route: Route) -> str:
    """Return the name of a route: translated, or as people of the person's language cite it."""
    title, language = f"{route.law}, {route.provision}", language_of_person()
    shown = f"{translated(route.law)}, {translated(route.provision)}"
    is_plain = shown == title and language != ENGLISH
    return (cited_in(route, language) if is_plain else "") or shown


def _platform_of_route(route: Route, said: Situation) -> PlatformRecord | None:
    """Return the record of the platform that a route addresses, if there is one."""
    if route.kind not in (RouteKind.PLATFORM, RouteKind.SEARCH):
        return None
    return platform_named(route.platform) if route.platform else platform_record(said)


def _route_address(route: Route, said: Situation) -> str:
    """Return a route's address: the form in the platform's record, or else the law's addressee."""
    record, addressee = _platform_of_route(route, said), translated(route.addressee)
    if record is None:
        return addressee
    in_chat = said.posted in (Spread.GROUP, Spread.PRIVATE)
    form = (
        (in_chat and translated(record.in_app))
        or getattr(record, route.form_at)
        or record.report_url
    )
    if route.document is DocumentKind.FORM:
        return form or translated(record.in_app) or f"{record.name}: {addressee}"
    return f"{record.name}: {addressee}"


_COMES_BACK: Final = {
    DocumentKind.FORM: translatable("an answer"),
    DocumentKind.LETTER: translatable("an answer"),
    DocumentKind.POLICE_SHEET: translatable("a case number"),
    DocumentKind.COURT_SHEET: translatable("a decision"),
    DocumentKind.HASH_BANK: translatable(
        "a case number; platforms that take part then refuse the picture"
    ),
    DocumentKind.COMPLAINT: translatable("an answer"),
    DocumentKind.NONE: translatable("an answer"),
}


def expected(route: Route) -> str:
    """Return which answer to expect along a route, and when it is due, in words."""
    since = translated(route.deadline_from or RECEIPT)
    if time := time_allowed(route, RequiredAct.REMOVE):
        return translated("removal within {time} of {since}").format(time=time, since=since)
    if time := time_allowed(route, RequiredAct.ANSWER):
        return translated("an answer within {time} of {since}").format(time=time, since=since)
    if time := time_allowed(route, RequiredAct.CONFIRM):
        return translated("a confirmation within {time} of {since}").format(time=time, since=since)
    what = translated(_COMES_BACK[route.document])
    if route.clock is ClockStart.ELSEWHERE and (time := clause_duration(route.deadline_rule)):
        return translated("{what}; the law gives {time} from: {deadline_from}").format(
            what=what, time=time, deadline_from=translated(route.deadline_from)
        )
    return translated("{what}; no fixed time").format(what=what)
