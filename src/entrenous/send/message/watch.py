"""Who looks on while a message is made, sent or fetched: how far it is, and how long it waits."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final


class Stage(StrEnum):
    """What takes long, in the words that stand before its bar."""

    MARKING = "Marking"
    SEALING = "Sealing"
    SENDING = "Sending"
    FETCHING = "Fetching"


def _nobody_looks(_stage: Stage, _done: int, _total: int) -> None:
    """Of a message that nobody watches."""


def _nobody_waits(_until: datetime) -> None:
    """Then what is held back leaves with a later command."""


@dataclass(frozen=True, slots=True)
class Watch:
    """``step`` is told how many bytes of a stage are done, of how many; ``wait`` returns when it is
    a certain time, and lets its person change her mind meanwhile (KeyboardInterrupt).
    """

    step: Callable[[Stage, int, int], None] = _nobody_looks
    wait: Callable[[datetime], None] = _nobody_waits


UNWATCHED: Final = Watch()


@dataclass(slots=True)
class Counted:
    """Adds up the bytes of one stage and tells the watch."""

    stage: Stage
    total: int
    watch: Watch
    done: int = field(default=0, init=False)

    def more(self, size: int) -> None:
        """So many bytes more are done."""
        self.done = min(self.done + size, self.total)
        self.watch.step(self.stage, self.done, self.total)
