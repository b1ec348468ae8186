"""A request's body in ASGI: what came already, then what is still to come; and room for large ones.

A body below 64 kB needs no place, so that senders of large ones, or idle ones, keep nobody else
waiting. A larger one has a place until the application takes it.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, Final, Self

import anyio

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

AT_ONCE: Final = 16  # large bodies in memory; what comes beyond waits, with 64 kB read of each
SMALL_BYTES: Final = 64 * 1024
ROOM_S_MAX: Final = 10  # no place until then: as with a gate that is busy
ARRIVAL_S_MAX: Final = 60  # a slow sender must not keep a place from others for longer


class SenderGone(Exception):
    """The sender left before all of it came; never leaves the middleware."""


class NoRoom(Exception):
    """So many large bodies are here already; never leaves the middleware."""


class Place:
    """One of the places for large bodies, once it is taken, and until it is left."""

    def __init__(self, room: anyio.Semaphore) -> None:
        self._room = room
        self._is_taken = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.leave()

    async def take(self) -> None:
        """Wait for it; raises NoRoom."""
        with anyio.move_on_after(ROOM_S_MAX):
            await self._room.acquire()
            self._is_taken = True
        if not self._is_taken:
            raise NoRoom

    def leave(self) -> None:
        """Give it to the next, if it was taken."""
        if self._is_taken:
            self._is_taken = False
            self._room.release()


class Body:
    """A request's body; ``held`` is what came, and ``is_whole`` whether that is all of it."""

    def __init__(self, receive: Receive, place: Place) -> None:
        self.held = b""
        self.is_whole = False
        self._receive = receive
        self._place = place
        self._has_ended = False
        self._is_given = False

    async def arrive(self, limit: int) -> None:
        """Hold the body, or a little more than ``limit`` bytes of it.

        Raises:
            SenderGone, NoRoom.
            TimeoutError: it took too long.
        """
        with anyio.fail_after(ARRIVAL_S_MAX):
            await self._hold(SMALL_BYTES)
        if not self._has_ended:
            await self._place.take()
            with anyio.fail_after(ARRIVAL_S_MAX):
                await self._hold(limit)
        self.is_whole = self._has_ended and len(self.held) <= limit

    async def _hold(self, limit: int) -> None:
        pieces = [self.held]
        size = len(self.held)
        try:
            while not self._has_ended and size <= limit:
                message = await self._receive()
                if message["type"] != "http.request":
                    raise SenderGone
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                self._has_ended = not message.get("more_body", False)
        finally:
            self.held = b"".join(pieces)

    async def again(self) -> Message:
        """What the application receives; with the first of it, the place is free."""
        if self._is_given:
            return await self._receive()
        self._is_given = True
        data, self.held = self.held, b""
        self._place.leave()
        return {"type": "http.request", "body": data, "more_body": not self._has_ended}
