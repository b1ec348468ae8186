"""IndexStore on a folder: a base that every process maps, and in memory what came since.

The bank stays the truth (docs/spec/gate.md section 5). Before each look-up the index reads what was
registered since the last one; withdrawn entries find no claim. Every second it looks whether
another process wrote a newer base, and whether so much came since the last one that it should write
one itself; every half minute, whether hashes were withdrawn that a base still holds: then it writes
one without them, from what the bank holds. In between it may hold a withdrawn hash, in a file that
only its owner can read.

A base is used only if every byte of it is as it was written and its last entry is what the bank
says. If not, it is made anew from the bank, before the first answer.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from entrenous.adapters.index.base_file import (
    Base,
    DamagedBase,
    file_of,
    read_base,
    write_base,
)
from entrenous.adapters.index.known import Known
from entrenous.adapters.index.truth import news_of, truth_of
from entrenous.adapters.index.turn import sweep, turn
from entrenous.craft.fingerprint.index import Searchable
from entrenous.model.fingerprint import Near
from entrenous.ports import BankStore

_BASE: Final = "base"
_LATER_MAX: Final = 32_768  # scanned in 0.03 ms
_LATER_PART: Final = (
    100  # or one in so many of all, so that a large base is not written all the time
)
_LOOKS: Final = 5  # at a bank that grows meanwhile


@dataclass(frozen=True, slots=True)
class IndexState:
    """How an index stands: how many hashes it knows, how many of them lie in the base."""

    whole: int
    parts: int
    in_base: int
    base_bytes: int

    @property
    def later(self) -> int:
        """How many came since the base was written."""
        return self.whole + self.parts - self.in_base


class FileIndex:
    """Made by ``open_index``. Safe to use from several threads, and by several processes."""

    __slots__ = ("_bank", "_base", "_folder", "_known", "_lock", "_path")

    def __init__(self, folder: Path, bank: BankStore) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._path, self._bank = folder, folder / _BASE, bank
        self._lock = threading.Lock()  # held while what is known changes, never while one searches
        sweep(folder)
        self._base = self._usable() or self._first()
        self._known = Known.nothing()
        self._use(self._base)

    def near(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[Near]:
        """All within 31 bits, after catching up."""
        return self._catch_up().near(hashes, part=part)

    def refresh(self) -> None:
        """Go over to the base that another process has written, if there is one."""
        if file_of(self._path) in (None, self._base.file):
            return
        base = self._usable()
        if base is None:
            self.rebuild()
        else:
            self._use(base)

    def is_due(self) -> bool:
        """Whether so much came since the base was written that another one is worth it."""
        return self._known.later > max(_LATER_MAX, self._known.count // _LATER_PART)

    def merge(self) -> bool:
        """Write a base with all that is known; False if another process is writing one."""
        with turn(self._folder, wait=False) as mine:
            if mine:
                base = self._usable()  # read anew: damage must not be copied
                if base is None:
                    self._write(*truth_of(self._bank))
                else:
                    self._use(base)
                    self._write(*self._catch_up().sorted())
        return mine

    def rebuild(self) -> None:
        """Write a base with what the bank holds, and nothing else."""
        with turn(self._folder, wait=True):
            self._write(*truth_of(self._bank))

    def holds_withdrawn(self) -> bool:
        """Whether the bank no longer has all that is known here, so that a rebuild is needed."""
        for _ in range(_LOOKS):
            before = self._catch_up().count
            there = self._bank.counts().hashes
            after = self._catch_up().count
            if before == after or there < before:
                return there != after
        return there < after

    def state(self) -> IndexState:
        """As of now."""
        known = self._catch_up()
        base = self._base
        return IndexState(known.whole.count, known.parts.count, base.count, base.size_bytes)

    def _catch_up(self) -> Known:
        with self._lock:
            for news in news_of(self._bank, self._known.seen):
                self._known = self._known.with_news(news)
            return self._known

    def _use(self, base: Base) -> None:
        """What came since is read anew: the bank may have been put back to an older one."""
        known = Known.of(*base.kinds, base.upto)
        for news in news_of(self._bank, base.upto):
            known = known.with_news(news)
        with self._lock:
            self._base, self._known = base, known

    def _write(self, whole: Searchable, parts: Searchable) -> None:
        """Only in turn. It is read again, so that what is used is what lies on the disk."""
        write_base(self._path, whole, parts)
        self._use(read_base(self._path))

    def _first(self) -> Base:
        """A base where none can be used, unless another process has just made one."""
        with turn(self._folder, wait=True):
            base = self._usable()
            if base is None:
                write_base(self._path, *truth_of(self._bank))
                base = read_base(self._path)
        return base

    def _usable(self) -> Base | None:
        """The base that is there, if it is undamaged and of this bank."""
        try:
            base = read_base(self._path)
        except (FileNotFoundError, DamagedBase):
            return None
        return base if _is_of(base, self._bank) else None


def condition_of(folder: Path) -> str:
    """How the base in ``folder`` is: "sound", "damaged" or "missing". Nothing is changed."""
    try:
        read_base(folder / _BASE)
    except FileNotFoundError:
        return "missing"
    except DamagedBase:
        return "damaged"
    return "sound"


def written_at(folder: Path) -> datetime:
    """When the base in ``folder`` was written."""
    return datetime.fromtimestamp((folder / _BASE).stat().st_mtime, UTC)


def _is_of(base: Base, bank: BankStore) -> bool:
    """Whether the last entry in the base is in the bank, with the same number and bits.

    If it was withdrawn, the base must be written anew anyway; and if the bank was put back to an
    older one, its next entries will have numbers that the base believes to know.
    """
    last = base.last
    return last is None or last in bank.entries(last.number - 1)[:1]
