"""A network that loses, doubles, delays and reorders what it carries, request by request.

While a request is on its way time passes, and others act: a command of one device runs across
those of others.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import httpx

from tests.village.sim.faults import QUIET, Fate, Faults
from tests.village.sim.schedule import Schedule

_PATIENCE_S = 30.0  # after which a device gives up
Answers = Callable[[httpx.Request], httpx.Response | None]  # None: nobody is there, or dies over it


@dataclass
class SimNetwork:
    """Between every device and every relay."""

    schedule: Schedule
    dice: Random
    answers: Answers
    faults: Faults = QUIET
    played: dict[Fate, int] = field(default_factory=lambda: dict.fromkeys(Fate, 0))

    def carry(self, request: httpx.Request) -> httpx.Response:
        """Carry a request there, and its answer back; raises httpx.TransportError."""
        request.read()
        fate = self.faults.fate(self.dice)
        self.played[fate] += 1
        self._takes_time()
        if fate is Fate.LOST:
            raise httpx.ConnectError("lost", request=request)
        if fate is Fate.LATE:
            self._again(request)
            self.schedule.wait(_PATIENCE_S)
            raise httpx.ReadTimeout("late", request=request)
        answer = self.answers(request)
        if fate is Fate.DOUBLED:
            self._again(request)
        self._takes_time()
        if answer is None or fate is Fate.ANSWER_LOST:
            raise httpx.ReadError("lost", request=request)
        return answer

    def _takes_time(self) -> None:
        self.schedule.wait(self.faults.takes_s(self.dice))

    def _again(self, request: httpx.Request) -> None:
        """The same bytes arrive at some later time, and nobody hears the answer."""

        def arrive() -> None:
            self.answers(request)

        self.schedule.after(self.faults.late_s(self.dice), arrive)


@dataclass
class Line(httpx.BaseTransport):
    """One device's way into the network."""

    network: SimNetwork

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self.network.carry(request)
