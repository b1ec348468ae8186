"""The stage: servers as processes, and people who each run the command line in a home of their
own.
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

from entrenous.model.demo import DidNotStart

_START_S: Final = 30.0
_COMMAND_S: Final = 120.0
_STOP_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Said:
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

    def does(self, *arguments: str, typed: str = "") -> Said:
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
        return Said(done.returncode, _answer(done.stdout), done.stderr.decode().strip())


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
