"""One upload of a blob at a time, where its bytes are no file that can be locked.

Where there is room for few of different blobs, nobody has it all. Whose they are is known while
they come, and written down nowhere.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from entrenous.model.relay_problem import TooMany

RETRY_S: Final = 10  # a connection that broke is noticed by then, most often


class OneWriter:
    """The names that are being written, ``most`` at the same time and ``of_one`` of one owner."""

    def __init__(self, most: float = math.inf, of_one: float = math.inf) -> None:
        self._names: set[str] = set()
        self._owned: Counter[bytes] = Counter()
        self._most = most
        self._of_one = of_one

    @contextmanager
    def of(self, name: str, owner: bytes) -> Iterator[None]:
        """Be the one who writes under that name; raises TooMany if there is one, or too many."""
        full = len(self._names) >= self._most or self._owned[owner] >= self._of_one
        if full or name in self._names:
            raise TooMany(retry_after_s=RETRY_S)
        self._names.add(name)
        self._owned[owner] += 1
        try:
            yield
        finally:
            self._names.discard(name)
            self._owned -= Counter([owner])
