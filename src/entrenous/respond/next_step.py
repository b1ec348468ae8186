"""Put the one next step of a case into words. Rules are tried in a fixed order, and the first that
applies gives the step.

reappearance.py has the steps after a picture came back, threat.py those while somebody only
threatens, and breach.py those after a breach.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from entrenous.base.language import duration_in_words, translatable, translated
from entrenous.respond.age_gate import child_help_text
from entrenous.respond.breach import breach_next_step
from entrenous.respond.law.deadlines import (
    Deadline,
    DeadlineState,
    deadline_in_words,
    deadlines_of_case,
)
from entrenous.respond.law.legal_route import DocumentKind, Route, RouteKind
from entrenous.respond.law.routes import (
    day_of_event,
    reason_not_applicable,
    situation_of,
    versions_of,
)
from entrenous.respond.nouns import (
    SETTLED_NOTICE_STATES,
    AgeAnswer,
    Case,
    CaseState,
    Notice,
    NoticeState,
    Sighting,
    SightingReach,
)
from entrenous.respond.platforms import host_of
from entrenous.respond.reappearance import reappearance_steps
from entrenous.respond.report_steps import platform_of_sighting
from entrenous.respond.situation import Spread
from entrenous.respond.threat import is_threat_only, threat_step

_SETBACK_TEXTS: Final = {
    NoticeState.REFUSED: translatable("They refused (letter {number})."),
    NoticeState.PARTLY: translatable("They removed only part of it (letter {number})."),
}
_OVERDUE_TEXT: Final = translatable("Their time ended {duration} ago (letter {number}).")
_WITHDRAWN_STATES: Final = frozenset({NoticeState.WITHDRAWN})
_CHAT_SPREADS: Final = (Spread.GROUP, Spread.PRIVATE)
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
_UNDELIVERED_DOCUMENT_TEXTS: Final = {
    DocumentKind.POLICE_SHEET: translatable(
        "You have not taken page {number} to the police yet. Take it there if you like, then note"
        " the day: {command}"
    ),
    DocumentKind.COURT_SHEET: translatable(
        "You have not taken page {number} to the court yet. Take it there if you like, then note"
        " the day: {command}"
    ),
    DocumentKind.HASH_BANK: translatable(
        "You have not done the steps of page {number} yet. They are on the service's own page; then"
        " note it: {command}"
    ),
}
# documents that are not sent as letters: pages to take to the police or a court, and the steps on a
# hash bank's page
_DOCUMENT_KINDS_NOT_SENT: Final = frozenset(_UNDELIVERED_DOCUMENT_TEXTS)
_UNSENT_LETTER_TEXT: Final = translatable(
    "You have not sent letter {number} yet. Fill in what is missing, send it yourself, then note"
    " the day: {command}"
)
_NO_ANSWER_TEXT: Final = translatable(
    "If they do nothing by then, open this case again: it shows your next step."
)
_NO_ANSWER_NEXT_STEP_TEXT: Final = translatable(
    "If they do nothing by then, open this case again. The next step is to write to: {to}."
)


def next_step(
    case: Case, now: datetime, describe_deadline: Callable[[Deadline], str] = deadline_in_words
) -> str:
    """Return the next step of a case in words. Every step is optional, and the person may stop at
    any time.

    Args:
        case: as stored.
        now: aware, UTC.
        describe_deadline: puts a deadline into words.
    """
    if case.age is not AgeAnswer.ADULTS:
        return translated("These people can help: {child_help_text}.").format(
            child_help_text=child_help_text(case.situation.places, now.date())
        )
    if case.state is CaseState.CLOSED:
        return translated(
            "This case is closed. Open it again at any time: entrenous case open {name}"
        ).format(name=case.name)
    deadlines = _first_deadlines(case, now)
    return (
        breach_next_step(case, now)
        or _step_for_latest_event(case, deadlines, now)
        or (threat_step(case, now) if is_threat_only(case) else "")
        or _missing_sighting_or_letter_step(case)
        or _newest_step_text(_draft_steps(case, _DOCUMENT_KINDS_NOT_SENT))
        or _waiting_step(case, deadlines, describe_deadline)
        or _step_after_removal(case)
        or _preparation_step(case)
    )


def _step_for_latest_event(case: Case, deadlines: dict[int, Deadline], now: datetime) -> str:
    """Return the step for the latest event that the person has to react to, e.g. a missed deadline,
    a refusal, a question, or a picture that came back.
    """
    all_kinds = frozenset(DocumentKind)
    dated_steps = [
        *_escalation_steps(case, deadlines, now),
        *_question_steps(case),
        *_draft_steps(
            case, all_kinds if is_threat_only(case) else all_kinds - _DOCUMENT_KINDS_NOT_SENT
        ),
        *reappearance_steps(case),
    ]
    return _newest_step_text(dated_steps)


def _newest_step_text(dated_steps: Iterable[tuple[datetime, str]]) -> str:
    return max(dated_steps, key=lambda dated_step: dated_step[0], default=(None, ""))[1]


def _escalation_steps(
    case: Case, deadlines: dict[int, Deadline], now: datetime
) -> Iterator[tuple[datetime, str]]:
    late = list[tuple[datetime, Notice]]()
    for notice in case.notices:
        since = _time_of_setback(notice, deadlines.get(notice.number))
        if since is None or _was_escalated(notice, since, case):
            continue
        if notice.state in _SETBACK_TEXTS:
            yield since, _escalation_step(notice, case, since, now)
        else:
            late.append((since, notice))
    if late:  # only the longest overdue notice gets a step, dated at the latest missed deadline
        since, notice = min(late, key=lambda one: one[0])
        yield max(since for since, _ in late), _escalation_step(notice, case, since, now)


def _escalation_step(notice: Notice, case: Case, since: datetime, now: datetime) -> str:
    """Say where the person could go next, and how to draft the next document if a route applies."""
    words = translated("Next you could go to: {escalation}.").format(
        escalation=translated(notice.route.escalation)
    )
    next_draft = next_applicable_route(notice, case, now)
    other_routes = translated("To list the routes for this case: {routes}").format(
        routes=_routes_command(case)
    )
    if next_draft is None:
        return f"{words} {other_routes}"
    problem = translated(_SETBACK_TEXTS.get(notice.state, _OVERDUE_TEXT)).format(
        number=notice.number, duration=duration_in_words(now - since)
    )
    draft = translated(
        "To draft it, with what happened so far: entrenous case notice {name} --route {route}."
    ).format(name=case.name, route=next_draft.family)
    return f"{words} {problem} {draft} {other_routes}"


def next_applicable_route(notice: Notice, case: Case, now: datetime) -> Route | None:
    """Return the first of the notice's ``next_routes`` that applies to the case today and that no
    notice has used; None if there is none.
    """
    used = {other.route.family for other in case.notices if other.state not in _WITHDRAWN_STATES}
    situation, event = situation_of(case), day_of_event(case)
    for family in notice.route.next_routes:
        versions = () if family in used else versions_of(family)
        for route in versions:
            if not reason_not_applicable(route, situation, event, now.date()):
                return route
    return None


def _time_of_setback(notice: Notice, deadline: Deadline | None) -> datetime | None:
    """Return when the notice was refused or partly fulfilled, or its deadline was missed; None if
    none of these happened, or if the deadline may be paused because of a question to the person.
    """
    if notice.state is NoticeState.REFUSED:
        return notice.refused_at
    if notice.state is NoticeState.PARTLY:
        return notice.partly_at
    if deadline is None or deadline.may_be_paused:
        return None
    return deadline.due_at if deadline.state is DeadlineState.MISSED else None


def _first_deadlines(case: Case, now: datetime) -> dict[int, Deadline]:
    """Return the most urgent deadline of each unsettled notice by the notice's number, the most
    urgent notice first.
    """
    settled = {notice.number for notice in case.notices if notice.state in SETTLED_NOTICE_STATES}
    first: dict[int, Deadline] = {}
    for deadline in deadlines_of_case(case, now):
        if deadline.notice not in settled:
            first.setdefault(deadline.notice, deadline)
    return first


def _was_escalated(notice: Notice, since: datetime, case: Case) -> bool:
    """Return whether the person has taken a further step after that time, e.g. a complaint to the
    authority under the same law.
    """
    return any(
        later.drafted_at >= since
        and later.state not in _WITHDRAWN_STATES
        and _is_follow_up(later, notice)
        for later in case.notices
    )


def _is_follow_up(later: Notice, notice: Notice) -> bool:
    same_law = (
        later.route.kind is RouteKind.ESCALATION and later.route.law_name == notice.route.law_name
    )
    return same_law or later.route.family in notice.route.next_routes


def _question_steps(case: Case) -> Iterator[tuple[datetime, str]]:
    for notice in case.notices:
        if notice.state is NoticeState.ASKED and notice.asked_at is not None:
            words = translated(
                "They asked for more about letter {number}. Give it to them if you like, then note"
                " that you did: entrenous case notice {name} --supplied {number}"
            )
            yield notice.asked_at, words.format(number=notice.number, name=case.name)


def _draft_steps(case: Case, kinds: frozenset[DocumentKind]) -> Iterator[tuple[datetime, str]]:
    for draft in case.notices:
        is_draft = draft.state is NoticeState.DRAFTED and draft.route.document in kinds
        if is_draft and not _has_newer_version(draft, case):
            yield draft.drafted_at, _draft_step(draft, case)


def _has_newer_version(draft: Notice, case: Case) -> bool:
    """Return whether the letter was written again later, e.g. in another language."""
    named_sightings = {seen.number for seen in draft.named_sightings}
    return any(
        later.number > draft.number
        and (later.route.family, later.to) == (draft.route.family, draft.to)
        and named_sightings <= {seen.number for seen in later.named_sightings}
        for later in case.notices
    )


def _draft_step(draft: Notice, case: Case) -> str:
    number, command = draft.number, f"entrenous case notice {case.name} --sent {draft.number}"
    words = translated(_UNDELIVERED_DOCUMENT_TEXTS.get(draft.route.document, _UNSENT_LETTER_TEXT))
    return words.format(number=number, command=command)


def _waiting_step(
    case: Case, deadlines: dict[int, Deadline], describe_deadline: Callable[[Deadline], str]
) -> str:
    """Say that there is nothing to do now, and name the most urgent deadline of a sent notice that
    was not missed; one with a date is preferred to one without. Return "" if there is none.
    """
    sent = {notice.number for notice in case.notices if notice.sent_at is not None}
    for number, deadline in deadlines.items():
        if number in sent and deadline.state is not DeadlineState.MISSED:
            return translated("Nothing to do now: {deadline}.").format(
                deadline=describe_deadline(deadline)
            )
    return ""


def step_if_deadline_passes(case: Case, now: datetime, notice: int = 0) -> str:
    """Say what the person can do if the most urgent deadline passes without an answer: that of
    ``notice``, or, if ``notice`` is 0, of any sent notice. Return "" if none runs.
    """
    sent = {one.number: one for one in case.notices if one.sent_at and notice in (0, one.number)}
    for number, deadline in _first_deadlines(case, now).items():
        if number in sent and deadline.state is DeadlineState.RUNNING:
            ready = next_applicable_route(sent[number], case, now)
            if ready is None or deadline.may_be_paused:
                return translated(_NO_ANSWER_TEXT)
            return translated(_NO_ANSWER_NEXT_STEP_TEXT).format(to=translated(ready.addressee))
    return ""


def _missing_sighting_or_letter_step(case: Case) -> str:
    """Return the step for a page that nobody was asked to remove, or for a case without a
    sighting.
    """
    if case.notices and not case.sightings and situation_of(case).posted is not None:
        return _preparation_step(case)
    return _step_for_page_without_notice(case)


def _pages_without_removal_notice(case: Case) -> tuple[Sighting, ...]:
    """Return the pages from which no notice asks to remove the picture.

    A notice to a search engine or to the police does not count, because the page stays online.
    """
    named = {
        seen.number for notice in _notices_asking_removal(case) for seen in notice.named_sightings
    }
    public = (seen for seen in case.sightings if seen.reach is SightingReach.PUBLIC)
    return tuple(seen for seen in public if seen.number not in named)


def _step_for_page_without_notice(case: Case) -> str:
    """Return the step for the first unreported page; "" if there is none, or if no notice was
    drafted.
    """
    pages = _pages_without_removal_notice(case)
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
    record = platform_of_sighting(sighting, case.situation)
    return record.name if record else host_of(sighting.where) or sighting.where


def _step_after_removal(case: Case) -> str:
    if any(notice.state is NoticeState.REMOVED for notice in case.notices):
        words = translated(
            "They removed it. Look once more in a few days, then close the case if you like:"
            " entrenous case close {name}"
        )
        return words.format(name=case.name)
    return ""


def _preparation_step(case: Case) -> str:
    name = case.name
    if not case.sightings:
        if situation_of(case).posted in _CHAT_SPREADS:
            words = translated(
                "Add the chat in your own words: its app, its name, who sent it there. Type:"
                " entrenous case add {name} --chat -"
            )
            return words.format(name=name)
        words = translated(
            "Add where you saw it: a web address, or a chat in your own words (--chat). Type:"
            " entrenous case add {name} --url -"
        )
        return words.format(name=name)
    if not case.evidence:
        words = translated(
            "Keep a screenshot of it before you notify anybody: entrenous case add {name} FILE."
        )
        return f"{words.format(name=name)} {_skip_hint(case)}"
    if not case.stamps:
        words = translated("Have the evidence stamped: entrenous evidence stamp {name}.")
        return f"{words.format(name=name)} {_skip_hint(case)}"
    words = translated("Choose what to do, and write the letter for it: {command}")
    return _chat_hint(case) + words.format(command=_routes_command(case))


def _chat_hint(case: Case) -> str:
    """Return the command that lists the steps for a chat, if the picture was passed on only in
    chats; "" otherwise.
    """
    posted = situation_of(case).posted
    if posted not in _CHAT_SPREADS:
        return ""
    where = "".join(f" --place {place}" for place in case.situation.places)
    words = translated("In a chat, the steps come in this order: {command}.")
    return words.format(command=f"entrenous law routes{where} --what {posted}") + " "


def _skip_hint(case: Case) -> str:
    return translated("To skip this and choose what to do: {routes}").format(
        routes=_routes_command(case)
    )


def _routes_command(case: Case) -> str:
    return f"entrenous law routes {case.name}"
