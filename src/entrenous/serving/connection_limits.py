"""How long a server waits for an idle or slow connection, and how much it buffers for one.

TLS connections are written in portions, so that a peer that does not read is noticed.
"""

import asyncio
import heapq
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

_HEAD_S: Final = 10.0  # for a request's first line and headers, and for the first request
_FAREWELL_S: Final = 1.0  # for whoever was refused to read that
_REST_S: Final = 60.0  # for the rest of a body that was answered before it was whole
_UNREAD_S: Final = 60.0  # in which somebody who is answered takes no byte
_UNREAD_MAX: Final = 256 << 20  # bytes of answers that wait for all who are answered
_HEAD_MAX: Final = 32768  # bytes of a request's first line and headers, or behind its body
_MUCH: Final = 65536  # bytes of a body; so much is let in of strangers by no address
_MOST: Final = 4096  # connections; each may have another file open
_OWN_FILES: Final = 32  # of the process itself: databases, listening sockets, the log
_PORTION: Final = 64  # parts of all; as many go at once as one has, so that they are seldom sorted
_TICKS: Final = 10  # of a server in a second
_PROBLEM: Final = b'{"type":"about:blank","title":"Request Header Fields Too Large","status":431}'
_TOO_LONG: Final = b"%bcontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (
    *(STATUS_LINE[431], b"application/problem+json", len(_PROBLEM), _PROBLEM),
)
_BETWEEN, _IN_HEAD, _IN_BODY, _OVER = range(4)


class LimitedProtocol(HttpToolsProtocol):
    """A connection that knows since when it is waited for."""

    def __init__(
        self, config: Any, server_state: Any, app_state: dict[str, Any], **more: Any
    ) -> None:
        super().__init__(config, server_state, app_state, **more)
        self._crowd = server_state if isinstance(server_state, Connections) else None
        self._stage = _BETWEEN  # what the parser is in the midst of
        self._came = 0  # of the body
        self._head = 0  # bytes since the last head, piece of a body or request was whole
        self._portions: PortionedWriter | None = None
        self._is_asked = False  # a whole request, past the parser, is not answered yet
        self._answered_at = 0.0  # such a one
        self._seen: tuple[object, ...] = self._state()
        self._since = self.loop.time()
        self._unread = (0, self._since)

    def connection_made(self, transport: Any) -> None:
        """Come in, if there is room."""
        if transport.get_extra_info("sslcontext") is not None:
            transport = self._portions = PortionedWriter(transport, lambda: self.flow.write_paused)
        super().connection_made(transport)
        if self._crowd and not self._crowd.has_room(self):
            self.end()

    def data_received(self, data: bytes) -> None:
        """Parse what came, but no head that is too long, nor what is like one."""
        while data and self._stage != _OVER and not self.transport.is_closing():
            room = _HEAD_MAX - self._head
            if room <= 0:
                self._refuse_head()
                return
            part = data if self._stage == _IN_BODY else data[:room]
            data = data[len(part) :]
            self._head += len(part)  # until the parser says that it got on
            super().data_received(part)

    def resume_writing(self) -> None:
        """More can be written."""
        super().resume_writing()
        if self._portions is not None:
            self._portions.go_on()

    def on_message_begin(self) -> None:
        """The parser is in the midst of a request."""
        self._stage, self._came = _IN_HEAD, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._stage, self._head = _IN_BODY, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of its body came."""
        self._came, self._head = self._came + len(body), 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It is at its end."""
        self._stage, self._head = _BETWEEN, 0
        super().on_message_complete()

    @property
    def is_between(self) -> bool:
        """Whether the parser has seen the end of all that it has seen begin."""
        return self._stage == _BETWEEN

    def waits_since(self, now_s: float) -> float | None:
        """Since when it has waited for a request to be whole, to the second; None: it does not."""
        if self._is_asked or self.transport.is_closing():
            return None
        if self._is_answering() and (self._stage == _BETWEEN or self._came >= _MUCH):
            return None
        if (state := self._state()) != self._seen:
            self._seen, self._since = state, now_s
        return self._since

    def is_late(self, now_s: float) -> bool:
        """Whether it has been waited for long enough. Of a body, its reader says so."""
        since_s = self.waits_since(now_s)
        if since_s is None or self._is_answering():
            return self._is_unread(now_s)
        if self._stage == _BETWEEN and (self._cycle() is not None or self._answered_at):
            # uvicorn has a timer for that, which any byte stops, also one that begins no request.
            return now_s - since_s > self.timeout_keep_alive + 1
        return now_s - since_s > (_REST_S if self._stage == _IN_BODY else _HEAD_S)

    def end(self) -> None:
        """Close it at once, and count it no more."""
        self.connections.discard(self)
        self.transport.abort()

    def unread(self) -> int:
        """How many bytes wait here for its peer to read what came before them."""
        return int(self.transport.get_write_buffer_size())

    def _refuse_head(self) -> None:
        if self._stage == _IN_BODY or self._is_answering():
            self.end()
            return
        self._stage = _OVER
        self.flow.pause_reading()
        self.transport.write(_TOO_LONG)
        self.loop.call_later(_FAREWELL_S, self.end)  # to close it would be to read on, in TLS

    def _is_answering(self) -> bool:
        cycle = self._cycle()
        return cycle is not None and not cycle.response_complete

    def _cycle(self) -> RequestResponseCycle | None:
        """The last request that the parser read; uvicorn types it as if there always were one."""
        return self.cycle

    def _is_unread(self, now_s: float) -> bool:
        size = self.unread() if self.flow.write_paused else 0
        if not size or size != self._unread[0]:
            self._unread = (size, now_s)
        return now_s - self._unread[1] > _UNREAD_S

    def _state(self) -> tuple[object, ...]:
        """Something else after each step of a request."""
        return (self.cycle, self._stage, self._answered_at)


class Connections(ServerState):
    """The connections of a server: ``most`` at the same time, as far as they can be ended."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        #: Has the application answer one who waits for something; False if nobody does.
        self.make_room: Callable[[], bool] = lambda: False

    def has_room(self, newcomer: LimitedProtocol) -> bool:
        """Whether there is room for one that came, made if need be by ending those that wait.

        Where all are answered, those whose answer waits for something are asked to yield.
        """
        if len(self.connections) <= self._most:
            return True
        now_s = newcomer.loop.time()
        since_s = {one: one.waits_since(now_s) for one in self._all() if one is not newcomer}
        waiting = [(since, id(one), one) for one, since in since_s.items() if since is not None]
        oldest = heapq.nsmallest(1 + self._most // _PORTION, waiting)
        for _, _, one in oldest:
            one.end()
        return bool(oldest) or self.make_room()

    def end_late(self, now_s: float) -> None:
        """End those that have been waited for long enough, and those for whom too much waits."""
        for one in self._all():
            if one.is_late(now_s):
                one.end()
        self._end_unread()

    def _end_unread(self) -> None:
        """What streams holds little, so that whoever took much at once and reads nothing goes."""
        unread = [(size, id(one), one) for one in self._all() if (size := one.unread())]
        too_much = sum(size for size, _, _ in unread) - _UNREAD_MAX
        for size, _, one in sorted(unread, reverse=True):
            if too_much <= 0:
                return
            one.end()
            too_much -= size

    def _all(self) -> list[LimitedProtocol]:
        return [one for one in self.connections if isinstance(one, LimitedProtocol)]


class LimitedServer(uvicorn.Server):
    """Has room for as many connections as the process has files for, and looks at them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state: Connections = Connections(connections_max())

    async def on_tick(self, counter: int) -> bool:
        """What a server does ten times a second."""
        if counter % _TICKS == 0:
            self.server_state.end_late(asyncio.get_running_loop().time())
        return await super().on_tick(counter)


def connections_max() -> int:
    """Half of the files that this process may open beside its own: the others are blobs.

    It may have as many as it can be given, up to what the most connections need.
    """
    if sys.platform == "win32":
        return _MOST
    import resource  # noqa: PLC0415 -- there is none for Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    needed = 2 * _MOST + _OWN_FILES
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(1, min(_MOST, (max(soft, wanted) - _OWN_FILES) // 2))


PORTION_BYTES: Final = 65536


class PortionedWriter:
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
