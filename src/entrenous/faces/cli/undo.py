"""The undo window: some seconds in which a sealed message has not left."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from entrenous.faces.cli.output import bar

_LOOK_S: Final = 0.1


def undo_window(
    now: Callable[[], datetime],
    check: Callable[[], None],
    sleep_s: Callable[[float], None] = time.sleep,
) -> Callable[[datetime], None]:
    """What waits until a time, under a bar that says how to undo; Ctrl-C, or ``check``, ends it."""

    def wait(until: datetime) -> None:
        total = max(1, round((until - now()).total_seconds()))
        with bar("Undo: Ctrl-C", total) as steps:
            while (left_s := (until - now()).total_seconds()) > 0:
                check()
                steps.reached(min(total, total - int(left_s)), total)
                sleep_s(min(_LOOK_S, left_s))
            steps.reached(total, total)

    return wait
