"""An upload on its way to the gate: counted, and its first bytes remembered. Nothing is kept."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

from entrenous.adapters.gate_client.kind import START_BYTES

CHUNK_BYTES: Final = 64 * 1024


class OverLimit(Exception):
    """More came than may be sent; never leaves the client."""


class OutOfTime(Exception):
    """The budget is over; never leaves the client."""


class Readable(Protocol):
    """What has bytes to read: a file, a request's body."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


def chunks_of(file: Readable) -> Iterator[bytes]:
    """A file's bytes from where it stands, 64 KiB at a time."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


class TimeLeft(dict[str, Any]):
    """The timeout of each step, as httpx's transport asks for it when the step begins: what is
    left of one budget for all of them.
    """

    def __init__(self, budget_s: float, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._until = now() + budget_s

    def get(self, _step: str, _otherwise: Any = None) -> float:
        """Seconds, above 0."""
        return max(self._until - self._now(), 0.001)

    def check(self) -> None:
        """Raises OutOfTime."""
        if self._now() >= self._until:
            raise OutOfTime


class Outgoing:
    """Bytes that are handed on; at most ``limit_bytes`` of them (OverLimit)."""

    def __init__(self, chunks: Iterable[bytes], limit_bytes: int, left: TimeLeft) -> None:
        self._chunks = chunks
        self._limit = limit_bytes
        self._left = left
        self._count = 0
        self.start = b""

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._left.check()
            self._count += len(chunk)
            if self._count > self._limit:
                raise OverLimit
            if len(self.start) < START_BYTES:
                self.start += chunk[: START_BYTES - len(self.start)]
            if chunk:
                yield chunk
