"""Deadlines as an iCalendar file (RFC 5545), which by default reveals nothing about the case."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from entrenous.base.errors import Refused
from entrenous.crypto.hashing import sha256
from entrenous.respond.law.deadlines import Deadline, DeadlineState, deadline_in_words
from entrenous.respond.nouns import Case

_ENTRY_UID_BYTES: Final = 16
# RFC 5545 requires an identifier; the program's name would reveal too much
_PRODUCT_ID: Final = "-//Reminders//EN"


class NoRunningDeadline(Refused):
    """
    No deadline of case {name} is running, so no calendar was written. A deadline starts when you
    record that a notice was sent or, under some laws, that it was received. To see the notices and
    their numbers: entrenous case show {name}. To record that one was sent: entrenous case notice
    {name} --sent NUMBER
    """


@dataclass(frozen=True, slots=True)
class CalendarEntry:
    """An entry for one time in a calendar. ``words`` are shown only if plain titles are chosen."""

    at: datetime
    words: str
    uid: str


def format_calendar_file(
    entries: Iterable[CalendarEntry],
    now: datetime,
    *,
    plain_titles: bool = False,
    alarm: timedelta | None = None,
) -> bytes:
    """Format entries as an iCalendar file. Its times are in UTC; every calendar shows them in its
    own time zone.

    Args:
        entries: the times to write; their order gives the numbers in the titles.
        now: the time at which the file is made; aware.
        plain_titles: name the law and the deadline, instead of "Reminder 1".
        alarm: how long before each time the calendar reminds; None means no alarm.
    """
    from icalendar import Alarm, Calendar, Event  # noqa: PLC0415 - slow to load; few commands write one

    calendar = Calendar()
    calendar.add("prodid", _PRODUCT_ID)
    calendar.add("version", "2.0")
    for number, entry in enumerate(entries, start=1):
        title = entry.words if plain_titles else f"Reminder {number}"
        event = Event()
        _fill_event(event, entry, title, now)
        if alarm is not None:
            bell = Alarm()
            bell.add("action", "DISPLAY")
            bell.add("description", title)
            bell.add("trigger", -alarm)
            event.add_component(bell)
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def running_deadline_entries(
    case: Case, deadlines: tuple[Deadline, ...]
) -> tuple[CalendarEntry, ...]:
    """Return an entry for each running deadline of a case, earliest first; raises
    NoRunningDeadline.

    The same deadline keeps its uid, so that a calendar updates it instead of adding another.
    """
    running = [
        deadline
        for deadline in deadlines
        if deadline.state is DeadlineState.RUNNING and deadline.due_at
    ]
    if not running:
        raise NoRunningDeadline(name=case.name)
    dated = ((deadline.due_at, deadline) for deadline in running if deadline.due_at)
    return tuple(
        CalendarEntry(
            at,
            deadline_in_words(deadline),
            calendar_entry_uid(case.opened_at, deadline.notice, deadline.rule),
        )
        for at, deadline in sorted(dated, key=lambda pair: pair[0])
    )


def calendar_entry_uid(secret: datetime, *parts: object) -> str:
    """Return an id that reveals nothing: a hash over data that only this device knows."""
    return sha256(f"{secret.isoformat()} {parts}".encode())[:_ENTRY_UID_BYTES].hex()


def _fill_event(event: Any, entry: CalendarEntry, title: str, now: datetime) -> None:
    event.add("uid", entry.uid)
    event.add("dtstamp", now.replace(microsecond=0))
    event.add("dtstart", entry.at)
    event.add("summary", title)
    event.add("class", "PRIVATE")
    event.add("transp", "TRANSPARENT")
