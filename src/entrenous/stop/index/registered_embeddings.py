"""The registered embeddings in memory, which follow the bank (docs/spec/gate.md, 12)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from entrenous.fingerprint.embedding import Rows, cosines, to_rows
from entrenous.fingerprint.nouns import (
    EMBEDDING_MODEL,
    EMBEDDINGS_MAX,
    Embedding,
    NearEmbedding,
    RegisteredEmbedding,
)

if TYPE_CHECKING:
    from entrenous.base.identifiers import ClaimId
    from entrenous.stop.store.bank_store import BankStore


@dataclass(slots=True)
class RegisteredEmbeddings:
    """The bank's embeddings; may be used by several threads, one look-up at a time."""

    bank: BankStore
    last: int = 0
    read: int = 0
    owners: list[tuple[int, ClaimId]] = field(default_factory=list)
    kept: Rows = field(default_factory=lambda: to_rows(()))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def find_similar(
        self, queries: Sequence[Embedding], at_least: Sequence[float]
    ) -> Sequence[NearEmbedding]:
        """Return all embeddings whose cosine with a query is at least that query's threshold.

        Newly registered embeddings are read first. The results are in the order of queries, then of
        registrations.
        """
        with self.lock:
            self._catch_up()
            found = cosines(to_rows(queries), self.kept)
            wanted = np.asarray(at_least, np.float32)[:, None]
            return [
                NearEmbedding(query, *self.owners[place], float(found[query, place]))
                for query, place in np.argwhere(found >= wanted).tolist()
            ]

    def _catch_up(self) -> None:
        self._add(self._new_rows())
        if self.bank.embedding_count() < self.read:
            self.last, self.read, self.owners, self.kept = 0, 0, [], to_rows(())
            self._add(self._new_rows())

    def _new_rows(self) -> Iterator[RegisteredEmbedding]:
        while new_rows := self.bank.embeddings(self.last):
            self.last, self.read = new_rows[-1].number, self.read + len(new_rows)
            yield from new_rows

    def _add(self, new_rows: Iterator[RegisteredEmbedding]) -> None:
        ours = (one for one in new_rows if one.embedding.model == EMBEDDING_MODEL)
        new = list(islice(ours, EMBEDDINGS_MAX - len(self.owners)))
        if new:
            self.owners += [(one.entry, one.claim) for one in new]
            self.kept = np.concatenate([self.kept, to_rows([one.embedding for one in new])])
