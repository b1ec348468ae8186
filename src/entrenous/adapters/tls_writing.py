"""Writes to a connection in TLS in portions, so that what its peer does not read can be seen.

A transport of TLS takes all that it is given, encrypts it at once and hands it to the transport
below, whose buffer it does not count: of megabytes that nobody reads it says that nothing is left.
Given a portion at a time it says so soon, and the rest waits here, where it is counted.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

PORTION_BYTES: Final = 65536


class InPortions:
    """As much of a transport as uvicorn uses; ``is_full`` says whether it wants no more now."""

    def __init__(self, transport: Any, is_full: Callable[[], bool]) -> None:
        transport.set_write_buffer_limits(high=PORTION_BYTES)
        self._transport = transport
        self._is_full = is_full
        self._rest: deque[memoryview] = deque()
        self._closes = False
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Take all of it; what the transport does not want yet is written by and by."""
        self._rest.append(memoryview(data))
        self.go_on()

    def go_on(self) -> None:
        """Write what waits here, until the transport is full."""
        while self._rest and not self._is_full():
            data = self._rest.popleft()
            self._transport.write(data[:PORTION_BYTES])
            if rest := data[PORTION_BYTES:]:
                self._rest.appendleft(rest)
        if self._closes and not self._rest:
            self._transport.close()

    def get_write_buffer_size(self) -> int:
        """How many bytes were not taken, but for a portion or two that nobody counts."""
        return sum(map(len, self._rest)) + int(self._transport.get_write_buffer_size())

    def close(self) -> None:
        """Close it behind what waits here."""
        self._closes = True
        self.go_on()

    def abort(self) -> None:
        """Close it at once, and forget what waits here."""
        self._rest.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or will be."""
        return self._closes or bool(self._transport.is_closing())
