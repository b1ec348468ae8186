"""Strict parsing of the shipped tables: laws.toml, wordings.toml and support.toml."""

from datetime import date
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import asdict

from entrenous.respond.fact_tables import BadTable, read_table, shipped_table
from entrenous.respond.law.legal_route import (
    ClockStart,
    HelpLine,
    Reaches,
    Route,
    RouteId,
    RouteKind,
    Wording,
)
from entrenous.respond.law.places import Place

_MAY_FOLLOW: Final = ("scope", "who_may_file", "addressee", "escalation")  # may be "as other-id"
_SAME_NAMES: Final = (
    *("kind", "jurisdiction", "law", "provision", "intimate_only", "covers_private_sharing"),
    *("deadline_rule", "clock", "source", "verified", "verified_by", "deadline_from"),
    *("in_force_from", "in_force_until", "altered_only", "for_children", "penalty", "caution"),
)


class _RouteRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    kind: RouteKind
    clock: ClockStart
    jurisdiction: str
    law: str
    provision: str
    scope: str
    intimate_only: bool
    covers_private_sharing: Reaches
    who_may_file: str
    notice_must_contain: tuple[str, ...]
    addressee: str
    deadline_hours: int
    deadline_rule: str
    escalation: str
    source: str
    verified: bool
    verified_by: str
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


class _Laws(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    read_on: date
    route: dict[str, _RouteRow]


class _WordingRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    says: str = ""
    gap: str = ""
    if_maker_unsaid: str = ""
    if_intimate_unsaid: str = ""


class _Wordings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    wording: dict[str, tuple[_WordingRow, ...]]


class _HelpRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    place: str
    name: str
    who: str
    web: str
    verified: bool
    phone: str = ""
    hours: str = ""
    for_children: bool = False
    read_on: date | None = None


class _Support(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    read_on: date
    contact: dict[str, _HelpRow]


def shipped_routes() -> tuple[Route, ...]:
    """Return every version of every legal route in this release."""
    return read_routes(shipped_table("laws.toml"), shipped_table("wordings.toml"))


def shipped_help_lines() -> tuple[HelpLine, ...]:
    return read_help_lines(shipped_table("support.toml"))


def read_routes(laws: bytes, wordings: bytes) -> tuple[Route, ...]:
    """Parse the routes of a law table, in its order.

    Raises BadTable for invalid TOML, an invalid column, or a dangling reference.
    """
    table = read_table(_Laws, laws, "laws.toml")
    words = read_table(_Wordings, wordings, "wordings.toml").wording
    unknown = sorted(set(words) - set(table.route))
    if unknown:
        raise BadTable(table="wordings.toml", entry=unknown[0])
    return tuple(_route(id_, table, words) for id_ in table.route)


def read_help_lines(support: bytes) -> tuple[HelpLine, ...]:
    """Parse a table of help lines, in its order; raises BadTable."""
    table = read_table(_Support, support, "support.toml")
    return tuple(_help_line(id_, row, table.read_on) for id_, row in table.contact.items())


def _route(id_: str, table: _Laws, words: dict[str, tuple[_WordingRow, ...]]) -> Route:
    row, family = table.route[id_], table.route[id_].version_of or id_
    model = _referenced_route(row.notice_must_contain, table)
    columns: dict[str, Any] = {name: getattr(row, name) for name in _SAME_NAMES}
    columns |= {name: _resolved(name, row, table) for name in _MAY_FOLLOW}
    try:
        return Route(
            **columns,
            id=RouteId(id_),
            family=RouteId(family),
            elements=(table.route[model] if model else row).notice_must_contain,
            read_on=row.read_on or table.read_on,
            wordings=tuple(Wording(**asdict(word)) for word in words.get(model or family, ())),
            deadline_hours=None if row.deadline_hours < 0 else row.deadline_hours,
            leave_out=row.notice_need_not_contain,
            duty=row.platform_duty,
            second_source=row.source2,
        )
    except ValueError as why:
        raise BadTable(table="laws.toml", entry=f"{id_}: {why}") from None


def _resolved(column: str, row: _RouteRow, table: _Laws) -> str:
    text: str = getattr(row, column)
    leader = _referenced_route((text,), table)
    return str(getattr(table.route[leader], column)) if leader else text


def _referenced_route(texts: tuple[str, ...], table: _Laws) -> str | None:
    """Return the route that a column refers to with a single ``as other-id``."""
    if len(texts) != 1 or not texts[0].startswith("as "):
        return None
    id_ = texts[0].removeprefix("as ")
    return id_ if id_ in table.route else None


def _help_line(id_: str, row: _HelpRow, read_on: date) -> HelpLine:
    columns = {**asdict(row), "place": Place(row.place), "read_on": row.read_on or read_on}
    return HelpLine(id=id_, **columns)
