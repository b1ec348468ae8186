"""When partners see a change (docs/spec/exchange.md section 2).

Partners ask by time, changes have numbers. A change is dated by when the exchange first saw it, not
by the clock of whoever made it: so none is committed into a time that somebody has asked about.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final

from entrenous.model.exchange import Mark
from entrenous.ports.exchange import Exchange, Feed

TOMBSTONE_DAYS: Final = 35  # a StopNCII client begins anew after 30
_MARKS_KEPT_S: Final = 100 * 24 * 3600
_NONE: Final = Mark(0, 0)


def seconds(at: datetime) -> int:
    """Whole seconds since 1970."""
    return int(at.timestamp())


def moment(at_s: int) -> datetime:
    """The moment so many seconds after 1970 began, in UTC."""
    return datetime.fromtimestamp(at_s, UTC)


def look(exchange: Exchange) -> Mark:
    """How far partners may see now; news since the last look get a mark, at most one a second.

    Tombstones that nobody is waiting for, or that are too old, are forgotten on the way.
    """
    seen = follow(exchange)
    forget(exchange)
    return seen


def forget(exchange: Exchange) -> int:
    """Forget what was withdrawn too long ago, told or not; how many claims."""
    return exchange.served.forget_tombstones(exchange.clock.now() - timedelta(days=TOMBSTONE_DAYS))


def follow(exchange: Exchange) -> Mark:
    """How far partners may see now, and what that says of claims they were served."""
    last = exchange.served.newest_mark()
    known = last or _NONE
    now_s = seconds(exchange.clock.now())
    newest = newest_number(exchange.feed, known.number)
    if newest > known.number and now_s > known.at_s:
        at_s = now_s if last else _first(exchange.feed, newest, now_s)
        exchange.served.add_mark(Mark(at_s, newest), at_s - _MARKS_KEPT_S)
        known = exchange.served.newest_mark() or known  # another process may have been quicker
    exchange.served.follow(exchange.feed, known.number)
    return known


def settle(to_s: int, seen: Mark, exchange: Exchange) -> Mark:
    """Before a partner is told all before a second: whoever's clock is behind dates nothing into
    that time any more. How far partners may see now; ``seen`` is what was seen just before.
    """
    if to_s <= seen.at_s + 1:  # the next mark comes later anyway
        return seen
    exchange.served.settle(to_s)
    return follow(exchange)  # what another process dated meanwhile is told too


def newest_number(feed: Feed, known: int) -> int:
    """The highest number of any change, ``known`` if none is higher; in about 2 log2(n) questions,
    one when there is no news.
    """
    low, high, step = known, known, 1
    while feed.changes(high, 1):
        low, high, step = high, high + step, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if feed.changes(middle, 1) else (low, middle)
    return high


def number_before(at_s: int, exchange: Exchange) -> int:
    """The number up to which changes were seen before that second. From the future, 0: a client
    whose checkpoint is wrong begins at the beginning.
    """
    if at_s > seconds(exchange.clock.now()) + 1:
        return 0
    return exchange.served.number_before(at_s)


def dated(numbers: Sequence[int], exchange: Exchange) -> list[int]:
    """For each number, in order, the second at which it was first seen."""
    if not numbers:
        return []
    marks = exchange.served.marks_over(numbers[0] - 1, numbers[-1])
    tops = [mark.number for mark in marks]
    return [marks[min(bisect_left(tops, one), len(marks) - 1)].at_s for one in numbers]


def _first(feed: Feed, newest: int, now_s: int) -> int:
    """Nobody has asked before, so the first mark may lie in the past."""
    change = feed.changes(newest - 1, 1)[0]
    return min(now_s, ceil(change.at.timestamp()))
