"""The parent's side of fork servers: decode many untrusted pictures at once."""

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

from entrenous.base.errors import EntrenousError
from entrenous.base.picture import DecoderDidNotStart, Picture, PictureDecodingFailed, PictureFormat
from entrenous.media.file_kind import picture_format_of
from entrenous.media.sandbox.child_process import (
    PIPE_CAPACITY_BYTES,
    Pipes,
    kill_group,
    start_as_session_leader,
)
from entrenous.media.sandbox.confinement import Limits
from entrenous.media.sandbox.decoder_messages import PICTURE_REQUEST, read_picture_answer

_SET_PIPE_SIZE: Final = getattr(fcntl, "F_SETPIPE_SZ", None)  # Linux only
_END_TIMEOUT_S: Final = 5.0


class ForkServer:
    """A fork server, for one thread at a time; ``served`` counts its children.

    Raises: DecoderDidNotStart: the server cannot be started.
    """

    def __init__(self, command: Sequence[str], pictures_per_child: int = 1) -> None:
        self.served = 0
        self._pictures_per_child = pictures_per_child
        self._child: ForkedChild | None = None
        self._control, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = start_as_session_leader(
                    command, theirs.fileno(), subprocess.DEVNULL
                )
        except DecoderDidNotStart:
            self._control.close()
            raise

    def is_alive(self) -> bool:
        """Return whether the server can still fork; the system may have killed it while idle."""
        return self._process.poll() is None

    def ready_child(self, wall_s: float) -> "ForkedChild":
        """Return the child for the next picture.

        The same child is used until it has decoded its number of pictures, or writes something
        unasked. Then the server forks a new child, and this call waits until that child is
        confined.

        Raises:
            DecoderDidNotStart: the server did not send a child in time, or sent something else.
        """
        child = self._child
        if child is None or child.pictures >= self._pictures_per_child or not child.is_idle():
            self.drop_child()
            child = self._child = self._fork(wall_s)
        child.pictures += 1
        return child

    def drop_child(self) -> None:
        """Stop using the current child, which ends when its pipes are closed."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _fork(self, wall_s: float) -> "ForkedChild":
        """Fork the next child; the server ends the previous one first."""
        self.served += 1
        asked, questions = os.pipe()
        answers, answered = os.pipe()
        child = ForkedChild(questions, answers)
        try:
            try:
                socket.send_fds(self._control, [b"F"], [asked, answered])
            finally:
                os.close(asked)
                os.close(answered)
            child.wait_until_ready(wall_s)
        except (OSError, EOFError, ValueError) as error:
            child.close()
            raise DecoderDidNotStart from error
        return child

    def end(self) -> None:
        """Ask the server to end its child and itself, and kill both if they do not end in time."""
        self.drop_child()
        self._control.close()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            kill_group(self._process)
            self._process.wait()


class ForkedChild(Pipes):
    """A forked child; ``pictures`` counts the pictures that it was asked to decode."""

    def __init__(self, questions: int, answers: int) -> None:
        super().__init__(questions, answers)
        self.pictures = 0
        for pipe in (questions, answers):
            # a user can have only a limited number of large pipes
            with contextlib.suppress(OSError):
                if _SET_PIPE_SIZE is not None:
                    fcntl.fcntl(pipe, _SET_PIPE_SIZE, PIPE_CAPACITY_BYTES)

    def is_idle(self) -> bool:
        """Return whether the child is alive and has written nothing unasked."""
        return not self.has_input_or_hangup()

    def close(self) -> None:
        os.close(self._questions)
        os.close(self._answers)


_SERVER_COMMAND: Final = (sys.executable, "-I", "-B", "-m", "entrenous.media.sandbox.fork_server")
_LIMITS: Final = Limits()
# a child that had more than this many bytes of samples in memory is replaced
_REUSED_SAMPLE_BYTES_MAX: Final = 16 << 20
# after this many children, a server is replaced by one with a different memory layout
_CHILDREN_MAX: Final = 1000


class DecoderPool:
    """Decodes in child processes; safe to use from several threads, each with its own server.

    A child is not used again after a broken file, unexpected behaviour, or ``pictures_per_child``
    pictures. A server is replaced if its child does not start, dies, runs out of time or memory, or
    sends an invalid answer. A server is also replaced after ``children_max`` children, because all
    of them know its memory layout.
    """

    def __init__(
        self,
        *,
        limits: Limits = _LIMITS,
        pictures_per_child: int = 1,
        children_max: int = _CHILDREN_MAX,
        command: Sequence[str] = _SERVER_COMMAND,
    ) -> None:
        self._limits, self._children_max = limits, children_max
        self._pictures_per_child = pictures_per_child
        cpu_s = limits.cpu_s * pictures_per_child
        self._command = (*command, str(limits.memory_bytes), str(cpu_s))
        self._idle: dict[PictureFormat, list[ForkServer]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._early: tuple[bytes, Future[Picture]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start_reading(self, untrusted_data: bytes) -> None:
        """Start to decode this picture.

        The caller can do other work meanwhile. The next :meth:`read` that gets the same bytes
        object, and no other arguments, returns the picture, or raises the error.
        """
        executor = ThreadPoolExecutor(1)
        self._early = untrusted_data, executor.submit(self._read, untrusted_data)
        executor.shutdown(wait=False)

    def read(self, untrusted_data: bytes, *, at_least_px: int = 0, luma: bool = False) -> Picture:
        """Do the same as :func:`.picture_reader.read_picture`, in a child process.

        Raises:
            NotAPicture, IncompletePicture, TooManyPixels: as :func:`.picture_reader.read_picture`.
            PictureDecodingFailed: the file is damaged, or the child ran out of time or memory,
                died, or sent an invalid answer.
            DecoderDidNotStart: no child could be started.
        """
        early = self._early
        if early is not None and early[0] is untrusted_data and not (at_least_px or luma):
            self._early = None
            return early[1].result()
        return self._read(untrusted_data, at_least_px=at_least_px, luma=luma)

    def _read(self, untrusted_data: bytes, *, at_least_px: int = 0, luma: bool = False) -> Picture:
        kind = picture_format_of(untrusted_data)
        server = self._take_server(kind)
        try:
            child = server.ready_child(self._limits.wall_s)
            child.set_deadline(self._limits.wall_s)
            child.write(PICTURE_REQUEST.pack(len(untrusted_data), at_least_px, luma))
            child.write(untrusted_data)
            picture = read_picture_answer(child.read, kind, luma=luma)
            if len(picture.samples) > _REUSED_SAMPLE_BYTES_MAX:
                server.drop_child()
        except DecoderDidNotStart:
            server.end()
            raise
        except EntrenousError:
            server.drop_child()  # a child is never used again after a bad file
            self._put_back(kind, server)
            raise
        except (OSError, EOFError, ValueError, MemoryError) as error:
            server.end()
            raise PictureDecodingFailed from error
        self._put_back(kind, server)
        return picture

    def close(self) -> None:
        """End all servers; a busy one ends after its current picture."""
        with self._lock:
            self._closed = True
            servers = [server for idle in self._idle.values() for server in idle]
            self._idle.clear()
        for server in servers:
            server.end()

    def _take_server(self, kind: PictureFormat) -> ForkServer:
        while (server := self._pop_idle(kind)) is not None:
            if server.is_alive():
                return server
            server.end()
        return ForkServer((*self._command, kind), self._pictures_per_child)

    def _pop_idle(self, kind: PictureFormat) -> ForkServer | None:
        with self._lock:
            idle = self._idle.get(kind)
            return idle.pop() if idle else None

    def _put_back(self, kind: PictureFormat, server: ForkServer) -> None:
        with self._lock:
            reusable = not self._closed and server.served < self._children_max
            if reusable:
                self._idle.setdefault(kind, []).append(server)
        if not reusable:
            server.end()
