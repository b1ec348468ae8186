"""The tables of the check-up: systems, synchronized folders, questions and the order of steps.

Each is strictly parsed: an unknown, missing or wrong field refuses the whole table
(docs/spec/learn.md section 2).
"""

import re
import tomllib
from datetime import date
from functools import cache
from importlib import resources
from typing import Annotated, Final, TypeVar

import msgspec

from entrenous.base.errors import Malformed
from entrenous.base.language import day_in_words, translated

STALE_DAYS: Final = 180
QUESTIONS_MAX: Final = 12
STEPS_MAX: Final = 5


class BadFacts(Malformed):
    """The table {name} that came with Entrenous is damaged: {why}. Install Entrenous again."""


class SystemEnd(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The last day on which everybody gets security updates for one version of a system."""

    system: str
    version: str
    name: str
    ends: date
    source: str
    verified: bool
    verified_by: str
    ends_enterprise: date | None = None
    note: str = ""


class Setting(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A program's settings file, and the pattern whose first group is a folder."""

    file: str
    pattern: str

    def __post_init__(self) -> None:
        if re.compile(self.pattern).groups != 1:
            raise ValueError("a pattern has one group")


class SyncService(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A program that copies a folder to other machines, and how its folder is recognized."""

    id: str
    name: str
    markers: tuple[str, ...]
    folders: tuple[str, ...]
    variables: tuple[str, ...]
    settings: tuple[Setting, ...]
    source: str
    verified: bool
    verified_by: str


class Answer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One possible answer. ``path`` says whether the leak path is then open or closed."""

    key: str
    says: str
    path: Annotated[str, msgspec.Meta(pattern="^(open|closed|unknown)$")]


class CheckUpQuestion(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One question that only the person can answer; always skippable."""

    id: str
    question: str
    why: str
    closes: str
    answers: Annotated[tuple[Answer, ...], msgspec.Meta(min_length=2)]
    step: str
    undo: str
    source: str
    verified: bool
    verified_by: str


class OrderedCheck(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    id: str
    reason: str


class _Systems(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: int
    read_on: date
    system: tuple[SystemEnd, ...]


class _Synced(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: int
    read_on: date
    service: tuple[SyncService, ...]


class _Questions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: int
    read_on: date
    question: Annotated[tuple[CheckUpQuestion, ...], msgspec.Meta(max_length=QUESTIONS_MAX)]


class _Order(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: int
    check: tuple[OrderedCheck, ...]


_Table = TypeVar("_Table")


@cache
def shipped_systems() -> _Systems:
    return _read_shipped_table("facts/systems.toml", _Systems)


@cache
def shipped_services() -> _Synced:
    return _read_shipped_table("facts/synced.toml", _Synced)


@cache
def shipped_questions() -> _Questions:
    return _read_shipped_table("questions.toml", _Questions)


@cache
def shipped_order() -> tuple[OrderedCheck, ...]:
    """Return the names of all checks and questions, those with the most effective steps first."""
    return _read_shipped_table("facts/order.toml", _Order).check


def read_table(name: str, data: bytes, kind: type[_Table]) -> _Table:
    """Parse a table; raises BadFacts."""
    try:
        return msgspec.convert(tomllib.loads(data.decode()), kind)
    except (ValueError, re.error) as why:
        raise BadFacts(name=name, why=why) from None


def is_stale(read_on: date, today: date) -> bool:
    """Return whether a fact was read so long ago that this has to be mentioned."""
    return (today - read_on).days > STALE_DAYS


def source_in_words(source: str, read_on: date, today: date) -> str:
    """Return where and when a fact was read, and that this is long ago if it is."""
    late = (
        translated("; that is more than 180 days ago, so look there")
        if is_stale(read_on, today)
        else ""
    )
    return translated("{source}, read on {day}{late}").format(
        source=source, day=day_in_words(read_on), late=late
    )


def _read_shipped_table(name: str, kind: type[_Table]) -> _Table:
    data = resources.files("entrenous.learn").joinpath(*name.split("/")).read_bytes()
    return read_table(name, data, kind)
