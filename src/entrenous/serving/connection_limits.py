"""Limit how long a server waits for an idle or slow connection, and how much it buffers.

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

# Within this time, the first line and the headers of a request must arrive; in a new connection,
# the first request must begin.
_HEAD_WAIT_S_MAX: Final = 10.0
_REFUSAL_LINGER_S: Final = 1.0  # a refused client has this long to read the refusal
# if a request was answered before its body ended, the client has this long to send the rest
_BODY_REST_WAIT_S_MAX: Final = 60.0
# a client that reads no byte of its answer for this time is disconnected
_UNREAD_S_MAX: Final = 60.0
# bytes of answers, over all clients, that have not been read yet
_UNREAD_BYTES_MAX: Final = 256 << 20
# limit on a request's first line and headers, and on the framing after each part of its body
_HEAD_BYTES_MAX: Final = 32768
_LARGE_BODY_BYTES: Final = 65536  # no path accepts a body this large from strangers
_CONNECTIONS_MAX: Final = 4096  # each connection may have one more file open
_OWN_FILES_MAX: Final = 32  # files of the process itself: databases, listening sockets, the log
# Finding the connections that have waited longest is slow, so they are evicted in batches: one
# connection for every 64 of the limit, and one more.
_CONNECTIONS_PER_EVICTION: Final = 64
_TICKS_PER_SECOND: Final = 10  # ticks of uvicorn's main loop in a second
_HEAD_TOO_LARGE_PROBLEM: Final = (
    b'{"type":"about:blank","title":"Request Header Fields Too Large","status":431}'
)
_HEAD_TOO_LARGE_RESPONSE: Final = (
    b"%bcontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
    % (
        *(
            STATUS_LINE[431],
            b"application/problem+json",
            len(_HEAD_TOO_LARGE_PROBLEM),
            _HEAD_TOO_LARGE_PROBLEM,
        ),
    )
)
_BETWEEN_REQUESTS, _IN_HEAD, _IN_BODY, _REFUSED = range(4)


class LimitedProtocol(HttpToolsProtocol):
    """A connection that knows when the server began to wait for it."""

    def __init__(
        self, config: Any, server_state: Any, app_state: dict[str, Any], **more: Any
    ) -> None:
        super().__init__(config, server_state, app_state, **more)
        self._connections = server_state if isinstance(server_state, LimitedConnections) else None
        self._stage = _BETWEEN_REQUESTS  # what the parser expects next
        self._body_bytes = 0  # bytes of the body that have arrived
        # Bytes since the parser last completed a request's head, a chunk of its body, or the
        # request.
        self._head_bytes = 0
        self._portions: PortionedWriter | None = None
        self._is_asked = False  # a request that bypassed the parser has not been answered yet
        self._answered_at = 0.0  # when the last such request was answered
        self._last_progress: tuple[object, ...] = self._progress_state()
        self._waiting_since_s = self.loop.time()
        self._unread_size_and_since = (0, self._waiting_since_s)

    def connection_made(self, transport: Any) -> None:
        if transport.get_extra_info("sslcontext") is not None:
            transport = self._portions = PortionedWriter(transport, lambda: self.flow.write_paused)
        super().connection_made(transport)
        if self._connections and not self._connections.admit(self):
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Parse the data; refuse it if the head of the request is too long."""
        while data and self._stage != _REFUSED and not self.transport.is_closing():
            head_bytes_left = _HEAD_BYTES_MAX - self._head_bytes
            if head_bytes_left <= 0:
                self._refuse_head()
                return
            part = data if self._stage == _IN_BODY else data[:head_bytes_left]
            data = data[len(part) :]
            self._head_bytes += len(part)  # the parser's callbacks reset this number
            super().data_received(part)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._portions is not None:
            self._portions.resume_writing()

    def on_message_begin(self) -> None:
        self._stage, self._body_bytes = _IN_HEAD, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stage, self._head_bytes = _IN_BODY, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes, self._head_bytes = self._body_bytes + len(body), 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stage, self._head_bytes = _BETWEEN_REQUESTS, 0
        super().on_message_complete()

    @property
    def is_between_requests(self) -> bool:
        """Whether the parser is between two requests."""
        return self._stage == _BETWEEN_REQUESTS

    def waiting_since(self, now_s: float) -> float | None:
        """Return when the server began to wait for the next part of a request, in seconds on the
        loop's clock; None if the server is not waiting.
        """
        if self._is_asked or self.transport.is_closing():
            return None
        if self._is_answering() and (
            self._stage == _BETWEEN_REQUESTS or self._body_bytes >= _LARGE_BODY_BYTES
        ):
            return None
        if (state := self._progress_state()) != self._last_progress:
            self._last_progress, self._waiting_since_s = state, now_s
        return self._waiting_since_s

    def is_over_time_limit(self, now_s: float) -> bool:
        """Return whether the server has waited longer than the limit for this connection.

        The code that reads bodies has limits of its own.
        """
        since_s = self.waiting_since(now_s)
        if since_s is None or self._is_answering():
            return self._is_peer_not_reading(now_s)
        if self._stage == _BETWEEN_REQUESTS and (
            self._current_request() is not None or self._answered_at
        ):
            # Checked here too, because any byte stops uvicorn's own timer, even a byte that begins
            # no request.
            return now_s - since_s > self.timeout_keep_alive + 1
        return now_s - since_s > (
            _BODY_REST_WAIT_S_MAX if self._stage == _IN_BODY else _HEAD_WAIT_S_MAX
        )

    def abort(self) -> None:
        """Close the connection at once, and stop counting it."""
        self.connections.discard(self)
        self.transport.abort()

    def unread_bytes(self) -> int:
        """Return how many bytes of answers the peer has not read yet."""
        return int(self.transport.get_write_buffer_size())

    def _refuse_head(self) -> None:
        if self._stage == _IN_BODY or self._is_answering():
            self.abort()
            return
        self._stage = _REFUSED
        self.flow.pause_reading()
        self.transport.write(_HEAD_TOO_LARGE_RESPONSE)
        # Over TLS, a graceful close would continue to read.
        self.loop.call_later(_REFUSAL_LINGER_S, self.abort)

    def _is_answering(self) -> bool:
        cycle = self._current_request()
        return cycle is not None and not cycle.response_complete

    def _current_request(self) -> RequestResponseCycle | None:
        """Return the last request, or None; uvicorn's type annotation leaves None out."""
        return self.cycle

    def _is_peer_not_reading(self, now_s: float) -> bool:
        size = self.unread_bytes() if self.flow.write_paused else 0
        if not size or size != self._unread_size_and_since[0]:
            self._unread_size_and_since = (size, now_s)
        return now_s - self._unread_size_and_since[1] > _UNREAD_S_MAX

    def _progress_state(self) -> tuple[object, ...]:
        """Return a value that changes whenever a request makes progress."""
        return (self.cycle, self._stage, self._answered_at)


class LimitedConnections(ServerState):
    """The connections of a server, at most ``limit``; to make room, waiting ones are closed."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        #: Makes the application end one request that waits for an event. Returns False if there is
        #: no such request.
        self.make_room: Callable[[], bool] = lambda: False

    def admit(self, newcomer: LimitedProtocol) -> bool:
        """Return whether a new connection may stay. If there are too many connections, first close
        those that have waited longest for a request.

        If no connection is waiting for a request, the application is asked to end a request that
        waits for an event.
        """
        if len(self.connections) <= self._limit:
            return True
        now_s = newcomer.loop.time()
        since_s = {
            one: one.waiting_since(now_s) for one in self._open_connections() if one is not newcomer
        }
        waiting = [(since, id(one), one) for one, since in since_s.items() if since is not None]
        oldest = heapq.nsmallest(1 + self._limit // _CONNECTIONS_PER_EVICTION, waiting)
        for _, _, one in oldest:
            one.abort()
        return bool(oldest) or self.make_room()

    def close_overdue(self, now_s: float) -> None:
        """Close the connections that exceed a limit of time or of buffered bytes."""
        for one in self._open_connections():
            if one.is_over_time_limit(now_s):
                one.abort()
        self._close_most_unread()

    def _close_most_unread(self) -> None:
        """Close the connections with the most unread bytes until the total is below the limit."""
        unread = [
            (size, id(one), one) for one in self._open_connections() if (size := one.unread_bytes())
        ]
        excess_bytes = sum(size for size, _, _ in unread) - _UNREAD_BYTES_MAX
        for size, _, one in sorted(unread, reverse=True):
            if excess_bytes <= 0:
                return
            one.abort()
            excess_bytes -= size

    def _open_connections(self) -> list[LimitedProtocol]:
        return [one for one in self.connections if isinstance(one, LimitedProtocol)]


class LimitedServer(uvicorn.Server):
    """A server with at most 4,096 connections, or fewer if the limit on open files requires that.

    Every second the server closes the connections that exceed a limit.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state: LimitedConnections = LimitedConnections(
            raise_file_limit_for_connections()
        )

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_PER_SECOND == 0:
            self.server_state.close_overdue(asyncio.get_running_loop().time())
        return await super().on_tick(counter)


def raise_file_limit_for_connections() -> int:
    """Raise this process's limit on open files, as far as the maximum number of connections
    requires.

    Return how many connections may be open: at most 4,096, and at most half of the files that this
    process may then open. The other half is for blobs.
    """
    if sys.platform == "win32":
        return _CONNECTIONS_MAX
    import resource  # noqa: PLC0415 -- does not exist on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _CONNECTIONS_MAX
    needed = 2 * _CONNECTIONS_MAX + _OWN_FILES_MAX
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(1, min(_CONNECTIONS_MAX, (max(soft, wanted) - _OWN_FILES_MAX) // 2))


WRITE_PORTION_BYTES: Final = 65536


class PortionedWriter:
    """Has the methods of a transport that uvicorn uses, and passes data on in portions.

    ``is_full`` tells when writing must pause.
    """

    def __init__(self, transport: Any, is_full: Callable[[], bool]) -> None:
        transport.set_write_buffer_limits(high=WRITE_PORTION_BYTES)
        self._transport = transport
        self._is_full = is_full
        self._unsent: deque[memoryview] = deque()
        self._is_close_requested = False
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Accept all of ``data``. If the transport is full, write the rest of it later."""
        self._unsent.append(memoryview(data))
        self.resume_writing()

    def resume_writing(self) -> None:
        while self._unsent and not self._is_full():
            data = self._unsent.popleft()
            self._transport.write(data[:WRITE_PORTION_BYTES])
            if rest := data[WRITE_PORTION_BYTES:]:
                self._unsent.appendleft(rest)
        if self._is_close_requested and not self._unsent:
            self._transport.close()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes have not been sent yet; one or two portions in the TLS layer are
        not counted.
        """
        return sum(map(len, self._unsent)) + int(self._transport.get_write_buffer_size())

    def close(self) -> None:
        """Close the connection once the rest has been written."""
        self._is_close_requested = True
        self.resume_writing()

    def abort(self) -> None:
        self._unsent.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._is_close_requested or bool(self._transport.is_closing())
