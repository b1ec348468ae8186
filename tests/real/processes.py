"""Real processes: servers that can be killed and restarted, and people who run commands."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ready import start_program

PROGRAM = (sys.executable, "-m", "entrenous")


@dataclass
class Server:
    """A relay or gate in its own process, whose standard error is appended to ``log``."""

    folder: Path
    arguments: tuple[str, ...]
    url: str = ""
    program: tuple[str, ...] = PROGRAM
    fresh_process: bool = False  # start each program anew, as people do
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server, on the same port as before if it ran before; wait until it serves."""
        listen = self.url.removeprefix("http://") or "127.0.0.1:0"
        command = (*self.program, *self.arguments, "--data", str(self.folder), "--listen", listen)
        with self.log.open("ab") as log:
            self._process = start_program(
                (*command, "--json"),
                fresh_process=self.fresh_process,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log.read_text()
        self.url = str(json.loads(line)["url"])

    def stop(self, ending_signal: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal, and wait until the server has ended."""
        if self._process is not None:
            self._process.send_signal(ending_signal)
            self._process.wait(120)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@dataclass
class CommandResult:
    """The exit status and the output of a command."""

    status: int
    out: bytes
    err: bytes

    @property
    def answer(self) -> Any:
        """The JSON document that the command printed with ``--json``."""
        return json.loads(self.out)


@dataclass
class Shell:
    """A person who runs commands, with their own home folder and passphrase."""

    name: str
    home: Path
    passphrase: str = field(default_factory=lambda: "words " + secrets.token_hex(12))
    errors: list[bytes] = field(default_factory=list)
    program: tuple[str, ...] = PROGRAM
    fresh_process: bool = False  # start each program anew, as people do

    @property
    def temporary_folder(self) -> Path:
        """The folder for the commands' temporary files."""
        return self.home.with_suffix(".tmp")

    def start(
        self, *arguments: str, patience_s: float = 20, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a command without waiting for it."""
        self.temporary_folder.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "TMPDIR": str(self.temporary_folder),
            "ENTRENOUS_HOME": str(self.home),
            "ENTRENOUS_UNDO": "0",
            "ENTRENOUS_PASSPHRASE": self.passphrase,
            "ENTRENOUS_PATIENCE": str(patience_s),
        }
        return start_program(
            (*self.program, *arguments),
            fresh_process=self.fresh_process,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait(
        self, command: subprocess.Popen[bytes], input_text: str | None = None
    ) -> CommandResult:
        """Send ``input_text`` to a started command, and wait until the command ends."""
        input_bytes = None if input_text is None else input_text.encode()
        out, err = command.communicate(input_bytes, timeout=180)
        self.errors.append(err)
        return CommandResult(command.returncode, out, err)

    def run(self, *arguments: str, status: int = 0, patience_s: float = 20) -> CommandResult:
        """Run a command that must end with the exit status ``status``."""
        done = self.wait(self.start(*arguments, patience_s=patience_s))
        assert done.status == status, (arguments, done.err.decode())
        return done

    def run_with_input(self, input_text: str, *arguments: str) -> CommandResult:
        """Run a command with ``input_text`` as its standard input. The command must succeed."""
        done = self.wait(self.start(*arguments, stdin=subprocess.PIPE), input_text)
        assert done.status == 0, (arguments, done.err.decode())
        return done

    def add_contact(self, contact: "Shell") -> None:
        link = str(contact.run("invite", "--json").answer["link"])
        self.run("person", "add", link, "--as", contact.name, "--json")
        contact.run("person", "list", "--json")  # this receives and answers the greeting
        self.run("person", "list", "--json")

    def inbox(self) -> dict[str, str]:
        """Return the state of each received message, by the message's name."""
        messages = self.run("inbox", "--json").answer["messages"]
        return {str(message["message"]): str(message["state"]) for message in messages}


def names_and_contents(*paths: Path) -> bytes:
    """Return the names and contents of files and folders, and of everything below them."""
    below = [file for path in paths for file in (path, *sorted(path.rglob("*")))]
    names = "\n".join(str(file.name) for file in below).encode()
    return names + b"\0".join(file.read_bytes() for file in below if file.is_file())


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll the condition; return whether it became true within ``seconds``."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True
