"""Looks into SQLite that decide nothing: each at once, on a connection of its own, in one moment.

In the loop, as in group/group_commit.py: what lies in memory is read sooner than another thread is
told of it.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, cast

from entrenous.adapters.mail.codec import read
from entrenous.adapters.mail.sqlite_line import named
from entrenous.adapters.mail.wording import Ask, SqliteWording, bound
from entrenous.model.held import HELD, HeldLetter
from entrenous.model.ids import MailboxId
from entrenous.ports import MailView

Answer = TypeVar("Answer")
Row = TypeVar("Row")


class Looking:
    """A :class:`entrenous.ports.MailView`, within :meth:`look`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._wording = SqliteWording()
        self._lock = threading.Lock()

    def look(self, work: Callable[[MailView], Answer]) -> Answer:
        """Run ``work`` on one moment of what is committed."""
        with self._lock:
            try:
                self._cursor.execute("BEGIN")
                try:
                    return work(self)
                finally:
                    self._end()
            except sqlite3.Error as why:
                raise named(why) from None

    def close(self) -> None:
        """Close the connection."""
        self._cursor.close()
        self._connection.close()

    def get(self, kind: type[Row], *key: object) -> Row | None:
        """The row, or None."""
        row = self._cursor.execute(_by_key(cast("type", kind)), bound(key)).fetchone()
        return cast("Row", read(kind, row)) if row else None

    def find(self, kind: type[Row], limit: int | None = None, **fields: object) -> list[Row]:
        """Rows whose fields equal these, in the order of their keys."""
        most = -1 if limit is None else limit  # SQLite reads a negative one as none
        given = (*fields.values(), most)
        return cast("list[Row]", self._answer(Ask("find", kind, tuple(fields), given)))

    def count(self, kind: type[object], **fields: object) -> int:
        """How many rows have fields that equal these."""
        values = tuple(fields.values())
        found = self._answer(Ask("counts", kind, tuple(fields), (values,)))
        return cast("int", found.get(values, 0))

    def weigh(self, kind: type[object], what: str, **fields: object) -> tuple[int, int]:
        """How many rows have fields that equal these or lack them; the sum of ``what``."""
        ask = Ask("weigh", kind, tuple(fields), (what, *fields.values()))
        return cast("tuple[int, int]", self._answer(ask))

    def letters(
        self, mailbox: MailboxId, after: int, at: datetime, limit: int, full_bytes: int
    ) -> list[HeldLetter]:
        """Letters that wait in a mailbox."""
        ask = Ask("letters", HeldLetter, (), (mailbox, after, at, limit, full_bytes))
        return cast("list[HeldLetter]", self._answer(ask))

    def due(self, kind: type[Row], at: datetime, limit: int) -> list[Row]:
        """Rows whose time has come."""
        return cast("list[Row]", self._answer(Ask("due", kind, (), (at, limit))))

    def _answer(self, ask: Ask) -> Any:
        return ask.read(self._wording.rows(ask, self._cursor))

    def _end(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._cursor.execute("ROLLBACK")


@cache
def _by_key(kind: type) -> str:
    """The question for one row; keys are bytes, which are written as they are."""
    some = Ask("rows", kind, HELD[kind], (tuple(b"" for _ in HELD[kind]),))
    return next(iter(SqliteWording().asks(some)))[0]
