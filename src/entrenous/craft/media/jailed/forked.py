"""The parent's end of a process that forks (see :mod:`.forks`): one child at a time, two pipes."""

import contextlib
import fcntl
import os
import socket
import subprocess
from collections.abc import Sequence
from typing import Final

from entrenous.craft.media.jailed.pipe import PIPE_BYTES, Pipes
from entrenous.craft.media.jailed.process import end_group, start_alone
from entrenous.model.picture import DecoderDidNotStart

_SET_SIZE: Final = getattr(fcntl, "F_SETPIPE_SZ", None)  # Linux has it
_END_S: Final = 5.0


class ForkServer:
    """For one thread at a time. ``served`` counts its children.

    Raises:
        DecoderDidNotStart: it cannot be started.
    """

    def __init__(self, command: Sequence[str], pictures_per_child: int = 1) -> None:
        self.served = 0
        self._pictures_per_child = pictures_per_child
        self._child: ForkedChild | None = None
        self._control, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = start_alone(command, theirs.fileno(), subprocess.DEVNULL)
        except DecoderDidNotStart:
            self._control.close()
            raise

    def alive(self) -> bool:
        """Whether it can still fork; the machine may have ended it while it was idle."""
        return self._process.poll() is None

    def child(self, wall_s: float) -> "ForkedChild":
        """Whom to ask about the next picture: the child before, until it has seen its share or
        talks without having been asked; then the next one, whose walls stand.

        Raises:
            DecoderDidNotStart: it said something else, or nothing in time.
        """
        child = self._child
        if child is None or child.pictures >= self._pictures_per_child or not child.quiet():
            self.drop()
            child = self._child = self._forked(wall_s)
        child.pictures += 1
        return child

    def drop(self) -> None:
        """The present child sees no other picture: with its pipes closed it ends."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _forked(self, wall_s: float) -> "ForkedChild":
        """The next child; the one before is ended."""
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
            child.hear_ready(wall_s)
        except (OSError, EOFError, ValueError) as error:
            child.close()
            raise DecoderDidNotStart from error
        return child

    def end(self) -> None:
        """Have it end its child and itself, so that nobody else has to bury one; or kill both."""
        self.drop()
        self._control.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            end_group(self._process)
            self._process.wait()


class ForkedChild(Pipes):
    """A child that was forked. ``pictures`` counts what it was asked about."""

    def __init__(self, questions: int, answers: int) -> None:
        super().__init__(questions, answers)
        self.pictures = 0
        for pipe in (questions, answers):
            with contextlib.suppress(OSError):  # of one user's pipes only so many may be large
                if _SET_SIZE is not None:
                    fcntl.fcntl(pipe, _SET_SIZE, PIPE_BYTES)

    def quiet(self) -> bool:
        """It says nothing without having been asked, and has not ended."""
        return not self.is_ahead()

    def close(self) -> None:
        """Forget the pipes."""
        os.close(self._questions)
        os.close(self._answers)
