"""That somebody's keys are others than before, until it has been told (docs/spec/people.md 4)."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Changed:
    """What changed about somebody: how many devices came and went, and whether her keys stopped to
    count as compared.
    """

    name: str
    at: datetime
    came: int
    went: int
    in_doubt: bool
