"""The relay's rows as SQL: one table for each kind of model/held.py.

Tables, keys and types follow from the nouns. They are created in an empty database, together with
the number of this schema; a database that names another number is refused and left as it is.
"""

import re
from functools import cache
from typing import Any, Final

import sqlalchemy as sql

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
    NewerDatabase,
    OlderDatabase,
    UnusedDatabase,
)

VERSION: Final = 6  # of the schema; every change of a table, column or index takes the next number

#: Beyond keys and due_at, what is looked for; the last columns are there to be added up.
_INDEXES: Final[dict[type, tuple[tuple[str, ...], ...]]] = {
    HeldLetter: (("mailbox", "sequence"),),
    HeldBlob: (("envelope",), ("mailbox", "envelope", "size")),
    HeldShare: (("mailbox",), ("group",)),
    HeldUpload: (("mailbox", "size"),),
}
#: Rows too large to live in the leaves of their key's tree (sqlite.org/withoutrowid.html). SQLite
#: would number them as they come; wording.py has it draw the numbers.
BULKY: Final = (HeldLetter, HeldCard, HeldKey, LastingKeys)


def schema() -> sql.MetaData:
    """All tables and indexes, as the nouns have them."""
    metadata = sql.MetaData()
    for kind in HELD:
        _table(kind, metadata)
    return metadata


def create_if_empty(connection: sql.Connection, found: int, *, create: bool) -> bool:
    """Create all tables in an empty database, in the transaction of ``connection``.

    Args:
        connection: of a transaction beside which no other process writes.
        found: the schema number that the database names; 0 if it names none.
        create: False to refuse an empty database instead.

    Returns:
        Whether the tables were created; the caller then has to store VERSION.

    Raises:
        NewerDatabase, OlderDatabase: another version of Entrenous created the tables.
        UnusedDatabase: it is empty, and ``create`` is False.
    """
    if found > VERSION:
        raise NewerDatabase
    if found == VERSION:
        return False
    inspector, tables = sql.inspect(connection), schema()
    if found or any(inspector.has_table(name) for name in tables.tables):
        raise OlderDatabase
    if not create:
        raise UnusedDatabase
    tables.create_all(connection, checkfirst=False)
    return True


@cache
def table_name(kind: type) -> str:
    """HeldMailbox lies in held_mailbox."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


def _table(kind: type, metadata: sql.MetaData) -> sql.Table:
    table = sql.Table(
        table_name(kind),
        metadata,
        *(_column(kind, name) for name in codecs(kind)),
        sqlite_with_rowid=kind in BULKY,
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
