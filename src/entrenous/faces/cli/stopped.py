"""A command that must clean up behind it, however it is asked to stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LIKE_CTRL_C: Final = (signal.SIGTERM, signal.SIGHUP)  # the second: its terminal was closed


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
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
