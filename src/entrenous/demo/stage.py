"""The tools of the demonstration's steps: servers, people, and results.

Each person runs the command line in a folder of their own. Later steps need the results, and so
does the page that the demonstration writes at its end (result_page.py).
"""

import json
import os
import secrets
import selectors
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from entrenous.base.errors import Unreachable


class ServerDidNotStart(Unreachable):
    """
    The {what} of the demonstration did not start. Your own files and messages are not affected. To
    find the reason, {why}. Then run the demonstration again.
    """


class StepFailed(Unreachable):
    """
    Step {step} of the demonstration failed: {what}. Your own files and messages are not affected.
    Run the demonstration again; if it fails again, report this message to the project.
    """


_Result = TypeVar("_Result")
_START_TIMEOUT_S: Final = 30.0
_COMMAND_TIMEOUT_S: Final = 120.0
_STOP_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command: its exit status, the JSON object that it printed (empty if it
    printed none), and what it wrote to standard error.
    """

    status: int
    answer: Mapping[str, Any]
    words: str


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """One person with a device: a folder, and a passphrase that only this person has."""

    name: str
    home: Path
    passphrase: str

    def run(self, *arguments: str, typed: str = "") -> CommandResult:
        """Run one command as this person, in a process of its own. ``typed`` is the command's
        standard input.
        """
        environment = {
            **os.environ,
            "ENTRENOUS_HOME": str(self.home),
            "ENTRENOUS_UNDO": "0",
            "ENTRENOUS_PAUSE": "0",  # the relay runs on this machine, so pauses hide nothing
            "ENTRENOUS_PASSPHRASE": self.passphrase,
        }
        finished = subprocess.run(  # noqa: S603 - our own program, arguments as a list
            [sys.executable, "-m", "entrenous", *arguments],
            env=environment,
            input=typed.encode(),
            capture_output=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
        return CommandResult(
            finished.returncode, _parse_answer(finished.stdout), finished.stderr.decode().strip()
        )


@dataclass(slots=True)
class DemoServers:
    """The running servers of the demonstration; leaving the context stops them all."""

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
                server.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def create_person(self, name: str) -> DemoPerson:
        """Create a person with a random passphrase that is never shown."""
        return DemoPerson(name, self.folder / "people" / name, secrets.token_urlsafe(24))

    def start_server(self, what: str, *module_and_arguments: str) -> Mapping[str, Any]:
        """Start a server, and return the JSON object it prints when ready.

        Raises ServerDidNotStart.
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
        line = _read_first_line(server)
        if not line:
            raise ServerDidNotStart(
                what=what, why=f"see {what.replace(' ', '-')}.log in the output folder"
            )
        announced: dict[str, Any] = json.loads(line)
        return announced


def run_concurrently(*actions: Callable[[], _Result]) -> list[_Result]:
    """Run the actions at the same time, and return their results in the order of the arguments.

    If actions fail, the error of the first of them in that order is raised, after all have ended.
    """
    with ThreadPoolExecutor(len(actions)) as executor:
        running = [executor.submit(action) for action in actions]
    return [one.result() for one in running]


def _read_first_line(server: subprocess.Popen[bytes]) -> bytes:
    if server.stdout is None:
        return b""
    with selectors.DefaultSelector() as waiting:
        waiting.register(server.stdout, selectors.EVENT_READ)
        return server.stdout.readline() if waiting.select(_START_TIMEOUT_S) else b""


def _parse_answer(stdout: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(stdout)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """A step's result: a sentence for people, and figures for scripts."""

    words: str
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class DemoState:
    stage: DemoServers
    out: Path
    photo: Path
    ana: DemoPerson
    ben: DemoPerson
    caro: DemoPerson
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


def require_outcome(step: int, *, holds: bool, failure: str) -> None:
    """Raise StepFailed unless ``holds`` is true; ``failure`` says what went wrong."""
    if not holds:
        raise StepFailed(step=step, what=failure)


def require_status(step: int, result: CommandResult, *, status: int = 0) -> Mapping[str, Any]:
    """Return the JSON answer of a command that must exit with ``status``.

    Otherwise raise StepFailed, whose message includes the command's standard error.
    """
    require_outcome(
        step, holds=result.status == status, failure=f"exit status {result.status}. {result.words}"
    )
    return result.answer
