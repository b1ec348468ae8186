"""A unit of work for a group of requests: each row is read at most once, and changed rows are
usually written only at the end.

Rows that the requests will probably read are prefetched; similar reads of all requests are merged
into one query.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, Final, Protocol, TypeVar, cast

from entrenous.base.identifiers import MailboxId
from entrenous.carry.relay import RowView
from entrenous.carry.relay_rows import KEY_FIELDS, StoredLetter
from entrenous.carry.store.statements import Query, QueryKind

Key = tuple[Any, ...]
UNREAD_ROW: Final = object()  # stands for a row that has not been read yet


@cache
def _field_getter(names: tuple[str, ...]) -> Callable[[Any], Any]:
    return attrgetter(*names)


def values_of(names: tuple[str, ...], row: Any) -> Key:
    if not names:
        return ()
    found: Any = _field_getter(names)(row)
    key: Key = found if len(names) > 1 else (found,)
    return key


def key_of(kind: type, row: Any) -> Key:
    return values_of(KEY_FIELDS[kind], row)


def fill_in_undo(
    undo: tuple[type, Key, Any], kind: type, key: Key, row: Any
) -> tuple[type, Key, Any]:
    """Return ``undo``, an entry (kind, key, previous row). If it has this ``kind`` and ``key``, and
    its previous row had not been read, fill in ``row``.
    """
    return (kind, key, row) if undo[2] is UNREAD_ROW and undo[:2] == (kind, key) else undo


def is_row(value: Any) -> bool:
    return value is not None and value is not UNREAD_ROW


def matches_fields(row: Any, names: tuple[str, ...], values: Key) -> bool:
    """Return whether ``row`` is a row whose fields ``names`` equal ``values``."""
    return is_row(row) and values_of(names, row) == values


def adjust_count(counts: dict[Key, int], names: tuple[str, ...], row: Any, by: int) -> None:
    """Add ``by`` to the count that includes this row."""
    if is_row(row):
        values = values_of(names, row)
        if values in counts:
            counts[values] += by


def update_list(
    lists: dict[Key, dict[Key, Any]], names: tuple[str, ...], key: Key, row: Any, now: Any
) -> None:
    """In the list that ``row`` belongs to, store ``now`` under ``key``; if ``now`` is None, remove
    the row with this key.
    """
    if is_row(row):
        rows = lists.get(values_of(names, row))
        if rows is not None and now is None:
            rows.pop(key, None)
        elif rows is not None:
            rows[key] = now


RowT = TypeVar("RowT")


class QueryRecorder:
    """A :class:`entrenous.carry.relay.RowView` that records every query.

    The recorder returns rows that are cached; for a query that it records, it returns no rows.
    ``cached(kind, key)`` returns a cached row, or UNREAD_ROW; ``pages`` says whether to prefetch
    letters.
    """

    def __init__(self, cached: Callable[[type, Key], Any], *, pages: bool) -> None:
        self._cached = cached
        self._pages = pages
        self._many: dict[
            tuple[QueryKind, type, tuple[str, ...]], dict[tuple[object, ...], None]
        ] = {}
        self._ones: dict[Query, None] = {}

    def queries(self) -> Sequence[Query]:
        """Return all recorded queries; those that differ only in their values are merged
        into one.
        """
        many = [Query(*form, tuple(values)) for form, values in self._many.items()]
        return [*many, *self._ones]

    def get(self, kind: type[RowT], *key: object) -> RowT | None:
        row: RowT | None = self._cached(kind, key)
        if row is not UNREAD_ROW:
            return row
        self._add("rows", kind, KEY_FIELDS[kind], key)
        return None

    def find(self, kind: type[RowT], limit: int | None = None, **fields: object) -> list[RowT]:
        """Record the query, unless it has a limit: such a query is not prefetched."""
        if limit is None:
            self._add("rows", kind, tuple(fields), tuple(fields.values()))
        return []

    def count(self, kind: type[object], **fields: object) -> int:
        self._add("counts", kind, tuple(fields), tuple(fields.values()))
        return 0

    def count_and_sum(self, kind: type[object], what: str, **fields: object) -> tuple[int, int]:
        self._ones[Query("count_and_sum", kind, tuple(fields), (what, *fields.values()))] = None
        return 0, 0

    def find_letters(
        self, mailbox: MailboxId, after: int, at: datetime, limit: int, full_bytes: int
    ) -> list[StoredLetter]:
        if self._pages:
            query = Query("letters", StoredLetter, (), (mailbox, after, at, limit, full_bytes))
            self._ones[query] = None
        return []

    def find_due(self, kind: type[RowT], at: datetime, limit: int) -> list[RowT]:
        self._ones[Query("due", kind, (), (at, limit))] = None
        return []

    def _add(
        self, how: QueryKind, kind: type, names: tuple[str, ...], values: tuple[object, ...]
    ) -> None:
        self._many.setdefault((how, kind, names), {})[values] = None


class TransactionRows(Protocol):
    """The rows of a transaction, in SQLite or in PostgreSQL."""

    def run_queries(self, queries: Sequence[Query]) -> list[Any]:
        """Return each query's result, as :meth:`Query.convert_rows` converts it."""

    def write(self, kind: type, puts: Sequence[Any], drops: Sequence[Key]) -> None:
        """Store or replace rows, and delete those with these keys."""


class _CachedRow:
    """A row as it is in the database (``kept``), and as it is to be written (``now``).

    Either is None if there is no such row, and UNREAD_ROW if the row has not been read.
    """

    __slots__ = ("kept", "now")

    def __init__(self, kept: Any, now: Any) -> None:
        self.kept = kept
        self.now = now


class UnitOfWork:
    """Implements :class:`entrenous.carry.relay.RowTransaction` for one transaction.

    ``pages_ahead`` says whether prefetching the pages of many mailboxes together is worthwhile.
    """

    def __init__(self, rows: TransactionRows, *, pages_ahead: bool) -> None:
        self._rows = rows
        self._pages_ahead = pages_ahead
        self._held: defaultdict[type, dict[Key, _CachedRow]] = defaultdict(dict)
        self._changed: defaultdict[type, dict[Key, _CachedRow]] = defaultdict(dict)
        self._counts: defaultdict[type, dict[tuple[str, ...], dict[Key, int]]] = defaultdict(dict)
        self._lists: defaultdict[type, dict[tuple[str, ...], dict[Key, dict[Key, Any]]]]
        self._lists = defaultdict(dict)
        self._answers: dict[Query, Any] = {}  # valid until a row of the query's kind changes
        self._undo: list[tuple[type, Key, Any]] = []
        self._touched: defaultdict[type, set[Key]] = defaultdict(set)

    def prefetch(self, hints: Iterable[Callable[[RowView], object]]) -> None:
        """Call the hints, then read together everything that they ask for and that is not cached.

        Call this before any work starts.
        """
        recorder = QueryRecorder(self._cached_row, pages=self._pages_ahead)
        for hint in hints:
            hint(recorder)
        queries = recorder.queries()
        for query, answer in zip(
            queries, self._rows.run_queries(queries) if queries else (), strict=True
        ):
            self._cache_prefetched(query, answer)

    def begin(self) -> None:
        """Start recording changes for :meth:`undo`."""
        self._undo.clear()

    def undo(self) -> None:
        """Undo all changes since :meth:`begin`."""
        while self._undo:
            kind, key, before = self._undo.pop()
            self._set_entry(kind, key, self._held[kind][key], before)

    def flush(self) -> None:
        for kind in list(self._changed):
            self._write_changes(kind)

    def drop_cache(self, stay: Mapping[type, Callable[[Any], bool]]) -> None:
        """After a commit, drop the cached rows, except those that the predicate for their kind in
        ``stay`` accepts.
        """
        self._counts.clear()
        self._lists.clear()
        self._answers.clear()
        for kind, keys in self._touched.items():
            held = self._held[kind]
            if kind not in stay:
                held.clear()
                continue
            for key in keys:
                entry = held.get(key)
                if entry and not (is_row(entry.now) and stay[kind](entry.now)):
                    del held[key]
        self._touched.clear()

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def get(self, kind: type[RowT], *key: object) -> RowT | None:
        entry = self._held[kind].get(key)
        if entry is None or entry.now is UNREAD_ROW:
            self._load_rows(kind, [key])
            entry = self._held[kind][key]
        row: RowT | None = entry.now
        return row

    def find(self, kind: type[RowT], limit: int | None = None, **fields: object) -> list[RowT]:
        names, values = tuple(fields), tuple(fields.values())
        if limit is not None:
            self._write_changes_now(kind)
            return cast("list[RowT]", self._run_query(Query("find", kind, names, (*values, limit))))
        lists = self._lists[kind].get(names)
        if lists is None or values not in lists:
            found = self._run_query(Query("rows", kind, names, (values,)))
            self._cache_list(kind, names, values, found)
            lists = self._lists[kind][names]
        rows = lists[values]
        return [rows[key] for key in sorted(rows)]

    def count(self, kind: type[Any], **fields: object) -> int:
        names, values = tuple(fields), tuple(fields.values())
        counts = self._counts[kind].get(names)
        if counts is None or values not in counts:
            found = self._run_query(Query("counts", kind, names, (values,)))
            self._cache_count(kind, names, values, found.get(values, 0))
            counts = self._counts[kind][names]
        return counts[values]

    def count_and_sum(self, kind: type[Any], what: str, **fields: object) -> tuple[int, int]:
        query = Query("count_and_sum", kind, tuple(fields), (what, *fields.values()))
        return cast("tuple[int, int]", self._answer_from_database(query))

    def find_letters(
        self, mailbox: MailboxId, after: int, at: datetime, limit: int, full_bytes: int
    ) -> list[StoredLetter]:
        query = Query("letters", StoredLetter, (), (mailbox, after, at, limit, full_bytes))
        return cast("list[StoredLetter]", self._answer_from_database(query))

    def find_due(self, kind: type[RowT], at: datetime, limit: int) -> list[RowT]:
        return cast("list[RowT]", self._answer_from_database(Query("due", kind, (), (at, limit))))

    def put(self, row: Any) -> None:
        kind: type = type(row)
        self._change_row(kind, key_of(kind, row), row)

    def drop(self, kind: type[Any], *key: object) -> None:
        self._change_row(kind, key, None)

    # --- rows that are cached ---

    def _cached_row(self, kind: type, key: Key) -> Any:
        entry = self._held[kind].get(key)
        return UNREAD_ROW if entry is None else entry.now

    def _load_rows(self, kind: type, keys: Sequence[Key]) -> None:
        self._cache_rows(
            kind, keys, self._run_query(Query("rows", kind, KEY_FIELDS[kind], tuple(keys)))
        )

    def _cache_prefetched(self, query: Query, answer: Any) -> None:
        """Cache the answer to a prefetched query; no row has changed yet."""
        if query.how == "counts":
            for values in query.given:
                self._cache_count(query.kind, query.names, values, answer.get(values, 0))
        elif query.how != "rows":
            self._answers[query] = answer
        elif query.names == KEY_FIELDS[query.kind]:
            self._cache_rows(query.kind, query.given, answer)
        else:
            found: dict[Key, list[Any]] = {values: [] for values in query.given}
            for row in answer:
                found[values_of(query.names, row)].append(row)
            for values, rows in found.items():
                self._cache_list(query.kind, query.names, values, rows)

    def _cache_rows(self, kind: type, keys: Sequence[Key], rows: list[Any]) -> None:
        found = {key_of(kind, row): row for row in rows}
        held = self._held[kind]
        self._touched[kind].update(keys)
        for key in keys:
            row, entry = found.get(key), held.get(key)
            if entry is None:
                held[key] = _CachedRow(row, row)
            elif entry.kept is UNREAD_ROW:
                entry.kept = row
                entry.now = row if entry.now is UNREAD_ROW else entry.now
                self._undo = [fill_in_undo(undo, kind, key, row) for undo in self._undo]

    def _cache_count(self, kind: type, names: tuple[str, ...], values: Key, count: int) -> None:
        for entry in self._pending_changes(kind):
            count += matches_fields(entry.now, names, values) - matches_fields(
                entry.kept, names, values
            )
        self._counts[kind].setdefault(names, {})[values] = count

    def _cache_list(self, kind: type, names: tuple[str, ...], values: Key, rows: list[Any]) -> None:
        found = {key_of(kind, row): row for row in rows}
        self._cache_rows(kind, tuple(found), rows)
        for entry in self._pending_changes(kind):
            if matches_fields(entry.kept, names, values):
                found.pop(key_of(kind, entry.kept), None)
            if matches_fields(entry.now, names, values):
                found[key_of(kind, entry.now)] = entry.now
        self._lists[kind].setdefault(names, {})[values] = found

    def _pending_changes(self, kind: type) -> list[_CachedRow]:
        """Return the pending changes, with the rows that they replace."""
        changed = self._changed.get(kind)
        if not changed:
            return []
        if blind := [key for key, entry in changed.items() if entry.kept is UNREAD_ROW]:
            self._load_rows(kind, blind)
        return list(changed.values())

    def _run_query(self, query: Query) -> Any:
        return self._rows.run_queries([query])[0]

    def _answer_from_database(self, query: Query) -> Any:
        """Return the prefetched answer if no row of the query's kind has changed; otherwise write
        the pending changes and query the database.
        """
        if query in self._answers and not self._changed.get(query.kind):
            return self._answers[query]
        self._write_changes_now(query.kind)
        return self._run_query(query)

    # --- changes to be written ---

    def _change_row(self, kind: type, key: Key, row: Any) -> None:
        held = self._held[kind]
        entry = held.get(key)
        if entry is None:
            if self._counts.get(kind) or self._lists.get(kind):
                self._load_rows(kind, [key])  # counts need to know the row that is replaced
                entry = held[key]
            else:
                entry = held[key] = _CachedRow(UNREAD_ROW, UNREAD_ROW)
        if entry.now is row:  # nothing changes, for example because the row was deleted before
            return
        self._undo.append((kind, key, entry.now))
        self._touched[kind].add(key)
        self._set_entry(kind, key, entry, row)

    def _set_entry(self, kind: type, key: Key, entry: _CachedRow, row: Any) -> None:
        before, entry.now = entry.now, row
        self._changed[kind][key] = entry
        for names, counts in self._counts.get(kind, {}).items():
            adjust_count(counts, names, before, -1)
            adjust_count(counts, names, row, 1)
        for names, lists in self._lists.get(kind, {}).items():
            update_list(lists, names, key, before, None)
            update_list(lists, names, key, row, row)

    def _write_changes_now(self, kind: type) -> None:
        """Write pending changes of this kind during work.

        The rows that they replace must be known, since the work may be undone.
        """
        if self._changed.get(kind):
            self._pending_changes(kind)
            self._write_changes(kind)
        self._answers = {
            query: answer for query, answer in self._answers.items() if query.kind is not kind
        }

    def _write_changes(self, kind: type) -> None:
        changed = self._changed.pop(kind, {})
        wanted = [(k, e) for k, e in changed.items() if e.now is not e.kept]
        puts = [e.now for _, e in wanted if e.now is not None and e.now is not UNREAD_ROW]
        drops = [key for key, entry in wanted if entry.now is None]
        if puts or drops:
            self._rows.write(kind, puts, drops)
        for entry in changed.values():
            entry.kept = entry.now


class ReadOnlyView:
    """A read-only :class:`entrenous.carry.relay.RowView` of a unit of work."""

    __slots__ = ("count", "count_and_sum", "find", "find_due", "find_letters", "get")

    def __init__(self, tx: UnitOfWork) -> None:
        self.get, self.find, self.count = tx.get, tx.find, tx.count
        self.count_and_sum = tx.count_and_sum
        self.find_letters, self.find_due = tx.find_letters, tx.find_due
