"""Statements that run for each upload.

Each is compiled once. Insertions of several threads are combined into batches.
"""

import threading
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

from entrenous.stop.nouns import BankUnreachable

ParameterValues = Mapping[str, Any]
_Converter = Callable[[Any], Any]
# Converters of the driver's values, with the index of their column.
_Converters = list[tuple[int, _Converter]]


class PreparedSelect:
    """A SELECT with named parameters (``sa.bindparam``) and distinct column names.

    Lists are not expanded: use one parameter per value.
    """

    __slots__ = ("_compiled", "_row_type", "_select")

    def __init__(self, select: sa.Select[Any]) -> None:
        self._select = select
        names = select.selected_columns.keys()
        self._row_type: Callable[..., Any] = namedtuple("Row", names)  # type: ignore[misc]  # noqa: PYI024
        self._compiled: dict[str, tuple[_CompiledStatement, _Converters]] = {}

    def rows(self, db: sa.Connection, values: ParameterValues | None = None) -> list[Any]:
        """Return the rows, with columns as attributes.

        Raises:
            BankUnreachable: the database failed; the connection is invalidated.
        """
        compiled, read = self._compiled_for(db)
        with _driver_connection(db) as driver:
            found = driver.execute(compiled.text, compiled.parameters(values or {})).fetchall()
        return [self._row_type(*_convert_row(row, read)) for row in found]

    def _compiled_for(self, db: sa.Connection) -> "tuple[_CompiledStatement, _Converters]":
        known = self._compiled.get(db.dialect.name)
        if known is None:
            types = (one.type.dialect_impl(db.dialect) for one in self._select.selected_columns)
            changes = [one.result_processor(db.dialect, None) for one in types]
            read: _Converters = [(at, one) for at, one in enumerate(changes) if one is not None]
            known = self._compiled[db.dialect.name] = (
                _CompiledStatement(self._select, db.dialect),
                read,
            )
        return known


class PreparedInsert:
    """An INSERT of these columns of ``table``, given in any order."""

    __slots__ = ("_columns", "_compiled", "_table")

    def __init__(self, table: sa.Table, columns: Sequence[str]) -> None:
        self._table, self._columns = table, columns
        self._compiled: dict[str, _CompiledStatement] = {}

    def run(self, db: sa.Connection, rows: Sequence[ParameterValues]) -> None:
        """Insert the rows.

        Raises:
            BankUnreachable: the database failed; the connection is invalidated.
        """
        compiled = self._compiled.get(db.dialect.name)
        if compiled is None:
            # Inline() does not read back the number of the row.
            wanted = self._table.insert().inline()
            compiled = self._compiled[db.dialect.name] = _CompiledStatement(
                wanted, db.dialect, self._columns
            )
        with _driver_connection(db) as driver:
            for row in rows:
                driver.execute(compiled.text, compiled.parameters(row)).close()


class _CompiledStatement:
    """A statement compiled for one dialect."""

    __slots__ = ("_by_name", "_fixed", "_names", "_write", "text")

    def __init__(
        self,
        statement: sa.Select[Any] | sa.Insert,
        dialect: sa.Dialect,
        columns: Sequence[str] | None = None,
    ) -> None:
        made = statement.compile(dialect=dialect, column_keys=columns)
        assert isinstance(made, SQLCompiler)  # noqa: S101 -- always, for SELECT and INSERT
        self.text = str(made)
        self._by_name = made.positiontup is None
        self._names = tuple(made.params if made.positiontup is None else made.positiontup)
        parameters = {name for name, bind in made.binds.items() if bind.required}
        self._fixed = {name: one for name, one in made.params.items() if name not in parameters}
        changes = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect)
            for name, bind in made.binds.items()
        }
        self._write = {name: change for name, change in changes.items() if change is not None}

    def parameters(self, values: ParameterValues) -> dict[str, Any] | list[Any]:
        """Return the parameters as the driver takes them; raises KeyError if one is missing."""
        every = {**self._fixed, **values}
        for name, change in self._write.items():
            every[name] = change(every[name])
        if self._by_name:
            return {name: every[name] for name in self._names}
        return [every[name] for name in self._names]


def _convert_row(row: Sequence[Any], changes: _Converters) -> Sequence[Any]:
    if not changes:
        return row
    values = list(row)
    for at, change in changes:
        values[at] = change(values[at])
    return values


@contextmanager
def _driver_connection(db: sa.Connection) -> Iterator[Any]:
    """Yield the driver's own connection, which has ``execute`` in sqlite3 and in psycopg."""
    held = db.connection
    try:
        yield held.driver_connection
    except db.dialect.loaded_dbapi.Error as problem:
        # As in SQLAlchemy: after a lost connection, discard all pooled ones.
        if db.dialect.is_disconnect(problem, cast(Any, held.driver_connection), None):
            db.engine.pool._invalidate(held, problem)  # noqa: SLF001
        db.invalidate(problem)
        raise BankUnreachable(why=str(problem).partition("\n")[0]) from problem


RowValues = dict[str, Any]


@dataclass(slots=True, eq=False)
class _PendingRow:
    row: RowValues
    written: bool = False
    failure: Exception | None = None


@dataclass(frozen=True, slots=True)
class BatchInserter:
    """Combines the rows of several threads into calls of ``write``, which writes all or none."""

    write: Callable[[Sequence[RowValues]], None]
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _pending: list[_PendingRow] = field(default_factory=list)

    def add(self, row: RowValues) -> None:
        """Write the row, and return when it is written.

        Raises:
            Exception: what ``write`` raised for this row alone.
            BankUnreachable: the writing thread ended before it could report.
        """
        mine = _PendingRow(row)
        self._pending.append(mine)
        with self._turn:
            if not mine.written and mine.failure is None:
                self._write_all()
        if not mine.written:
            raise mine.failure or BankUnreachable(why="it did not confirm that it stored this")

    def _write_all(self) -> None:
        """Write all pending rows; the caller holds the lock."""
        pending = self._pending[:]
        del self._pending[: len(pending)]  # delete these rows only: other threads only append
        try:
            self.write([one.row for one in pending])
        except Exception as problem:  # noqa: BLE001 -- reported to each row's own thread
            self._write_one_by_one(pending, problem)
        else:
            for one in pending:
                one.written = True

    def _write_one_by_one(self, pending: Sequence[_PendingRow], problem: Exception) -> None:
        """Write each row by itself, so that one bad row does not fail the others."""
        if len(pending) == 1:
            pending[0].failure = problem
            return
        for one in pending:
            try:
                self.write([one.row])
                one.written = True
            except Exception as its:  # noqa: BLE001 -- raised in add()
                one.failure = its
