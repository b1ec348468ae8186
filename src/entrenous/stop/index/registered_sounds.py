"""The registered sounds in memory, which follow the bank (docs/spec/gate.md, 12.3)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from entrenous.fingerprint.chromaprint import Words
from entrenous.fingerprint.nouns import SoundMatch, SoundPrint, SoundVariant
from entrenous.fingerprint.sound_index import SoundIndex, SoundView

if TYPE_CHECKING:
    from entrenous.stop.store.bank_store import BankStore

# Words in the later part, which is sorted again for each addition. That takes a few milliseconds.
_LATER_WORDS_MAX: Final = 100_000
_LATER_FRACTION: Final = 8  # or one in this many of all words
Numbered = tuple[int, SoundPrint]


@dataclass(frozen=True, slots=True)
class _NumberedSounds:
    """Registered sounds, by ascending number, and their index."""

    numbers: tuple[int, ...]
    prints: tuple[SoundPrint, ...]
    index: SoundIndex

    @classmethod
    def of(cls, sounds: Iterable[Numbered]) -> Self:
        every = tuple(sounds)
        prints = tuple(sound for _, sound in every)
        return cls(tuple(number for number, _ in every), prints, SoundIndex.of(prints))

    def near(self, views: Sequence[SoundView]) -> list[SoundMatch]:
        """Return matches, with the sounds numbered as in the store."""
        found = self.index.near(views) if self.numbers else []
        return [replace(one, sound=self.numbers[one.sound]) for one in found]

    def with_added_entries(self, new_entries: Iterable[Numbered]) -> Self:
        return self.of((*zip(self.numbers, self.prints, strict=True), *new_entries))


@dataclass(slots=True)
class RegisteredSounds:
    """The bank's sounds: a sorted base, and later ones. May be used by several threads.

    Each look-up uses the sounds known at its start.
    """

    bank: BankStore
    base: _NumberedSounds = field(default_factory=lambda: _NumberedSounds.of(()))
    later: _NumberedSounds = field(default_factory=lambda: _NumberedSounds.of(()))
    seen: int = 0
    later_words_max: int = _LATER_WORDS_MAX
    lock: threading.Lock = field(default_factory=threading.Lock)

    def near(self, views: Sequence[SoundVariant]) -> Sequence[SoundMatch]:
        """Return the registered sounds, by number, that resemble some view of an upload.

        Newly registered sounds are read first. The longest stretch comes first.
        """
        heard = [SoundView(one.how, _little_endian_words(one.words)) for one in views]
        with self.lock:
            self._catch_up()
            parts = self.base, self.later
        found = [one for part in parts for one in part.near(heard)]
        return sorted(found, key=lambda one: (-one.length_s, one.errors))

    def newest(self) -> int:
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
        most = max(self.later_words_max, len(self.base.index.words) // _LATER_FRACTION)
        return len(self.later.index.words) > most

    def _rebuild_base(self) -> None:
        self.base, self.later = _NumberedSounds.of(self._all_sounds()), _NumberedSounds.of(())
        self.seen = max((self.seen, *self.base.numbers))

    def _all_sounds(self) -> Iterator[Numbered]:
        after = 0
        while page := self.bank.sounds(after):
            yield from page
            after = page[-1][0]


def _little_endian_words(big_endian: bytes) -> Words:
    return np.frombuffer(big_endian, dtype=">u4").astype(np.uint32)
