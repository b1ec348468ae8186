"""How much one send token may bring at the same time (docs/spec/relay.md section 9).

What a mailbox may hold is a rule over rows (carry/mailboxes/room.py). Which token brings what is
written down nowhere, so that is counted while it streams, in this process, and forgotten when it
ends.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from entrenous.model.relay_problem import TooMany

_RETRY_S: Final = 60


class Coming:
    """Bytes that are on their way now, by the lock of the token that brings them."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes: Counter[bytes] = Counter()

    @contextmanager
    def of(self, lock: bytes, size: int) -> Iterator[None]:
        """While ``size`` bytes come; a token's only upload is always let in.

        Raises:
            TooMany: with what this token brings already, it would be too much.
        """
        if self._bytes[lock] and self._bytes[lock] + size > self._bytes_max:
            raise TooMany(retry_after_s=_RETRY_S)
        self._bytes[lock] += size
        try:
            yield
        finally:
            self._bytes[lock] -= size
            if not self._bytes[lock]:
                del self._bytes[lock]

    def __len__(self) -> int:
        return len(self._bytes)
