"""The relay's rows as SQL tables, one for each class of carry/relay_rows.py, and conversions of
values.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple, get_args, get_type_hints

import sqlalchemy as sql

from entrenous.base.secret import Secret
from entrenous.carry.relay_rows import (
    KEY_FIELDS,
    NewerDatabase,
    OlderDatabase,
    ReusableKeys,
    Row,
    StoredBlob,
    StoredKeyBundle,
    StoredLetter,
    StoredOneTimeKey,
    StoredShare,
    StoredUpload,
    UnusedDatabase,
)
from entrenous.wire.encodings import from_seconds, to_seconds
from entrenous.wire.relay_nouns import EnvelopeState


class ColumnCodec(NamedTuple):
    """How values of one Python type are stored: the type of the column, PostgreSQL's name for that
    type, and the conversions in both directions.
    """

    column: Callable[[], sql.types.TypeEngine[Any]]
    postgres: str
    write: Callable[[Any], object]
    read: Callable[[Any], object]


def _unchanged(value: Any) -> Any:
    return value


_CODEC_BY_TYPE: Final[dict[type, ColumnCodec]] = {
    bytes: ColumnCodec(sql.LargeBinary, "bytea", _unchanged, _unchanged),
    str: ColumnCodec(sql.String, "text", _unchanged, _unchanged),
    int: ColumnCodec(sql.BigInteger, "bigint", _unchanged, _unchanged),
    bool: ColumnCodec(sql.SmallInteger, "smallint", int, bool),
    datetime: ColumnCodec(sql.BigInteger, "bigint", to_seconds, from_seconds),
    Secret: ColumnCodec(sql.LargeBinary, "bytea", Secret.reveal, Secret),
    EnvelopeState: ColumnCodec(sql.String, "text", str, EnvelopeState),
}


@cache
def column_codecs(kind: type[Row]) -> dict[str, ColumnCodec]:
    """Return the codec of each field, in the order of the fields."""
    hints = get_type_hints(kind)
    return {name: _CODEC_BY_TYPE[_plain_type(hints[name])] for name in kind.__struct_fields__}


def is_optional(kind: type, name: str) -> bool:
    return type(None) in get_args(get_type_hints(kind)[name])


def encode_value(kind: type, name: str, value: object) -> object:
    return None if value is None else column_codecs(kind)[name].write(value)


def decode_row(kind: type, values: Sequence[Any]) -> Any:
    row = list(values)
    for at, convert in _converted_fields(kind, "read"):
        if row[at] is not None:
            row[at] = convert(row[at])
    return kind(*row)


def encode_row(kind: type, row: Any) -> list[object]:
    values = list(_field_getter(kind)(row))
    for at, convert in _converted_fields(kind, "write"):
        if values[at] is not None:
            values[at] = convert(values[at])
    return values


@cache
def _converted_fields(
    kind: type, direction: str
) -> tuple[tuple[int, Callable[[Any], object]], ...]:
    """Return the position and the conversion of each field that needs a conversion."""
    conversions = [getattr(one, direction) for one in column_codecs(kind).values()]
    return tuple(
        (at, convert) for at, convert in enumerate(conversions) if convert is not _unchanged
    )


@cache
def _field_getter(kind: type) -> Callable[[Any], tuple[Any, ...]]:
    return attrgetter(*column_codecs(kind))


def _plain_type(hint: Any) -> Any:
    """Return the type inside ``None |`` and NewType."""
    for part in get_args(hint):
        if part is not type(None):
            return _plain_type(part)
    return getattr(hint, "__supertype__", hint)


SCHEMA_VERSION: Final = 7  # incremented with every change of a table, column or index
#: The indexes in addition to those on keys and on due_at. Some include "size", so that the database
#: can compute sums without reading the table.
_INDEXES: Final[dict[type, tuple[tuple[str, ...], ...]]] = {
    StoredLetter: (("mailbox", "sequence"),),
    StoredBlob: (("envelope",), ("mailbox", "envelope", "size")),
    StoredShare: (("mailbox",), ("group",)),
    StoredUpload: (("mailbox", "size"),),
}
#: Classes whose rows are too large for WITHOUT ROWID tables (sqlite.org/withoutrowid.html). SQLite
#: would number these rows in the order of arrival, so statements.py gives them random row ids.
ROWID_TABLES: Final = (StoredLetter, StoredKeyBundle, StoredOneTimeKey, ReusableKeys)


def build_schema() -> sql.MetaData:
    metadata = sql.MetaData()
    for kind in KEY_FIELDS:
        _add_table(kind, metadata)
    return metadata


def create_tables_if_empty(connection: sql.Connection, found_version: int, *, create: bool) -> bool:
    """Create all tables in an empty database; the connection's transaction excludes other writers.

    ``found_version`` is the schema version in the database, 0 if it has none. With ``create`` False
    an empty database is refused.

    Returns:
        Whether the tables were created; the caller then has to store SCHEMA_VERSION.

    Raises:
        NewerDatabase, OlderDatabase: another version of Entrenous created the tables.
        UnusedDatabase: it is empty, and ``create`` is False.
    """
    if found_version > SCHEMA_VERSION:
        raise NewerDatabase
    if found_version == SCHEMA_VERSION:
        return False
    inspector, tables = sql.inspect(connection), build_schema()
    if found_version or any(inspector.has_table(name) for name in tables.tables):
        raise OlderDatabase
    if not create:
        raise UnusedDatabase
    tables.create_all(connection, checkfirst=False)
    return True


@cache
def table_name(kind: type) -> str:
    """Return a class's table: StoredMailbox is stored in stored_mailbox."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


def _add_table(kind: type, metadata: sql.MetaData) -> sql.Table:
    table = sql.Table(
        table_name(kind),
        metadata,
        *(_make_column(kind, name) for name in column_codecs(kind)),
        sqlite_with_rowid=kind in ROWID_TABLES,
    )
    for names in _INDEXES.get(kind, ()):
        sql.Index(f"{table.name}_by_{names[0]}", *(table.c[name] for name in names))
    if "due_at" in table.c:
        sql.Index(f"{table.name}_by_due_at", table.c.due_at)
    return table


def _make_column(kind: type, name: str) -> sql.Column[Any]:
    return sql.Column(
        name,
        column_codecs(kind)[name].column(),
        primary_key=name in KEY_FIELDS[kind],
        nullable=is_optional(kind, name),
    )
