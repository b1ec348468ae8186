"""The tables of the check-up: systems, synchronized folders, questions and the order of steps.

Parsing is strict: a table with an unknown, missing or wrong field is refused (docs/spec/learn.md
section 2).
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

FACT_STALE_DAYS: Final = 180
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


class SettingsFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A program's settings file, and a pattern whose only group matches a folder in it."""

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
    settings: tuple[SettingsFile, ...]
    source: str
    verified: bool
    verified_by: str


class QuestionAnswer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One possible answer. ``path`` says whether the leak path is then open or closed."""

    key: str
    says: str
    path: Annotated[str, msgspec.Meta(pattern="^(open|closed|unknown)$")]


class CheckUpQuestion(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One question that only the person can answer. It can always be skipped."""

    id: str
    question: str
    why: str
    closes: str
    answers: Annotated[tuple[QuestionAnswer, ...], msgspec.Meta(min_length=2)]
    step: str
    undo: str
    source: str
    verified: bool
    verified_by: str


class OrderedCheck(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    id: str
    reason: str


class _SystemsTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: int
    read_on: date
    system: tuple[SystemEnd, ...]


class _SyncedTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: int
    read_on: date
    service: tuple[SyncService, ...]


class _QuestionsTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: int
    read_on: date
    question: Annotated[tuple[CheckUpQuestion, ...], msgspec.Meta(max_length=QUESTIONS_MAX)]


class _OrderTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: int
    check: tuple[OrderedCheck, ...]


_Table = TypeVar("_Table")


@cache
def shipped_systems() -> _SystemsTable:
    return _read_shipped_table("facts/systems.toml", _SystemsTable)


@cache
def shipped_services() -> _SyncedTable:
    return _read_shipped_table("facts/synced.toml", _SyncedTable)


@cache
def shipped_questions() -> _QuestionsTable:
    return _read_shipped_table("questions.toml", _QuestionsTable)


@cache
def shipped_order() -> tuple[OrderedCheck, ...]:
    """Return the names of all checks and questions, those with the most effective steps first."""
    return _read_shipped_table("facts/order.toml", _OrderTable).check


def read_table(name: str, data: bytes, kind: type[_Table]) -> _Table:
    """Parse a table; raises BadFacts."""
    try:
        return msgspec.convert(tomllib.loads(data.decode()), kind)
    except (ValueError, re.error) as why:
        raise BadFacts(name=name, why=why) from None


def is_stale(read_on: date, today: date) -> bool:
    """Return whether a fact was read at its source so long ago that the person has to be told."""
    return (today - read_on).days > FACT_STALE_DAYS


def source_in_words(source: str, read_on: date, today: date) -> str:
    """Say at which source and when a fact was read, and whether that was long ago."""
    stale_note = (
        translated("; that is more than 180 days ago, so look there")
        if is_stale(read_on, today)
        else ""
    )
    return translated("{source}, read on {day}{late}").format(
        source=source, day=day_in_words(read_on), late=stale_note
    )


def _read_shipped_table(name: str, kind: type[_Table]) -> _Table:
    data = resources.files("entrenous.learn").joinpath(*name.split("/")).read_bytes()
    return read_table(name, data, kind)
