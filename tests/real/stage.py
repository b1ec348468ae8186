"""Real processes: a relay that can be killed and comes back where it was, and people at a shell."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ready import begun

PROGRAM = (sys.executable, "-m", "entrenous")


@dataclass
class Server:
    """A server of ours as a process; what it writes to standard error is kept."""

    folder: Path
    arguments: tuple[str, ...]
    url: str = ""
    program: tuple[str, ...] = PROGRAM
    said: Mapping[str, Any] = field(default_factory=dict)
    anew: bool = False  # by exec, as people start it
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """On the same port as before, if there was one before."""
        listen = self.url.removeprefix("http://") or "127.0.0.1:0"
        command = (*self.program, *self.arguments, "--data", str(self.folder), "--listen", listen)
        with self.log.open("ab") as log:
            self._process = begun(
                (*command, "--json"),
                anew=self.anew,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log.read_text()
        self.said = json.loads(line)
        self.url = str(self.said["url"])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, hard if asked to."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(120)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@dataclass
class Done:
    """How a command ended, and what it said."""

    status: int
    out: bytes
    err: bytes

    @property
    def answer(self) -> Any:
        return json.loads(self.out)


@dataclass
class Shell:
    """One person at a shell, with a home and a passphrase of her own."""

    name: str
    home: Path
    passphrase: str = field(default_factory=lambda: "words " + secrets.token_hex(12))
    errors: list[bytes] = field(default_factory=list)
    program: tuple[str, ...] = PROGRAM
    anew: bool = False  # by exec, as people start it

    @property
    def temporary(self) -> Path:
        """Where her programs would leave temporary files."""
        return self.home.with_suffix(".tmp")

    def begins(
        self, *arguments: str, patience_s: float = 20, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a command and do not wait for it."""
        self.temporary.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "TMPDIR": str(self.temporary),
            "ENTRENOUS_HOME": str(self.home),
            "ENTRENOUS_UNDO": "0",
            "ENTRENOUS_PASSPHRASE": self.passphrase,
            "ENTRENOUS_PATIENCE": str(patience_s),
        }
        return begun(
            (*self.program, *arguments),
            anew=self.anew,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def ends(self, command: subprocess.Popen[bytes], typed: str | None = None) -> Done:
        """Wait for a command that was started; ``typed`` is for its standard input."""
        out, err = command.communicate(None if typed is None else typed.encode(), timeout=180)
        self.errors.append(err)
        return Done(command.returncode, out, err)

    def does(self, *arguments: str, status: int = 0, patience_s: float = 20) -> Done:
        """Run a command that must end with that status."""
        done = self.ends(self.begins(*arguments, patience_s=patience_s))
        assert done.status == status, (arguments, done.err.decode())
        return done

    def types(self, typed: str, *arguments: str) -> Done:
        """As :meth:`does`, with this on the command's standard input."""
        done = self.ends(self.begins(*arguments, stdin=subprocess.PIPE), typed)
        assert done.status == 0, (arguments, done.err.decode())
        return done

    def adds(self, other: "Shell") -> None:
        link = str(other.does("invite", "--json").answer["link"])
        self.does("person", "add", link, "--as", other.name, "--json")
        other.does("person", "list", "--json")  # takes her hello in, and greets her
        self.does("person", "list", "--json")

    def inbox(self) -> dict[str, str]:
        """State by message."""
        messages = self.does("inbox", "--json").answer["messages"]
        return {str(one["message"]): str(one["state"]) for one in messages}


def all_bytes(*places: Path) -> bytes:
    """Every name and every byte in and below these folders and files."""
    below = [file for place in places for file in (place, *sorted(place.rglob("*")))]
    names = "\n".join(str(file.name) for file in below).encode()
    return names + b"\0".join(file.read_bytes() for file in below if file.is_file())


def wait_until(happened: Callable[[], bool], seconds: float) -> bool:
    """Whether it did, in time."""
    until = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True
