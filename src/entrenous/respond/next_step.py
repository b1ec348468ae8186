"""The one next step of a case, in words: the topmost question on its ladder that is still open."""

from datetime import datetime
from typing import Final

from entrenous.model.case import Case, CaseState, DeadlineState, Notice, NoticeState
from entrenous.respond.deadlines import deadlines, in_words

_SETTLED: Final = frozenset({NoticeState.REMOVED, NoticeState.WITHDRAWN})


def next_step(case: Case, now: datetime) -> str:
    """One sentence; every step is optional, and stopping is always possible.

    Args:
        case: as stored.
        now: aware, UTC.
    """
    if case.state is CaseState.CLOSED:
        return "This case is closed. You can open it again at any time."
    return _about_clocks(case, now) or _about_notices(case) or _about_evidence(case)


def _about_clocks(case: Case, now: datetime) -> str:
    clocks = {clock.notice: clock for clock in reversed(deadlines(case, now))}
    for notice in reversed(case.notices):
        clock = clocks.get(notice.number)
        if clock is None or notice.state in _SETTLED or notice.sent_at is None:
            continue
        if clock.state is DeadlineState.MISSED or notice.state is NoticeState.REFUSED:
            return f"Next you could go to: {notice.route.escalation}."
        return f"Nothing to do now: {in_words(clock)}."
    return ""


def _about_notices(case: Case) -> str:
    drafts = [n for n in case.notices if n.state is NoticeState.DRAFTED]
    if drafts:
        return _about_draft(drafts[-1])
    if any(notice.state is NoticeState.REMOVED for notice in case.notices):
        return "They removed it. Look once more in a few days, then close the case if you like."
    return ""


def _about_draft(draft: Notice) -> str:
    return (
        f"You have not sent notice {draft.number} yet: fill in what is missing, send it yourself,"
        " then note the day."
    )


def _about_evidence(case: Case) -> str:
    if not case.sightings:
        return "Add where you saw it: a web address, or a chat in your own words."
    if not case.evidence:
        return "Keep a screenshot of it before you notify anybody, or skip this and choose a route."
    if not case.stamps:
        return "Have the evidence stamped, or skip this and choose a route."
    return "Choose a route and draft its notice."
