"""A process that forks confined decoders of pictures and never reads a picture itself."""

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from entrenous.base.picture import PictureFormat
from entrenous.media.sandbox.confinement import (
    REQUEST_FD,
    Limits,
    confine_process,
    prepare_seccomp,
    write_to,
)
from entrenous.media.sandbox.decoder_messages import write_ready_message
from entrenous.media.sandbox.picture_child import (
    THREADED_FORMATS,
    answer_requests,
    prepare_picture_decoder,
)

_CONTROL_FD: Final = 0
_ANSWERS_FD: Final = 1
_DESCRIPTOR_LIMIT: Final = 64  # all open descriptors have smaller numbers
#: A function that answers requests from standard input until it ends. The argument is the
#: descriptor for the answers.
AnswerRequests = Callable[[int], None]


def main(memory_bytes: int, cpu_s: int, kind: PictureFormat) -> None:
    prepare_picture_decoder(kind)
    serve_forks(memory_bytes, cpu_s, answer_requests, threads=kind in THREADED_FORMATS)


def serve_forks(
    memory_bytes: int, cpu_s: int, answer_function: AnswerRequests, *, threads: bool
) -> None:
    """Fork children on request until the socket is closed, at most one at a time.

    A child runs ``answer_function`` on pipes that the server receives. Everything that this
    function needs must be loaded before this call.
    """
    prepare_seccomp(threads=threads)
    # otherwise garbage collection would touch all objects, and children could not share their
    # memory
    gc.freeze()
    child = 0
    with socket.socket(fileno=os.dup(_CONTROL_FD)) as control:
        while pipes := socket.recv_fds(control, 1, 2)[1]:
            if child:
                _kill_child(child)
            child = os.fork()
            if not child:
                limits = Limits(memory_bytes, cpu_s)
                _serve_as_child(pipes[0], pipes[1], limits, answer_function, threads=threads)
            for pipe in pipes:
                os.close(pipe)
    if child:
        _kill_child(child)


def _kill_child(child: int) -> None:
    """Kill and reap the child; no other code waits for it, so its process id is still valid."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _serve_as_child(
    questions: int, answered: int, limits: Limits, answer_function: AnswerRequests, *, threads: bool
) -> NoReturn:
    """Become the child: confine this process, then answer requests."""
    try:
        os.dup2(questions, REQUEST_FD)
        os.dup2(answered, _ANSWERS_FD)
        os.closerange(3, _DESCRIPTOR_LIMIT)
        confinement = confine_process(
            memory_bytes=limits.memory_bytes, cpu_s=limits.cpu_s, threads=threads
        )
        write_to(_ANSWERS_FD, write_ready_message(confinement))
        answer_function(_ANSWERS_FD)
    finally:
        os._exit(0)  # exits without the clean-up, which only the server may do


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), PictureFormat(sys.argv[3]))
