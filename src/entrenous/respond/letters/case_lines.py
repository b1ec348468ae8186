"""Put the facts of a case into lines of a letter in one language: places, time line, the history of
earlier notices, and evidence.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from entrenous.respond.evidence import stamps_over_item
from entrenous.respond.law.deadlines import (
    Deadline,
    DeadlineState,
    deadlines_of_case,
    is_in_time,
)
from entrenous.respond.law.legal_route import DocumentKind, Route, RouteKind
from entrenous.respond.letters.wordings import law_name_in, without_source_notes, words_in_language
from entrenous.respond.nouns import (
    SETTLED_NOTICE_STATES,
    Case,
    EvidenceItem,
    Notice,
    NoticeState,
    Sighting,
    SightingReach,
)
from entrenous.respond.situation import Demand, Spread


@dataclass(frozen=True, slots=True)
class CaseLines:
    """The values of the placeholders in wordings, as lines of text; empty if the case says nothing.

    ``address`` is for the steps of a hash bank.
    """

    places: str = ""
    timeline: str = ""
    sender: str = ""
    kept: str = ""
    history: str = ""
    answers: str = ""
    asked: str = ""
    copies: str = ""
    law: str = ""
    address: str = ""

    def text_of_placeholder(self, name: str) -> str:
        return str(getattr(self, name))


@dataclass(frozen=True, slots=True)
class DraftContext:
    """The input of a draft.

    ``named_sightings`` are the sightings that the letter may name, ``language`` is one of
    LETTER_LANGUAGES, and ``now`` (aware, UTC) is the time at which deadlines are judged.
    """

    case: Case
    route: Route
    named_sightings: tuple[Sighting, ...]
    language: str
    now: datetime

    @property
    def frame(self) -> dict[str, str]:
        """The words around the elements, in the draft's language."""
        return words_in_language(self.language).frame


class HistoryEvent(StrEnum):
    """An event of a notice.

    The members are in their usual order, which is also used to sort events with the same time.
    """

    REQUESTED = "requested"  # the notice was sent
    CONFIRMED = "confirmed"  # they confirmed its receipt
    ASKED = "asked"  # they asked for more information
    SUPPLIED = "supplied"  # the person gave them what they asked for
    PARTLY = "partly"  # they removed some of the copies
    REFUSED = "refused"
    REMOVED = "removed"
    DUE = "due"  # their deadline passed
    MISSED = "missed"  # they acted only after the deadline, or have not acted yet


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line of a notice's history.

    ``at`` is aware UTC. ``places`` is where the copies were seen (REQUESTED only). ``late`` is the
    time from the deadline until ``at``; ``open`` says that the addressee has still not acted (both
    MISSED only).
    """

    at: datetime
    event: HistoryEvent
    places: tuple[str, ...] = ()
    late: timedelta | None = None
    open: bool = False


_EVENT_ORDER: Final = tuple(HistoryEvent)
SHEET_DOCUMENT_KINDS: Final = frozenset({DocumentKind.POLICE_SHEET, DocumentKind.COURT_SHEET})
_FRAME_KEY_OF_DEMAND: Final = {
    Demand.MONEY: "demand_money",
    Demand.PICTURES: "demand_pictures",
    Demand.OTHER: "demand_other",
}
_UNCHECKED_FACT_PATTERN: Final = re.compile(r"re-verify|not read|general knowledge")


def make_case_lines(draft: DraftContext) -> CaseLines:
    """Put the facts of a case into words, in the draft's language."""
    case, frame = draft.case, draft.frame
    about = notices_to_refer_to(case, draft.route)
    return CaseLines(
        places="\n".join(
            f"{_sighting_line(sighting, frame)}{_reappearance_line(sighting, case, frame)}"
            for sighting in draft.named_sightings
        ),
        timeline="\n".join((*_timeline_lines(draft), *_threat_lines(case, frame))),
        sender="\n".join(_sender_account_lines(draft)),
        kept="\n".join(_evidence_line(item, case, frame) for item in case.evidence),
        history="\n".join(_notice_history_lines(draft, about, requests=True)),
        answers="\n".join(_answer_lines(draft, about)),
        asked="\n".join(dict.fromkeys(f"- {notice.to}" for notice in about)),
        copies="\n".join(
            frame["copy_of"].format(number=notice.number, at=_format_time(notice.sent_at))
            for notice in about
        ),
        law="\n".join(_law_lines(draft.route, draft.language)),
        address="/".join(draft.route.source.split("/")[:3]),
    )


def notices_to_refer_to(case: Case, route: Route) -> tuple[Notice, ...]:
    """Return the sent notices that a document along this route is about.

    A complaint is about the notices to one addressee under the same law: the first addressee whom
    no complaint is about yet, or else the first of all. Notices that were withdrawn, and those
    after which the picture was removed, count only if there are no others. Any other document is
    about every sent notice.
    """
    sent = tuple(notice for notice in case.notices if notice.sent_at is not None)
    if route.kind is not RouteKind.ESCALATION:
        return sent
    same_law = tuple(notice for notice in sent if notice.route.law_name == route.law_name) or sent
    requests = tuple(notice for notice in same_law if notice.route.kind is not RouteKind.ESCALATION)
    candidates = (
        tuple(one for one in requests if one.state not in SETTLED_NOTICE_STATES) or requests
    )
    sightings_in_complaints = {
        sighting
        for notice in case.notices
        if notice.route.family == route.family and notice.state is not NoticeState.WITHDRAWN
        for sighting in notice.named_sightings
    }
    addressees_without_complaint = (
        notice.to
        for notice in candidates
        if not sightings_in_complaints.issuperset(notice.named_sightings)
    )
    addressee = next(addressees_without_complaint, next((notice.to for notice in candidates), ""))
    return tuple(notice for notice in candidates if notice.to == addressee)


def _format_time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else ""


def _sighting_line(sighting: Sighting, frame: dict[str, str]) -> str:
    return frame["place"].format(
        where=sighting.where,
        chat=frame["in_chat"] if sighting.reach is SightingReach.PRIVATE else "",
        account=_account_in_words(sighting, frame),
        at=_format_time(sighting.first_seen_at),
    )


def _reappearance_line(sighting: Sighting, case: Case, frame: dict[str, str]) -> str:
    """Return a line which says that the picture was removed there and is back; "" if it did not
    come back.
    """
    reappearances = [one for one in case.returned if one.sighting == sighting.number]
    if not reappearances:
        return ""
    key = "place_back" if reappearances[-1].compared else "place_answers"
    return frame[key].format(at=_format_time(reappearances[-1].at))


def _account_in_words(sighting: Sighting, frame: dict[str, str]) -> str:
    return frame["at_account"].format(account=sighting.handle) if sighting.handle else ""


def _timeline_lines(draft: DraftContext) -> Iterable[str]:
    """Return the events in order, one line each. Only sightings that may be named appear. What the
    person kept and sent appears only on a page for the police or a court.
    """
    frame, case = draft.frame, draft.case
    events: list[tuple[datetime, str]] = []
    at_desk = draft.route.document in SHEET_DOCUMENT_KINDS
    for sighting in draft.named_sightings:
        key = "seen_in_chat" if sighting.reach is SightingReach.PRIVATE else "seen"
        at, where = sighting.first_seen_at, sighting.where
        line = frame[key].format(
            at=_format_time(at), where=where, account=_account_in_words(sighting, frame)
        )
        events.append((at, line))
    for item in case.evidence if at_desk else ():
        line = frame["kept_at"].format(at=_format_time(item.added_at), number=item.number)
        events.append((item.added_at, line))
    for notice in case.notices if at_desk else ():
        lines = notice_history(case, notice, draft.now)
        events += [(one.at, _history_line_in_words(one, notice, draft.language)) for one in lines]
    return (line for _, line in sorted(events, key=lambda event: event[0]))


def _threat_lines(case: Case, frame: dict[str, str]) -> Iterator[str]:
    """Yield the person's answers about a threat. The day of the threat is not stored."""
    if case.situation.posted is Spread.THREAT:
        yield frame["threatened"]
    if case.situation.demand in _FRAME_KEY_OF_DEMAND:
        yield frame[_FRAME_KEY_OF_DEMAND[case.situation.demand]]


def _sender_account_lines(draft: DraftContext) -> Iterable[str]:
    """Return the accounts that showed the picture. A letter about a threat that names no sightings
    lists the accounts of all sightings.
    """
    threat_only = draft.route.posted == (Spread.THREAT,)
    seen = (
        draft.case.sightings if threat_only and not draft.named_sightings else draft.named_sightings
    )
    handles = dict.fromkeys(sighting.handle for sighting in seen if sighting.handle)
    return (draft.frame["account_line"].format(account=handle) for handle in handles)


def _evidence_line(item: EvidenceItem, case: Case, frame: dict[str, str]) -> str:
    stamped = "".join(
        frame["stamped"].format(at=_format_time(stamp.at), authority=stamp.authority_url)
        for stamp in stamps_over_item(item, case)[:1]
    )
    level = frame[f"level_{item.level}"]
    return frame["kept"].format(number=item.number, level=level, stamped=stamped)


def _notice_history_lines(
    draft: DraftContext, about: tuple[Notice, ...], *, requests: bool
) -> Iterator[str]:
    """Yield the lines about these notices: the requests, or what followed them."""
    lines = [
        (line, notice)
        for notice in about
        for line in notice_history(draft.case, notice, draft.now)
        if (line.event is HistoryEvent.REQUESTED) is requests
    ]
    for line, notice in sorted(lines, key=lambda pair: pair[0].at):
        yield _history_line_in_words(line, notice, draft.language)
        if requests:
            yield from (f"  {place}" for place in line.places)


def _answer_lines(draft: DraftContext, about: tuple[Notice, ...]) -> Iterator[str]:
    """Yield the answers that were received, and for each notice without one, that no answer was
    received.
    """
    yield from _notice_history_lines(draft, about, requests=False)
    for notice in about:
        if notice.answered_at is None:
            at, line = _format_time(draft.now), draft.frame["no_answer"]
            yield line.format(at=at, number=notice.number)


def _history_line_in_words(line: HistoryLine, notice: Notice, language: str) -> str:
    frame = words_in_language(language).frame
    key = line.event.value
    if line.event is HistoryEvent.MISSED:
        key = "missed_open" if line.open else "missed_late"
    law = law_name_in(notice.route, language)
    return frame[key].format(at=_format_time(line.at), number=notice.number, to=notice.to, law=law)


def _law_lines(route: Route, language: str) -> Iterator[str]:
    """Yield the law. In English, also yield what the law covers and punishes, in our own words."""
    frame = words_in_language(language).frame
    yield f"- {law_name_in(route, language)}"
    if language == "en":
        yield frame["law_scope"].format(scope=without_source_notes(route.scope.strip()))
        if route.penalty and not _UNCHECKED_FACT_PATTERN.search(route.penalty):
            yield frame["law_penalty"].format(penalty=route.penalty, on=route.read_on)


def notice_history(case: Case, notice: Notice, now: datetime) -> tuple[HistoryLine, ...]:
    """Return the history of a notice up to ``now``, earliest first; empty before it was sent.

    Args:
        case: the case of the notice.
        notice: the earlier notice, e.g. the request that a complaint is about.
        now: aware, UTC.
    """
    if notice.sent_at is None:
        return ()
    deadlines = [
        deadline for deadline in deadlines_of_case(case, now) if deadline.notice == notice.number
    ]
    lines = [
        *_notice_events(notice),
        *(line for deadline in deadlines for line in _deadline_lines(deadline, now)),
    ]
    return tuple(sorted(lines, key=lambda line: (line.at, _EVENT_ORDER.index(line.event))))


def _notice_events(notice: Notice) -> Iterator[HistoryLine]:
    if notice.sent_at is not None:
        places = tuple(sighting.where for sighting in notice.named_sightings)
        yield HistoryLine(notice.sent_at, HistoryEvent.REQUESTED, places)
    times = (
        (notice.received_at, HistoryEvent.CONFIRMED),
        (notice.asked_at, HistoryEvent.ASKED),
        (notice.supplied_at, HistoryEvent.SUPPLIED),
        (notice.partly_at, HistoryEvent.PARTLY),
        (notice.refused_at, HistoryEvent.REFUSED),
        (notice.removed_at, HistoryEvent.REMOVED),
    )
    for at, event in times:
        if at is not None:
            yield HistoryLine(at, event)


def _deadline_lines(deadline: Deadline, now: datetime) -> Iterator[HistoryLine]:
    if deadline.due_at is None or is_in_time(now, deadline.due_at):
        return
    if deadline.may_be_paused:  # it may not have ended, so a letter must not say that it has
        return
    yield HistoryLine(deadline.due_at, HistoryEvent.DUE)
    if deadline.state is DeadlineState.MISSED:
        at = deadline.done_at or now
        yield HistoryLine(
            at, HistoryEvent.MISSED, late=at - deadline.due_at, open=deadline.done_at is None
        )
