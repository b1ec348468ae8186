"""A scheduler of events with one heap, one thread and one clock."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random

from tests.deterministic import SettableClock

Event = Callable[[], None]


@dataclass
class Schedule:
    """Events in the order of time; simultaneous events have a random order.

    An event may itself wait, for example for an answer. Events that are due meanwhile run inside
    that wait.
    """

    clock: SettableClock
    rng: Random
    _heap: list[tuple[datetime, float, int, Event]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def run_after(self, seconds: float, event: Event) -> None:
        """Schedule an event ``seconds`` seconds from now."""
        at = self.clock.now() + timedelta(seconds=seconds)
        heapq.heappush(self._heap, (at, self.rng.random(), next(self._numbers), event))

    def wait(self, seconds: float) -> None:
        """Advance the clock by ``seconds``, and run all events that are due meanwhile."""
        until = self.clock.now() + timedelta(seconds=seconds)
        while self._heap and self._heap[0][0] <= until:
            at, _, _, event = heapq.heappop(self._heap)
            self.clock.moment = max(self.clock.moment, at)
            event()
        self.clock.moment = max(self.clock.moment, until)
