"""What a person is to be told of, outside of office hours too (docs/spec/gate.md, 7.4)."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from entrenous.model.errors import Unreachable

AGAIN_AFTER: Final = timedelta(hours=1)  # of one kind, whoever tells it


class PageKind(StrEnum):
    """What it is about, and nothing of a case."""

    FLOOD = "flood"  # uploads of one registered hash became one item
    WAITING = "reviews-waiting"  # items have waited for long


@dataclass(frozen=True, slots=True)
class Page:
    """``count`` items of a kind; ``told`` is how many floods are told of by it."""

    kind: PageKind
    count: int
    told: int = 0


class PageFailed(Unreachable):
    """
    The program that tells somebody of {kind} {why}. Nothing else is changed by it; the gate tries
    again in an hour. See the setting page in gate.toml.
    """
