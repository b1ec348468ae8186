"""IndexStore in memory that follows a BankStore, for tests and for a village in one process.

Before each look-up it reads what was registered since the last one. Withdrawn hashes stay in memory
until the process ends and find no claim; numbers are never used again, so none is taken for
another. A platform's gate uses ``adapters.index``.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from entrenous.adapters.index.known import Known
from entrenous.adapters.index.truth import news_of
from entrenous.model.fingerprint import Near
from entrenous.ports import BankStore

_SCANNED_MAX: Final = 16_384  # later hashes before all are sorted anew


@dataclass(slots=True)
class FollowingIndex:
    """Safe to use from several threads: each look-up works on what was known when it began."""

    bank: BankStore
    known: Known = field(default_factory=Known.nothing)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def near(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[Near]:
        """All within 31 bits, after catching up."""
        with self.lock:
            for news in news_of(self.bank, self.known.seen):
                self.known = self.known.with_news(news)
            if self.known.later > max(_SCANNED_MAX, self.known.count // 8):
                self.known = Known.of(self.known.sorted())
            known = self.known
        return known.near(hashes, part=part)

    def parts(self) -> int:
        """How many hashes of parts the last look-up knew."""
        return self.known.parts.count
