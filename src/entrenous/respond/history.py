"""The history of a notice, line by line, as a complaint to an authority needs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from entrenous.base.language import duration_in_words
from entrenous.respond.law.deadlines import Deadline, DeadlineState, deadlines
from entrenous.respond.nouns import Case, Notice


class HistoryEvent(StrEnum):
    """An event of a notice.

    The members are in their usual order, which is also used to sort events with the same time.
    """

    REQUESTED = "requested"  # the notice was sent
    CONFIRMED = "confirmed"  # they confirmed its receipt
    ASKED = "asked"  # they asked for more
    SUPPLIED = "supplied"  # the person gave them what they asked for
    PARTLY = "partly"  # they removed some of the copies
    REFUSED = "refused"
    REMOVED = "removed"
    DUE = "due"  # their deadline passed, or will pass
    MISSED = "missed"  # the addressee did what was due too late, or has not done it yet


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line of a notice's history.

    ``at`` is aware UTC. ``detail`` names the law (REQUESTED and DUE only). ``places`` is where the
    copies were seen (REQUESTED only). ``late`` is the time since the deadline; ``open`` says that
    the addressee has still not done what was due (both MISSED only).
    """

    at: datetime
    event: HistoryEvent
    detail: str = ""
    places: tuple[str, ...] = ()
    late: timedelta | None = None
    open: bool = False

    @property
    def text(self) -> str:
        """The line as a sentence in the first person, in English, for a letter or a screen."""
        on = f"{self.at.day} {self.at:%B %Y, %H:%M} UTC"
        if self.event is HistoryEvent.MISSED:
            late = duration_in_words(self.late or timedelta())
            return f"{on}: {_STILL_NOT_DONE_TEXT if self.open else _DONE_LATE_TEXT}".format(
                late=late
            )
        return f"{on}: {_EVENT_TEXTS[self.event].format(detail=self.detail)}"


_EVENT_TEXTS: Final = {
    HistoryEvent.REQUESTED: "I sent my request under {detail}.",
    HistoryEvent.CONFIRMED: "They confirmed that they had received it.",
    HistoryEvent.ASKED: "They asked me for more.",
    HistoryEvent.SUPPLIED: "I gave them what they had asked for.",
    HistoryEvent.PARTLY: "They removed only part of it.",
    HistoryEvent.REFUSED: "They refused.",
    HistoryEvent.REMOVED: "They removed it.",
    HistoryEvent.DUE: "Their time under {detail} ended.",
}
_DONE_LATE_TEXT: Final = "They did what was due {late} late."
_STILL_NOT_DONE_TEXT: Final = "What was due has not been done; that is {late} after the deadline."


def history(case: Case, notice: Notice, now: datetime) -> tuple[HistoryLine, ...]:
    """Return the history of a notice up to ``now``, earliest first; empty before it was sent.

    Args:
        case: the case of the notice.
        notice: the earlier notice, e.g. the request that a complaint is about.
        now: aware, UTC.
    """
    if notice.sent_at is None:
        return ()
    clocks = [clock for clock in deadlines(case, now) if clock.notice == notice.number]
    lines = [
        *_notice_events(notice),
        *(line for clock in clocks for line in _deadline_lines(clock, now)),
    ]
    return tuple(sorted(lines, key=lambda line: (line.at, _EVENT_ORDER.index(line.event))))


_EVENT_ORDER: Final = tuple(HistoryEvent)


def _notice_events(notice: Notice) -> Iterator[HistoryLine]:
    if notice.sent_at is not None:
        law = f"{notice.route.law}, {notice.route.provision}"
        places = tuple(sighting.where for sighting in notice.told)
        yield HistoryLine(notice.sent_at, HistoryEvent.REQUESTED, law, places)
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


def _deadline_lines(clock: Deadline, now: datetime) -> Iterator[HistoryLine]:
    if clock.due_at is None or clock.due_at > now:
        return
    yield HistoryLine(clock.due_at, HistoryEvent.DUE, f"{clock.law}, {clock.provision}")
    if clock.state is DeadlineState.MISSED:
        at = clock.done_at or now
        yield HistoryLine(
            at, HistoryEvent.MISSED, late=at - clock.due_at, open=clock.done_at is None
        )
