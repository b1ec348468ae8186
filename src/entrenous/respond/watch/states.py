"""The states of a watched sighting as one table, and when its next check is due (docs/spec/case.md,
section 7).

The functions here have no side effects: times and random numbers are passed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from entrenous.base.identifiers import CaseName
from entrenous.base.language import moment_in_words, translatable, translated


class WatchState(StrEnum):
    """What is known about an address."""

    UNKNOWN = "unknown"
    THERE = "still there"
    GONE = "gone"
    MOVED = "moved"
    UNREACHABLE = "unreachable"


class WatchEvent(StrEnum):
    """The outcome of one check."""

    SEEN = "seen"
    NOT_FOUND = "not found"
    ELSEWHERE = "leads elsewhere"
    UNCLEAR = "unclear"
    BUSY = "asked to wait"
    SILENT = "no answer"


_EVENTS: Final = tuple(WatchEvent)


def _transitions_from(
    state: WatchState, after: str
) -> dict[tuple[WatchState, WatchEvent], WatchState]:
    names = zip(_EVENTS, after.split(), strict=True)
    return {(state, event): WatchState[name] for event, name in names}


#: The columns are the events in the order of WatchEvent.
WATCH_TRANSITIONS: Final[Mapping[tuple[WatchState, WatchEvent], WatchState]] = {
    **_transitions_from(WatchState.UNKNOWN, "THERE GONE MOVED UNKNOWN UNKNOWN UNREACHABLE"),
    **_transitions_from(WatchState.THERE, "THERE GONE MOVED UNKNOWN THERE UNREACHABLE"),
    **_transitions_from(WatchState.GONE, "THERE GONE MOVED UNKNOWN GONE UNREACHABLE"),
    **_transitions_from(WatchState.MOVED, "THERE GONE MOVED UNKNOWN MOVED UNREACHABLE"),
    **_transitions_from(WatchState.UNREACHABLE, "THERE GONE MOVED UNKNOWN UNREACHABLE UNREACHABLE"),
}


class WatchReason(StrEnum):
    """The reason for the outcome of a check; :data:`WATCH_REASON_TEXTS` has its words."""

    NOT_YET = "not-yet"
    PICTURE = "picture"
    ANSWERS = "answers"
    NOT_FOUND = "not-found"
    WITHHELD = "withheld"
    ELSEWHERE = "elsewhere"
    PICTURE_ELSEWHERE = "picture-elsewhere"
    NO_PICTURE = "no-picture"
    SIGN_IN = "sign-in"
    ROBOTS = "robots"
    NOT_PUBLIC = "not-public"
    ODD = "odd"
    BUSY = "busy"
    SILENT = "silent"


_STATE_TEXTS: Final = {
    WatchState.UNKNOWN: translatable("unknown"),
    WatchState.THERE: translatable("still there"),
    WatchState.GONE: translatable("gone"),
    WatchState.MOVED: translatable("moved"),
    WatchState.UNREACHABLE: translatable("unreachable"),
}
WATCH_REASON_TEXTS: Final[Mapping[WatchReason, str]] = {
    WatchReason.NOT_YET: translatable("nobody has looked yet"),
    WatchReason.PICTURE: translatable("the picture was found there"),
    WatchReason.ANSWERS: translatable(
        "the page answers; the case has no picture to compare it with"
    ),
    WatchReason.NOT_FOUND: translatable("the site says that there is no such page"),
    WatchReason.WITHHELD: translatable(
        "the site says that it withholds the page for legal reasons"
    ),
    WatchReason.ELSEWHERE: translatable(
        "the address leads to another page, and the picture was not found there"
    ),
    WatchReason.PICTURE_ELSEWHERE: translatable(
        "the address leads to another page, and the picture was found there"
    ),
    WatchReason.NO_PICTURE: translatable(
        "the page answers, but the picture was not found on it; look yourself, because a "
        "page may show programs less than people"
    ),
    WatchReason.SIGN_IN: translatable(
        "the site shows this page only to people who are signed in, or not to programs"
    ),
    WatchReason.ROBOTS: translatable("the site asks not to be looked at by programs"),
    WatchReason.NOT_PUBLIC: translatable(
        "the address leads to a place that is not on the public web"
    ),
    WatchReason.ODD: translatable("the answer cannot be read by this program"),
    WatchReason.BUSY: translatable("the site asked to be left alone for a while"),
    WatchReason.SILENT: translatable("the site did not answer"),
}


@dataclass(frozen=True, slots=True)
class WatchedSighting:
    """A sighting that is watched: the outcome of the last check, and when the next one is due.

    ``etag`` and ``last_modified`` are sent with the next check; if the page is unchanged,
    ``picture_url`` is requested again. ``failures`` is how many of the latest checks in a row got
    no answer or were asked to wait; it counts no further than 20. ``gone_at`` is when the page was
    first found gone; it becomes None when the page is found again.
    """

    case: CaseName
    sighting: int
    since: datetime
    due_at: datetime
    state: WatchState = WatchState.UNKNOWN
    why: WatchReason = WatchReason.NOT_YET
    looked_at: datetime | None = None
    failures: int = 0
    etag: str = ""
    last_modified: str = ""
    picture_url: str = ""
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WatchCheckOutcome:
    """The outcome of one check. If the site asked not to be contacted for some time, ``wait`` is
    that time.
    """

    event: WatchEvent
    why: WatchReason
    etag: str = ""
    last_modified: str = ""
    picture_url: str = ""
    wait: timedelta | None = None


CHECK_INTERVAL: Final = timedelta(days=1)
RARE_CHECK_INTERVAL: Final = timedelta(days=7)
# a page that has been gone for this long is checked rarely
RARE_CHECKS_AFTER: Final = timedelta(days=14)
FIRST_RETRY_WAIT: Final = timedelta(hours=1)  # doubled after each check without an answer
# longest pause, even if a site asks for a longer one
LONGEST_RETRY_WAIT: Final = timedelta(days=30)
# up to an eighth of the wait is added at random, so that checks come at no fixed hour
_RANDOM_DELAY_DIVISOR: Final = 8
_RANDOM_BYTES: Final = 2
_COUNTED_FAILURES_MAX: Final = 20
_REASONS_FOR_RARE_CHECKS: Final = frozenset({WatchReason.ROBOTS, WatchReason.NOT_PUBLIC})


def watched_after_check(
    record: WatchedSighting, check: WatchCheckOutcome, now: datetime, random: bytes
) -> WatchedSighting:
    """Return the record after a check at ``now``; ``random`` is two random bytes."""
    event = check.event
    failed = event in {WatchEvent.BUSY, WatchEvent.SILENT}  # nothing was learnt about the page
    failures = min(record.failures + 1, _COUNTED_FAILURES_MAX) if failed else 0
    return WatchedSighting(
        case=record.case,
        sighting=record.sighting,
        since=record.since,
        due_at=now
        + _lengthen_interval_at_random(
            _wait_until_next_check(record, check, failures, now), random
        ),
        state=WATCH_TRANSITIONS[record.state, event],
        why=check.why,
        looked_at=now,
        failures=failures,
        etag=record.etag if failed else check.etag,
        last_modified=record.last_modified if failed else check.last_modified,
        picture_url=record.picture_url if failed else check.picture_url,
        gone_at=_gone_at(record, event, now),
    )


def _gone_at(record: WatchedSighting, event: WatchEvent, now: datetime) -> datetime | None:
    if event is WatchEvent.SEEN:
        return None
    return record.gone_at or (now if event is WatchEvent.NOT_FOUND else None)


def _wait_until_next_check(
    record: WatchedSighting, check: WatchCheckOutcome, failures: int, now: datetime
) -> timedelta:
    if failures:
        doubled = min(FIRST_RETRY_WAIT * int(2 ** (failures - 1)), RARE_CHECK_INTERVAL)
        return max(doubled, min(check.wait or doubled, LONGEST_RETRY_WAIT))
    if check.why in _REASONS_FOR_RARE_CHECKS:
        return RARE_CHECK_INTERVAL
    gone_long = record.gone_at is not None and now - record.gone_at >= RARE_CHECKS_AFTER
    return (
        RARE_CHECK_INTERVAL if gone_long and check.event is WatchEvent.NOT_FOUND else CHECK_INTERVAL
    )


def _lengthen_interval_at_random(interval: timedelta, random: bytes) -> timedelta:
    share = int.from_bytes(random[:_RANDOM_BYTES], "big") / 256**_RANDOM_BYTES
    return interval + interval * share / _RANDOM_DELAY_DIVISOR


def parse_retry_after(untrusted_value: str, now: datetime) -> timedelta | None:
    """Return how long a Retry-After header asks to wait (RFC 9110, section 10.2.3), at most 30
    days; None if it cannot be read.
    """
    text = untrusted_value.strip()
    if text.isascii() and text.isdecimal():
        return min(timedelta(seconds=min(int(text[:10]), 10**9)), LONGEST_RETRY_WAIT)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max(until - now, timedelta(0)), LONGEST_RETRY_WAIT)


_GONE_STATUSES: Final = frozenset({404, 410})
_LEGAL_REASONS_STATUS: Final = 451
_SIGN_IN_STATUSES: Final = frozenset({401, 402, 403, 407})
_BUSY_STATUSES: Final = frozenset({429, 503})
_OK_STATUSES: Final = frozenset({200, 203})


def meaning_of_status(status: int) -> tuple[WatchEvent, WatchReason] | None:
    """Return the meaning of an HTTP status (RFC 9110, section 15; RFC 7725); None if the content
    decides. The caller handles 304, "not modified", since it knows the request.
    """
    if status in _OK_STATUSES:
        return None
    if status in _GONE_STATUSES:
        return WatchEvent.NOT_FOUND, WatchReason.NOT_FOUND
    if status == _LEGAL_REASONS_STATUS:
        return WatchEvent.NOT_FOUND, WatchReason.WITHHELD
    if status in _SIGN_IN_STATUSES:
        return WatchEvent.UNCLEAR, WatchReason.SIGN_IN
    if status in _BUSY_STATUSES:
        return WatchEvent.BUSY, WatchReason.BUSY
    return (
        (WatchEvent.SILENT, WatchReason.SILENT)
        if status >= 500
        else (WatchEvent.UNCLEAR, WatchReason.ODD)
    )


def meaning_of_content(
    *, shows_picture: bool | None, readable: bool, moved: bool
) -> tuple[WatchEvent, WatchReason]:
    """Return the event for the content that was received, with the reason.

    Args:
        shows_picture: None if there is no picture to compare the content with.
        readable: whether the content is a page or a picture.
        moved: whether the content came from an address other than the sighting's.
    """
    if moved:
        return (
            WatchEvent.ELSEWHERE,
            WatchReason.PICTURE_ELSEWHERE if shows_picture else WatchReason.ELSEWHERE,
        )
    if not readable:
        return WatchEvent.UNCLEAR, WatchReason.ODD
    if shows_picture is None:
        return WatchEvent.SEEN, WatchReason.ANSWERS
    return (
        (WatchEvent.SEEN, WatchReason.PICTURE)
        if shows_picture
        else (WatchEvent.UNCLEAR, WatchReason.NO_PICTURE)
    )


def watch_state_in_words(record: WatchedSighting) -> str:
    """Say what is known about a watched sighting, and why; never its address."""
    when = "" if record.looked_at is None else f" ({moment_in_words(record.looked_at)})"
    state, why = translated(_STATE_TEXTS[record.state]), translated(WATCH_REASON_TEXTS[record.why])
    return f"{state}: {why}{when}"
