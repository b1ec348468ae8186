"""How much of a blob is read in one go: a lot for who takes it at once, little for who does not.

What was read waits in memory until it is taken, and many may take their time.
"""

import time
from collections.abc import Callable
from typing import Final

SHORTEST_BYTES: Final = 1 << 16
LONGEST_BYTES: Final = 1 << 20
_AT_ONCE_S: Final = 0.1


class Stride:
    """The length of the next piece, in ``bytes``."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.bytes = SHORTEST_BYTES
        self._now_s = now_s
        self._since_s = now_s()

    def given(self) -> None:
        """A piece was read, and waits."""
        self._since_s = self._now_s()

    def taken(self) -> None:
        """The next may be read."""
        prompt = self._now_s() - self._since_s < _AT_ONCE_S
        self.bytes = min(2 * self.bytes, LONGEST_BYTES) if prompt else SHORTEST_BYTES
