"""One upload of a blob at a time, where its bytes are no file that can be locked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from entrenous.model.relay_problem import TooMany

RETRY_S: Final = 10  # a connection that broke is noticed by then, most often


class OneWriter:
    """The names that are being written; ``most`` at the same time."""

    def __init__(self, most: int | None = None) -> None:
        self._names: set[str] = set()
        self._most = most

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Be the one who writes under that name; raises TooMany if there is one, or too many."""
        full = self._most is not None and len(self._names) >= self._most
        if full or name in self._names:
            raise TooMany(retry_after_s=RETRY_S)
        self._names.add(name)
        try:
            yield
        finally:
            self._names.discard(name)
