"""Fact tables: strict parsing of the shipped TOML files, and cautions to show with their facts.

An unknown, missing or wrong column is an error.
"""

import tomllib
from datetime import date, timedelta
from importlib import resources
from typing import Final, TypeVar

import msgspec

from entrenous.base.errors import Malformed
from entrenous.base.language import translatable, translated


class BadTable(Malformed):
    """
    The table {table} that came with Entrenous is damaged ({entry}), so it was not used. Your own
    data is not affected. Install Entrenous again.
    """


# facts read longer ago are shown with a caution; docs/spec/case.md section 4
FACT_FRESH_DAYS: Final = 180
STALE_CAUTION: Final = translatable("read more than {days} days ago: it may have changed")
UNVERIFIED_CAUTION: Final = translatable("check with a help line")
UNVERIFIED_CONTACT_CAUTION: Final = translatable("check first that this is still right")
_PARSE_ERRORS: Final = (msgspec.ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError)
TableT = TypeVar("TableT")


def shipped_table(name: str) -> bytes:
    """Return the bytes of a file in respond/facts/."""
    return resources.files("entrenous.respond").joinpath("facts", name).read_bytes()


def read_table(kind: type[TableT], data: bytes, name: str) -> TableT:
    """Parse a table named ``name`` as ``kind``, a msgspec struct; raises BadTable."""
    try:
        return msgspec.convert(tomllib.loads(data.decode()), kind, builtin_types=(date,))
    except _PARSE_ERRORS as why:
        raise BadTable(table=name, entry=str(why)) from None


def fact_cautions(read_on: date, today: date, *, verified: bool) -> tuple[str, ...]:
    """Return the cautions to show with a fact that was read on ``read_on``.

    >>> fact_cautions(date(2026, 1, 1), date(2026, 12, 1), verified=False)
    ('check with a help line', 'read more than 180 days ago: it may have changed')
    """
    texts = () if verified else (translated(UNVERIFIED_CAUTION),)
    old = today - read_on > timedelta(days=FACT_FRESH_DAYS)
    return (*texts, translated(STALE_CAUTION).format(days=FACT_FRESH_DAYS)) if old else texts
