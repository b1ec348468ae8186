"""The relay's rows as SQL: one table for each kind of model/held.py.

Tables, keys and types follow from the nouns; a database gets there by the steps in migrations/.
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
)

VERSION: Final = 5  # of the schema: how many steps there are in migrations/versions

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
