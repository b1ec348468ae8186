"""Durations in words, for people."""

from datetime import timedelta
from typing import Final

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)


def duration_in_words(late: timedelta) -> str:
    """Return a duration in its two largest units, rounded down.

    >>> duration_in_words(timedelta(days=1, hours=3, minutes=20))
    '1 day and 3 hours'
    """
    days, rest = divmod(late, _DAY)
    hours, rest = divmod(rest, _HOUR)
    parts = (("day", days), ("hour", hours), ("minute", rest // timedelta(minutes=1)))
    said = [f"{number} {unit}{'' if number == 1 else 's'}" for unit, number in parts if number]
    return " and ".join(said[:2]) or "less than a minute"
