"""The probabilities of faults in one run, chosen by its seed: from few faults to many."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final


class Fate(StrEnum):
    """The fate of one request and its answer."""

    WELL = "well"
    LOST = "request lost"
    ANSWER_LOST = "answer lost"
    DOUBLED = "doubled"
    LATE = "late"  # it arrives after later requests, when nobody waits for its answer


_DEVICE_CRASH_POINTS: Final = 40  # of a command, at one of which its device may die
_RELAY_CRASH_POINTS: Final = 12  # of a relay, at one of which it may die
_SLEEP_MAX_S: Final = 12 * 3600.0  # the longest time that a device sleeps during a command
_LATENESS_MAX_S: Final = 2 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities that a request is disturbed, that a device dies during a command, that a relay
    dies at a request, and that a device sleeps for hours while a request or its answer is sent.
    """

    request: float = 0.0
    device: float = 0.0
    relay: float = 0.0
    sleep: float = 0.0

    def fate(self, rng: Random) -> Fate:
        """Choose the fate of a request."""
        if rng.random() >= self.request:
            return Fate.WELL
        return rng.choice([fate for fate in Fate if fate is not Fate.WELL])

    def device_dies(self, rng: Random) -> int:
        """Return after how many moments of a command its device dies; -1 if it does not."""
        return rng.randrange(_DEVICE_CRASH_POINTS) if rng.random() < self.device else -1

    def relay_dies(self, rng: Random) -> int:
        """Return after how many more writes and syncs a relay dies; -1 if it does not."""
        return rng.randrange(_RELAY_CRASH_POINTS) if rng.random() < self.relay else -1

    def transit_s(self, rng: Random) -> float:
        """Return how many seconds a request, or its answer, is on its way."""
        if rng.random() < self.sleep:
            return float(round(_SLEEP_MAX_S * rng.random() ** 2))
        return round(rng.random() ** 4, 3)

    def lateness_s(self, rng: Random) -> float:
        """Return by how many seconds a late request is late; more often few than days."""
        return float(_LATENESS_MAX_S ** rng.random())


NO_FAULTS: Final = Faults()


def choose_faults(rng: Random) -> Faults:
    """Choose the probabilities of faults of one run."""
    return Faults(
        rng.choice((0.01, 0.05, 0.15, 0.3)),
        rng.choice((0.0, 0.05, 0.2)),
        rng.choice((0.0, 0.002, 0.02)),
        rng.choice((0.0, 0.01, 0.05)),
    )
