"""The steps for a situation, in order: what to do, whom to address, and which answer to expect.

docs/spec/routes.md section 3 defines the order of the kinds of steps. Legal routes are ranked by
respond/law/routes.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from entrenous.base.language import ENGLISH, language_of_person, translatable, translated
from entrenous.respond.help_lines import HelpKind, HelpLine
from entrenous.respond.law.deadlines import RECEIPT_TEXT, RequiredAct, clause_duration, time_allowed
from entrenous.respond.law.ladders import (
    CHAT_LADDER,
    THREAT_LADDER,
    Ladder,
    LadderStep,
    shipped_ladder,
)
from entrenous.respond.law.legal_route import (
    DeadlineStart,
    DocumentKind,
    RankedRoute,
    Route,
    RouteKind,
)
from entrenous.respond.law.places import WORLDWIDE, Place
from entrenous.respond.law.routes import (
    InapplicableRoute,
    inapplicable_routes,
    is_copyright_unsure,
    kind_rank,
    platform_kind,
    platform_record,
    rank_key,
    routes_for,
    routes_for_minors,
)
from entrenous.respond.letters.wordings import law_citation_in
from entrenous.respond.platforms import (
    ChatModeration,
    PlatformKind,
    PlatformRecord,
    platform_by_id,
)
from entrenous.respond.situation import Demand, Situation, Spread
from entrenous.respond.who_helps import HelpNeed, find_help_lines

PLAIN_STEP_KIND: Final = "step"
HELP_LINE_KIND: Final = "help"


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step. ``route`` is its id. ``kind`` is a DocumentKind, ``PLAIN_STEP_KIND`` or
    ``HELP_LINE_KIND``.

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
class ChildHelpReferral:
    """A referral to people who help, if somebody was under 18. Nothing is captured or stored."""

    why: str
    contacts: tuple[HelpLine, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps in order, the routes that do not apply, and a referral if there is one.

    ``places`` are those whose laws and help lines were considered.
    """

    first: str
    steps: tuple[PlanStep, ...]
    refused: tuple[InapplicableRoute, ...]
    hand_over: ChildHelpReferral | None = None
    places: tuple[Place, ...] = ()


_UNDER_18_TEXT: Final = translatable(
    "Somebody in the picture was under 18 when it was taken. Nothing is captured or "
    "stored here; these people help free of charge, do not judge, and need no copy of "
    "the picture."
)
_LADDER_NAME_BY_SPREAD: Final = {
    Spread.GROUP: CHAT_LADDER,
    Spread.PRIVATE: CHAT_LADDER,
    Spread.THREAT: THREAT_LADDER,
}


def make_plan(situation: Situation, on_date: date, today: date, *, under_18: bool = False) -> Plan:
    """Return the steps for a situation, in the order in which to take them.

    Args:
        situation: the person's answers; a question without an answer excludes no route.
        on_date: the day of the event; courts and police apply the law of that day.
        today: duties follow the law in force on this day. Facts that were read long before this day
            get a caution.
        under_18: somebody in the picture was under 18 when it was taken.
    """
    if under_18:
        return _plan_for_minor(situation, on_date)
    ranked = routes_for(situation, on_date, today).ranked
    ladder = _LADDER_NAME_BY_SPREAD.get(situation.posted) if situation.posted else None
    if ladder is None:
        steps = _steps_by_rank(situation, ranked, today)
    else:
        steps = tuple(_steps_by_ladder(shipped_ladder(ladder), situation, ranked, today))
    steps = _add_demand_steps(steps, situation, today)
    first = steps[0].route if steps else ""
    return Plan(
        first, steps, inapplicable_routes(situation, on_date, today), places=situation.places
    )


def _plan_for_minor(situation: Situation, on_date: date) -> Plan:
    contacts = find_help_lines(
        situation.places, HelpNeed(under_18=True, threat=situation.posted is Spread.THREAT)
    )
    routes = routes_for_minors(situation, on_date)
    banks = tuple(
        _route_step(RankedRoute(route, translated(_HASH_BANK_FOR_MINORS_REASON)), situation)
        for route in routes
    )
    first = banks[0].route if banks else contacts[0].id
    return Plan(
        first, banks, (), ChildHelpReferral(translated(_UNDER_18_TEXT), contacts), situation.places
    )


_HASH_BANK_FOR_MINORS_REASON: Final = translatable(
    "it stops the picture on the platforms that take part"
)


def _steps_by_ladder(
    ladder: Ladder, situation: Situation, ranked: tuple[RankedRoute, ...], today: date
) -> Iterator[PlanStep]:
    """Yield the steps of a ladder (a fixed sequence of steps for a situation), each with its help
    lines, platform report and routes.
    """
    for step in ladder.steps:
        routes = [_route_step(one, situation) for one in ranked if one.route.kind in step.kinds]
        sender_unknown = step.sender_known and situation.recipient_known is False
        if sender_unknown or (step.only_with_routes and not routes):
            continue
        people = list(_help_line_steps(situation, today)) if step.help else []
        yield from (one for one in people if one.verified)
        yield _ladder_step(step, _police_contact(ladder, step, situation), today)
        yield from (one for one in people if not one.verified)
        if step.platform:
            yield from _platform_steps(situation, ranked, today)
        yield from routes


def _steps_by_rank(
    situation: Situation, ranked: tuple[RankedRoute, ...], today: date
) -> tuple[PlanStep, ...]:
    """Merge the legal routes with the report to the platform.

    Help lines come first if there are no steps, or if the first step is unverified or a copyright
    route that may be unsuitable. Otherwise they come last.
    """
    ranked_steps = [(rank_key(one.route, situation), _route_step(one, situation)) for one in ranked]
    reports = _platform_steps(situation, ranked, today)
    ranked_steps.extend((_platform_sort_key(report, situation), report) for report in reports)
    steps = [step for _, step in sorted(ranked_steps, key=lambda pair: pair[0])]
    people = list(_help_line_steps(situation, today))
    unsure = {one.route.family for one in ranked if is_copyright_unsure(one.route, situation)}
    if not steps or not steps[0].verified or steps[0].route in unsure:
        return (*people, *steps)
    return (*steps, *people)


def _platform_sort_key(step: PlanStep, situation: Situation) -> tuple[object, ...]:
    """Return the sort key of a report to the platform. It comes after routes that rely on the
    platform's legal duties, and after regulators.
    """
    after = kind_rank(RouteKind.REGULATOR, situation) + 0.5
    return (not step.verified, False, False, False, after, False, False, 0, step.route)


def _add_demand_steps(
    steps: tuple[PlanStep, ...], situation: Situation, today: date
) -> tuple[PlanStep, ...]:
    if situation.posted is Spread.THREAT or situation.demand in (None, Demand.NONE):
        return steps
    more = [
        _ladder_step(step, "", today)
        for step in shipped_ladder(THREAT_LADDER).steps
        if step.if_demanded
    ]
    verified_first = 1 if steps and steps[0].verified else 0  # a verified first step stays first
    return (*steps[:verified_first], *more, *steps[verified_first:])


def _ladder_step(step: LadderStep, to: str, today: date) -> PlanStep:
    texts = map(translated, (step.says,) if step.says else (step.what, step.caution))
    words = (
        translated('Words that you may use: "{words}"').format(words=translated(step.words))
        if step.words
        else ""
    )
    parts = [*(text.rstrip(".") for text in texts), words, *step.cautions(today)]
    return PlanStep(
        route=step.id,
        kind=PLAIN_STEP_KIND,
        title=translated(step.name),
        why=". ".join(filter(None, parts)),
        to=to or translated(step.to),
        expected="",
        verified=step.verified,
        source=step.sources[0],
        read_on=step.read_on,
    )


def _police_contact(ladder: Ladder, step: LadderStep, situation: Situation) -> str:
    """Return who takes the report in the person's countries, for the step about the police."""
    if RouteKind.POLICE not in step.kinds:
        return ""
    countries = dict.fromkeys(Place(place.partition("-")[0]) for place in situation.places)
    return "; ".join(translated(ladder.police[one]) for one in countries if one in ladder.police)


def _help_line_steps(situation: Situation, today: date) -> Iterator[PlanStep]:
    """Yield up to three help lines that are not worldwide. Crisis lines and lines for children are
    left out.
    """
    lines = find_help_lines(situation.places, HelpNeed(threat=situation.posted is Spread.THREAT))
    near = [
        line for line in lines if line.place != WORLDWIDE and line.kind not in _LEFT_OUT_HELP_KINDS
    ]
    for line in near[:_HELP_LINES_MAX]:
        yield PlanStep(
            route=line.id,
            kind=HELP_LINE_KIND,
            title=line.name,
            why=". ".join([translated(line.who), *line.cautions(today)]),
            to=", ".join(filter(None, [line.translated_phone, line.web])),
            expected=translated(line.hours),
            verified=line.verified,
            source=line.source,
            read_on=line.read_on,
        )


_HELP_LINES_MAX: Final = 3
_LEFT_OUT_HELP_KINDS: Final = frozenset({HelpKind.CRISIS, HelpKind.CHILDREN})
_GENERIC_RECORD_IDS: Final = ("generic_site", "generic_host")
_PLATFORM_KINDS_WITH_PAGES: Final = frozenset(
    {
        *(PlatformKind.SOCIAL, PlatformKind.HOST, PlatformKind.ADULT, PlatformKind.DATING),
        *(PlatformKind.FORUM, PlatformKind.CLOUD, PlatformKind.GENERIC),
    }
)


def _platform_steps(
    situation: Situation, ranked: tuple[RankedRoute, ...], today: date
) -> Iterator[PlanStep]:
    """Yield the report to the platform, unless one of the routes is specific to the platform. For a
    site without a record, yield the general reports to a site and to a web host.
    """
    record = platform_record(situation)
    if record is not None:
        if not _has_route_of_its_own(record, ranked):
            yield _platform_step(record, situation, today)
    elif situation.platform or platform_kind(situation) in _PLATFORM_KINDS_WITH_PAGES:
        for id_ in _GENERIC_RECORD_IDS:
            yield _platform_step(platform_by_id(id_), situation, today)


def _has_route_of_its_own(record: PlatformRecord, ranked: tuple[RankedRoute, ...]) -> bool:
    """Return whether one of the routes is specific to this platform (such as a search engine's
    removal form).
    """
    return any(one.route.platform == record.id for one in ranked)


_CHAT_REPORT_TEXTS: Final = {
    ChatModeration.REACHABLE: translatable("In its chats, staff can act on a report with a link"),
    ChatModeration.IN_APP: translatable(
        "In its chats, only somebody who has the message can report it"
    ),
    ChatModeration.NOT_MODERATED: translatable(
        "In its chats, nobody there can see or remove a message"
    ),
}
_REPORT_ACCOUNT_TEXT: Final = translatable(
    "Report the account that threatens there, once the demand is saved; a picture is not needed"
)


def _platform_step(record: PlatformRecord, situation: Situation, today: date) -> PlanStep:
    form = record.report_url if situation.posted in (None, Spread.PUBLIC) else ""
    to = form or translated(record.in_app) or record.report_url or record.display_name
    why = [*_what_to_report(record, situation), *record.cautions(today)]
    return PlanStep(
        route=f"platform-{record.id}",
        kind=DocumentKind.FORM if to.startswith("https://") else PLAIN_STEP_KIND,
        title=record.display_name,
        why=". ".join(why),
        to=to,
        expected="; ".join(filter(None, map(translated, [record.receipt, record.time]))),
        verified=record.verified,
        source=record.source,
        read_on=record.read_on,
        platform=record.id,
    )


def _what_to_report(record: PlatformRecord, situation: Situation) -> Iterator[str]:
    if situation.posted is Spread.THREAT:
        yield translated(_REPORT_ACCOUNT_TEXT)
        return
    yield translated(record.first_step).rstrip(".")
    if situation.posted in (Spread.GROUP, Spread.PRIVATE) and record.private_messages is not None:
        yield translated(_CHAT_REPORT_TEXTS[record.private_messages])


def _route_step(ranked: RankedRoute, situation: Situation) -> PlanStep:
    route, record = ranked.route, _platform_of_route(ranked.route, situation)
    return PlanStep(
        route=route.family,
        kind=route.document,
        title=_route_title(route),
        why=_why_with_notes(ranked),
        to=_route_address(route, situation),
        expected=expected_answer(route),
        verified=route.verified,
        source=route.source,
        read_on=route.read_on,
        platform="" if record is None else record.id,
    )


def _why_with_notes(ranked: RankedRoute) -> str:
    """Return the reason followed by the notes. A note that is a full sentence stays a separate
    sentence.
    """
    why = ranked.why
    for note in ranked.notes:
        why += (". " if note[:1].isupper() else "; ") + note.rstrip(".")
    return why


def _route_title(route: Route) -> str:
    """Return the name of a route: translated, or as speakers of the user's language cite it."""
    title, language = f"{route.law}, {route.provision}", language_of_person()
    shown = f"{translated(route.law)}, {translated(route.provision)}"
    is_plain = shown == title and language != ENGLISH
    return (law_citation_in(route, language) if is_plain else "") or shown


def _platform_of_route(route: Route, situation: Situation) -> PlatformRecord | None:
    """Return the record of the platform that a route addresses, if there is one."""
    if route.kind not in (RouteKind.PLATFORM, RouteKind.SEARCH):
        return None
    return platform_by_id(route.platform) if route.platform else platform_record(situation)


def _route_address(route: Route, situation: Situation) -> str:
    """Return where a route's document goes: for a form, its address or place in the app from the
    platform's record; otherwise the law's addressee, with the platform's name if there is one.
    """
    record, addressee = _platform_of_route(route, situation), translated(route.addressee)
    if record is None:
        return addressee
    in_chat = situation.posted in (Spread.GROUP, Spread.PRIVATE)
    form = (
        (in_chat and translated(record.in_app))
        or getattr(record, route.form_at)
        or record.report_url
    )
    if route.document is DocumentKind.FORM:
        return form or translated(record.in_app) or f"{record.name}: {addressee}"
    return f"{record.name}: {addressee}"


_EXPECTED_ANSWER_TEXTS: Final = {
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


def expected_answer(route: Route) -> str:
    """Return which answer to expect along a route, and when it is due, in words."""
    since = translated(route.deadline_from or RECEIPT_TEXT)
    if time := time_allowed(route, RequiredAct.REMOVE):
        return translated("removal within {time} of {since}").format(time=time, since=since)
    if time := time_allowed(route, RequiredAct.ANSWER):
        return translated("an answer within {time} of {since}").format(time=time, since=since)
    if time := time_allowed(route, RequiredAct.CONFIRM):
        return translated("a confirmation within {time} of {since}").format(time=time, since=since)
    what = translated(_EXPECTED_ANSWER_TEXTS[route.document])
    if route.clock is DeadlineStart.ELSEWHERE and (time := clause_duration(route.deadline_rule)):
        return translated("{what}; the law gives {time} from: {deadline_from}").format(
            what=what, time=time, deadline_from=translated(route.deadline_from)
        )
    return translated("{what}; no fixed time").format(what=what)
