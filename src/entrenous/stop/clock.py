"""Whether the gate's clock can be right (docs/spec/gate.md section 5.2): by one that is far ahead
of what it said before, nothing is forgotten.
"""

from datetime import timedelta
from typing import Final

from entrenous.ports import Platform

MINUTE: Final = timedelta(minutes=1)


def note_clock(platform: Platform) -> int:
    """Remember what the clock says; to be called every minute. By how many days it is too far ahead
    to be believed.
    """
    platform.reviews.note_clock(MINUTE)
    return days_ahead(platform)


def days_ahead(platform: Platform) -> int:
    """By how many days the clock is too far ahead to be believed; 0 if it can be right."""
    mark, now = platform.reviews.clock_mark(), platform.clock.now()
    return (now - mark.at).days if mark is not None and mark.is_ahead(now) else 0
