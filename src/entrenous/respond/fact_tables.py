"""Strict parsing of shipped fact tables: TOML in which an unknown, missing or wrong column is an
error.
"""

import tomllib
from datetime import date
from importlib import resources
from typing import Final, TypeVar

import msgspec

from entrenous.base.errors import Malformed


class BadTable(Malformed):
    """The table {table} that came with Entrenous is damaged at {entry}, so it was not used. Install
    Entrenous again.
    """


_PARSE_ERRORS: Final = (msgspec.ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError)
Table = TypeVar("Table")


def shipped_table(name: str) -> bytes:
    """Return the bytes of a file in respond/facts/."""
    return resources.files("entrenous.respond").joinpath("facts", name).read_bytes()


def read_table(kind: type[Table], data: bytes, name: str) -> Table:
    """Parse a table named ``name`` as ``kind``, a msgspec struct; raises BadTable."""
    try:
        return msgspec.convert(tomllib.loads(data.decode()), kind, builtin_types=(date,))
    except _PARSE_ERRORS as why:
        raise BadTable(table=name, entry=str(why)) from None
