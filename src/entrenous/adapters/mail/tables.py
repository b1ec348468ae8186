"""The relay's rows as SQL: one table for each kind of model/held.py, and what is asked of it.

Tables, keys and types follow from the nouns; a database gets there by the steps in migrations/.
SQLAlchemy Core writes every statement once, for the dialect at hand; it is then run as text, which
costs a tenth of running it through Core.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import sqlalchemy as sql
from sqlalchemy.dialects.sqlite import insert

from entrenous.adapters.mail.codec import codecs, is_optional
from entrenous.model.held import (
    HELD,
    HeldBlob,
    HeldCard,
    HeldKey,
    HeldLetter,
    HeldShare,
    HeldUpload,
    LastingKeys,
)

VERSION: Final = 2  # of the schema: how many steps there are in migrations/versions

#: Beyond keys and due_at, what is looked for; the last columns are there to be added up.
_INDEXES: Final[dict[type, tuple[tuple[str, ...], ...]]] = {
    HeldLetter: (("mailbox", "sequence"),),
    HeldBlob: (("envelope",), ("mailbox", "envelope", "size")),
    HeldShare: (("mailbox",),),
    HeldUpload: (("mailbox", "size"),),
}
#: Rows too large to live in the leaves of their key's tree (sqlite.org/withoutrowid.html).
_BULKY: Final = (HeldLetter, HeldCard, HeldKey, LastingKeys)


class Statement(NamedTuple):
    """One SQL text, the names of its parameters in their order, and those that Core fills in."""

    text: str
    names: tuple[str, ...]
    fixed: dict[str, Any]


class Tables:
    """The schema, and its statements for one dialect, each written when it is first needed."""

    def __init__(self, dialect: sql.Dialect) -> None:
        self.metadata = sql.MetaData()
        self._dialect = dialect
        self._tables = {kind: _table(kind, self.metadata) for kind in HELD}
        self._written: dict[tuple[object, ...], Statement] = {}

    def select(self, kind: type, names: tuple[str, ...], *, limited: bool) -> Statement:
        """Rows whose ``names`` equal parameters of these names; with ``limit`` if limited."""

        def query() -> sql.Select[Any]:
            table = self._tables[kind]
            found = sql.select(table).where(*_equal(table, names)).order_by(*_key(table, kind))
            return found.limit(sql.bindparam("limit")) if limited else found

        return self._once(query, "select", kind, names, limited)

    def count(self, kind: type, names: tuple[str, ...]) -> Statement:
        """How many such rows."""

        def query() -> sql.Select[Any]:
            table = self._tables[kind]
            return sql.select(sql.func.count()).select_from(table).where(*_equal(table, names))

        return self._once(query, "count", kind, names)

    def weigh(self, kind: type, what: str, names: tuple[str, ...]) -> Statement:
        """How many rows have those names, or lack them where the parameter is null; their sum."""

        def query() -> sql.Select[Any]:
            table = self._tables[kind]
            total = sql.func.coalesce(sql.func.sum(table.c[what]), 0)
            same = [table.c[name].is_not_distinct_from(sql.bindparam(name)) for name in names]
            return sql.select(sql.func.count(), total).select_from(table).where(*same)

        return self._once(query, "weigh", kind, what, names)

    def letters(self) -> Statement:
        """Letters of ``mailbox`` with a sequence above ``after`` that expire later than ``at``."""

        def query() -> sql.Select[Any]:
            of = self._tables[HeldLetter].c
            found = sql.select(self._tables[HeldLetter]).where(
                of.mailbox == sql.bindparam("mailbox"),
                of.sequence > sql.bindparam("after"),
                of.expires_at > sql.bindparam("at"),
            )
            return found.order_by(of.sequence).limit(sql.bindparam("limit"))

        return self._once(query, "letters")

    def due(self, kind: type) -> Statement:
        """Rows that are due by ``at``, at most ``limit``."""

        def query() -> sql.Select[Any]:
            table = self._tables[kind]
            found = sql.select(table).where(table.c.due_at <= sql.bindparam("at"))
            found = found.order_by(table.c.due_at, *_key(table, kind))
            return found.limit(sql.bindparam("limit"))

        return self._once(query, "due", kind)

    def put(self, kind: type) -> Statement:
        """Insert or replace; the parameters are the fields."""

        def query() -> sql.Insert:
            new, key = insert(self._tables[kind]), list(HELD[kind])
            rest = {name: new.excluded[name] for name in codecs(kind) if name not in key}
            return new.on_conflict_do_update(index_elements=key, set_=rest)

        return self._once(query, "put", kind)

    def drop(self, kind: type) -> Statement:
        """Delete by key."""

        def query() -> sql.Delete:
            table = self._tables[kind]
            return sql.delete(table).where(*_equal(table, HELD[kind]))

        return self._once(query, "drop", kind)

    def _once(self, query: Callable[[], sql.ClauseElement], *what: object) -> Statement:
        if what not in self._written:
            options = {"render_postcompile": True}
            compiled = query().compile(dialect=self._dialect, compile_kwargs=options)
            names = tuple(getattr(compiled, "positiontup", None) or ())
            self._written[what] = Statement(str(compiled), names, dict(compiled.params))
        return self._written[what]


def _table(kind: type, metadata: sql.MetaData) -> sql.Table:
    table = sql.Table(
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower(),
        metadata,
        *(_column(kind, name) for name in codecs(kind)),
        sqlite_with_rowid=kind in _BULKY,
    )
    for names in _INDEXES.get(kind, ()):
        sql.Index(f"{table.name}_by_{names[0]}", *(table.c[name] for name in names))
    if "due_at" in table.c:
        sql.Index(f"{table.name}_by_due_at", table.c.due_at)
    return table


def _column(kind: type, name: str) -> sql.Column[Any]:
    return sql.Column(
        name,
        codecs(kind)[name].column(),
        primary_key=name in HELD[kind],
        nullable=is_optional(kind, name),
    )


def _equal(table: sql.Table, names: Iterable[str]) -> list[sql.ColumnElement[bool]]:
    return [table.c[name] == sql.bindparam(name) for name in names]


def _key(table: sql.Table, kind: type) -> list[sql.Column[Any]]:
    return [table.c[name] for name in HELD[kind]]
