"""A disk that loses what was not synced: a journal of writes, of which a crash keeps a prefix."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.village.crashes import Fuse

Place = tuple[Hashable, ...]
Change = tuple[Place, Any]  # what lies at a place from then on; None is nothing


def never() -> Fuse:
    """A fuse that does not burn down."""
    return Fuse(-1)


@dataclass
class SimDisk:
    """Places and what lies there; the process may die at each write and each sync, by ``fuse``.

    ``durable`` is what a crash cannot take any more. The changes of one write are there together
    or not at all, as a page with its checksum is.
    """

    fuse: Fuse
    dice: Random
    durable: dict[Place, Any] = field(default_factory=dict)
    journal: list[tuple[Change, ...]] = field(default_factory=list)

    def write(self, *changes: Change) -> None:
        """Write; it may be lost until the next sync."""
        self.fuse.burn()
        self.journal.append(changes)

    def sync(self) -> None:
        """Return once all that was written before is durable."""
        self.fuse.burn()
        self._settle(len(self.journal))
        self.fuse.burn()

    def crash(self) -> None:
        """Keep as much of the journal as the dice say, from its beginning."""
        self._settle(self.dice.randint(0, len(self.journal)))

    def below(self, drawer: Hashable) -> Iterator[tuple[Place, Any]]:
        """Everything durable whose place begins so."""
        return ((place, held) for place, held in self.durable.items() if place[0] == drawer)

    def _settle(self, kept: int) -> None:
        for changes in self.journal[:kept]:
            for place, held in changes:
                if held is None:
                    self.durable.pop(place, None)
                else:
                    self.durable[place] = held
        self.journal.clear()
