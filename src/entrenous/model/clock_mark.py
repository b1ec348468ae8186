"""Whether a server's clock can be right, by when it last ended what was due.

What was ended does not come back, so a clock that is once set wrong must not end anything: not
when a battery is empty, nor when a machine that shares a database has a date of its own. Whoever
was really off for so long ends it a while later.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from entrenous.spec import CLOCK_BELIEVED_MINUTES, CLOCK_FAR_DAYS

FAR: Final = timedelta(days=CLOCK_FAR_DAYS)
_BELIEVED_AFTER: Final = timedelta(minutes=CLOCK_BELIEVED_MINUTES)
_NOTED_EVERY: Final = timedelta(
    hours=1
)  # what is due is ended each minute; not each one is written
_NOTHING: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class ClockMark:
    """Until when all that was due has been ended.

    ``odd_at`` is what the clock said last, while that is far from ``at``, and ``odd_s`` for how
    many seconds it has gone on from there without a jump. Servers that share a database share
    this: as long as one of them agrees with ``at``, none that does not is believed.
    """

    at: datetime
    odd_at: datetime | None = None
    odd_s: int = 0

    def is_ahead(self, now: datetime) -> bool:
        """Whether that clock is so far ahead that nothing may be ended by it."""
        return now - self.at > FAR

    def seen(self, now: datetime, every: timedelta) -> "ClockMark":
        """This after a look at a clock that says ``now``, where there is one ``every`` so often.

        Of the time between two looks no more than twice that counts: the rest was a jump, or the
        server was off.
        """
        if abs(now - self.at) <= FAR:
            is_news = self.odd_at is not None or abs(now - self.at) >= _NOTED_EVERY
            return ClockMark(now) if is_news else self
        if self.odd_at is None or abs(now - self.odd_at) > FAR:
            return ClockMark(self.at, now)
        passed = min(max(now - self.odd_at, _NOTHING), 2 * every)
        odd_s = self.odd_s + int(passed.total_seconds())
        if odd_s >= _BELIEVED_AFTER.total_seconds():
            return ClockMark(now)
        return ClockMark(self.at, now, odd_s)
