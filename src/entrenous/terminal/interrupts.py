"""Handle interrupts: Ctrl-C is not lost, and SIGTERM and SIGHUP act like Ctrl-C."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_INTERRUPTING_SIGNALS: Final = (
    signal.SIGTERM,
    signal.SIGHUP,
)  # SIGHUP means that the terminal was closed


@contextmanager
def termination_signals_as_interrupt() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt, so that the program can clean up.

    A signal that is ignored stays ignored, as under nohup.

    Raises:
        KeyboardInterrupt: on one of these signals.
    """
    # only the main thread can set signal handlers
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [one for one in _INTERRUPTING_SIGNALS if signal.getsignal(one) is signal.SIG_DFL]
    try:
        for one in ours:
            signal.signal(one, _raise_keyboard_interrupt)
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)


def _raise_keyboard_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def lost_interrupt_check(*, once: bool = False) -> Iterator[Callable[[], None]]:
    """Yield a function that raises KeyboardInterrupt if an earlier Ctrl-C had no effect.

    Call that function in long loops. Python drops a KeyboardInterrupt that is raised in a finalizer
    or a C library's callback, so without this the loop would continue. With ``once``, only the
    first Ctrl-C counts, so that a second one does not interrupt the clean-up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None  # Ctrl-C interrupts the main thread only
        return
    was_interrupted = False

    def note_and_interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal was_interrupted
        if was_interrupted and once:
            return
        was_interrupted = True
        raise KeyboardInterrupt

    def raise_if_interrupted() -> None:
        if was_interrupted:
            raise KeyboardInterrupt

    previous_handler = signal.signal(signal.SIGINT, note_and_interrupt)
    try:
        yield raise_if_interrupted
    finally:
        signal.signal(signal.SIGINT, previous_handler)
