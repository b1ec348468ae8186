"""A child process and the two pipes to it, as its parent holds them."""

import contextlib
import io
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import IO, Final

from entrenous.craft.media.jailed.answer import read_ready
from entrenous.craft.media.jailed.walls import Wall
from entrenous.model.picture import DecoderDidNotStart

_PART_BYTES: Final = 1 << 20


def start_child(command: Sequence[str], wall_s: float) -> "Child":
    """Start a child with an empty environment and hear that its walls stand.

    Raises:
        DecoderDidNotStart: it cannot be started, or it says something else, or nothing in time.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
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
    child = Child(process)
    try:
        child.hear_ready(wall_s)
    except (OSError, EOFError, ValueError) as error:
        child.end()
        raise DecoderDidNotStart from error
    return child


class Child:
    """The two pipes to one child. Nothing here waits longer than the deadline of the question."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("a child needs two pipes")
        self._process = process
        self._questions = process.stdin
        self._answers = process.stdout
        self._deadline_s = 0.0
        self.walls = Wall(0)
        os.set_blocking(self._questions.fileno(), False)
        os.set_blocking(self._answers.fileno(), False)

    def hear_ready(self, wall_s: float) -> None:
        """Wait until it is ready; ``walls`` then says what stands around it."""
        self.allow(wall_s)
        self.walls = read_ready(self.read)

    def quiet(self) -> bool:
        """Alive, and not talking without having been asked."""
        return self._process.poll() is None and not self._ready(self._answers, select.POLLIN, 0.0)

    def end(self) -> None:
        """Kill it, whatever it does, and forget the pipes."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._questions.close()
        self._answers.close()
        self._process.wait()

    def allow(self, wall_s: float) -> None:
        """Whatever is read or written from now on must be over in this many seconds."""
        # A timeout is no time of day: the one clock that the Clock port does not tell.
        self._deadline_s = time.monotonic() + wall_s

    def read(self, size: int) -> bytes:
        """Exactly that many bytes; raises EOFError, TimeoutError, OSError."""
        data = io.BytesIO()
        while data.tell() < size:
            self._wait(self._answers, select.POLLIN)
            part = os.read(self._answers.fileno(), min(_PART_BYTES, size - data.tell()))
            if not part:
                raise EOFError
            data.write(part)
        return data.getvalue()

    def write(self, data: bytes) -> None:
        """All of these bytes; raises TimeoutError, OSError."""
        rest = memoryview(data)
        while rest:
            self._wait(self._questions, select.POLLOUT)
            rest = rest[os.write(self._questions.fileno(), rest) :]

    def _wait(self, pipe: IO[bytes], event: int) -> None:
        if not self._ready(pipe, event, max(0.0, self._deadline_s - time.monotonic())):
            raise TimeoutError

    @staticmethod
    def _ready(pipe: IO[bytes], event: int, wait_s: float) -> bool:
        poll = select.poll()
        poll.register(pipe.fileno(), event)
        return bool(poll.poll(wait_s * 1000))
