"""EmbeddingIndex in memory that follows an EmbeddingStore (docs/spec/gate.md section 3, 3.2).

Before each look-up it reads what is new, and all anew when some were withdrawn. All are compared:
at 100,000 that takes 0.15 s of a core, and nothing is missed.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from entrenous.craft.fingerprint.embedding.numbers import Rows, cosines, rows
from entrenous.model.embedding import (
    EMBEDDINGS_MAX,
    MODEL,
    Embedding,
    KeptEmbedding,
    NearEmbedding,
)
from entrenous.model.ids import ClaimId
from entrenous.ports import EmbeddingStore


@dataclass(slots=True)
class FollowingEmbeddings:
    """Safe to use from several threads: one look-up at a time."""

    store: EmbeddingStore
    last: int = 0
    read: int = 0
    owners: list[tuple[int, ClaimId]] = field(default_factory=list)
    kept: Rows = field(default_factory=lambda: rows(()))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def alike(
        self, queries: Sequence[Embedding], at_least: Sequence[float]
    ) -> Sequence[NearEmbedding]:
        """After catching up; by query, then in the order of registration."""
        with self.lock:
            self._catch_up()
            found = cosines(rows(queries), self.kept)
            wanted = np.asarray(at_least, np.float32)[:, None]
            return [
                NearEmbedding(query, *self.owners[place], float(found[query, place]))
                for query, place in np.argwhere(found >= wanted).tolist()
            ]

    def _catch_up(self) -> None:
        self._add(self._news())
        if self.store.embedding_count() < self.read:
            self.last, self.read, self.owners, self.kept = 0, 0, [], rows(())
            self._add(self._news())

    def _news(self) -> Iterator[KeptEmbedding]:
        while news := self.store.embeddings(self.last):
            self.last, self.read = news[-1].number, self.read + len(news)
            yield from news

    def _add(self, news: Iterator[KeptEmbedding]) -> None:
        ours = (one for one in news if one.embedding.model == MODEL)
        new = list(islice(ours, EMBEDDINGS_MAX - len(self.owners)))
        if new:
            self.owners += [(one.entry, one.claim) for one in new]
            self.kept = np.concatenate([self.kept, rows([one.embedding for one in new])])
