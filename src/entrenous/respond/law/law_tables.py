"""Strict parsing of the shipped law tables in facts/laws/.

The routes and the changes of laws are each parsed once, when they are first needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import msgspec

from entrenous.respond.fact_tables import BadTable, read_table, shipped_table
from entrenous.respond.law.legal_route import (
    DeadlineStart,
    DocumentKind,
    Route,
    RouteId,
    RouteKind,
    WhetherCovered,
)
from entrenous.respond.situation import Spread

# columns that may refer to another route with "as other-id"
_REFERRING_COLUMNS: Final = ("scope", "who_may_file", "addressee", "escalation")
_COPIED_COLUMNS: Final = (
    *("kind", "jurisdiction", "law", "provision", "intimate_only", "covers_private_sharing"),
    *("deadline_rule", "clock", "source", "verified", "verified_by", "deadline_from"),
    *("in_force_from", "in_force_until", "altered_only", "for_children", "penalty", "caution"),
    *("document", "posted", "representative", "platform_kinds", "platform", "sender_known"),
    *("depicted_only", "maker_only", "by_platform", "form_at"),
)


class _RouteRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    kind: RouteKind
    clock: DeadlineStart
    jurisdiction: str
    law: str
    provision: str
    scope: str
    intimate_only: bool
    covers_private_sharing: WhetherCovered
    who_may_file: str
    notice_must_contain: tuple[str, ...]
    addressee: str
    deadline_hours: int
    deadline_rule: str
    escalation: str
    source: str
    verified: bool
    verified_by: str
    document: DocumentKind
    posted: tuple[Spread, ...]
    representative: WhetherCovered
    platform_kinds: tuple[str, ...] = ()
    platform: str = ""
    sender_known: bool = False
    depicted_only: bool = True
    maker_only: bool = False
    by_platform: bool = False
    form_at: Literal["report_url", "tida_process_url"] = "report_url"
    deadline_from: str = ""
    in_force_from: date | None = None
    in_force_until: date | None = None
    read_on: date | None = None
    version_of: str | None = None
    altered_only: bool = False
    for_children: bool = False
    notice_need_not_contain: tuple[str, ...] = ()
    platform_duty: str = ""
    penalty: str = ""
    caution: str = ""
    source2: str = ""
    next_routes: tuple[str, ...] = ()


class _DatedSentence(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    since: date
    says: str


class _LawChangeRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    what_changed: str
    since: date
    source: str
    verified: bool
    verified_by: str
    law: bool
    route: str = ""
    tell: tuple[_DatedSentence, ...] = ()
    since_note: str = ""
    source2: str = ""


class _LawTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    read_on: date
    route: dict[str, _RouteRow]
    update: dict[str, _LawChangeRow] = {}


@dataclass(frozen=True, slots=True)
class LawChange:
    """A change of a route, or of the law around it, and the day from which it applies.

    ``law`` is false for a bill, a draft or a guideline, which is never offered. ``tell`` has
    sentences to show with the route, each with the first day on which to show it.
    """

    id: str
    route: RouteId | None
    what: str
    since: date
    since_note: str
    law: bool
    tell: tuple[tuple[date, str], ...]
    source: str
    read_on: date
    verified: bool
    verified_by: str
    second_source: str = ""


@cache
def shipped_routes() -> tuple[Route, ...]:
    """Return every version of every legal route in this release."""
    return read_routes(_shipped_laws())


@cache
def shipped_changes() -> tuple[LawChange, ...]:
    """Return the known changes of these laws in this release, including bills."""
    return read_changes(_shipped_laws())


def read_routes(laws: Mapping[str, bytes]) -> tuple[Route, ...]:
    """Parse the routes in the law tables, in the order of the tables.

    Args:
        laws: the tables by file name. The same id may not be in two of them.

    Raises BadTable for invalid TOML, an invalid column, or a dangling reference.
    """
    rows = _rows_by_id({name: read_table(_LawTable, data, name) for name, data in laws.items()})
    return tuple(_parse_route(id_, rows) for id_ in rows)


def read_changes(laws: Mapping[str, bytes]) -> tuple[LawChange, ...]:
    """Parse the changes in the law tables; raises BadTable."""
    tables = {name: read_table(_LawTable, data, name) for name, data in laws.items()}
    return tuple(
        _parse_change(id_, row, name, tables)
        for name, table in tables.items()
        for id_, row in table.update.items()
    )


def _shipped_laws() -> dict[str, bytes]:
    folder = resources.files("entrenous.respond").joinpath("facts", "laws")
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir(), key=str)}


@dataclass(frozen=True, slots=True)
class _RowInFile:
    """A row, its file, and the day on which somebody last read the legal sources behind it."""

    row: _RouteRow
    file: str
    read_on: date


def _rows_by_id(tables: dict[str, _LawTable]) -> dict[str, _RowInFile]:
    rows: dict[str, _RowInFile] = {}
    for name, table in tables.items():
        for id_, row in table.route.items():
            if id_ in rows:
                raise BadTable(table=name, entry=f"{id_}: this id is in {rows[id_].file} too")
            rows[id_] = _RowInFile(row, name, row.read_on or table.read_on)
    return rows


def _parse_route(id_: str, rows: dict[str, _RowInFile]) -> Route:
    row, family = rows[id_].row, rows[id_].row.version_of or id_
    model = _referenced_route(row.notice_must_contain, rows)
    columns: dict[str, Any] = {name: getattr(row, name) for name in _COPIED_COLUMNS}
    columns |= {name: _resolve_reference(name, row, rows) for name in _REFERRING_COLUMNS}
    dangling = [one for one in row.next_routes if one not in rows]
    if dangling:
        raise BadTable(table=rows[id_].file, entry=f"{id_}: there is no route {dangling[0]}")
    try:
        return Route(
            **columns,
            id=RouteId(id_),
            family=RouteId(family),
            elements=(rows[model].row if model else row).notice_must_contain,
            read_on=rows[id_].read_on,
            deadline_hours=None if row.deadline_hours < 0 else row.deadline_hours,
            leave_out=row.notice_need_not_contain,
            duty=row.platform_duty,
            second_source=row.source2,
            next_routes=tuple(map(RouteId, row.next_routes)),
        )
    except ValueError as why:
        raise BadTable(table=rows[id_].file, entry=f"{id_}: {why}") from None


def _resolve_reference(column: str, row: _RouteRow, rows: dict[str, _RowInFile]) -> str:
    text: str = getattr(row, column)
    referenced = _referenced_route((text,), rows)
    return str(getattr(rows[referenced].row, column)) if referenced else text


def _referenced_route(texts: tuple[str, ...], rows: dict[str, _RowInFile]) -> str | None:
    """Return the route that a column refers to with a single ``as other-id``."""
    if len(texts) != 1 or not texts[0].startswith("as "):
        return None
    id_ = texts[0].removeprefix("as ")
    return id_ if id_ in rows else None


def _parse_change(
    id_: str, row: _LawChangeRow, name: str, tables: dict[str, _LawTable]
) -> LawChange:
    if row.route and not any(row.route in table.route for table in tables.values()):
        raise BadTable(table=name, entry=f"{id_}: there is no route {row.route}")
    return LawChange(
        id=id_,
        route=RouteId(row.route) if row.route else None,
        what=row.what_changed,
        tell=tuple((one.since, one.says) for one in row.tell),
        read_on=tables[name].read_on,
        second_source=row.source2,
        **{
            column: getattr(row, column)
            for column in ("since", "since_note", "law", "source", "verified", "verified_by")
        },
    )


_OWN_LETTERS_FILE: Final = "own-letters.toml"


@cache
def builtin_letter_routes() -> tuple[Route, ...]:
    """Return the program's own letters, described like routes."""
    return read_routes({_OWN_LETTERS_FILE: shipped_table(_OWN_LETTERS_FILE)})


def builtin_letter_route(name: str) -> Route | None:
    """Return one of the program's own letters by name, e.g. "account-threat"; None if there is
    none.
    """
    return next((route for route in builtin_letter_routes() if route.id == name), None)
