"""A disk that loses what was not synced: a journal of writes, of which a crash keeps a prefix."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.village.crashes import CrashCountdown

Place = tuple[Hashable, ...]
Change = tuple[Place, Any]  # a place and its new content; None deletes it


def endless_countdown() -> CrashCountdown:
    """Return a fuse that does not burn down."""
    return CrashCountdown(-1)


@dataclass
class SimDisk:
    """Contents by place; the process may die at each write and each sync, by ``fuse``.

    ``durable`` survives a crash. The changes of one write are atomic, like a page with a checksum.
    """

    countdown: CrashCountdown
    rng: Random
    durable: dict[Place, Any] = field(default_factory=dict)
    journal: list[tuple[Change, ...]] = field(default_factory=list)

    def write(self, *changes: Change) -> None:
        """Write; it may be lost until the next sync."""
        self.countdown.step()
        self.journal.append(changes)

    def sync(self) -> None:
        """Make everything durable that was written before."""
        self.countdown.step()
        self._settle(len(self.journal))
        self.countdown.step()

    def crash(self) -> None:
        """Keep a beginning of the journal, of random length, and lose the rest."""
        self._settle(self.rng.randint(0, len(self.journal)))

    def _settle(self, kept: int) -> None:
        for changes in self.journal[:kept]:
            for place, content in changes:
                if content is None:
                    self.durable.pop(place, None)
                else:
                    self.durable[place] = content
        self.journal.clear()
