"""IndexStore by a scan in memory that follows a BankStore.

Before each look-up it reads what was registered since the last one, so that a claim made in any
process counts at once. Withdrawn hashes stay in memory until the process ends and find no claim;
numbers are never used again, so none is taken for another.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from entrenous.craft.fingerprint.index import ScanIndex
from entrenous.model.bank import Entry
from entrenous.model.fingerprint import Near
from entrenous.ports import BankStore


@dataclass(slots=True)
class FollowingIndex:
    """Safe to use from several threads: each look-up works on its own immutable index."""

    bank: BankStore
    whole: ScanIndex = field(default_factory=ScanIndex.empty)
    parts: ScanIndex = field(default_factory=ScanIndex.empty)
    seen: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def near(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[Near]:
        """All within 31 bits, after catching up."""
        with self.lock:
            self._catch_up()
            index = self.parts if part else self.whole
        return index.near(hashes)

    def _catch_up(self) -> None:
        news = self.bank.entries(self.seen)
        if news:
            self.whole = _grown(self.whole, [one for one in news if not one.part])
            self.parts = _grown(self.parts, [one for one in news if one.part])
            self.seen = news[-1].number


def _grown(index: ScanIndex, news: Sequence[Entry]) -> ScanIndex:
    return index.with_added([one.number for one in news], [one.bits for one in news])
