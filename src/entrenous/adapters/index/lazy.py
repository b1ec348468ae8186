"""An index that is opened by the first look-up: a command that looks nothing up reads no file."""

import threading
from collections.abc import Callable, Sequence

from entrenous.adapters.index.tending import TendedIndex
from entrenous.model.fingerprint import Near


class LazyIndex:
    """An IndexStore. ``opening`` is called once at most; what it raises, the first look-up raises,
    and the next one tries again.
    """

    __slots__ = ("_index", "_lock", "_opening")

    def __init__(self, opening: Callable[[], TendedIndex]) -> None:
        self._opening = opening
        self._index: TendedIndex | None = None
        self._lock = threading.Lock()

    def near(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[Near]:
        """All within 31 bits, after catching up."""
        return self.opened().near(hashes, part=part)

    def parts(self) -> int:
        """How many hashes of parts the last look-up knew."""
        return self.opened().parts()

    def opened(self) -> TendedIndex:
        """The index itself, opened now if it was not yet: for who serves, before the first request.

        Raises:
            BankUnreachable, and what ``opening`` raises.
        """
        with self._lock:
            if self._index is None:
                self._index = self._opening()
            return self._index

    def close(self) -> None:
        """Close the index, if it was opened."""
        if self._index is not None:
            self._index.close()
