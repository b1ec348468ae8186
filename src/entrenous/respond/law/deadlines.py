"""Deadlines: which run for whom, and until when. They bind platforms and authorities, never the
person.
"""

import calendar
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import Final

from entrenous.respond.law.legal_route import ClockStart, Route, RouteKind
from entrenous.respond.nouns import Case, Notice, NoticeState


class DeadlineState(StrEnum):
    NOT_STARTED = "not started"
    RUNNING = "running"
    MET = "met"
    MISSED = "missed"
    NO_FIXED_TIME = "no fixed time"


@dataclass(frozen=True, slots=True)
class Deadline:
    """A deadline of an addressee, never of the person; times are aware UTC."""

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


_CLAUSE: Final = re.compile(r"P(?:(?P<months>\d+)M|(?P<days>\d+)D|T(?P<hours>\d+)H)(?![0-9A-Z])")
_CONFIRMS: Final = re.compile(r"\bconfirm")
_REPORTS: Final = re.compile(r"\bstatus\b")
_ANSWERS: Final = re.compile(r"\b(answer|decision|notify)\b")
_URGENT: Final = (
    DeadlineState.RUNNING,
    DeadlineState.MISSED,
    DeadlineState.NOT_STARTED,
    DeadlineState.MET,
    DeadlineState.NO_FIXED_TIME,
)
_ANSWERED_BY_KIND: Final = frozenset({RouteKind.DATA, RouteKind.ESCALATION})


class Due(Enum):
    """What has to be done within a clause's time."""

    CONFIRM = auto()  # the receipt
    REPORT = auto()  # the status
    ANSWER = auto()
    REMOVE = auto()


def deadlines(case: Case, now: datetime) -> tuple[Deadline, ...]:
    """Return all deadlines of all notices, most urgent first; those without a date come last.

    Args:
        case: its notices carry the law as of their draft.
        now: aware, UTC.
    """
    clocks = [
        _deadline(notice, clause.strip(), now)
        for notice in case.notices
        if notice.state is not NoticeState.WITHDRAWN
        for clause in notice.route.deadline_rule.split(";")
    ]
    return tuple(sorted(clocks, key=_urgency))


def due(started_at: datetime, clause: str) -> datetime | None:
    """Return when a clause falls due; None if it names no duration.

    >>> due(datetime(2026, 1, 31, 9), "P1M").isoformat()
    '2026-02-28T09:00:00'
    """
    found = _CLAUSE.match(clause)
    if found is None:
        return None
    if found["months"]:
        return _months_later(started_at, int(found["months"]))
    return started_at + timedelta(days=int(found["days"] or 0), hours=int(found["hours"] or 0))


def span(clause: str) -> str:
    """Return a clause's duration in words, or "" if it names none.

    >>> span("PT48H confirm receipt")
    '48 hours'
    """
    found = _CLAUSE.match(clause)
    if found is None:
        return ""
    unit, number = next((unit, int(n)) for unit, n in found.groupdict().items() if n)
    if unit == "months":
        return "one calendar month" if number == 1 else f"{number} calendar months"
    return f"{number} {unit if number != 1 else unit.removesuffix('s')}"


def time_for(route: Route, what: Due) -> str:
    """Return an addressee's time from receipt for ``what``, in words; "" if the law sets none.

    A deadline that an authority starts does not depend on what the person sends.
    """
    if route.clock is not ClockStart.RECEIPT:
        return ""
    clauses = map(str.strip, route.deadline_rule.split(";"))
    return next(
        (span(one) for one in clauses if span(one) and _required_act(route, one) is what), ""
    )


def hours_to_remove(route: Route) -> int | None:
    """Return the whole hours from receipt to removal; None if the law sets none."""
    return route.deadline_hours if time_for(route, Due.REMOVE) else None


def deadline_in_words(deadline: Deadline) -> str:
    """Describe one deadline in a sentence, with its law."""
    ground = f"({deadline.law}, {deadline.provision})"
    until = f"{deadline.due_at:%A %d %B %Y, %H:%M} UTC" if deadline.due_at else ""
    said = {
        DeadlineState.NOT_STARTED: deadline.starts,
        DeadlineState.RUNNING: f"they have until {until}",
        DeadlineState.MET: f"done in time; they had until {until}",
        DeadlineState.MISSED: f"their time ran out on {until}",
        DeadlineState.NO_FIXED_TIME: f"the law sets no date here, but says: {deadline.rule}",
    }
    return f"{said[deadline.state]} {ground}"


def _deadline(notice: Notice, clause: str, now: datetime) -> Deadline:
    began = _start_time(notice, clause)
    due_at = due(began, clause) if began else None
    return Deadline(
        notice=notice.number,
        law=notice.route.law,
        provision=notice.route.provision,
        rule=clause,
        starts=_start_in_words(notice, clause),
        state=_state(notice, clause, due_at, now),
        source=notice.route.source,
        read_on=notice.route.read_on,
        started_at=began if due_at else None,
        due_at=due_at,
        done_at=_done_at(notice, clause),
    )


def _start_time(notice: Notice, clause: str) -> datetime | None:
    """Return when the clause's time began: at receipt, or at sending if receipt is unknown.

    None before sending, or if somebody else starts the time.
    """
    if notice.route.clock is not ClockStart.RECEIPT:
        return None
    if (
        _required_act(notice.route, clause) is Due.CONFIRM
    ):  # receipt cannot start the time to confirm it
        return notice.sent_at
    return notice.received_at or notice.sent_at


def _start_in_words(notice: Notice, clause: str) -> str:
    since = notice.route.deadline_from or "receipt"
    if not span(clause):
        return ""
    if notice.route.clock is ClockStart.RECEIPT:
        return f"starts when you send it: {span(clause)} after {since}"
    return f"does not start with what you send: {span(clause)} after {since}"


def _state(notice: Notice, clause: str, due_at: datetime | None, now: datetime) -> DeadlineState:
    if not span(clause):
        return DeadlineState.NO_FIXED_TIME
    if due_at is None:
        return DeadlineState.NOT_STARTED
    done_at = _done_at(notice, clause)
    if done_at is not None and done_at <= due_at:
        return DeadlineState.MET
    return DeadlineState.RUNNING if now <= due_at and done_at is None else DeadlineState.MISSED


def _done_at(notice: Notice, clause: str) -> datetime | None:
    """Return when the clause was first fulfilled: by a receipt, an answer, or the removal."""
    removed_at = notice.removed_at
    if notice.state is NoticeState.REMOVED and removed_at is None:  # an older record
        removed_at = notice.answered_at
    what = _required_act(notice.route, clause)
    done = [removed_at]
    if what is not Due.REMOVE:
        done.append(notice.answered_at)
    if what is Due.CONFIRM:  # a request for more also confirms receipt
        done += (notice.received_at, notice.asked_at)
    return min(filter(None, done), default=None)


def _required_act(route: Route, clause: str) -> Due:
    if _CONFIRMS.search(clause):
        return Due.CONFIRM
    if _REPORTS.search(clause):
        return Due.REPORT
    if route.kind in _ANSWERED_BY_KIND or _ANSWERS.search(clause):
        return Due.ANSWER
    return Due.REMOVE


def _months_later(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def _urgency(deadline: Deadline) -> tuple[int, float, int]:
    due_at = deadline.due_at.timestamp() if deadline.due_at else 0.0
    return (_URGENT.index(deadline.state), due_at, deadline.notice)
