"""A process that never sees a picture, and forks the children that do: none costs a start.

    python -I -B -m entrenous.craft.media.jailed.forks MEMORY CPU_S KIND

It loads the one decoder of its kind and then waits on standard input, a socket, for the two pipes
of the next child. The child builds the same walls as one that was started for itself, and answers
until its pipe is closed; the server ends it for good before it forks another
(docs/spec/pictures.md, 6).
"""

import gc
import os
import signal
import socket
import sys
from typing import Final, NoReturn

from entrenous.craft.media.jailed.answer import write_ready
from entrenous.craft.media.jailed.child import THREADED, answer_all, load
from entrenous.craft.media.jailed.ends import QUESTIONS, write_to
from entrenous.craft.media.jailed.seccomp import prepare
from entrenous.craft.media.jailed.walls import build_walls
from entrenous.model.picture import PictureFormat

_CONTROL: Final = 0
_ANSWERS: Final = 1
_INHERITED_MAX: Final = 64  # none is higher: nothing else is open here


def main(memory_bytes: int, cpu_s: int, kind: PictureFormat) -> None:
    """Fork until the socket is closed; at most one child lives at a time."""
    load(kind)
    prepare(threads=kind in THREADED)
    gc.freeze()  # what is here now stays as it is, so that children share its memory
    child = 0
    with socket.socket(fileno=os.dup(_CONTROL)) as control:
        while pipes := socket.recv_fds(control, 1, 2)[1]:
            if child:
                _end(child)
            child = os.fork()
            if not child:
                questions, answers = pipes
                _answer(questions, answers, memory_bytes, cpu_s, kind)
            for pipe in pipes:
                os.close(pipe)
    if child:
        _end(child)


def _end(child: int) -> None:
    """It should have ended by itself; nobody else has waited for it, so it is still this one."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _answer(
    questions: int, answers: int, memory_bytes: int, cpu_s: int, kind: PictureFormat
) -> NoReturn:
    """Become the child."""
    try:
        os.dup2(questions, QUESTIONS)
        os.dup2(answers, _ANSWERS)
        os.closerange(3, _INHERITED_MAX)
        walls = build_walls(memory_bytes=memory_bytes, cpu_s=cpu_s, threads=kind in THREADED)
        write_to(_ANSWERS, write_ready(walls))
        answer_all(_ANSWERS)
    finally:
        os._exit(0)  # nothing of the server's is tidied up here


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), PictureFormat(sys.argv[3]))
