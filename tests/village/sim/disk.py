"""A simulated disk that loses unsynced writes: a crash keeps a prefix of the journal of writes."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.village.crashes import CrashCountdown

Location = tuple[Hashable, ...]
Change = tuple[Location, Any]  # a location and its new content; None deletes the content


def endless_countdown() -> CrashCountdown:
    """Return a countdown that never ends in a crash."""
    return CrashCountdown(-1)


@dataclass
class SimDisk:
    """The contents of a disk by location; ``countdown`` may crash the process at a write or a sync.

    ``durable`` survives a crash. The changes of one write are atomic, like a page with a checksum.
    """

    countdown: CrashCountdown
    rng: Random
    durable: dict[Location, Any] = field(default_factory=dict)
    journal: list[tuple[Change, ...]] = field(default_factory=list)

    def write(self, *changes: Change) -> None:
        """Write the changes; a crash before the next sync may lose them."""
        self.countdown.step()
        self.journal.append(changes)

    def sync(self) -> None:
        """Make all earlier writes durable."""
        self.countdown.step()
        self._apply(len(self.journal))
        self.countdown.step()

    def crash(self) -> None:
        """Keep a prefix of the journal, of random length, and lose the rest."""
        self._apply(self.rng.randint(0, len(self.journal)))

    def _apply(self, kept: int) -> None:
        for changes in self.journal[:kept]:
            for location, content in changes:
                if content is None:
                    self.durable.pop(location, None)
                else:
                    self.durable[location] = content
        self.journal.clear()
