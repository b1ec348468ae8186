"""How the values of model/held.py are written in a database, and read back."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple, get_args, get_type_hints

import sqlalchemy as sql

from entrenous.model.envelope import EnvelopeState
from entrenous.model.secret import Secret


class Codec(NamedTuple):
    """One type of value: its column, and both ways between it and the database."""

    column: Callable[[], sql.types.TypeEngine[Any]]
    write: Callable[[Any], object]
    read: Callable[[Any], object]


def _same(value: Any) -> Any:
    return value


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(when: datetime) -> int:
    return int(when.timestamp())


_CODECS: Final[dict[type, Codec]] = {
    bytes: Codec(sql.LargeBinary, _same, _same),
    str: Codec(sql.String, _same, _same),
    int: Codec(sql.BigInteger, _same, _same),
    bool: Codec(sql.SmallInteger, int, bool),
    datetime: Codec(sql.BigInteger, _seconds, _moment),
    Secret: Codec(sql.LargeBinary, Secret.reveal, Secret),
    EnvelopeState: Codec(sql.String, str, EnvelopeState),
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
    of = codecs(kind).values()
    return kind(
        *(None if raw is None else one.read(raw) for one, raw in zip(of, values, strict=True))
    )


def _plain(hint: Any) -> Any:
    """The type below ``None |`` and NewType."""
    for part in get_args(hint):
        if part is not type(None):
            return _plain(part)
    return getattr(hint, "__supertype__", hint)
