"""A child process and its two pipes, as the parent holds them; nothing else is inherited."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Final

from entrenous.base.picture import DecoderDidNotStart
from entrenous.media.sandbox.confinement import Confinement
from entrenous.media.sandbox.decoder_messages import read_ready


def start_alone(command: Sequence[str], stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    """With an empty environment, as the leader of a session; the ends are as Popen takes them.

    Raises:
        DecoderDidNotStart: it cannot be started.
    """
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            close_fds=True,
            cwd="/",
            env={},
            umask=0o077,
            start_new_session=True,
        )
    except OSError as error:
        raise DecoderDidNotStart from error


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a session, and all that it has forked."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


_AHEAD_BYTES: Final = 4096  # an answer's numbers, in one go
PIPE_BYTES: Final = 1 << 20  # what fits is handed over in one go, not by turns


def start_child(command: Sequence[str], wall_s: float) -> "Child":
    """Start a child with an empty environment and hear that its walls stand.

    Raises:
        DecoderDidNotStart: it cannot be started, or it says something else, or nothing in time.
    """
    child = Child(start_alone(command, subprocess.PIPE, subprocess.PIPE))
    try:
        child.hear_ready(wall_s)
    except (OSError, EOFError, ValueError) as error:
        child.end()
        raise DecoderDidNotStart from error
    return child


class Pipes:
    """The two pipes to one child. Nothing here waits longer than the deadline of the question."""

    def __init__(self, questions: int, answers: int) -> None:
        self.walls = Confinement(0)
        self._questions, self._answers = questions, answers
        self._deadline_s = 0.0
        self._ahead = b""  # came with what was asked for
        os.set_blocking(questions, False)
        os.set_blocking(answers, False)

    def hear_ready(self, wall_s: float) -> None:
        """Wait until it is ready; ``walls`` then says what stands around it."""
        self.allow(wall_s)
        self.walls = read_ready(self.read)

    def allow(self, wall_s: float) -> None:
        """Whatever is read or written from now on must be over in this many seconds."""
        # A timeout is no time of day: the one clock that the Clock port does not tell.
        self._deadline_s = time.monotonic() + wall_s

    def read(self, size: int) -> bytes:
        """Exactly that many bytes; raises EOFError, TimeoutError, OSError."""
        parts, missing = [self._ahead[:size]], size - len(self._ahead)
        self._ahead = self._ahead[size:]
        while missing > 0:
            part = self._some(min(max(missing, _AHEAD_BYTES), PIPE_BYTES))
            parts.append(part[:missing])  # all of it is the part itself, without a copy
            self._ahead = part[missing:]
            missing -= len(part)
        return b"".join(parts) if parts[0] or len(parts) > 2 else parts[-1]

    def write(self, data: bytes) -> None:
        """All of these bytes; raises TimeoutError, OSError."""
        rest = memoryview(data)
        while rest:
            left_s = self._left_s()
            try:
                rest = rest[os.write(self._questions, rest) :]
            except BlockingIOError:
                self._wait(self._questions, select.POLLOUT, left_s)

    def is_ahead(self) -> bool:
        """Whether more has come than was asked for, or is there to be read."""
        return bool(self._ahead) or self._ready(self._answers, select.POLLIN, 0.0)

    def _some(self, most: int) -> bytes:
        """What has come, or comes next; raises EOFError, TimeoutError, OSError."""
        while True:
            left_s = self._left_s()
            try:
                part = os.read(self._answers, most)
            except BlockingIOError:
                self._wait(self._answers, select.POLLIN, left_s)
                continue
            if not part:
                raise EOFError
            return part

    def _left_s(self) -> float:
        """Asked before each piece: a child that gives one byte at a time never lets us wait."""
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _wait(self, pipe: int, event: int, left_s: float) -> None:
        if not self._ready(pipe, event, left_s):
            raise TimeoutError

    @staticmethod
    def _ready(pipe: int, event: int, wait_s: float) -> bool:
        poll = select.poll()
        poll.register(pipe, event)
        return bool(poll.poll(wait_s * 1000))


class Child(Pipes):
    """A child that was started for itself."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("a child needs two pipes")
        super().__init__(process.stdin.fileno(), process.stdout.fileno())
        self._process = process
        self._open = (process.stdin, process.stdout)

    def quiet(self) -> bool:
        """Alive, and not talking without having been asked."""
        return self._process.poll() is None and not self.is_ahead()

    def end(self) -> None:
        """Kill it, whatever it does, and forget the pipes."""
        end_group(self._process)
        for pipe in self._open:
            pipe.close()
        self._process.wait()
