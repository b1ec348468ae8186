"""What is to happen, and when: one heap, one thread, one clock; the seed decides among equals."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random

from tests.village.world import WoundClock

Event = Callable[[], None]


@dataclass
class Schedule:
    """Events by time; those of one moment in an order that ``dice`` draw.

    An event may itself let time pass, as one that waits for an answer does: what is due meanwhile
    happens inside of it.
    """

    clock: WoundClock
    dice: Random
    happened: int = 0
    _heap: list[tuple[datetime, float, int, Event]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def after(self, seconds: float, event: Event) -> None:
        """Let something happen so many seconds from now."""
        at = self.clock.now() + timedelta(seconds=seconds)
        heapq.heappush(self._heap, (at, self.dice.random(), next(self._numbers), event))

    def wait(self, seconds: float) -> None:
        """Let time pass, and everything happen that is due in it."""
        until = self.clock.now() + timedelta(seconds=seconds)
        while self._heap and self._heap[0][0] <= until:
            at, _, _, event = heapq.heappop(self._heap)
            self.clock.moment = max(self.clock.moment, at)
            self.happened += 1
            event()
        self.clock.moment = max(self.clock.moment, until)

    def forget(self) -> None:
        """Let nothing of what is still to come happen."""
        self._heap.clear()
