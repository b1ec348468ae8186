"""The undo window: some seconds in which a sealed message has not left."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from entrenous.faces.cli.bars import Bars

_LOOK_S: Final = 0.1
_HINT: Final = "Undo: Ctrl-C"


def undo_window(
    shown: Bars,
    now: Callable[[], datetime],
    check: Callable[[], None],
    sleep_s: Callable[[float], None] = time.sleep,
) -> Callable[[datetime], None]:
    """What waits until a time, under a bar that says how to undo; Ctrl-C, or ``check``, ends it."""

    def wait(until: datetime) -> None:
        total = max(1, round((until - now()).total_seconds()))
        while (left_s := (until - now()).total_seconds()) > 0:
            check()
            shown.counted(_HINT, min(total, total - int(left_s)), total)
            sleep_s(min(_LOOK_S, left_s))
        shown.counted(_HINT, total, total)

    return wait
