"""The tables of the check-up (systems, synchronized folders, questions and the order of steps), and
the answers to the questions.

Parsing is strict: a table with an unknown, missing or wrong field is refused (docs/spec/learn.md
section 2). The file with answers that scripts use is parsed as strictly.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib import resources
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from entrenous.base.errors import Malformed
from entrenous.base.language import (
    day_in_words,
    language_of_person,
    speaking,
    translatable,
    translated,
)

FACT_STALE_DAYS: Final = 180
CHECK_UP_QUESTIONS_MAX: Final = 12
ADVISED_STEPS_MAX: Final = 5
THREAT_QUESTION_ID: Final = "threat"
#: The command that shows help for somebody who is threatened; the person runs it.
THREAT_HELP_COMMAND: Final = "entrenous help --threat"
SKIPPED_ANSWER_KEY: Final = "skip"
HELP_FIRST_SENTENCES: Final = (
    translatable(
        "Then help comes first, and no setting has to be changed now: somebody who watches may"
        " see it."
    ),
    translatable("Type: {help}"),
    translatable("You can come back to the check-up at any time."),
)
_TRANSLATED_FIELDS: Final = ("question", "why", "closes", "step", "undo")


class BadFacts(Malformed):
    """
    The table {name} that came with Entrenous is damaged: {why}. Your own data is not affected.
    Install Entrenous again.
    """


class BadAnswers(Malformed):
    """These answers cannot be used: {why}. Nothing was stored. To list the questions and their
    answers: entrenous check-up --questions
    """


class SystemSupportEnd(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The last day on which everybody gets security updates for one version of an operating
    system.
    """

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
    """One possible answer. ``path`` says what the answer means for the leak path (the way in which
    private data could get out): it is open, closed, or unknown.
    """

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


class CheckUpOrderEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A check or question, and the reason for its place in the order of checks and questions."""

    id: str
    reason: str


class _SystemsTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: int
    read_on: date
    system: tuple[SystemSupportEnd, ...]


class _SyncServicesTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: int
    read_on: date
    service: tuple[SyncService, ...]


class _QuestionsTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: int
    read_on: date
    question: Annotated[
        tuple[CheckUpQuestion, ...], msgspec.Meta(max_length=CHECK_UP_QUESTIONS_MAX)
    ]


class _CheckUpOrderTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: int
    check: tuple[CheckUpOrderEntry, ...]


class _AnswersFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal["entrenous/check-up-answers/1"]
    answers: dict[str, str]


_Table = TypeVar("_Table")


@cache
def shipped_support_ends() -> _SystemsTable:
    return _read_shipped_table("facts/systems.toml", _SystemsTable)


@cache
def shipped_sync_services() -> _SyncServicesTable:
    return _read_shipped_table("facts/synced.toml", _SyncServicesTable)


@cache
def shipped_questions() -> _QuestionsTable:
    return _read_shipped_table("questions.toml", _QuestionsTable)


@cache
def shipped_check_up_order() -> tuple[CheckUpOrderEntry, ...]:
    """Return an entry for each check and question, those with the most effective steps first."""
    return _read_shipped_table("facts/order.toml", _CheckUpOrderTable).check


def read_facts_table(name: str, data: bytes, kind: type[_Table]) -> _Table:
    """Parse a table; raises BadFacts."""
    try:
        return msgspec.convert(tomllib.loads(data.decode()), kind)
    except (ValueError, re.error) as why:
        raise BadFacts(name=name, why=why) from None


def _read_shipped_table(name: str, kind: type[_Table]) -> _Table:
    data = resources.files("entrenous.learn").joinpath(*name.split("/")).read_bytes()
    return read_facts_table(name, data, kind)


def is_fact_stale(read_on: date, today: date) -> bool:
    """Return whether a fact was read at its source so long ago that the person has to be told."""
    return (today - read_on).days > FACT_STALE_DAYS


def source_in_words(source: str, read_on: date, today: date) -> str:
    """Say at which source and when a fact was read, and whether that was long ago."""
    stale_note = (
        translated("; that is more than 180 days ago, so look there")
        if is_fact_stale(read_on, today)
        else ""
    )
    return translated("{source}, read on {day}{late}").format(
        source=source, day=day_in_words(read_on), late=stale_note
    )


def all_questions() -> tuple[CheckUpQuestion, ...]:
    """Return the questions in the order in which they are asked; the question about a threat is the
    last.
    """
    return _questions_in(language_of_person())


@cache
def _questions_in(language: str) -> tuple[CheckUpQuestion, ...]:
    with speaking(language):
        return tuple(map(_translated_question, shipped_questions().question))


def _translated_question(question: CheckUpQuestion) -> CheckUpQuestion:
    """Return a question in the person's language."""
    fields = {name: translated(getattr(question, name)) for name in _TRANSLATED_FIELDS}
    answers = tuple(replace(one, says=translated(one.says)) for one in question.answers)
    return replace(question, **fields, answers=answers)


def threat_help_text() -> tuple[str, ...]:
    """Return the sentences that are shown to somebody who is threatened."""
    return tuple(translated(line).format(help=THREAT_HELP_COMMAND) for line in HELP_FIRST_SENTENCES)


def read_answers(data: bytes) -> dict[str, str]:
    """Parse an answers file. Return a mapping from question ids to the keys of the chosen answers,
    without skipped questions.

    Raises BadAnswers.
    """
    try:
        given = msgspec.json.decode(data, type=_AnswersFile).answers
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BadAnswers(why="the file is not in the form of an answers file") from None
    known = {one.id: one for one in all_questions()}
    for number, (name, key) in enumerate(given.items(), 1):
        if name not in known:
            raise BadAnswers(
                why=translated("entry {number} is not the answer to any question").format(
                    number=number
                )
            )
        if key != SKIPPED_ANSWER_KEY and answer_with_key(known[name], key) is None:
            raise BadAnswers(
                why=translated("the question {name} does not have the answer given").format(
                    name=name
                )
            )
    return {name: key for name, key in given.items() if key != SKIPPED_ANSWER_KEY}


def answer_with_key(question: CheckUpQuestion, key: str) -> QuestionAnswer | None:
    """Return the answer with this key; None if there is none."""
    return next((one for one in question.answers if one.key == key), None)


def is_threatened(answers: Mapping[str, str]) -> bool:
    return answers.get(THREAT_QUESTION_ID) == "yes"
