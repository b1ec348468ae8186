"""Pauses between a device's own errands and what it sends to others (relay.md section 14).

Whoever asks for her own mailbox and posts a letter in the same breath tells her relay who wrote it,
whatever tokens and connections are used. So a random moment passes between the two.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from entrenous.adapters.courier.request import Ask, Errand
from entrenous.ports.world import Dice

_DRAWN_BYTES: Final = 8


class Apart:
    """Lets a random part of ``longest_s`` seconds pass wherever a device turns from one errand to
    another: from its own to somebody's letter, back, or to the next letter.

    The n-th letter in a row waits up to 1/n of that, so that many recipients cost little more than
    one. ``rest`` closes connections that idle, before the pause. The pause begins when the errand
    before it ended, so work in between is part of it.
    """

    def __init__(
        self,
        longest_s: float,
        dice: Dice,
        rest: Callable[[], None] | None = None,
        now_s: Callable[[], float] = time.monotonic,
        sleep_s: Callable[[float], None] = time.sleep,
    ) -> None:
        self._longest_s = longest_s
        self._dice = dice
        self._rest = rest
        self._now_s = now_s
        self._sleep_s = sleep_s
        self._lock = threading.Lock()
        self._last: tuple[Errand, bytes] | None = None
        self._in_a_row = 0
        self._ended_s = self._due_s = now_s()

    @contextmanager
    def during(self, what: Ask) -> Iterator[None]:
        """Wait until this request may leave; it ends with the context."""
        if what.errand is Errand.OF_NOBODY:
            yield
            return
        pause_s = self._pause_s(_which(what))
        if pause_s > 0:
            if self._rest is not None:
                self._rest()
            self._sleep_s(pause_s)
        try:
            yield
        finally:
            self._ended_s = self._now_s()

    def _pause_s(self, errand: tuple[Errand, bytes]) -> float:
        with self._lock:
            if self._last is None:
                self._last = errand
            elif errand != self._last:
                in_a_row = errand[0] is Errand.LETTER and self._last[0] is Errand.LETTER
                self._in_a_row = self._in_a_row + 1 if in_a_row else 1
                self._due_s = self._ended_s + self._drawn_s() / self._in_a_row
                self._last = errand
            return self._due_s - self._now_s()

    def _drawn_s(self) -> float:
        drawn = int.from_bytes(self._dice.token(_DRAWN_BYTES), "big")
        return self._longest_s * drawn / (1 << 8 * _DRAWN_BYTES)


def _which(what: Ask) -> tuple[Errand, bytes]:
    """Requests of one errand are the same here: every own one, and those with a letter's token."""
    is_letter = what.errand is Errand.LETTER and what.token is not None
    return what.errand, what.token.reveal() if is_letter and what.token is not None else b""
