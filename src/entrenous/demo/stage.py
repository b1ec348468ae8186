"""The stage of the demonstration: servers as processes, people who each run the command line in a
home of their own, and the state of the story that later steps and the page need.
"""

import json
import os
import secrets
import selectors
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from entrenous.base.errors import Unreachable


class DidNotStart(Unreachable):
    """
    The {what} of the demonstration did not start: {why}
    """


class NotAsItShouldBe(Unreachable):
    """
    Step {step} of the demonstration did not end as it should: {what}. Nothing of yours is affected.
    """


_START_S: Final = 30.0
_COMMAND_S: Final = 120.0
_STOP_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command answered: its exit status, its JSON object if any, and what it told a
    person.
    """

    status: int
    answer: Mapping[str, Any]
    words: str


@dataclass(frozen=True, slots=True)
class Actor:
    """One person with a device of her own: a folder, and a passphrase that only she has."""

    name: str
    home: Path
    passphrase: str

    def does(self, *arguments: str, typed: str = "") -> CommandResult:
        """Run one command as this person, in a process of its own; ``typed`` is for its standard
        input.
        """
        environment = {
            **os.environ,
            "ENTRENOUS_HOME": str(self.home),
            "ENTRENOUS_UNDO": "0",
            "ENTRENOUS_PAUSE": "0",  # its relay is this machine
            "ENTRENOUS_PASSPHRASE": self.passphrase,
        }
        done = subprocess.run(  # noqa: S603 - our own program, arguments as a list
            [sys.executable, "-m", "entrenous", *arguments],
            env=environment,
            input=typed.encode(),
            capture_output=True,
            timeout=_COMMAND_S,
            check=False,
        )
        return CommandResult(done.returncode, _answer(done.stdout), done.stderr.decode().strip())


@dataclass(slots=True)
class Stage:
    """Everything that runs while the story is told; closing it stops every process."""

    folder: Path
    _servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        for server in reversed(self._servers):
            server.terminate()
        for server in self._servers:
            try:
                server.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def actor(self, name: str) -> Actor:
        """A person; her passphrase is drawn and never shown."""
        return Actor(name, self.folder / "people" / name, secrets.token_urlsafe(24))

    def serve(self, what: str, *module_and_arguments: str) -> Mapping[str, Any]:
        """Start a server as a process; the JSON line that it prints once it serves.

        Raises:
            DidNotStart: it ended, or said nothing for too long.
        """
        log = (self.folder / f"{what.replace(' ', '-')}.log").open("wb")
        server = subprocess.Popen(  # noqa: S603 - our own program, arguments as a list
            [sys.executable, "-m", *module_and_arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        log.close()
        self._servers.append(server)
        line = _first_line(server)
        if not line:
            raise DidNotStart(
                what=what, why=f"see {what.replace(' ', '-')}.log in the output folder"
            )
        announced: dict[str, Any] = json.loads(line)
        return announced


def _first_line(server: subprocess.Popen[bytes]) -> bytes:
    if server.stdout is None:
        return b""
    with selectors.DefaultSelector() as waiting:
        waiting.register(server.stdout, selectors.EVENT_READ)
        return server.stdout.readline() if waiting.select(_START_S) else b""


def _answer(stdout: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(stdout)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


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


def require(step: int, *, hold: bool, what: str) -> None:
    """A step's outcome must hold, or the demonstration has failed.

    Raises:
        NotAsItShouldBe: it does not.
    """
    if not hold:
        raise NotAsItShouldBe(step=step, what=what)


def require_status(step: int, said: CommandResult, *, status: int = 0) -> Mapping[str, Any]:
    """The answer of a command that must end with ``status``.

    Raises:
        NotAsItShouldBe: it ended otherwise; the message holds what it told the person.
    """
    require(step, hold=said.status == status, what=f"exit status {said.status}. {said.words}")
    return said.answer
