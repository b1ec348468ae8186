"""How much goes wrong in one run, drawn from its seed: from a quiet village to a stormy one."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final


class Fate(StrEnum):
    """What becomes of one request and its answer."""

    WELL = "well"
    LOST = "request lost"
    ANSWER_LOST = "answer lost"
    DOUBLED = "doubled"
    LATE = "late"  # nobody waits any more when it arrives, after requests that were made later


_MOMENTS: Final = 40  # of a command, at one of which its device dies
_WRITES: Final = 12  # of a relay, at one of which it dies
_SLEEP_S: Final = 12 * 3600.0  # at the longest, a lid is closed in the middle of a command
_LATEST_S: Final = 2 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances, 0 to 1, of a fault: of a request, of a command's device to die, of the relay at a
    request, of a device to sleep before one and to go on hours later.
    """

    request: float = 0.0
    device: float = 0.0
    relay: float = 0.0
    sleep: float = 0.0

    def fate(self, dice: Random) -> Fate:
        """What becomes of a request."""
        if dice.random() >= self.request:
            return Fate.WELL
        return dice.choice([fate for fate in Fate if fate is not Fate.WELL])

    def device_dies(self, dice: Random) -> int:
        """After how many moments of a command; -1 if it does not."""
        return dice.randrange(_MOMENTS) if dice.random() < self.device else -1

    def relay_dies(self, dice: Random) -> int:
        """After how many writes and syncs from now on; -1 if it does not."""
        return dice.randrange(_WRITES) if dice.random() < self.relay else -1

    def takes_s(self, dice: Random) -> float:
        """How long a request, or its answer, is on its way."""
        if dice.random() < self.sleep:
            return float(round(_SLEEP_S * dice.random() ** 2))
        return round(dice.random() ** 4, 3)

    def late_s(self, dice: Random) -> float:
        """By how much a late request is late; by seconds more often than by days."""
        return float(_LATEST_S ** dice.random())


QUIET: Final = Faults()


def faults_of(dice: Random) -> Faults:
    """Those of one run."""
    return Faults(
        dice.choice((0.01, 0.05, 0.15, 0.3)),
        dice.choice((0.0, 0.05, 0.2)),
        dice.choice((0.0, 0.002, 0.02)),
        dice.choice((0.0, 0.01, 0.05)),
    )
