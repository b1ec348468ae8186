"""That somebody's keys are others than before, until it has been told (docs/spec/people.md 4)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Contradiction(StrEnum):
    """What is wrong with a list that somebody named."""

    FORKED = "forked"  # it contradicts the one that we know
    SPLIT = "split"  # somebody else names one that contradicts it, and nobody has shown that one
    HELD_BACK = "held back"  # it is newer than the one that their relay shows


class Moving(StrEnum):
    """How far this device has followed another one of ours to a relay."""

    READY = "ready"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Changed:
    """What changed about somebody: how many devices came and went, and whether she counts as
    unknown since then.

    ``lists`` is what is wrong with their lists; without a name it is about our own. ``was`` is what
    we called them, or a circle, until two devices of ours turned out to call two so. ``moving`` is
    about this very device, and the name is that of a relay.
    """

    name: str
    at: datetime
    came: int
    went: int
    in_doubt: bool
    lists: Contradiction | None = None
    was: str | None = None
    moving: Moving | None = None
