"""Interruptions: Ctrl-C that cannot get lost, and SIGTERM and SIGHUP handled like Ctrl-C.

Long loops ask whether an interruption was raised where Python drops it.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_LIKE_CTRL_C: Final = (signal.SIGTERM, signal.SIGHUP)  # the second: its terminal was closed


@contextmanager
def terminate_like_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop what is inside as Ctrl-C does; by default nothing cleans up.

    One that is ignored stays so: who wants a command to outlive its terminal has nohup.

    Raises:
        KeyboardInterrupt: one of them came.
    """
    if threading.current_thread() is not threading.main_thread():  # only that one may set them
        yield
        return
    ours = [one for one in _LIKE_CTRL_C if signal.getsignal(one) is signal.SIG_DFL]
    try:
        for one in ours:
            signal.signal(one, _stop)
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def interrupt_once() -> Iterator[Callable[[], None]]:
    """As :func:`minding_interrupts`, but only the first Ctrl-C stops: what undoes the work then is
    left alone by the others, so that it is whole before the program ends.
    """
    with _noting_interrupts(once=True) as check:
        yield check


@contextmanager
def checked_interrupts() -> Iterator[Callable[[], None]]:
    """A check for long loops: it raises KeyboardInterrupt if one was raised and went nowhere.

    Python raises it wherever the main thread happens to be. In a finaliser or in a callback of a C
    library it is printed and dropped, and the loop would run on as if nobody had asked it to stop.
    """
    with _noting_interrupts(once=False) as check:
        yield check


@contextmanager
def _noting_interrupts(*, once: bool) -> Iterator[Callable[[], None]]:
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None  # only the main thread is interrupted
        return
    asked = False

    def note(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked and once:
            return
        asked = True
        raise KeyboardInterrupt

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
