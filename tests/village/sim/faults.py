"""The probabilities of faults in one simulation, and the random choice of faults."""

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
    LATE = "late"  # the request arrives later, when no device waits for the answer


_DEVICE_CRASH_POINTS: Final = 40  # a crash is planned at one of the first 40 points of a command
_RELAY_CRASH_POINTS: Final = 12  # a crash is planned at one of the first 12 points of a request
_SLEEP_MAX_S: Final = 12 * 3600.0  # the longest sleep during one transit
_LATENESS_MAX_S: Final = 2 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Faults:
    """The probabilities of four kinds of faults.

    A request is lost, doubled or delayed; a device crashes during a command; a relay crashes at a
    request; and a device sleeps for hours while a request or its answer is sent.
    """

    request: float = 0.0
    device: float = 0.0
    relay: float = 0.0
    sleep: float = 0.0

    def choose_fate(self, rng: Random) -> Fate:
        """Choose the fate of a request."""
        if rng.random() >= self.request:
            return Fate.WELL
        return rng.choice([fate for fate in Fate if fate is not Fate.WELL])

    def device_crash_point(self, rng: Random) -> int:
        """Return the crash point at which the device stops in a command, or -1 for no crash."""
        return rng.randrange(_DEVICE_CRASH_POINTS) if rng.random() < self.device else -1

    def relay_crash_point(self, rng: Random) -> int:
        """Return the crash point at which the relay stops in a request, or -1 for no crash."""
        return rng.randrange(_RELAY_CRASH_POINTS) if rng.random() < self.relay else -1

    def transit_s(self, rng: Random) -> float:
        """Return the seconds that the transit of a request or of an answer takes."""
        if rng.random() < self.sleep:
            return float(round(_SLEEP_MAX_S * rng.random() ** 2))
        return round(rng.random() ** 4, 3)

    def lateness_s(self, rng: Random) -> float:
        """Return the delay of a late request in seconds; most delays are short."""
        return float(_LATENESS_MAX_S ** rng.random())


NO_FAULTS: Final = Faults()


def choose_faults(rng: Random) -> Faults:
    """Choose the probabilities of faults for one simulation."""
    return Faults(
        rng.choice((0.01, 0.05, 0.15, 0.3)),
        rng.choice((0.0, 0.05, 0.2)),
        rng.choice((0.0, 0.002, 0.02)),
        rng.choice((0.0, 0.01, 0.05)),
    )
