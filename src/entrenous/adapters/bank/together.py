"""Rows of several threads in one transaction: a disk that takes 5 ms to be sure takes them once.

Whoever comes while another one writes waits for its turn, and then writes what all have brought
that wait by then. In PostgreSQL writers do not wait for each other, so it has no need of this.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from entrenous.model.bank import BankUnreachable

Row = dict[str, Any]


@dataclass(slots=True, eq=False)
class _Brought:
    row: Row
    written: bool = False
    failure: Exception | None = None


@dataclass(frozen=True, slots=True)
class Together:
    """``write`` writes some rows, all or none; :meth:`add` returns when its row is written."""

    write: Callable[[Sequence[Row]], None]
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _brought: list[_Brought] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Write this one; raises what ``write`` raises for it alone, and BankUnreachable when the
        thread that took it along was ended before it could tell.
        """
        mine = _Brought(row)
        self._brought.append(mine)
        with self._turn:
            if not mine.written and mine.failure is None:
                self._write_all()
        if not mine.written:
            raise mine.failure or BankUnreachable(why="nobody knows whether it wrote this")

    def _write_all(self) -> None:
        """Only in turn."""
        some = self._brought[:]
        del self._brought[: len(some)]  # others only append
        try:
            self.write([one.row for one in some])
        except Exception as problem:  # noqa: BLE001 -- each is told of its own
            self._one_by_one(some, problem)
        else:
            for one in some:
                one.written = True

    def _one_by_one(self, some: Sequence[_Brought], problem: Exception) -> None:
        """One that cannot be written keeps no other from being so."""
        if len(some) == 1:
            some[0].failure = problem
            return
        for one in some:
            try:
                self.write([one.row])
                one.written = True
            except Exception as its:  # noqa: BLE001 -- raised where it belongs
                one.failure = its
