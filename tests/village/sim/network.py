"""A simulated network that loses, doubles, delays and reorders requests and answers.

Time passes while a request is in transit, so that commands of several devices interleave.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import httpx

from tests.village.sim.faults import NO_FAULTS, Fate, Faults
from tests.village.sim.schedule import Schedule

_TIMEOUT_S = 30.0  # how long a device waits for an answer
# Such a function returns None if the relay is down or crashes.
AnswerRequest = Callable[[httpx.Request], httpx.Response | None]


@dataclass
class SimNetwork:
    """The network between all devices and all relays."""

    schedule: Schedule
    rng: Random
    answer_request: AnswerRequest
    faults: Faults = NO_FAULTS
    fate_counts: dict[Fate, int] = field(default_factory=lambda: dict.fromkeys(Fate, 0))

    def deliver(self, request: httpx.Request) -> httpx.Response:
        """Deliver a request to its relay, and return the answer.

        Raises:
            httpx.TransportError: the request or the answer was lost or late, or the relay is down.
        """
        request.read()
        fate = self.faults.choose_fate(self.rng)
        self.fate_counts[fate] += 1
        self._wait_in_transit()
        if fate is Fate.LOST:
            raise httpx.ConnectError("lost", request=request)
        if fate is Fate.LATE:
            self._repeat_later(request)
            self.schedule.wait(_TIMEOUT_S)
            raise httpx.ReadTimeout("late", request=request)
        answer = self.answer_request(request)
        if fate is Fate.DOUBLED:
            self._repeat_later(request)
        self._wait_in_transit()
        if answer is None or fate is Fate.ANSWER_LOST:
            raise httpx.ReadError("lost", request=request)
        return answer

    def _wait_in_transit(self) -> None:
        self.schedule.wait(self.faults.transit_s(self.rng))

    def _repeat_later(self, request: httpx.Request) -> None:
        """Let the request arrive a second time, later; nobody gets the answer to it."""

        def answer_request_again() -> None:
            self.answer_request(request)

        self.schedule.run_after(self.faults.lateness_s(self.rng), answer_request_again)


@dataclass
class DeviceTransport(httpx.BaseTransport):
    """An httpx transport that connects one device to the network."""

    network: SimNetwork

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self.network.deliver(request)
