"""A relay's row store in memory, which needs no event loop.

Transactions never pause, and do not overlap.
"""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeVar, cast

from entrenous.base.identifiers import MailboxId
from entrenous.carry.relay import RowTransaction, RowView
from entrenous.carry.relay_rows import KEY_FIELDS, StoredLetter
from entrenous.carry.store.statements import cut_full_page

Row = TypeVar("Row")
Answer = TypeVar("Answer")
ReadAhead = Callable[[RowView], object]


class MemoryRowStore:
    """A :class:`entrenous.carry.relay.RowStore` that keeps rows in dictionaries."""

    def __init__(self) -> None:
        self._transaction = _Transaction()

    def copy(self) -> "MemoryRowStore":
        """Return a store with the same rows. Changes in one store do not affect the other store."""
        other = MemoryRowStore()
        other._transaction = self._transaction.copy()
        return other

    async def transact(
        self, work: Callable[[RowTransaction], Answer], _: ReadAhead | None = None
    ) -> Answer:
        """Run ``work`` as a transaction, and roll it back if it raises."""
        self._transaction.changed_rows.clear()
        try:
            return work(self._transaction)
        except BaseException:
            self._transaction.roll_back()
            raise

    async def read(self, work: Callable[[RowView], Answer], _: ReadAhead | None = None) -> Answer:
        """Run ``work``, which must only read."""
        return work(self._transaction)

    async def clear_deleted_rows(self) -> None:
        """Do nothing: there is no disk with deleted rows."""


class _Transaction:
    def __init__(self) -> None:
        self._rows: dict[type, dict[tuple[object, ...], Any]] = {kind: {} for kind in KEY_FIELDS}
        self.changed_rows: list[tuple[type, tuple[object, ...], Any]] = []

    def copy(self) -> "_Transaction":
        other = _Transaction()
        other._rows = {kind: dict(rows) for kind, rows in self._rows.items()}
        return other

    def get(self, kind: type[Row], *key: object) -> Row | None:
        return cast("Row | None", self._rows[kind].get(key))

    def find(self, kind: type[Row], limit: int | None = None, **fields: object) -> list[Row]:
        found = self._rows_with(kind, fields)
        return [found[key] for key in sorted(found, key=tuple)[:limit]]

    def count(self, kind: type[object], **fields: object) -> int:
        return len(self._rows_with(kind, fields))

    def count_and_sum(self, kind: type[object], what: str, **fields: object) -> tuple[int, int]:
        rows = self._rows_with(kind, fields)
        return len(rows), sum(getattr(row, what) for row in rows.values())

    def _rows_with(
        self, kind: type[object], fields: dict[str, object]
    ) -> dict[tuple[object, ...], Any]:
        """Return, by key, the rows that have these values in these fields."""
        if not fields:
            return self._rows[kind]
        read, wanted = attrgetter("__class__", *fields), (kind, *fields.values())
        return {key: row for key, row in self._rows[kind].items() if read(row) == wanted}

    def find_letters(
        self, mailbox: MailboxId, after: int, at: datetime, limit: int, full_bytes: int
    ) -> list[StoredLetter]:
        every = self.find(StoredLetter, mailbox=mailbox)
        waiting = [one for one in every if one.sequence > after and one.expires_at > at]
        return cut_full_page(sorted(waiting, key=lambda one: one.sequence)[:limit], full_bytes)

    def find_due(self, kind: type[Row], at: datetime, limit: int) -> list[Row]:
        rows: list[Any] = [row for row in self.find(kind) if _is_due(row, at)]
        return sorted(rows, key=lambda row: row.due_at)[:limit]

    def put(self, row: object) -> None:
        kind = type(row)
        self._replace(kind, tuple(getattr(row, name) for name in KEY_FIELDS[kind]), row)

    def drop(self, kind: type[object], *key: object) -> None:
        self._replace(kind, key, None)

    def roll_back(self) -> None:
        while self.changed_rows:
            self._set(*self.changed_rows.pop())

    def _replace(self, kind: type, key: tuple[object, ...], row: object) -> None:
        self.changed_rows.append((kind, key, self._rows[kind].get(key)))
        self._set(kind, key, row)

    def _set(self, kind: type, key: tuple[object, ...], row: object) -> None:
        if row is None:
            self._rows[kind].pop(key, None)
        else:
            self._rows[kind][key] = row


def _is_due(row: Any, at: datetime) -> bool:
    return row.due_at is not None and row.due_at <= at
