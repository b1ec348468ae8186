"""The parent's side of a child process and its two pipes; the child inherits nothing else."""

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
from entrenous.media.sandbox.decoder_messages import read_ready_message


def start_as_session_leader(
    command: Sequence[str], stdin: int, stdout: int
) -> subprocess.Popen[bytes]:
    """Start a process as session leader, without passing on this process's environment.

    The new environment has one variable, which limits NumPy to one thread. By default NumPy starts
    one for each core, and that takes as long as loading NumPy itself.

    ``stdin`` and ``stdout`` are as for Popen.

    Raises:
        DecoderDidNotStart: the process cannot be started.
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
            env={"OPENBLAS_NUM_THREADS": "1"},
            umask=0o077,
            start_new_session=True,
        )
    except OSError as error:
        raise DecoderDidNotStart from error


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a session leader and every process that it has forked."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


# this many bytes are read ahead, so that one read gets an answer's whole header
_READ_AHEAD_BYTES: Final = 4096
PIPE_CAPACITY_BYTES: Final = 1 << 20  # large enough to pass most data at once


def start_child(command: Sequence[str], wall_s: float) -> "Child":
    """Start a child and wait until it reports its confinement.

    Raises:
        DecoderDidNotStart: the child cannot be started, sends a wrong report, or sends none in
            time.
    """
    child = Child(start_as_session_leader(command, subprocess.PIPE, subprocess.PIPE))
    try:
        child.wait_until_ready(wall_s)
    except (OSError, EOFError, ValueError) as error:
        child.end()
        raise DecoderDidNotStart from error
    return child


class Pipes:
    """The two pipes to one child; no call waits beyond the current deadline."""

    def __init__(self, questions: int, answers: int) -> None:
        self.confinement = Confinement(0)
        self._questions, self._answers = questions, answers
        self._deadline_s = 0.0
        self._ahead = b""  # bytes that were read ahead
        os.set_blocking(questions, False)
        os.set_blocking(answers, False)

    def wait_until_ready(self, wall_s: float) -> None:
        """Wait until the child is ready, and store its confinement in ``confinement``."""
        self.set_deadline(wall_s)
        self.confinement = read_ready_message(self.read)

    def set_deadline(self, wall_s: float) -> None:
        """Set the deadline for all following reads and writes."""
        # A timeout needs the monotonic clock, which the protocol Clock does not have.
        self._deadline_s = time.monotonic() + wall_s

    def read(self, size: int) -> bytes:
        """Read exactly ``size`` bytes.

        Raises:
            EOFError, TimeoutError, OSError.
        """
        parts, missing = [self._ahead[:size]], size - len(self._ahead)
        self._ahead = self._ahead[size:]
        while missing > 0:
            part = self._read_some(min(max(missing, _READ_AHEAD_BYTES), PIPE_CAPACITY_BYTES))
            parts.append(part[:missing])  # copies nothing if the slice is the whole part
            self._ahead = part[missing:]
            missing -= len(part)
        return b"".join(parts) if parts[0] or len(parts) > 2 else parts[-1]

    def write(self, data: bytes) -> None:
        """Write all bytes; raises TimeoutError or OSError."""
        rest = memoryview(data)
        while rest:
            left_s = self._remaining_s()
            try:
                rest = rest[os.write(self._questions, rest) :]
            except BlockingIOError:
                self._wait(self._questions, select.POLLOUT, left_s)

    def has_input_or_hangup(self) -> bool:
        """Return whether bytes are buffered or waiting in the pipe, or the child has closed it."""
        return bool(self._ahead) or self._poll(self._answers, select.POLLIN, 0.0)

    def _read_some(self, bytes_max: int) -> bytes:
        """Return the next bytes, at most ``bytes_max``.

        Raises:
            EOFError, TimeoutError, OSError.
        """
        while True:
            left_s = self._remaining_s()
            try:
                part = os.read(self._answers, bytes_max)
            except BlockingIOError:
                self._wait(self._answers, select.POLLIN, left_s)
                continue
            if not part:
                raise EOFError
            return part

    def _remaining_s(self) -> float:
        """Return the remaining seconds; raises TimeoutError if there are none.

        This is called before each read or write, so that a child cannot cause a delay by sending
        single bytes.
        """
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _wait(self, pipe: int, event: int, left_s: float) -> None:
        if not self._poll(pipe, event, left_s):
            raise TimeoutError

    @staticmethod
    def _poll(pipe: int, event: int, wait_s: float) -> bool:
        poll = select.poll()
        poll.register(pipe, event)
        return bool(poll.poll(wait_s * 1000))


class Child(Pipes):
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("a child needs two pipes")
        super().__init__(process.stdin.fileno(), process.stdout.fileno())
        self._process = process
        self._open = (process.stdin, process.stdout)

    def is_idle(self) -> bool:
        """Return whether the child is alive and has written nothing unasked."""
        return self._process.poll() is None and not self.has_input_or_hangup()

    def end(self) -> None:
        kill_group(self._process)
        for pipe in self._open:
            pipe.close()
        self._process.wait()
