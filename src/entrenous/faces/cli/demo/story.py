"""What the story has come to: everything that later steps and the page need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entrenous.faces.cli.demo.stage import Actor, Said, Stage
from entrenous.model.demo import NotAsItShouldBe


@dataclass(frozen=True, slots=True)
class Outcome:
    """One step's end: what a person reads, and the figures for scripts."""

    words: str
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Story:
    """The servers, the people, the files and the answers so far."""

    stage: Stage
    out: Path
    photo: Path
    ana: Actor
    ben: Actor
    caro: Actor
    relay_url: str = ""
    gate: Mapping[str, Any] = field(default_factory=dict)
    authority: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    copies: dict[str, Path] = field(default_factory=dict)
    leak: Path = Path()
    trace: Mapping[str, Any] = field(default_factory=dict)
    decision: Mapping[str, Any] = field(default_factory=dict)
    case: Mapping[str, Any] = field(default_factory=dict)
    notice: Mapping[str, Any] = field(default_factory=dict)
    recall_words: str = ""


def should(step: int, *, hold: bool, what: str) -> None:
    """A step's outcome must hold, or the demonstration has failed.

    Raises:
        NotAsItShouldBe: it does not.
    """
    if not hold:
        raise NotAsItShouldBe(step=step, what=what)


def done(step: int, said: Said, *, status: int = 0) -> Mapping[str, Any]:
    """The answer of a command that must end with ``status``.

    Raises:
        NotAsItShouldBe: it ended otherwise; the message holds what it told the person.
    """
    should(step, hold=said.status == status, what=f"exit status {said.status}. {said.words}")
    return said.answer
