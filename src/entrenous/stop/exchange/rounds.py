"""When a gate that fetches by itself asks which source (docs/spec/exchange.md section 6.7).

How far a source was read, and when last to its end, is in the database, so that several gates on
one database together ask each source no more often than one would. What failed is known to the
process that it failed in, which alone waits longer for it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from entrenous.model.exchange import Checkpoint

_LONGEST: Final = timedelta(hours=6)  # after failures, unless it is asked less often anyway
_ANOTHERS: Final = timedelta(minutes=1)  # until we look again at what another process fetches
_DOUBLED_MAX: Final = 16


@dataclass(slots=True)
class Rounds:
    """Each source ``every`` so often; after failures in a row later, twice as long each time."""

    every: timedelta
    _failures: dict[str, int] = field(default_factory=dict)
    _not_before: dict[str, datetime] = field(default_factory=dict)

    def is_due(self, name: str, at: Checkpoint, now: datetime) -> bool:
        """Whether that source is to be fetched now; ``at`` is how far it was read."""
        if now < self._not_before.get(name, now):
            return False
        # A clock that was set back must not end it, nor one that is a little behind hurry it.
        return at.whole_at is None or abs(now - at.whole_at) >= self.every

    def fetched(self, name: str) -> None:
        """It was read to its end."""
        self._failures.pop(name, None)
        self._not_before.pop(name, None)

    def failed(self, name: str, now: datetime) -> timedelta:
        """How long we wait before we ask that source again."""
        count = self._failures.get(name, 0)
        self._failures[name] = count + 1
        longest = max(self.every, _LONGEST)
        doubled = timedelta(seconds=self.every.total_seconds() * 2.0 ** min(count, _DOUBLED_MAX))
        wait = min(doubled, longest)
        self._not_before[name] = now + wait
        return wait

    def left_to_another(self, name: str, now: datetime) -> None:
        """Another process fetches it just now."""
        self._not_before[name] = now + min(self.every, _ANOTHERS)
