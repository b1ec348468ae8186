"""How a gate stands: what its figures tell, of nobody in particular (docs/spec/gate.md, 10)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from entrenous.model.decision import Outcome
from entrenous.model.ids import BankName
from entrenous.model.review import Due

LATE: Final = timedelta(hours=24)  # half of the 48 hours that some notices give a platform


class ShadowCell(NamedTuple):
    """What a bank in shadow would have done, and at which distance: an even number of bits."""

    bank: BankName
    would: Outcome
    distance: int


@dataclass(frozen=True, slots=True)
class IndexStanding:
    """How many hashes an index has in its file and has learnt since; the file's bytes and time."""

    in_file: int
    later: int
    size_bytes: int
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """As of one moment, of all processes on one database.

    ``claims`` counts by kind and state; ``oldest`` is since when the item waits that has waited
    longest; ``review_s`` is the median of the newest decisions, in seconds from the beginning of
    the wait; ``due`` is what is to be done after answers.
    """

    at: datetime
    claims: Mapping[tuple[str, str], int]
    hashes: int
    waiting: int
    oldest: datetime | None = None
    review_s: float | None = None
    due: Due = field(default_factory=Due)
    shadow: Mapping[ShadowCell, int] = field(default_factory=dict)

    @property
    def oldest_wait(self) -> timedelta:
        """How long the oldest item has waited; 0 when none waits."""
        return timedelta() if self.oldest is None else max(timedelta(), self.at - self.oldest)

    @property
    def is_late(self) -> bool:
        """Whether an item has waited for more than a day."""
        return self.oldest_wait > LATE


def even(distance: int) -> int:
    """The step of a histogram: PDQ's own hashes differ in an even number of bits."""
    return distance // 2 * 2
