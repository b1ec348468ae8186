"""Ctrl-C that cannot get lost."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopping_once() -> Iterator[Callable[[], None]]:
    """As :func:`minding_interrupts`, but only the first Ctrl-C stops: what undoes the work then is
    left alone by the others, so that it is whole before the program ends.
    """
    with _noting_interrupts(once=True) as check:
        yield check


@contextmanager
def minding_interrupts() -> Iterator[Callable[[], None]]:
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
