"""Count the ordinary messages and the slips about which the guard asks in a simulated year."""

from collections import Counter
from dataclasses import dataclass, field, replace

from bench.guard.slips import SLIPS, plant
from bench.guard.year import CONVERSATIONS, MESSAGES, Year
from entrenous.send.guard import inspect_draft


@dataclass
class Measured:
    """The counts of one year.

    ``asked`` counts the ordinary messages about which the guard asked. ``asked_bare`` counts those
    about which it would have asked if the user had never said what a message belongs to.
    ``planted`` counts the slips of each kind, and ``spoke`` those about which the guard asked.
    """

    ordinary: int = 0
    asked: int = 0
    asked_bare: int = 0
    planted: Counter[str] = field(default_factory=Counter)
    spoke: Counter[str] = field(default_factory=Counter)

    @property
    def silent(self) -> float:
        """Return the share of ordinary messages about which the guard did not ask."""
        return 1 - self.asked / self.ordinary


def one_year(
    seed: int, conversations: int = CONVERSATIONS, *, slips_each: int = 200, bare: bool = False
) -> Measured:
    """Simulate a year of this many conversations, and return its counts.

    ``slips_each`` slips of each kind are planted, spread over the year. ``asked_bare`` is counted
    only if ``bare`` is true.
    """
    year, found = Year(seed, conversations), Measured()
    every = max(1, conversations * MESSAGES * 4 // 5 // slips_each) if slips_each else 0
    for unsent in year.messages():
        warnings = inspect_draft(unsent.draft, year.device).warnings
        found.ordinary += 1
        found.asked += bool(warnings)
        if bare:
            found.asked_bare += bool(
                inspect_draft(replace(unsent.draft, within=None), year.device).warnings
            )
        year.record_warnings(warnings)
        if every and found.ordinary % every == 0:
            _plant_all(year, found, slips_each)
    return found


def _plant_all(year: Year, found: Measured, slips_each: int) -> None:
    """Plant one slip of each kind that can be made now and of which more are needed."""
    for kind, slip in SLIPS.items():
        if found.planted[kind] < slips_each:
            spoke = plant(slip, year)
            found.planted[kind] += spoke is not None
            found.spoke[kind] += spoke is True
