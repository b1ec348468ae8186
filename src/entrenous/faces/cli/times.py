"""A time that a person types: one form, so that no other number is taken for one."""

import re
from datetime import UTC, datetime
from typing import Any, Final

import typer

_FORM: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)
_EARLIEST_YEAR: Final = 1990  # before, there was nowhere to see it
_SHOWN: Final = "write it as 2026-11-25, 2026-11-25T09:30 or 2026-11-25T09:30+01:00"


def time_option(words: str) -> Any:
    """An option that takes a time."""
    return typer.Option(help=words, metavar="TIME", parser=typed_time)


def typed_time(typed: str) -> datetime:
    """A time as a person typed it, in UTC, which commands say it is in unless it says otherwise; of
    a day alone its beginning.

    Raises:
        BadParameter: it is written otherwise, or lies before 1990 or after what a calendar holds.
    """
    text = typed.strip()
    try:
        moment = datetime.fromisoformat(text) if _FORM.fullmatch(text) else None
        if moment is not None and moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.year < _EARLIEST_YEAR:
        raise typer.BadParameter(f"{typed!r} is no time that can be used here: {_SHOWN}")
    return moment.replace(tzinfo=UTC)
