"""The relay's rows at a database cursor; whoever holds the cursor holds the transaction."""

from datetime import datetime
from typing import Any, Protocol, TypeVar, cast

from entrenous.adapters.mail.codec import codecs, read, write
from entrenous.adapters.mail.tables import Statement, Tables
from entrenous.model.held import HELD, HeldLetter
from entrenous.model.ids import MailboxId

Row = TypeVar("Row")


class Cursor(Protocol):
    """As much of a DB-API cursor (PEP 249) as is needed here."""

    def execute(self, operation: str, parameters: Any = ..., /) -> Any:
        """Run one statement."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows of its answer."""
        ...


class SqlDesk:
    """A :class:`entrenous.ports.MailDesk` on one connection."""

    def __init__(self, cursor: Cursor, tables: Tables) -> None:
        self._cursor = cursor
        self._tables = tables

    def get(self, kind: type[Row], *key: object) -> Row | None:
        """The row, or None."""
        where = dict(zip(HELD[kind], key, strict=True))
        rows = self._rows(kind, self._tables.select(kind, HELD[kind], limited=False), where)
        return rows[0] if rows else None

    def find(self, kind: type[Row], limit: int | None = None, **fields: object) -> list[Row]:
        """Rows whose fields equal these."""
        limited = limit is not None
        statement = self._tables.select(kind, tuple(fields), limited=limited)
        return self._rows(kind, statement, {**fields, "limit": limit} if limited else fields)

    def count(self, kind: type[Any], **fields: object) -> int:
        """How many rows have fields that equal these."""
        self._run(kind, self._tables.count(kind, tuple(fields)), fields)
        return cast("int", self._cursor.fetchall()[0][0])

    def weigh(self, kind: type[Any], what: str, **fields: object) -> tuple[int, int]:
        """How many rows have fields that equal these or lack them; the sum of ``what``."""
        self._run(kind, self._tables.weigh(kind, what, tuple(fields)), fields)
        rows, total = self._cursor.fetchall()[0]
        return rows, total

    def letters(self, mailbox: MailboxId, after: int, at: datetime, limit: int) -> list[HeldLetter]:
        """Letters that wait in a mailbox."""
        seconds = write(HeldLetter, "expires_at", at)
        given = {"mailbox": mailbox, "after": after, "at": seconds, "limit": limit}
        return self._rows(HeldLetter, self._tables.letters(), given)

    def due(self, kind: type[Row], at: datetime, limit: int) -> list[Row]:
        """Rows whose time has come."""
        given = {"at": write(kind, "due_at", at), "limit": limit}
        return self._rows(kind, self._tables.due(kind), given)

    def put(self, row: Any) -> None:
        """Store or replace a row."""
        kind: type = type(row)
        values = {name: getattr(row, name) for name in codecs(kind)}
        self._run(kind, self._tables.put(kind), values)

    def drop(self, kind: type[Any], *key: object) -> None:
        """Forget a row."""
        self._run(kind, self._tables.drop(kind), dict(zip(HELD[kind], key, strict=True)))

    def _rows(self, kind: type[Row], statement: Statement, given: dict[str, Any]) -> list[Row]:
        self._run(kind, statement, given)
        return [read(kind, values) for values in self._cursor.fetchall()]

    def _run(self, kind: type, statement: Statement, given: dict[str, Any]) -> None:
        fields = codecs(kind)
        known = {**statement.fixed, **given}
        values = [
            write(kind, name, known[name]) if name in fields else known[name]
            for name in statement.names
        ]
        self._cursor.execute(statement.text, values)
