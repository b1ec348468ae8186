"""The registered sounds and embeddings in memory, which follow the bank (docs/spec/gate.md, 12)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from entrenous.fingerprint.chromaprint import Words
from entrenous.fingerprint.embedding import Rows, cosines, embedding_rows
from entrenous.fingerprint.nouns import (
    EMBEDDING_MODEL,
    EMBEDDINGS_MAX,
    Embedding,
    NearEmbedding,
    RegisteredEmbedding,
    SoundMatch,
    SoundPrint,
    SoundVariant,
)
from entrenous.fingerprint.sound_index import SoundIndex, SoundView

if TYPE_CHECKING:
    from entrenous.base.identifiers import ClaimId
    from entrenous.stop.store.bank_store import BankStore

# The sounds that were registered after the base was sorted (the later sounds) have at most this
# many words in all, or an eighth of the base's words if that is more. They are sorted again for
# each addition, which takes a few milliseconds.
_LATER_WORDS_MAX: Final = 100_000
_LATER_SHARE_DIVISOR: Final = 8
NumberedSound = tuple[int, SoundPrint]


@dataclass(frozen=True, slots=True)
class _NumberedSounds:
    """Registered sounds, by ascending number, and their index."""

    numbers: tuple[int, ...]
    prints: tuple[SoundPrint, ...]
    index: SoundIndex

    @classmethod
    def from_sounds(cls, sounds: Iterable[NumberedSound]) -> Self:
        every = tuple(sounds)
        prints = tuple(sound for _, sound in every)
        return cls(tuple(number for number, _ in every), prints, SoundIndex.of(prints))

    def find_matching_sounds(self, views: Sequence[SoundView]) -> list[SoundMatch]:
        """Return matches, with the sounds numbered as in the store."""
        found = self.index.find_matching_sounds(views) if self.numbers else []
        return [replace(one, sound=self.numbers[one.sound]) for one in found]

    def with_added_entries(self, new_entries: Iterable[NumberedSound]) -> Self:
        return self.from_sounds((*zip(self.numbers, self.prints, strict=True), *new_entries))


@dataclass(slots=True)
class RegisteredSounds:
    """The bank's sounds: a sorted base, and later ones. May be used by several threads.

    Each look-up uses the sounds known at its start.
    """

    bank: BankStore
    base: _NumberedSounds = field(default_factory=lambda: _NumberedSounds.from_sounds(()))
    later: _NumberedSounds = field(default_factory=lambda: _NumberedSounds.from_sounds(()))
    seen: int = 0
    later_words_max: int = _LATER_WORDS_MAX
    lock: threading.Lock = field(default_factory=threading.Lock)

    def find_matching_sounds(self, views: Sequence[SoundVariant]) -> Sequence[SoundMatch]:
        """Return the registered sounds, by number, that resemble some variant of an upload's sound.

        Before the look-up, newly registered sounds are loaded. The match with the longest stretch
        comes first.
        """
        heard = [SoundView(one.how, _little_endian_words(one.words)) for one in views]
        with self.lock:
            self._catch_up()
            parts = self.base, self.later
        found = [one for part in parts for one in part.find_matching_sounds(heard)]
        return sorted(found, key=lambda one: (-one.length_s, one.errors))

    def newest_sound_number(self) -> int:
        """Return the number of the newest sound; 0 if there was none.

        If the newest sound was withdrawn, this may be the number of an older sound.
        """
        with self.lock:
            self._catch_up()
            return self.seen

    def _catch_up(self) -> None:
        while new_entries := self.bank.sounds(self.seen):
            self.seen = new_entries[-1][0]
            if self.base.numbers:
                self.later = self.later.with_added_entries(new_entries)
            if not self.base.numbers or self._later_is_large():
                self._rebuild_base()

    def _later_is_large(self) -> bool:
        most = max(self.later_words_max, len(self.base.index.words) // _LATER_SHARE_DIVISOR)
        return len(self.later.index.words) > most

    def _rebuild_base(self) -> None:
        self.base, self.later = (
            _NumberedSounds.from_sounds(self._all_sounds()),
            _NumberedSounds.from_sounds(()),
        )
        self.seen = max((self.seen, *self.base.numbers))

    def _all_sounds(self) -> Iterator[NumberedSound]:
        after = 0
        while page := self.bank.sounds(after):
            yield from page
            after = page[-1][0]


def _little_endian_words(big_endian: bytes) -> Words:
    return np.frombuffer(big_endian, dtype=">u4").astype(np.uint32)


@dataclass(slots=True)
class RegisteredEmbeddings:
    """The bank's embeddings; may be used by several threads, one look-up at a time."""

    bank: BankStore
    last_number: int = 0
    read_count: int = 0
    entries_and_claims: list[tuple[int, ClaimId]] = field(default_factory=list)
    rows: Rows = field(default_factory=lambda: embedding_rows(()))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def find_similar(
        self, queries: Sequence[Embedding], at_least: Sequence[float]
    ) -> Sequence[NearEmbedding]:
        """Return all embeddings whose cosine with a query is at least that query's threshold.

        Before the comparison, newly registered embeddings are loaded. The results are in the order
        of queries, then of registrations.
        """
        with self.lock:
            self._catch_up()
            found = cosines(embedding_rows(queries), self.rows)
            wanted = np.asarray(at_least, np.float32)[:, None]
            return [
                NearEmbedding(query, *self.entries_and_claims[place], float(found[query, place]))
                for query, place in np.argwhere(found >= wanted).tolist()
            ]

    def _catch_up(self) -> None:
        self._add(self._new_rows())
        if self.bank.embedding_count() < self.read_count:
            self.last_number, self.read_count, self.entries_and_claims, self.rows = (
                0,
                0,
                [],
                embedding_rows(()),
            )
            self._add(self._new_rows())

    def _new_rows(self) -> Iterator[RegisteredEmbedding]:
        while new_rows := self.bank.embeddings(self.last_number):
            self.last_number, self.read_count = new_rows[-1].number, self.read_count + len(new_rows)
            yield from new_rows

    def _add(self, new_rows: Iterator[RegisteredEmbedding]) -> None:
        ours = (one for one in new_rows if one.embedding.model == EMBEDDING_MODEL)
        new = list(islice(ours, EMBEDDINGS_MAX - len(self.entries_and_claims)))
        if new:
            self.entries_and_claims += [(one.entry, one.claim) for one in new]
            self.rows = np.concatenate([self.rows, embedding_rows([one.embedding for one in new])])
