"""The desk of a group of requests: every row is read once, and written once, at the end.

Work of one request after the other runs on it. A row that was read or written before is known; what
is written waits until :meth:`Behind.flush`, and is undone where a request is refused. Counts and
lists are kept up to date by what is written after they were read.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast

from entrenous.adapters.mail.group.ahead import Ahead
from entrenous.adapters.mail.group.row_values import (
    UNKNOWN,
    Key,
    has,
    key_of,
    known,
    recount,
    relist,
    values_of,
)
from entrenous.adapters.mail.wording import Ask
from entrenous.model.held import HELD, HeldLetter
from entrenous.model.ids import MailboxId
from entrenous.ports import MailView

Row = TypeVar("Row")


class Rows(Protocol):
    """The tables inside of a transaction."""

    def answer(self, asks: Sequence[Ask]) -> list[Any]:
        """What each question's :meth:`Ask.read` makes of its rows."""
        ...

    def write(self, kind: type, puts: Sequence[Any], drops: Sequence[Key]) -> None:
        """Store or replace rows; forget those of these keys."""
        ...


class _Entry:
    """A row as the database has it now, and as it is to be."""

    __slots__ = ("kept", "now")

    def __init__(self, kept: Any, now: Any) -> None:
        self.kept = kept
        self.now = now


def _is_row(value: Any) -> bool:
    return value is not None and value is not UNKNOWN


class Behind:
    """A :class:`entrenous.ports.MailDesk` for one transaction.

    ``pages_ahead`` says whether the pages of many mailboxes are read sooner together than one by
    one, so that they are worth a look ahead.
    """

    def __init__(self, rows: Rows, *, pages_ahead: bool) -> None:
        self._rows = rows
        self._pages_ahead = pages_ahead
        self._held: defaultdict[type, dict[Key, _Entry]] = defaultdict(dict)
        self._changed: defaultdict[type, dict[Key, _Entry]] = defaultdict(dict)
        self._counts: defaultdict[type, dict[tuple[str, ...], dict[Key, int]]] = defaultdict(dict)
        self._lists: defaultdict[type, dict[tuple[str, ...], dict[Key, dict[Key, Any]]]]
        self._lists = defaultdict(dict)
        self._said: dict[Ask, Any] = {}  # as long as no row of that kind changes
        self._undo: list[tuple[type, Key, Any]] = []
        self._touched: defaultdict[type, set[Key]] = defaultdict(set)

    def look_ahead(self, looks: Iterable[Callable[[MailView], object]]) -> None:
        """Read what these will ask for and is not known, all at once; before any work."""
        ahead = Ahead(lambda kind, key: key in self._held[kind], pages=self._pages_ahead)
        for look in looks:
            look(ahead)
        asks = ahead.asks()
        for ask, answer in zip(asks, self._rows.answer(asks) if asks else (), strict=True):
            self._learn(ask, answer)

    def begin(self) -> None:
        """From here on, :meth:`undo` undoes."""
        self._undo.clear()

    def undo(self) -> None:
        """Take back all that was written since :meth:`begin`."""
        while self._undo:
            kind, key, before = self._undo.pop()
            self._set(kind, key, self._held[kind][key], before)

    def flush(self) -> None:
        """Write everything that waits."""
        for kind in list(self._changed):
            self._write(kind)

    def settle(self, stay: Mapping[type, Callable[[Any], bool]]) -> None:
        """After a commit: remember rows of the kinds that may ``stay`` as far as that says so."""
        self._counts.clear()
        self._lists.clear()
        self._said.clear()
        for kind, keys in self._touched.items():
            held = self._held[kind]
            if kind not in stay:
                held.clear()
                continue
            for key in keys:
                entry = held.get(key)
                if entry and not (_is_row(entry.now) and stay[kind](entry.now)):
                    del held[key]
        self._touched.clear()

    def __len__(self) -> int:
        """How many rows are remembered."""
        return sum(map(len, self._held.values()))

    def get(self, kind: type[Row], *key: object) -> Row | None:
        """The row, or None."""
        entry = self._held[kind].get(key)
        if entry is None or entry.now is UNKNOWN:
            self._load(kind, [key])
            entry = self._held[kind][key]
        return cast("Row | None", entry.now)

    def find(self, kind: type[Row], limit: int | None = None, **fields: object) -> list[Row]:
        """Rows whose fields equal these."""
        names, values = tuple(fields), tuple(fields.values())
        if limit is not None:
            self._write_now(kind)
            return cast("list[Row]", self._one(Ask("find", kind, names, (*values, limit))))
        lists = self._lists[kind].get(names)
        if lists is None or values not in lists:
            found = self._one(Ask("rows", kind, names, (values,)))
            self._learn_list(kind, names, values, found)
            lists = self._lists[kind][names]
        rows = lists[values]
        return [rows[key] for key in sorted(rows)]

    def count(self, kind: type[Any], **fields: object) -> int:
        """How many rows have fields that equal these."""
        names, values = tuple(fields), tuple(fields.values())
        counts = self._counts[kind].get(names)
        if counts is None or values not in counts:
            found = self._one(Ask("counts", kind, names, (values,)))
            self._learn_count(kind, names, values, found.get(values, 0))
            counts = self._counts[kind][names]
        return counts[values]

    def weigh(self, kind: type[Any], what: str, **fields: object) -> tuple[int, int]:
        """How many rows have fields that equal these or lack them; the sum of ``what``."""
        ask = Ask("weigh", kind, tuple(fields), (what, *fields.values()))
        return cast("tuple[int, int]", self._still(ask))

    def letters(
        self, mailbox: MailboxId, after: int, at: datetime, limit: int, full_bytes: int
    ) -> list[HeldLetter]:
        """Letters that wait in a mailbox."""
        ask = Ask("letters", HeldLetter, (), (mailbox, after, at, limit, full_bytes))
        return cast("list[HeldLetter]", self._still(ask))

    def due(self, kind: type[Row], at: datetime, limit: int) -> list[Row]:
        """Rows whose time has come."""
        return cast("list[Row]", self._still(Ask("due", kind, (), (at, limit))))

    def put(self, row: Any) -> None:
        """Store or replace a row."""
        kind: type = type(row)
        self._change(kind, key_of(kind, row), row)

    def drop(self, kind: type[Any], *key: object) -> None:
        """Forget a row."""
        self._change(kind, key, None)

    # --- what is known ---

    def _load(self, kind: type, keys: Sequence[Key]) -> None:
        self._learn_rows(kind, keys, self._one(Ask("rows", kind, HELD[kind], tuple(keys))))

    def _learn(self, ask: Ask, answer: Any) -> None:
        """Take in what was read ahead: nothing has changed yet."""
        if ask.how == "counts":
            for values in ask.given:
                self._learn_count(ask.kind, ask.names, values, answer.get(values, 0))
        elif ask.how != "rows":
            self._said[ask] = answer
        elif ask.names == HELD[ask.kind]:
            self._learn_rows(ask.kind, ask.given, answer)
        else:
            found: dict[Key, list[Any]] = {values: [] for values in ask.given}
            for row in answer:
                found[values_of(ask.names, row)].append(row)
            for values, rows in found.items():
                self._learn_list(ask.kind, ask.names, values, rows)

    def _learn_rows(self, kind: type, keys: Sequence[Key], rows: list[Any]) -> None:
        found = {key_of(kind, row): row for row in rows}
        held = self._held[kind]
        self._touched[kind].update(keys)
        for key in keys:
            row, entry = found.get(key), held.get(key)
            if entry is None:
                held[key] = _Entry(row, row)
            elif entry.kept is UNKNOWN:
                entry.kept = row
                entry.now = row if entry.now is UNKNOWN else entry.now
                self._undo = [known(undo, kind, key, row) for undo in self._undo]

    def _learn_count(self, kind: type, names: tuple[str, ...], values: Key, count: int) -> None:
        for entry in self._differing(kind):
            count += has(entry.now, names, values) - has(entry.kept, names, values)
        self._counts[kind].setdefault(names, {})[values] = count

    def _learn_list(self, kind: type, names: tuple[str, ...], values: Key, rows: list[Any]) -> None:
        found = {key_of(kind, row): row for row in rows}
        self._learn_rows(kind, tuple(found), rows)
        for entry in self._differing(kind):
            if has(entry.kept, names, values):
                found.pop(key_of(kind, entry.kept), None)
            if has(entry.now, names, values):
                found[key_of(kind, entry.now)] = entry.now
        self._lists[kind].setdefault(names, {})[values] = found

    def _differing(self, kind: type) -> list[_Entry]:
        """What waits to be written, with what it replaces."""
        changed = self._changed.get(kind)
        if not changed:
            return []
        if blind := [key for key, entry in changed.items() if entry.kept is UNKNOWN]:
            self._load(kind, blind)
        return list(changed.values())

    def _one(self, ask: Ask) -> Any:
        return self._rows.answer([ask])[0]

    def _still(self, ask: Ask) -> Any:
        """A question that only the database answers, so that what waits is written first."""
        if ask in self._said and not self._changed.get(ask.kind):
            return self._said[ask]
        self._write_now(ask.kind)
        return self._one(ask)

    # --- what is to be written ---

    def _change(self, kind: type, key: Key, row: Any) -> None:
        held = self._held[kind]
        entry = held.get(key)
        if entry is None:
            if self._counts.get(kind) or self._lists.get(kind):
                self._load(kind, [key])  # what it replaces may be in a count
                entry = held[key]
            else:
                entry = held[key] = _Entry(UNKNOWN, UNKNOWN)
        self._undo.append((kind, key, entry.now))
        self._touched[kind].add(key)
        self._set(kind, key, entry, row)

    def _set(self, kind: type, key: Key, entry: _Entry, row: Any) -> None:
        before, entry.now = entry.now, row
        self._changed[kind][key] = entry
        for names, counts in self._counts.get(kind, {}).items():
            recount(counts, names, before, -1)
            recount(counts, names, row, 1)
        for names, lists in self._lists.get(kind, {}).items():
            relist(lists, names, key, before, None)
            relist(lists, names, key, row, row)

    def _write_now(self, kind: type) -> None:
        """In the midst of work: what it replaces has to be known, for it may be undone."""
        if self._changed.get(kind):
            self._differing(kind)
            self._write(kind)
        self._said = {ask: answer for ask, answer in self._said.items() if ask.kind is not kind}

    def _write(self, kind: type) -> None:
        changed = self._changed.pop(kind, {})
        wanted = [(k, e) for k, e in changed.items() if e.now is not e.kept]
        puts = [e.now for _, e in wanted if e.now is not None and e.now is not UNKNOWN]
        drops = [key for key, entry in wanted if entry.now is None]
        if puts or drops:
            self._rows.write(kind, puts, drops)
        for entry in changed.values():
            entry.kept = entry.now


class View:
    """A :class:`entrenous.ports.MailView` of a desk, by which nothing is put or dropped."""

    __slots__ = ("count", "due", "find", "get", "letters", "weigh")

    def __init__(self, desk: Behind) -> None:
        self.get, self.find, self.count = desk.get, desk.find, desk.count
        self.weigh, self.letters, self.due = desk.weigh, desk.letters, desk.due
