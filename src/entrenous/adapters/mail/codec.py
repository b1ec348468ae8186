"""How the values of model/held.py are written in a database, and read back."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple, get_args, get_type_hints

import sqlalchemy as sql

from entrenous.model.envelope import EnvelopeState
from entrenous.model.secret import Secret


class Codec(NamedTuple):
    """One type of value: its column, PostgreSQL's name for that, and both ways to the database."""

    column: Callable[[], sql.types.TypeEngine[Any]]
    postgres: str
    write: Callable[[Any], object]
    read: Callable[[Any], object]


def _same(value: Any) -> Any:
    return value


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(when: datetime) -> int:
    return int(when.timestamp())


_CODECS: Final[dict[type, Codec]] = {
    bytes: Codec(sql.LargeBinary, "bytea", _same, _same),
    str: Codec(sql.String, "text", _same, _same),
    int: Codec(sql.BigInteger, "bigint", _same, _same),
    bool: Codec(sql.SmallInteger, "smallint", int, bool),
    datetime: Codec(sql.BigInteger, "bigint", _seconds, _moment),
    Secret: Codec(sql.LargeBinary, "bytea", Secret.reveal, Secret),
    EnvelopeState: Codec(sql.String, "text", str, EnvelopeState),
}


@cache
def codecs(kind: type) -> dict[str, Codec]:
    """How each field of a kind is written and read, in the order of its fields."""
    hints = get_type_hints(kind)
    return {field.name: _CODECS[_plain(hints[field.name])] for field in fields(kind)}


def is_optional(kind: type, name: str) -> bool:
    """Whether that field may be None."""
    return type(None) in get_args(get_type_hints(kind)[name])


def write(kind: type, name: str, value: object) -> object:
    """One value as the database takes it."""
    return None if value is None else codecs(kind)[name].write(value)


def read(kind: type, values: Sequence[Any]) -> Any:
    """One row as its noun."""
    row = list(values)
    for at, convert in _unlike(kind, "read"):
        if row[at] is not None:
            row[at] = convert(row[at])
    return kind(*row)


def written(kind: type, row: Any) -> list[object]:
    """One noun as its row."""
    values = list(_fields_of(kind)(row))
    for at, convert in _unlike(kind, "write"):
        if values[at] is not None:
            values[at] = convert(values[at])
    return values


@cache
def _unlike(kind: type, way: str) -> tuple[tuple[int, Callable[[Any], object]], ...]:
    """Where the database writes a field in another way than its noun."""
    ways = [getattr(one, way) for one in codecs(kind).values()]
    return tuple((at, convert) for at, convert in enumerate(ways) if convert is not _same)


@cache
def _fields_of(kind: type) -> Callable[[Any], tuple[Any, ...]]:
    return attrgetter(*codecs(kind))


def _plain(hint: Any) -> Any:
    """The type below ``None |`` and NewType."""
    for part in get_args(hint):
        if part is not type(None):
            return _plain(part)
    return getattr(hint, "__supertype__", hint)
