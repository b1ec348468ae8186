"""The SQL that reads and writes the relay's rows, for SQLite and PostgreSQL."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from entrenous.carry.relay_rows import KEY_FIELDS, StoredLetter
from entrenous.carry.store.tables import (
    ROWID_TABLES,
    column_codecs,
    decode_row,
    encode_row,
    encode_value,
    is_optional,
    table_name,
)


def cut_full_page(letters: Iterable[StoredLetter], full_bytes: int) -> list[StoredLetter]:
    """Return letters up to the one that fills the page; the rest of ``letters`` is not read."""
    page, size = list[StoredLetter](), 0
    for one in letters:
        page.append(one)
        size += len(one.sealed)
        if size >= full_bytes:
            break
    return page


Statement = tuple[str, list[object]]
QueryKind = Literal["rows", "counts", "find", "letters", "due", "count_and_sum"]
# The lengths of value lists; there are few, so that few statements are prepared.
_VALUE_LIST_LENGTHS: Final = (64, 32, 16, 8, 4, 2, 1)


class Query(NamedTuple):
    """A query, independent of the database.

    ``how`` is the kind of query. The kinds ``rows`` and ``counts`` select or count the rows whose
    fields ``names`` equal one of the tuples in ``given``. For the other kinds, ``given`` has these
    arguments. ``find``: values and limit. ``letters``: mailbox, sequence, time, limit and the bytes
    that fill a page. ``due``: time and limit. ``count_and_sum``: the field to sum and the values.
    """

    how: QueryKind
    kind: type
    names: tuple[str, ...]
    given: tuple[Any, ...]

    def convert_rows(self, answer: Iterable[Sequence[Any]]) -> Any:
        """Convert the database's rows to the query's result."""
        if self.how == "counts":
            return {self._values(row): row[-1] for row in answer}
        if self.how == "count_and_sum":
            return tuple(*answer)
        if self.how == "letters":
            return cut_full_page((decode_row(StoredLetter, row) for row in answer), self.given[-1])
        return [decode_row(self.kind, row) for row in answer]

    def _values(self, row: Sequence[Any]) -> tuple[object, ...]:
        of = column_codecs(self.kind)
        return tuple(of[name].read(raw) for name, raw in zip(self.names, row, strict=False))


class SqliteStatements:
    def selects(self, query: Query) -> Iterator[Statement]:
        """Yield the statements of one query. The query's answer is the rows of all statements."""
        if query.how not in ("rows", "counts"):
            text, given = _single_statement(query, "?", "")
            yield text, sqlite_values(given)
            return
        for part in _padded_parts(query.given):
            given = _flatten_keys(query.kind, query.names, part)
            yield (
                _batched_select_listed(query.how, query.kind, query.names, len(part)),
                sqlite_values(given),
            )

    def fetch_rows(self, query: Query, cursor: sqlite3.Cursor) -> Iterable[Any]:
        """Return the rows of one query.

        All rows are fetched at once, except letters. Letters are fetched one by one while the
        caller reads them, since the first letter may fill the page. They can be read until the
        cursor executes another statement.
        """
        if query.how == "letters":
            ((text, given),) = self.selects(query)
            return cursor.execute(text, given)
        found = list[Any]()
        for text, given in self.selects(query):
            found += cursor.execute(text, given).fetchall()
        return found

    def puts(self, kind: type, rows: Sequence[Any]) -> Iterator[Statement]:
        """Yield the statements that insert rows or replace those with the same key.

        Row ids are random, since sequential row ids would reveal the order of arrival.
        """
        for part in _fixed_length_parts(rows):
            values = [value for row in part for value in encode_row(kind, row)]
            yield _upsert_listed(kind, len(part)), sqlite_values(values)

    def drops(self, kind: type, keys: Sequence[tuple[object, ...]]) -> Iterator[Statement]:
        for part in _padded_parts(keys):
            yield (
                _delete_listed(kind, len(part)),
                sqlite_values(_flatten_keys(kind, KEY_FIELDS[kind], part)),
            )


def sqlite_values(values: Iterable[object]) -> list[object]:
    """Convert values to the types that sqlite3 binds fastest.

    For bytes and None, sqlite3 searches for an adapter, which takes several times as long as
    copying the value. For a bytearray or a str it does not search (``need_adapt`` in CPython's
    Modules/_sqlite/statement.c). So None is passed as an empty string, which
    :func:`_column_placeholder` turns into NULL.
    """
    return [
        bytearray(value) if type(value) is bytes else "" if value is None else value
        for value in values
    ]


class PostgresStatements:
    """Statements for psycopg; strings are sorted by their bytes, as in SQLite."""

    def selects(self, query: Query) -> Iterator[Statement]:
        if query.how not in ("rows", "counts"):
            yield _single_statement(query, "%b", ' COLLATE "C"')
            return
        text = _batched_select(
            query.how, query.kind, query.names, _keys_condition(query.kind, query.names)
        )
        yield text, _array_parameters(query.kind, query.names, query.given)

    def puts(self, kind: type, rows: Sequence[Any]) -> Iterator[Statement]:
        names = tuple(column_codecs(kind))
        values = list(zip(*(encode_row(kind, row) for row in rows), strict=True))
        rows_given = f"SELECT * FROM {_unnest(kind, names)}"  # noqa: S608 -- names of our own classes
        yield _upsert(kind, rows_given), [list(one) for one in values]

    def drops(self, kind: type, keys: Sequence[tuple[object, ...]]) -> Iterator[Statement]:
        yield (
            _delete(kind, _keys_condition(kind, KEY_FIELDS[kind])),
            _array_parameters(kind, KEY_FIELDS[kind], keys),
        )


def _single_statement(query: Query, placeholder: str, bytewise: str) -> Statement:
    """Return the statement for one query of any kind but ``rows`` and ``counts``."""
    kind, names, given = query.kind, query.names, query.given
    if query.how == "letters":
        # The limit in bytes is unused here: cut_full_page stops fetching when the page is full.
        mailbox, after, at, limit, _ = given
        values = [mailbox, after, encode_value(StoredLetter, "expires_at", at), limit]
        return _select_letters(placeholder), values
    if query.how == "due":
        return _select_due(kind, placeholder, bytewise), [
            encode_value(kind, "due_at", given[0]),
            given[1],
        ]
    if query.how == "count_and_sum":
        what, *values = given
        lacking = tuple(value is None for value in values)
        wanted = [
            encode_value(kind, n, v) for n, v in zip(names, values, strict=True) if v is not None
        ]
        return _select_count_and_sum(kind, what, names, lacking, placeholder), wanted
    *values, limit = given
    wanted = [encode_value(kind, name, value) for name, value in zip(names, values, strict=True)]
    return _select_equal(kind, names, placeholder, bytewise), [*wanted, limit]


@cache
def _select_letters(placeholder: str) -> str:
    return (
        f"SELECT {_column_list(StoredLetter)} FROM {table_name(StoredLetter)} "  # noqa: S608 -- names of our own classes
        f"WHERE mailbox = {placeholder} AND sequence > {placeholder} "
        f"AND expires_at > {placeholder} ORDER BY sequence LIMIT {placeholder}"
    )


@cache
def _select_due(kind: type, placeholder: str, bytewise: str) -> str:
    return (
        f"SELECT {_column_list(kind)} FROM {table_name(kind)} WHERE due_at <= {placeholder} "  # noqa: S608 -- names of our own classes
        f"ORDER BY due_at, {_order_columns(kind, bytewise)} LIMIT {placeholder}"
    )


@cache
def _select_equal(kind: type, names: tuple[str, ...], placeholder: str, bytewise: str) -> str:
    where = " AND ".join(f'"{name}" = {placeholder}' for name in names) or "1 = 1"
    return (
        f"SELECT {_column_list(kind)} FROM {table_name(kind)} WHERE {where} "  # noqa: S608 -- names of our own classes
        f"ORDER BY {_order_columns(kind, bytewise)} LIMIT {placeholder}"
    )


@cache
def _select_count_and_sum(
    kind: type, what: str, names: tuple[str, ...], lacking: tuple[bool, ...], placeholder: str
) -> str:
    tests = [
        f'"{name}" IS NULL' if lacks else f'"{name}" = {placeholder}'
        for name, lacks in zip(names, lacking, strict=True)
    ]
    total = f'CAST(coalesce(sum("{what}"), 0) AS BIGINT)'
    where = " AND ".join(tests) or "1 = 1"
    return f"SELECT count(*), {total} FROM {table_name(kind)} WHERE {where}"  # noqa: S608 -- names of our own classes


def _batched_select(how: QueryKind, kind: type, names: tuple[str, ...], among: str) -> str:
    table = table_name(kind)
    if how == "rows":
        return f"SELECT {_column_list(kind)} FROM {table} WHERE {among}"  # noqa: S608 -- names of our own classes
    if not names:
        return f"SELECT count(*) FROM {table}"  # noqa: S608 -- names of our own classes
    listed = _join_names(names)
    return f"SELECT {listed}, count(*) FROM {table} WHERE {among} GROUP BY {listed}"  # noqa: S608 -- names of our own classes


@cache
def _batched_select_listed(how: QueryKind, kind: type, names: tuple[str, ...], count: int) -> str:
    return _batched_select(how, kind, names, _listed_condition(names, count) if names else "1")


@cache
def _upsert_listed(kind: type, count: int) -> str:
    numbered = kind in ROWID_TABLES
    places = [_column_placeholder(kind, name) for name in column_codecs(kind)]
    one = "(" + ", ".join(["random()"] * numbered + places) + ")"
    return _upsert(kind, "VALUES " + ", ".join([one] * count), numbered=numbered)


def _column_placeholder(kind: type, column: str) -> str:
    """Return the placeholder for a column. If the column is optional, the placeholder turns an
    empty string into NULL.

    This is unambiguous, since the values of optional columns are bytes or numbers, never text.
    """
    return "nullif(?, '')" if is_optional(kind, column) else "?"


@cache
def _delete_listed(kind: type, count: int) -> str:
    return _delete(kind, _listed_condition(KEY_FIELDS[kind], count))


def _listed_condition(names: tuple[str, ...], count: int) -> str:
    """Return the condition that these fields equal one of ``count`` tuples."""
    if len(names) == 1:
        return f"{_join_names(names)} IN ({', '.join('?' * count)})"
    one = "(" + ", ".join("?" * len(names)) + ")"
    return f"({_join_names(names)}) IN (VALUES {', '.join([one] * count)})"


@cache
def _upsert(kind: type, rows: str, *, numbered: bool = False) -> str:
    rest = [name for name in column_codecs(kind) if name not in KEY_FIELDS[kind]]
    change = ", ".join(f'"{name}" = excluded."{name}"' for name in rest)
    act = f"UPDATE SET {change}" if rest else "NOTHING"
    return (
        f"INSERT INTO {table_name(kind)} "
        f"({'rowid, ' * numbered}{_column_list(kind)}) {rows} "
        f"ON CONFLICT ({_join_names(KEY_FIELDS[kind])}) DO {act}"
    )


def _delete(kind: type, among: str) -> str:
    return f"DELETE FROM {table_name(kind)} WHERE {among}"  # noqa: S608 -- names of our own classes


def _keys_condition(kind: type, names: tuple[str, ...]) -> str:
    if not names:
        return "true"
    if len(names) == 1:
        return f"{_join_names(names)} = ANY(%b::{_sql_type(kind, names[0])}[])"
    return f"({_join_names(names)}) IN (SELECT * FROM {_unnest(kind, names)})"  # noqa: S608 -- names of our own classes


def _unnest(kind: type, names: tuple[str, ...]) -> str:
    return "unnest(" + ", ".join(f"%b::{_sql_type(kind, name)}[]" for name in names) + ")"


def _sql_type(kind: type, name: str) -> str:
    return column_codecs(kind)[name].postgres


def _array_parameters(
    kind: type, names: tuple[str, ...], given: Iterable[tuple[object, ...]]
) -> list[object]:
    columns = zip(*given, strict=True)
    return [
        [encode_value(kind, name, value) for value in column]
        for name, column in zip(names, columns, strict=False)
    ]


@cache
def _column_list(kind: type) -> str:
    return _join_names(tuple(column_codecs(kind)))


def _order_columns(kind: type, bytewise: str) -> str:
    of = column_codecs(kind)
    return ", ".join(
        f'"{name}"' + (bytewise if of[name].postgres == "text" else "") for name in KEY_FIELDS[kind]
    )


def _join_names(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _flatten_keys(
    kind: type, names: tuple[str, ...], part: Sequence[tuple[object, ...]]
) -> list[object]:
    """Flatten the values of many keys into one list, and convert those that are not bytes."""
    of = column_codecs(kind)
    if all(of[name].postgres == "bytea" for name in names):
        return [value for key in part for value in key]
    return [encode_value(kind, n, v) for key in part for n, v in zip(names, key, strict=True)]


def _fixed_length_parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Split rows into parts, the largest first, whose lengths are all among _VALUE_LIST_LENGTHS."""
    at = 0
    for length in _VALUE_LIST_LENGTHS:
        while len(rows) - at >= length:
            yield rows[at : at + length]
            at += length


def _padded_parts(keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Split keys into parts whose lengths are all among _VALUE_LIST_LENGTHS.

    To fill a part, the last key is repeated, which is harmless.
    """
    most = _VALUE_LIST_LENGTHS[0]
    for at in range(0, len(keys), most):
        part = list(keys[at : at + most])
        length = min(one for one in _VALUE_LIST_LENGTHS if one >= len(part))
        yield part + part[-1:] * (length - len(part))


_LETTER_QUERY_FIELDS: Final = ("mailbox", "sequence", "expires_at")
#: The total length of the letters before a row. PostgreSQL stores the length of a large value in
#: the row itself, so computing this sum does not read the letters.
_BYTES_BEFORE_EXPRESSION: Final = (
    "coalesce(sum(octet_length(sealed)) OVER (ORDER BY sequence "
    "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)"
)


def combine_letter_queries(queries: Sequence[Query]) -> Statement:
    """Combine many ``letters`` queries into one statement; :func:`split_by_query` separates its
    rows.
    """
    mailboxes, after, times, limits, full = zip(*(query.given for query in queries), strict=True)
    at = [encode_value(StoredLetter, "expires_at", time) for time in times]
    return _combined_letter_select(), [list(mailboxes), list(after), at, list(limits), list(full)]


def split_by_query(rows: Sequence[Sequence[Any]], count: int) -> list[list[Sequence[Any]]]:
    """Separate the rows of ``count`` combined queries, and remove the number of the query, which
    comes first in each row.
    """
    found: list[list[Sequence[Any]]] = [[] for _ in range(count)]
    for place, *row in rows:
        found[place - 1].append(row)
    return found


@cache
def _combined_letter_select() -> str:
    of = column_codecs(StoredLetter)
    given = ", ".join(f"%b::{of[name].postgres}[]" for name in _LETTER_QUERY_FIELDS)
    columns = ", ".join(f'page."{name}"' for name in of)
    return (
        f"SELECT wanted.place, {columns} FROM unnest({given}, %b::bigint[], %b::bigint[]) "  # noqa: S608 -- names of our own classes
        "WITH ORDINALITY AS wanted(mailbox, after, at, most, full_bytes, place) CROSS JOIN LATERAL "
        f"(SELECT letter.*, {_BYTES_BEFORE_EXPRESSION} AS before "
        f"FROM {table_name(StoredLetter)} AS letter "
        "WHERE letter.mailbox = wanted.mailbox AND letter.sequence > wanted.after "
        "AND letter.expires_at > wanted.at ORDER BY letter.sequence LIMIT wanted.most"
        ") AS page WHERE page.before < wanted.full_bytes ORDER BY wanted.place, page.sequence"
    )
