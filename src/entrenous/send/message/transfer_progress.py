"""Progress of making, sending or fetching a message, and whether to go on waiting."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final


class Stage(StrEnum):
    """What takes long, in the words that stand before its bar."""

    PREPARING = "Preparing"
    MARKING = "Marking"
    SEALING = "Sealing"
    SENDING = "Sending"
    FETCHING = "Fetching"


def _nobody_looks(_stage: Stage, _done: int, _total: int) -> None:
    """Of a message that nobody watches."""


def _nobody_waits(_until: datetime) -> bool:
    """Then what is held back leaves with a later command."""
    return False


@dataclass(frozen=True, slots=True)
class TransferWatch:
    """``step`` is told how many bytes of a stage are done, of how many; ``wait`` returns when it is
    a certain time, and lets its person change her mind meanwhile (KeyboardInterrupt). False: it did
    not wait for it.
    """

    step: Callable[[Stage, int, int], None] = _nobody_looks
    wait: Callable[[datetime], bool] = _nobody_waits


UNWATCHED: Final = TransferWatch()


Reached = Callable[[float], None]
"""Told which share of one piece of work is done, from 0 to 1."""


def unseen(_share: float) -> None:
    """Of work that nobody watches."""


def share_of(done: float, whole: float) -> float:
    """As it is told; ``whole`` may be what a file announces of itself, and wrong."""
    return min(max(done / whole, 0.0), 1.0) if whole > 0.0 else 0.0


def within(reached: Reached, start: float, stop: float) -> Reached:
    """For a part of the work, which is the whole's from the share ``start`` to ``stop``."""
    return lambda share: reached(start + share * (stop - start))


def split(reached: Reached, parts: int) -> tuple[Reached, ...]:
    """For each of so many parts that take equally long, one after the other."""
    return tuple(within(reached, n / parts, (n + 1) / parts) for n in range(parts))


@dataclass(slots=True)
class Counted:
    """Adds up the bytes of one stage and tells the watch."""

    stage: Stage
    total: int
    watch: TransferWatch
    done: int = field(default=0, init=False)

    def more(self, size: int) -> None:
        """So many bytes more are done."""
        self.done = min(self.done + size, self.total)
        self.watch.step(self.stage, self.done, self.total)

    def piece(self, size: int) -> Reached:
        """For so many bytes that are not done one by one: told 1 in the end, they all are.

        It is shown at once, before any of it is done: what follows may take its time.
        """
        told = 0

        def reached(share: float) -> None:
            nonlocal told
            now = max(told, min(size, int(share * size)))
            self.more(now - told)
            told = now

        reached(0.0)
        return reached
