"""A large bank's index is divided by the first bits of the hashes: each shard has its own file.

Writing a shard needs the memory of that shard alone, and a query asks all of them, so that nothing
is missed (docs/decisions/0021-index-shards.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.index import Words
from entrenous.model.bank import Entry

SHARDS_MAX: Final = 64
_UNDIVIDED: Final = "base"
_FIRST_BYTE: Final = np.uint64(0xFF)  # words are little-endian


@dataclass(frozen=True, slots=True)
class Shard:
    """Number ``number`` of ``of`` shards, counted from 0: hashes whose first byte times ``of`` is
    from ``number`` times 256 on, and below the next number's.
    """

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of <= SHARDS_MAX:
            raise ValueError(f"an index has 1 to {SHARDS_MAX} shards")

    @classmethod
    def all(cls, of: int) -> tuple[Self, ...]:
        """Every shard of so many."""
        return tuple(cls(number, of) for number in range(of))

    @property
    def file(self) -> str:
        """What its file is called."""
        return _UNDIVIDED if self.of == 1 else f"{_UNDIVIDED}-{self.number}-of-{self.of}"

    def mine(self, words: Words) -> NDArray[np.bool_]:
        """Which of (N, 4) hashes belong here: (N,)."""
        first = (words[:, 0] & _FIRST_BYTE).astype(np.uint16)
        return np.asarray(first * np.uint16(self.of) >> 8 == self.number)

    def some(self, entries: NDArray[np.int64], words: Words) -> tuple[NDArray[np.int64], Words]:
        """Those of these entries and hashes that belong here."""
        if self.of == 1:
            return entries, words
        mine = self.mine(words)
        return entries[mine], words[mine]


UNDIVIDED: Final = Shard()


def shard_of(bits: bytes, of: int) -> int:
    """The number of the shard that a hash belongs to."""
    return bits[0] * of >> 8


def news_beside(news: Sequence[Entry], upto: Sequence[int]) -> Sequence[Entry]:
    """Entries that no shard's file has yet; ``upto`` is the highest number in each."""
    if not news or news[0].number > max(upto):
        return news
    return [one for one in news if one.number > upto[shard_of(one.bits, len(upto))]]


def sweep_others(folder: Path, shards: Sequence[Shard]) -> None:
    """Take away files of another division: they hold hashes, and nobody keeps them up to date."""
    mine = {shard.file for shard in shards}
    for path in folder.glob(f"{_UNDIVIDED}*"):
        if path.name not in mine:
            path.unlink(missing_ok=True)
