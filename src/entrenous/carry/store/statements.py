"""The SQL that the relay's rows are read and written with, for SQLite and PostgreSQL."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from entrenous.carry.relay_rows import HELD, HeldLetter
from entrenous.carry.store.tables import (
    BULKY,
    codecs,
    is_optional,
    read,
    table_name,
    write,
    written,
)


def cut_full_page(letters: Iterable[HeldLetter], full_bytes: int) -> list[HeldLetter]:
    """Up to the one with which their sealed bytes come to that; none behind it is asked for."""
    page, size = list[HeldLetter](), 0
    for one in letters:
        page.append(one)
        size += len(one.sealed)
        if size >= full_bytes:
            break
    return page


Statement = tuple[str, list[object]]
How = Literal["rows", "counts", "find", "letters", "due", "weigh"]
_LENGTHS: Final = (64, 32, 16, 8, 4, 2, 1)  # of lists in SQLite's statements


class Query(NamedTuple):
    """One question.

    ``rows`` and ``counts`` are by ``names`` for many tuples of values, ``given``; for the others
    it holds the arguments: those of ``find`` are the values and the limit, of ``letters`` mailbox,
    sequence, time, limit and with how many bytes a page is full, of ``due`` time and limit, of
    ``weigh`` what is added and the values.
    """

    how: How
    kind: type
    names: tuple[str, ...]
    given: tuple[Any, ...]

    def read(self, answer: Iterable[Sequence[Any]]) -> Any:
        """What the database's rows say."""
        if self.how == "counts":
            return {self._values(row): row[-1] for row in answer}
        if self.how == "weigh":
            return tuple(*answer)
        if self.how == "letters":
            return cut_full_page((read(HeldLetter, row) for row in answer), self.given[-1])
        return [read(self.kind, row) for row in answer]

    def _values(self, row: Sequence[Any]) -> tuple[object, ...]:
        of = codecs(self.kind)
        return tuple(of[name].read(raw) for name, raw in zip(self.names, row, strict=False))


class SqliteStatements:
    """For sqlite3."""

    def asks(self, ask: Query) -> Iterator[Statement]:
        """One question; its answer is the rows of all of these together."""
        if ask.how not in ("rows", "counts"):
            text, given = _plain(ask, "?", "")
            yield text, bound(given)
            return
        for part in _padded(ask.given):
            given = _flat(ask.kind, ask.names, part)
            yield _many_listed(ask.how, ask.kind, ask.names, len(part)), bound(given)

    def rows(self, ask: Query, cursor: sqlite3.Cursor) -> Iterable[Any]:
        """What ``cursor`` answers to one question: at once, but letters one by one, for they are
        large, and a page may be full of the first. The next statement of the cursor ends that.
        """
        if ask.how == "letters":
            ((text, given),) = self.asks(ask)
            return cursor.execute(text, given)
        found = list[Any]()
        for text, given in self.asks(ask):
            found += cursor.execute(text, given).fetchall()
        return found

    def puts(self, kind: type, rows: Sequence[Any]) -> Iterator[Statement]:
        """Insert, or replace by key; the number of a row is drawn, since the next one would say
        after which other row it came.
        """
        for part in _exact(rows):
            values = [value for row in part for value in written(kind, row)]
            yield _put_listed(kind, len(part)), bound(values)

    def drops(self, kind: type, keys: Sequence[tuple[object, ...]]) -> Iterator[Statement]:
        """Delete by key."""
        for part in _padded(keys):
            yield _delete_listed(kind, len(part)), bound(_flat(kind, HELD[kind], part))


def bound(values: Iterable[object]) -> list[object]:
    """Values as sqlite3 takes them soonest.

    For each that is bytes or None it looks for an adapter, which takes several times as long as to
    copy it; for a bytearray or a text it does not (``need_adapt`` in CPython's
    Modules/_sqlite/statement.c). So None is an empty text, of which :func:`_place` makes NULL.
    """
    return [
        bytearray(value) if type(value) is bytes else "" if value is None else value
        for value in values
    ]


class PostgresStatements:
    """For psycopg; a text's order is that of its bytes, as in SQLite."""

    def asks(self, ask: Query) -> Iterator[Statement]:
        """One question."""
        if ask.how not in ("rows", "counts"):
            yield _plain(ask, "%b", ' COLLATE "C"')
            return
        text = _many(ask.how, ask.kind, ask.names, _among(ask.kind, ask.names))
        yield text, _arrays(ask.kind, ask.names, ask.given)

    def puts(self, kind: type, rows: Sequence[Any]) -> Iterator[Statement]:
        """Insert, or replace by key."""
        names = tuple(codecs(kind))
        values = list(zip(*(written(kind, row) for row in rows), strict=True))
        rows_given = f"SELECT * FROM {_unnest(kind, names)}"  # noqa: S608 -- our own nouns
        yield _put(kind, rows_given), [list(one) for one in values]

    def drops(self, kind: type, keys: Sequence[tuple[object, ...]]) -> Iterator[Statement]:
        """Delete by key."""
        yield _delete(kind, _among(kind, HELD[kind])), _arrays(kind, HELD[kind], keys)


def _plain(ask: Query, mark: str, bytewise: str) -> Statement:
    """A question with arguments of its own."""
    kind, names, given = ask.kind, ask.names, ask.given
    if ask.how == "letters":
        mailbox, after, at, limit, _ = given  # rows are asked for one by one until it is full
        values = [mailbox, after, write(HeldLetter, "expires_at", at), limit]
        return _letters(mark), values
    if ask.how == "due":
        return _due(kind, mark, bytewise), [write(kind, "due_at", given[0]), given[1]]
    if ask.how == "weigh":
        what, *values = given
        lacking = tuple(value is None for value in values)
        wanted = [write(kind, n, v) for n, v in zip(names, values, strict=True) if v is not None]
        return _weigh(kind, what, names, lacking, mark), wanted
    *values, limit = given
    wanted = [write(kind, name, value) for name, value in zip(names, values, strict=True)]
    return _find(kind, names, mark, bytewise), [*wanted, limit]


@cache
def _letters(mark: str) -> str:
    return (
        f"SELECT {_columns(HeldLetter)} FROM {table_name(HeldLetter)} WHERE mailbox = {mark} AND "  # noqa: S608 -- our own nouns
        f"sequence > {mark} AND expires_at > {mark} ORDER BY sequence LIMIT {mark}"
    )


@cache
def _due(kind: type, mark: str, bytewise: str) -> str:
    return (
        f"SELECT {_columns(kind)} FROM {table_name(kind)} WHERE due_at <= {mark} "  # noqa: S608 -- our own nouns
        f"ORDER BY due_at, {_order(kind, bytewise)} LIMIT {mark}"
    )


@cache
def _find(kind: type, names: tuple[str, ...], mark: str, bytewise: str) -> str:
    where = " AND ".join(f'"{name}" = {mark}' for name in names) or "1 = 1"
    return (
        f"SELECT {_columns(kind)} FROM {table_name(kind)} WHERE {where} "  # noqa: S608 -- our own nouns
        f"ORDER BY {_order(kind, bytewise)} LIMIT {mark}"
    )


@cache
def _weigh(
    kind: type, what: str, names: tuple[str, ...], lacking: tuple[bool, ...], mark: str
) -> str:
    tests = [
        f'"{name}" IS NULL' if lacks else f'"{name}" = {mark}'
        for name, lacks in zip(names, lacking, strict=True)
    ]
    total = f'CAST(coalesce(sum("{what}"), 0) AS BIGINT)'
    where = " AND ".join(tests) or "1 = 1"
    return f"SELECT count(*), {total} FROM {table_name(kind)} WHERE {where}"  # noqa: S608 -- our own nouns


def _many(how: How, kind: type, names: tuple[str, ...], among: str) -> str:
    table = table_name(kind)
    if how == "rows":
        return f"SELECT {_columns(kind)} FROM {table} WHERE {among}"  # noqa: S608 -- our own nouns
    if not names:
        return f"SELECT count(*) FROM {table}"  # noqa: S608 -- our own nouns
    listed = _list(names)
    return f"SELECT {listed}, count(*) FROM {table} WHERE {among} GROUP BY {listed}"  # noqa: S608 -- our own nouns


@cache
def _many_listed(how: How, kind: type, names: tuple[str, ...], count: int) -> str:
    return _many(how, kind, names, _among_listed(names, count) if names else "1")


@cache
def _put_listed(kind: type, count: int) -> str:
    numbered = kind in BULKY
    places = [_place(kind, name) for name in codecs(kind)]
    one = "(" + ", ".join(["random()"] * numbered + places) + ")"
    return _put(kind, "VALUES " + ", ".join([one] * count), numbered=numbered)


def _place(kind: type, name: str) -> str:
    """Where a value goes; one that may be missing is bytes or a number, so never an empty text."""
    return "nullif(?, '')" if is_optional(kind, name) else "?"


@cache
def _delete_listed(kind: type, count: int) -> str:
    return _delete(kind, _among_listed(HELD[kind], count))


def _among_listed(names: tuple[str, ...], count: int) -> str:
    """That the fields of these names are one of so many tuples of values."""
    if len(names) == 1:
        return f"{_list(names)} IN ({', '.join('?' * count)})"
    one = "(" + ", ".join("?" * len(names)) + ")"
    return f"({_list(names)}) IN (VALUES {', '.join([one] * count)})"


@cache
def _put(kind: type, rows: str, *, numbered: bool = False) -> str:
    rest = [name for name in codecs(kind) if name not in HELD[kind]]
    change = ", ".join(f'"{name}" = excluded."{name}"' for name in rest)
    act = f"UPDATE SET {change}" if rest else "NOTHING"
    where = "WHERE true " if rows.startswith("SELECT") else ""  # else SQLite reads ON as of a join
    return (
        f"INSERT INTO {table_name(kind)} ({'rowid, ' * numbered}{_columns(kind)}) {rows} {where}"
        f"ON CONFLICT ({_list(HELD[kind])}) DO {act}"
    )


def _delete(kind: type, among: str) -> str:
    return f"DELETE FROM {table_name(kind)} WHERE {among}"  # noqa: S608 -- our own nouns


def _among(kind: type, names: tuple[str, ...]) -> str:
    if not names:
        return "true"
    if len(names) == 1:
        return f"{_list(names)} = ANY(%b::{_sql_type(kind, names[0])}[])"
    return f"({_list(names)}) IN (SELECT * FROM {_unnest(kind, names)})"  # noqa: S608 -- our own nouns


def _unnest(kind: type, names: tuple[str, ...]) -> str:
    return "unnest(" + ", ".join(f"%b::{_sql_type(kind, name)}[]" for name in names) + ")"


def _sql_type(kind: type, name: str) -> str:
    return codecs(kind)[name].postgres


def _arrays(
    kind: type, names: tuple[str, ...], given: Iterable[tuple[object, ...]]
) -> list[object]:
    columns = zip(*given, strict=True)
    return [
        [write(kind, name, value) for value in column]
        for name, column in zip(names, columns, strict=False)
    ]


@cache
def _columns(kind: type) -> str:
    return _list(tuple(codecs(kind)))


def _order(kind: type, bytewise: str) -> str:
    of = codecs(kind)
    return ", ".join(
        f'"{name}"' + (bytewise if of[name].postgres == "text" else "") for name in HELD[kind]
    )


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _flat(kind: type, names: tuple[str, ...], part: Sequence[tuple[object, ...]]) -> list[object]:
    """The values of many keys in a row; most are bytes, which are written as they are."""
    of = codecs(kind)
    if all(of[name].postgres == "bytea" for name in names):
        return [value for key in part for value in key]
    return [write(kind, n, v) for key in part for n, v in zip(names, key, strict=True)]


def _exact(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """In parts of a few lengths, the largest first."""
    at = 0
    for length in _LENGTHS:
        while len(rows) - at >= length:
            yield rows[at : at + length]
            at += length


def _padded(keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The same; the last one is repeated where that saves a part: to be named twice is no harm."""
    most = _LENGTHS[0]
    for at in range(0, len(keys), most):
        part = list(keys[at : at + most])
        length = min(one for one in _LENGTHS if one >= len(part))
        yield part + part[-1:] * (length - len(part))


_WANTED: Final = ("mailbox", "sequence", "expires_at")
#: The lengths of large ones stand in their rows, so those behind a full page are not read for it.
_BEFORE: Final = (
    "coalesce(sum(octet_length(sealed)) OVER (ORDER BY sequence "
    "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)"
)


def pages(asks: Sequence[Query]) -> Statement:
    """One statement for many ``letters``; :func:`by_ask` tells its rows apart."""
    mailboxes, after, times, limits, full = zip(*(ask.given for ask in asks), strict=True)
    at = [write(HeldLetter, "expires_at", time) for time in times]
    return _text(), [list(mailboxes), list(after), at, list(limits), list(full)]


def by_ask(rows: Sequence[Sequence[Any]], count: int) -> list[list[Sequence[Any]]]:
    """The rows of each of ``count`` questions, in their order and without the leading place."""
    found: list[list[Sequence[Any]]] = [[] for _ in range(count)]
    for place, *row in rows:
        found[place - 1].append(row)
    return found


@cache
def _text() -> str:
    of = codecs(HeldLetter)
    given = ", ".join(f"%b::{of[name].postgres}[]" for name in _WANTED)
    columns = ", ".join(f'page."{name}"' for name in of)
    return (
        f"SELECT wanted.place, {columns} FROM unnest({given}, %b::bigint[], %b::bigint[]) "  # noqa: S608 -- our own nouns
        "WITH ORDINALITY AS wanted(mailbox, after, at, most, full_bytes, place) CROSS JOIN LATERAL "
        f"(SELECT letter.*, {_BEFORE} AS before FROM {table_name(HeldLetter)} AS letter "
        "WHERE letter.mailbox = wanted.mailbox AND letter.sequence > wanted.after "
        "AND letter.expires_at > wanted.at ORDER BY letter.sequence LIMIT wanted.most"
        ") AS page WHERE page.before < wanted.full_bytes ORDER BY wanted.place, page.sequence"
    )
