"""Find out which deadlines run, whom they bind, and when they end.

Deadlines bind platforms and authorities, never the person. The one exception is an organisation
that uses Entrenous: it has a deadline itself after a breach of its systems.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum, StrEnum, auto
from functools import lru_cache
from typing import Final

from entrenous.base.language import long_day_in_words, translatable, translated
from entrenous.respond.law.counting import count_period, read_period, with_period_in_words
from entrenous.respond.law.counting_rules import (
    DEFAULT_RULE_ID,
    CountingRule,
    counting_rule_for,
    counting_rules,
)
from entrenous.respond.law.legal_route import DeadlineStart, Route, RouteKind
from entrenous.respond.law.places import WORLDWIDE, Place, law_reaches
from entrenous.respond.law.zones import moment_at_place_in_words
from entrenous.respond.nouns import Breach, Case, Notice, NoticeState
from entrenous.respond.situation import Situation


class DeadlineState(StrEnum):
    NOT_STARTED = "not started"
    RUNNING = "running"
    MET = "met"
    MISSED = "missed"
    NO_FIXED_TIME = "no fixed time"


@dataclass(frozen=True, slots=True)
class Deadline:
    """A deadline of an addressee. Times are aware UTC.

    ``yours`` marks an organisation's own deadline after a data breach; ``notice`` is then 0.

    ``place`` is where the addressee has to act, ``person_place`` where the person lives, if known.
    ``done_at`` is when the required act was done.

    ``may_be_paused`` says that the addressee waits for an answer of the person, and that the law
    may stop the time until then. ``due_at`` does not contain this pause, whose end is not known.
    """

    notice: int
    law: str
    provision: str
    rule: str
    starts: str
    state: DeadlineState
    source: str
    read_on: date
    started_at: datetime | None = None
    due_at: datetime | None = None
    done_at: datetime | None = None
    place: Place = WORLDWIDE
    person_place: Place | None = None
    yours: bool = False
    may_be_paused: bool = False

    @property
    def sets_no_time_limit(self) -> bool:
        """True if the law sets no time limit, not even in words."""
        return self.state is DeadlineState.NO_FIXED_TIME and self.rule in _RULES_WITHOUT_LIMIT


RECEIPT_TEXT: Final = translatable("receipt")
MAY_BE_PAUSED_NOTE: Final = translatable(
    "Until they have what they asked for, their time may stand still."
)
_RULES_WITHOUT_LIMIT: Final = frozenset({"none", "none published", "authority"})
# a semicolon inside brackets does not end a clause
_CLAUSE_SEPARATOR: Final = re.compile(r";(?![^()]*\))")
_CONFIRM_CLAUSE_PATTERN: Final = re.compile(r"\bconfirm")
_REPORT_CLAUSE_PATTERN: Final = re.compile(r"\bstatus\b")
_ANSWER_CLAUSE_PATTERN: Final = re.compile(r"\b(answer|decision|notify)\b")
_URGENCY_ORDER: Final = (
    DeadlineState.RUNNING,
    DeadlineState.MISSED,
    DeadlineState.NOT_STARTED,
    DeadlineState.MET,
    DeadlineState.NO_FIXED_TIME,
)
_PLACE_OF_JURISDICTION: Final = {"EU/EEA": "EU", "US-states": "US"}
_KINDS_THAT_REQUIRE_ANSWER: Final = frozenset({RouteKind.DATA, RouteKind.ESCALATION})


class RequiredAct(Enum):
    """What has to be done within a clause's time."""

    CONFIRM = auto()  # confirm the receipt
    REPORT = auto()  # report the status
    ANSWER = auto()
    REMOVE = auto()


def deadlines_of_case(case: Case, now: datetime) -> tuple[Deadline, ...]:
    """Return the deadlines of all notices that were not withdrawn, and of a breach, most urgent
    first: those that are running, missed, not started, met, and those without a fixed time.

    Args:
        case: its notices contain the law as it was when they were drafted.
        now: aware, UTC.
    """
    deadlines = [
        _make_deadline(notice, clause, case.situation, now)
        for notice in case.notices
        if notice.state is not NoticeState.WITHDRAWN
        for clause in deadline_clauses_of(notice.route)
    ]
    if case.breach is not None:
        deadlines += _breach_deadlines(case.breach, case.situation, now)
    return tuple(sorted(deadlines, key=_urgency_key))


def deadline_clauses_of(route: Route) -> tuple[str, ...]:
    """Return the clauses of a route's deadline rule, in order."""
    return split_deadline_clauses(route.deadline_rule)


@lru_cache(maxsize=1024)
def split_deadline_clauses(rule: str) -> tuple[str, ...]:
    """Return the clauses of a deadline rule, in order."""
    return tuple(clause.strip() for clause in _CLAUSE_SEPARATOR.split(rule))


def clause_due_at(
    started_at: datetime,
    clause: str,
    rule: CountingRule | None = None,
    place: Place = WORLDWIDE,
) -> datetime | None:
    """Return the end (in UTC) of the period that a clause sets; None if the clause names no
    duration, or if the rule gives no date for it.

    Args:
        started_at: aware; when the clause's period began.
        clause: one clause of the route's deadline rule.
        rule: how the legal system counts time limits; None means the default rule.
        place: where the addressee has to act.
    """
    period = read_period(clause)
    if period is None:
        return None
    return count_period(started_at, period, rule or counting_rules()[DEFAULT_RULE_ID], place).due_at


def addressee_place(route: Route, situation: Situation) -> Place:
    """Return where a route's addressee has to act; that place's clocks and holidays count.

    This is the platform's place if the law covers it, else the person's place if the law covers
    that, else the law's own place.
    """
    named = tuple(filter(None, (situation.platform_in, *situation.places)))
    return place_whose_clocks_count(route.jurisdiction, named)


@lru_cache(maxsize=1024)
def place_whose_clocks_count(jurisdiction: str, named: tuple[Place, ...]) -> Place:
    """Return the first of the named places that a jurisdiction's law covers.

    Return the law's own place if the law covers none of the named places, or if the law's own place
    is a part of the place that was found: for a law of US-CA, this is US-CA if the US was named.
    """
    if jurisdiction == WORLDWIDE:
        return next(iter(named), WORLDWIDE)
    inside = (where for where in named if law_reaches(jurisdiction, (where,)))
    own = Place(_PLACE_OF_JURISDICTION.get(jurisdiction, jurisdiction))
    found = next(inside, own)
    return own if own.startswith(f"{found}-") else found


def clause_duration(clause: str) -> str:
    """Return a clause's duration in words, or "" if it names none.

    >>> clause_duration("PT48H confirm receipt")
    '48 hours'
    """
    period = read_period(clause)
    return "" if period is None else str(period)


def clause_in_words(clause: str) -> str:
    """Return a clause in the person's language, without codes."""
    return with_period_in_words(translated(clause))


def time_allowed(route: Route, act: RequiredAct) -> str:
    """Return how much time an addressee has from receipt for ``act``, in words; "" if the law sets
    no time, or if the deadline starts with the act of an authority.
    """
    if route.clock is not DeadlineStart.RECEIPT:
        return ""
    timed = (one for one in deadline_clauses_of(route) if clause_duration(one))
    return next((clause_duration(one) for one in timed if required_act(route, one) is act), "")


def hours_to_remove(route: Route) -> int | None:
    """Return how many hours the addressee has from receipt to removal; None if the law sets no
    number of hours.
    """
    return route.deadline_hours if time_allowed(route, RequiredAct.REMOVE) else None


_ADDRESSEE_TEXTS: Final = {
    DeadlineState.RUNNING: translatable("they have until {until}"),
    DeadlineState.MET: translatable("done in time; they had until {until}"),
    DeadlineState.MISSED: translatable("their time ran out on {until}"),
}
_ORGANISATION_TEXTS: Final = {
    DeadlineState.RUNNING: translatable("your organisation has until {until}"),
    DeadlineState.MET: translatable("done in time; your organisation had until {until}"),
    DeadlineState.MISSED: translatable("its time ran out on {until}"),
}
_NO_DATE_TEXT: Final = translatable("the law sets no date here")
_NO_DATE_BUT_RULE_TEXT: Final = translatable("the law sets no date here, but says: {rule}")


def deadline_in_words(deadline: Deadline) -> str:
    """Describe one deadline in a sentence, with its law and in the local time of its place."""
    until = deadline.due_at and moment_at_place_in_words(
        deadline.due_at, deadline.place, deadline.person_place
    )
    words = f"{_deadline_state_in_words(deadline, until or '')} ({law_of_deadline(deadline)})"
    return _with_note_on_pause(words, deadline)


def deadline_in_words_for_person(deadline: Deadline) -> str:
    """Describe one deadline in a sentence, in this machine's local time (the person's), without
    naming the law.
    """
    mine = deadline.due_at and deadline.due_at.astimezone()
    until = mine and translated("{day}, {time} your time").format(
        day=long_day_in_words(mine), time=f"{mine:%H:%M}"
    )
    return _with_note_on_pause(_deadline_state_in_words(deadline, until or ""), deadline)


def _with_note_on_pause(words: str, deadline: Deadline) -> str:
    """Append that the time may stand still, if it may. Like ``words``, the result has no full stop
    at its end, because it is a part of other sentences.
    """
    if not deadline.may_be_paused:
        return words
    return f"{words}. {translated(MAY_BE_PAUSED_NOTE).removesuffix('.')}"


def law_of_deadline(deadline: Deadline) -> str:
    """Return the law of a deadline, and its provision."""
    return f"{deadline.law}, {deadline.provision}"


def _deadline_state_in_words(deadline: Deadline, until: str) -> str:
    if deadline.state is DeadlineState.NOT_STARTED:
        return deadline.starts
    words = _ORGANISATION_TEXTS if deadline.yours else _ADDRESSEE_TEXTS
    no_date = _NO_DATE_TEXT if deadline.sets_no_time_limit else _NO_DATE_BUT_RULE_TEXT
    return translated(words.get(deadline.state, no_date)).format(
        until=until, rule=clause_in_words(deadline.rule)
    )


def _make_deadline(notice: Notice, clause: str, situation: Situation, now: datetime) -> Deadline:
    route, place = notice.route, addressee_place(notice.route, situation)
    due_at = _notice_due_at(notice, clause, place)
    return Deadline(
        notice=notice.number,
        law=route.law,
        provision=route.provision,
        rule=clause,
        starts=_start_in_words(notice, clause),
        state=_deadline_state(notice, clause, due_at, now),
        source=route.source,
        read_on=route.read_on,
        started_at=_start_time(notice, clause) if due_at else None,
        due_at=due_at,
        done_at=_fulfilled_at(notice, clause),
        place=place,
        person_place=next(iter(situation.places), None),
        may_be_paused=_waits_for_person(notice)
        and pauses_when_asked(route, notice.asked_at, due_at),
    )


def _notice_due_at(notice: Notice, clause: str, place: Place) -> datetime | None:
    """Return the end of a clause's period, with the time in which the addressee waited for the
    person's answer.
    """
    began, rule = _start_time(notice, clause), counting_rule_for(notice.route)
    if began is None:
        return None
    due_at = clause_due_at(began, clause, rule, place)
    pause = pause_length(notice.route, notice.asked_at, notice.supplied_at, due_at)
    return clause_due_at(began + pause, clause, rule, place) if pause else due_at


def _waits_for_person(notice: Notice) -> bool:
    return notice.state is NoticeState.ASKED and notice.supplied_at is None


def _breach_deadlines(breach: Breach, situation: Situation, now: datetime) -> list[Deadline]:
    """Return an organisation's duties for its own breach. One clause has a time limit, the others
    have none.

    The hours run without a break from the time at which the organisation became aware. Regulation
    1182/71, Art. 3(1), may allow up to one hour more; the earlier end is shown.
    """
    route, place = breach.route, addressee_place(breach.route, situation)
    found = []
    for clause in deadline_clauses_of(route):
        due_at = clause_due_at(breach.aware_at, clause)
        found.append(
            Deadline(
                notice=0,
                law=route.law,
                provision=route.provision,
                rule=clause,
                starts="",
                state=_breach_deadline_state(breach, due_at, now),
                source=route.source,
                read_on=route.read_on,
                started_at=breach.aware_at if due_at else None,
                due_at=due_at,
                done_at=breach.notified_at if due_at else None,
                place=place,
                person_place=next(iter(situation.places), None),
                yours=True,
            )
        )
    return found


def _breach_deadline_state(breach: Breach, due_at: datetime | None, now: datetime) -> DeadlineState:
    if due_at is None:
        return DeadlineState.NO_FIXED_TIME
    if breach.notified_at is not None:
        in_time = is_in_time(breach.notified_at, due_at)
        return DeadlineState.MET if in_time else DeadlineState.MISSED
    return DeadlineState.RUNNING if is_in_time(now, due_at) else DeadlineState.MISSED


def is_in_time(at: datetime, due_at: datetime) -> bool:
    """Return whether a time is not after a deadline. The whole second of the deadline is in
    time.
    """
    return at.replace(microsecond=0) <= due_at


def _start_time(notice: Notice, clause: str) -> datetime | None:
    """Return when the clause's period began; None before sending, or if somebody else's act starts
    the time.

    A period for confirming receipt begins at sending. Any other begins at receipt, or at sending if
    the time of receipt is unknown.
    """
    if notice.route.clock is not DeadlineStart.RECEIPT:
        return None
    if (
        required_act(notice.route, clause) is RequiredAct.CONFIRM
    ):  # the act is to acknowledge receipt, so the period starts at sending
        return notice.sent_at
    return notice.received_at or notice.sent_at


def pause_length(
    route: Route, asked: datetime | None, supplied: datetime | None, due_at: datetime | None
) -> timedelta:
    """Return how long the addressee waited for the person's answer; zero if this time counts, or if
    the person has not answered.

    Args:
        route: the route of the notice.
        asked: when the addressee asked the person for more.
        supplied: when the person answered.
        due_at: the end of the period without a pause.
    """
    if asked is None or supplied is None or not pauses_when_asked(route, asked, due_at):
        return timedelta()
    return max(supplied - asked, timedelta())


def pauses_when_asked(route: Route, asked: datetime | None, due_at: datetime | None) -> bool:
    """Return whether the time stops while the addressee waits for the answer to a question.

    It does not if the law names no pause, or if the addressee asked only after the time had ended.
    """
    if asked is None or (due_at is not None and not is_in_time(asked, due_at)):
        return False
    return names_pause(route)


def names_pause(route: Route) -> bool:
    """Return whether the law does not count the time in which the addressee waits for the person's
    answer.
    """
    return counting_rule_for(route).asked == "pauses" and route.kind is RouteKind.DATA


def _start_in_words(notice: Notice, clause: str) -> str:
    since = translated(notice.route.deadline_from or RECEIPT_TEXT)
    if not clause_duration(clause):
        return ""
    if notice.route.clock is DeadlineStart.RECEIPT:
        return translated("starts when you send it: {span} after {since}").format(
            span=clause_duration(clause), since=since
        )
    return translated("does not start with what you send: {span} after {since}").format(
        span=clause_duration(clause), since=since
    )


def _deadline_state(
    notice: Notice, clause: str, due_at: datetime | None, now: datetime
) -> DeadlineState:
    if not clause_duration(clause):
        return DeadlineState.NO_FIXED_TIME
    if due_at is None:
        return DeadlineState.NOT_STARTED
    done_at = _fulfilled_at(notice, clause)
    if done_at is not None:
        return DeadlineState.MET if is_in_time(done_at, due_at) else DeadlineState.MISSED
    return DeadlineState.RUNNING if is_in_time(now, due_at) else DeadlineState.MISSED


def _fulfilled_at(notice: Notice, clause: str) -> datetime | None:
    """Return when the clause's act was first done: by a receipt, an answer, or the removal."""
    removed_at = notice.removed_at
    if notice.state is NoticeState.REMOVED and removed_at is None:  # stored by an older version
        removed_at = notice.answered_at
    act = required_act(notice.route, clause)
    done_times = [removed_at]
    if act is not RequiredAct.REMOVE:
        done_times.append(notice.answered_at)
    if act is RequiredAct.CONFIRM:  # a request for more information also confirms receipt
        done_times += (notice.received_at, notice.asked_at)
    return min(filter(None, done_times), default=None)


def required_act(route: Route, clause: str) -> RequiredAct:
    """Return what the addressee has to do within a clause's time."""
    if _CONFIRM_CLAUSE_PATTERN.search(clause):
        return RequiredAct.CONFIRM
    if _REPORT_CLAUSE_PATTERN.search(clause):
        return RequiredAct.REPORT
    if route.kind in _KINDS_THAT_REQUIRE_ANSWER or _ANSWER_CLAUSE_PATTERN.search(clause):
        return RequiredAct.ANSWER
    return RequiredAct.REMOVE


def _urgency_key(deadline: Deadline) -> tuple[int, float, int]:
    due_at = deadline.due_at.timestamp() if deadline.due_at else 0.0
    return (_URGENCY_ORDER.index(deadline.state), due_at, deadline.notice)
