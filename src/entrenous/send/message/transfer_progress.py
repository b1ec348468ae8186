"""Progress of making, sending or fetching a message."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.base.language import translatable


class TransferStage(StrEnum):
    """A long stage, with the name for its progress bar."""

    PREPARING = translatable("Preparing")
    MARKING = translatable("Marking")
    SEALING = translatable("Sealing")
    SENDING = translatable("Sending")
    FETCHING = translatable("Fetching")


@dataclass(frozen=True, slots=True)
class TransferWatch:
    """Callbacks that watch a transfer.

    ``step`` is called with a stage, the bytes done and the total. ``wait`` waits until the given
    time, and lets the person cancel until then (KeyboardInterrupt); it returns False if it did not
    wait.
    """

    step: Callable[[TransferStage, int, int], None] = lambda _stage, _done, _total: None
    wait: Callable[[datetime], bool] = lambda _until: False


NO_WATCH: Final = TransferWatch()
#: A function that is called with the share of some work that is done, from 0 to 1.
ProgressCallback = Callable[[float], None]


def ignore_progress(_share: float) -> None:
    """Do nothing; the callback for work whose progress nobody watches."""


def fraction_done(done: float, whole: float) -> float:
    """Return the share that is done, from 0 to 1.

    The result is limited to this range because ``whole`` may be wrong: it is read from a file.
    """
    return min(max(done / whole, 0.0), 1.0) if whole > 0.0 else 0.0


def progress_range(reached: ProgressCallback, start: float, stop: float) -> ProgressCallback:
    """Return a callback for one part of the work, which begins at share ``start`` of the whole and
    ends at ``stop``.
    """
    return lambda share: reached(start + share * (stop - start))


def split_progress(reached: ProgressCallback, parts: int) -> tuple[ProgressCallback, ...]:
    """Return callbacks for ``parts`` equally long parts of the work, in order."""
    return tuple(progress_range(reached, n / parts, (n + 1) / parts) for n in range(parts))


@dataclass(slots=True)
class ByteCounter:
    """Adds up the bytes of one stage and reports them to the watch."""

    stage: TransferStage
    total: int
    watch: TransferWatch
    done: int = field(default=0, init=False)

    def add(self, size: int) -> None:
        """Count ``size`` further bytes."""
        self.done = min(self.done + size, self.total)
        self.watch.step(self.stage, self.done, self.total)

    def counting_callback(self, size: int) -> ProgressCallback:
        """Return a callback that converts a share of the work, from 0 to 1, to a number of bytes
        out of ``size``.

        Progress is also reported immediately, before any byte is done, since the first bytes may
        take long.
        """
        reported = 0

        def reached(share: float) -> None:
            nonlocal reported
            now = max(reported, min(size, int(share * size)))
            self.add(now - reported)
            reported = now

        reached(0.0)
        return reached
