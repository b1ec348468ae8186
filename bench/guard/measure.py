"""Ordinary messages on which the guard is silent, and slips on which it speaks."""

from collections import Counter
from dataclasses import dataclass, field, replace

from bench.guard.slips import SLIPS, plant
from bench.guard.year import MESSAGES, TALKS, Year
from entrenous.send.guard import inspect_draft


@dataclass
class Measured:
    """Counts of one year. ``asked_bare`` is how often the guard would have spoken had she never
    said what a message belongs to; ``spoke`` and ``planted`` are by kind of slip.
    """

    ordinary: int = 0
    asked: int = 0
    asked_bare: int = 0
    planted: Counter[str] = field(default_factory=Counter)
    spoke: Counter[str] = field(default_factory=Counter)

    @property
    def silent(self) -> float:
        """The share of ordinary messages without a question."""
        return 1 - self.asked / self.ordinary


def one_year(
    seed: int, talks: int = TALKS, *, slips_each: int = 200, bare: bool = False
) -> Measured:
    """Live through a year; ``slips_each`` of every kind are planted, spread over it."""
    year, found = Year(seed, talks), Measured()
    every = max(1, talks * MESSAGES * 4 // 5 // slips_each) if slips_each else 0
    for meant in year.passes():
        doubts = inspect_draft(meant.draft, year.device).doubts
        found.ordinary += 1
        found.asked += bool(doubts)
        if bare:
            found.asked_bare += bool(
                inspect_draft(replace(meant.draft, within=None), year.device).doubts
            )
        year.is_asked(doubts)
        if every and found.ordinary % every == 0:
            _plant_all(year, found, slips_each)
    return found


def _plant_all(year: Year, found: Measured, slips_each: int) -> None:
    """One slip of each kind that can be made now."""
    for kind, slip in SLIPS.items():
        if found.planted[kind] < slips_each:
            spoke = plant(slip, year)
            found.planted[kind] += spoke is not None
            found.spoke[kind] += spoke is True
