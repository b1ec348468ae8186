"""Durations in words, for people."""

from datetime import timedelta
from typing import Final

from entrenous.base.language import plural, translated

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)


def duration_in_words(late: timedelta) -> str:
    """Return a duration in its two largest units, rounded down.

    >>> duration_in_words(timedelta(days=1, hours=3, minutes=20))
    '1 day and 3 hours'
    """
    days, rest = divmod(late, _DAY)
    hours, rest = divmod(rest, _HOUR)
    minutes = rest // timedelta(minutes=1)
    parts = (
        (days, plural("{count} day", "{count} days", days)),
        (hours, plural("{count} hour", "{count} hours", hours)),
        (minutes, plural("{count} minute", "{count} minutes", minutes)),
    )
    said = [words for number, words in parts if number][:2]
    if len(said) < 2:
        return said[0] if said else translated("less than a minute")
    return translated("{first} and {second}").format(first=said[0], second=said[1])
