"""Processes of our own, which go on while we do and are started again when they end."""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

_LOOK_EVERY_S: Final = 0.5
_GRACE_S: Final = 10.0


@contextmanager
def kept_running(command: Sequence[str], again_s: float = 5.0, *, count: int = 1) -> Iterator[None]:
    """While this is open, the command runs, ``count`` times; ``again_s`` seconds after one has
    ended, anew.

    Its standard input ends when it is to end, and also when we are killed. All end together.
    """
    closing = threading.Event()
    given = (command, again_s, closing)
    keepers = [threading.Thread(target=_keep, args=given, daemon=True) for _ in range(count)]
    for keeper in keepers:
        keeper.start()
    try:
        yield
    finally:
        closing.set()
        for keeper in keepers:
            keeper.join()


def _keep(command: Sequence[str], again_s: float, closing: threading.Event) -> None:
    while not closing.is_set():
        with suppress(OSError):  # no memory for one more process: later, perhaps
            _run(command, closing)
        closing.wait(again_s)


def _run(command: Sequence[str], closing: threading.Event) -> None:
    # A session of its own: who stops us at a terminal stops us alone, and we end the child.
    with subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    ) as child:
        while child.poll() is None and not closing.wait(_LOOK_EVERY_S):
            pass
        if child.stdin is not None:
            child.stdin.close()
        try:
            child.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
