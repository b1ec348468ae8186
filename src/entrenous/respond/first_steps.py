"""First steps after a leak or a threat, in danger, and for somebody who may be watched. The facts
and their sources are in facts/safety.toml.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Literal

import msgspec

from entrenous.base.language import translated
from entrenous.respond.fact_tables import fact_cautions, read_table, shipped_table


class FirstStepsId(StrEnum):
    """The id of a list of first steps."""

    DANGER = "danger"
    CRISIS = "crisis"
    WATCHED = "watched"
    THREAT = "threat"
    DEMAND = "demand"
    SHARED = "shared"
    UNDER_18 = "under-18"


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """First steps, in the order in which to take them; ``title`` says when they apply."""

    id: FirstStepsId
    title: str
    steps: tuple[str, ...]
    sources: tuple[str, ...]
    read_on: date
    verified: bool
    verified_by: str

    def cautions(self, today: date) -> tuple[str, ...]:
        """The cautions to show with these steps, e.g. that nobody has verified them, or that their
        sources were last read long ago.
        """
        return fact_cautions(self.read_on, today, verified=self.verified)


@dataclass(frozen=True, slots=True)
class SafetyQuestion:
    """A question that can be skipped, the reason for it, and the answers with their meanings."""

    asks: str
    why: str
    answers: Mapping[str, str] = field(default_factory=dict)


class _Step(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    says: str
    only: Literal["adults", "under-18", ""] = ""


class _AdviceRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    title: str
    steps: tuple[_Step, ...]
    sources: tuple[str, ...]
    read_on: date
    verified: bool
    verified_by: str


class _QuestionRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    asks: str
    why: str
    answers: dict[str, str] = {}


class _SafetyTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    question: dict[Literal["safe", "watched", "age", "posted"], _QuestionRow]
    advice: dict[FirstStepsId, _AdviceRow]


def shipped_first_steps(id_: FirstStepsId, *, under_18: bool = False) -> FirstSteps:
    """Return one list of first steps, without those that are only for people of the other age group
    (adults, or people under 18).
    """
    row = _shipped_safety_table().advice[id_]
    other = "adults" if under_18 else "under-18"
    return FirstSteps(
        id=id_,
        title=translated(row.title),
        steps=tuple(translated(step.says) for step in row.steps if step.only != other),
        sources=row.sources,
        read_on=row.read_on,
        verified=row.verified,
        verified_by=row.verified_by,
    )


def safety_questions() -> Mapping[str, SafetyQuestion]:
    """Return the safety questions by name, in the order in which to ask them."""
    return {
        name: SafetyQuestion(
            translated(row.asks),
            translated(row.why),
            {answer: translated(means) for answer, means in row.answers.items()},
        )
        for name, row in _shipped_safety_table().question.items()
    }


@cache
def _shipped_safety_table() -> _SafetyTable:
    return read_table(_SafetyTable, shipped_table("safety.toml"), "safety.toml")
