"""The undo window: some seconds in which a sealed message has not left."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from entrenous.faces.cli.bars import Bars
from entrenous.spec import UNDO_S_MAX

_LOOK_S: Final = 0.1
_HINT: Final = "Undo: Ctrl-C"


def undo_window(
    shown: Bars,
    now: Callable[[], datetime],
    check: Callable[[], None],
    sleep_s: Callable[[float], None] = time.sleep,
    ticks_s: Callable[[], float] = time.monotonic,
) -> Callable[[datetime], bool]:
    """What waits until a time, under a bar that says how to undo; Ctrl-C, or ``check``, ends it.

    How long that is the clock says once: it may be set meanwhile.
    """

    def wait(until: datetime) -> bool:
        whole_s = min((until - now()).total_seconds(), UNDO_S_MAX)
        total, end_s = max(1, round(whole_s)), ticks_s() + whole_s
        while (left_s := end_s - ticks_s()) > 0:
            check()
            shown.counted(_HINT, min(total, total - int(left_s)), total)
            sleep_s(min(_LOOK_S, left_s))
        shown.counted(_HINT, total, total)
        return True

    return wait
