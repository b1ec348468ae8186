"""Decode what strangers made, in a child process that can do nothing but decode.

Image decoders are large C libraries, and a picture made with care can take one over. So each file
is decoded in a fresh interpreter with an empty environment, no files, no network and bounded memory
and time; only pixels come back (docs/spec/pictures.md, sections 6 and 7). The walls are listed in
:class:`.jailed.walls.Wall`; :attr:`Jail.walls` says which of them this system could build.
"""

import contextlib
import io
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Final, Self

from entrenous.craft.media.jailed.answer import QUESTION, read_answer, read_ready
from entrenous.craft.media.jailed.walls import Limits, Wall
from entrenous.craft.media.kind import kind_of
from entrenous.model.picture import (
    DecoderDidNotStart,
    DecoderGaveUp,
    NotAPicture,
    Picture,
    PictureFormat,
)

_CHILD: Final = (sys.executable, "-I", "-B", "-m", "entrenous.craft.media.jailed.child")
_PART_BYTES: Final = 1 << 20
_LIMITS: Final = Limits()


def decode_untrusted(untrusted_data: bytes, *, limits: Limits = _LIMITS) -> Picture:
    """Like :func:`.picture.read_picture`, in a child of its own that ends with the answer.

    Raises:
        NotAPicture, CutShort, TooManyPixels: as :func:`.picture.read_picture`.
        DecoderGaveUp: the child ran out of time or memory, died, or answered nonsense.
        DecoderDidNotStart: there is no child to ask.
    """
    kind = kind_of(untrusted_data)
    with Jail(limits=limits, kinds=(kind,), pictures_per_child=1) as jail:
        return jail.read(untrusted_data)


class Jail:
    """A warm child for many pictures, for one thread at a time.

    It saves the start of an interpreter; the price is that a picture which takes the child over
    could change the answers about the next ones. So a child is replaced after
    ``pictures_per_child`` pictures, and at once after any trouble.
    """

    def __init__(
        self,
        *,
        limits: Limits = _LIMITS,
        kinds: Sequence[PictureFormat] = tuple(PictureFormat),
        pictures_per_child: int = 32,
        command: Sequence[str] = _CHILD,
    ) -> None:
        self._limits = limits
        self._pictures_per_child = pictures_per_child
        cpu_s = limits.cpu_s * pictures_per_child
        self._kinds = frozenset(kinds)
        self._command = (*command, str(limits.memory_bytes), str(cpu_s), *kinds)
        self._child: _Child | None = None
        self._answered = 0

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def walls(self) -> Wall:
        """What stands around the present child."""
        return self._start().walls

    def read(self, untrusted_data: bytes) -> Picture:
        """As :func:`decode_untrusted`, with the present child or a new one.

        A file of a kind that this jail was not made for is NotAPicture.
        """
        kind = kind_of(untrusted_data)
        if kind not in self._kinds:
            raise NotAPicture
        child = self._start()
        try:
            return child.ask(untrusted_data, kind, self._limits.wall_s)
        except (OSError, EOFError, ValueError, MemoryError) as error:
            self.close()
            raise DecoderGaveUp from error
        finally:
            self._answered += 1

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _start(self) -> "_Child":
        if self._child is not None and (
            self._answered >= self._pictures_per_child or not self._child.quiet()
        ):
            self.close()
        if self._child is None:
            self._child = _start_child(self._command, self._limits.wall_s)
            self._answered = 0
        return self._child


def _start_child(command: Sequence[str], wall_s: float) -> "_Child":
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
    child = _Child(process)
    try:
        child.hear_ready(wall_s)
    except (OSError, EOFError, ValueError) as error:
        child.end()
        raise DecoderDidNotStart from error
    return child


class _Child:
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
        self._set_deadline(wall_s)
        self.walls = read_ready(self._read)

    def ask(self, untrusted_data: bytes, kind: PictureFormat, wall_s: float) -> Picture:
        self._set_deadline(wall_s)
        self._write(QUESTION.pack(len(untrusted_data)))
        self._write(untrusted_data)
        return read_answer(self._read, kind)

    def quiet(self) -> bool:
        """Alive, and not talking without having been asked."""
        return self._process.poll() is None and not self._ready(self._answers, select.POLLIN, 0.0)

    def end(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._questions.close()
        self._answers.close()
        self._process.wait()

    def _set_deadline(self, wall_s: float) -> None:
        # A timeout is no time of day: the one clock that the Clock port does not tell.
        self._deadline_s = time.monotonic() + wall_s

    def _read(self, size: int) -> bytes:
        data = io.BytesIO()
        while data.tell() < size:
            self._wait(self._answers, select.POLLIN)
            part = os.read(self._answers.fileno(), min(_PART_BYTES, size - data.tell()))
            if not part:
                raise EOFError
            data.write(part)
        return data.getvalue()

    def _write(self, data: bytes) -> None:
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
