"""A separate connection for each token, and a minimum transfer rate (docs/spec/relay.md, section
14).
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, cast

import httpcore
import httpx
import socksio

from entrenous.base.environment import Proxy
from entrenous.base.errors import OnionNeedsProxy, ProxyUnreachable
from entrenous.base.limits import TRANSFER_INTERVAL_S

#: Sent with every request. The headers reveal neither this program's version nor the operating
#: system.
CONSTANT_HEADERS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
    "User-Agent": "Entrenous",
}


@dataclass(eq=False, slots=True)
class _TokenTransport:
    transport: httpx.BaseTransport
    busy: int = 0


class PerTokenTransport(httpx.BaseTransport):
    """An HTTP transport that keeps a separate connection for each token at each relay.

    The token is taken from the ``Authorization`` header. ``make`` creates a transport, given the
    URL of the first request. Idle transports are closed as soon as another one is used.
    """

    def __init__(self, make: Callable[[httpx.URL], httpx.BaseTransport]) -> None:
        self._make = make
        self._entries = dict[object, _TokenTransport]()
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its transport is busy until the response body is read or closed."""
        _sort_headers(request)
        entry = self._take_transport(_connection_key(request), request.url)
        try:
            answer = entry.transport.handle_request(request)
        except BaseException:
            self._release_transport(entry)
            raise
        return httpx.Response(
            answer.status_code,
            headers=answer.headers,
            stream=_ResponseBody(answer, lambda: self._release_transport(entry)),
            extensions=answer.extensions,
        )

    def close_idle(self) -> None:
        """Close all idle connections."""
        with self._lock:
            self._close_idle()

    def close(self) -> None:
        with self._lock:
            for entry in self._entries.values():
                entry.transport.close()
            self._entries.clear()

    def _take_transport(self, key: object, url: httpx.URL) -> _TokenTransport:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                entry.busy += 1
            self._close_idle()
            if entry is None:
                entry = self._entries[key] = _TokenTransport(self._make(url), busy=1)
            return entry

    def _release_transport(self, entry: _TokenTransport) -> None:
        with self._lock:
            entry.busy -= 1

    def _close_idle(self) -> None:
        for key, entry in tuple(self._entries.items()):
            if not entry.busy:
                del self._entries[key]
                entry.transport.close()


class _ResponseBody(httpx.SyncByteStream):
    """A response body; ``on_close`` is called once, when it is closed."""

    def __init__(self, answer: httpx.Response, on_close: Callable[[], None]) -> None:
        self._answer = answer
        self._on_close: Callable[[], None] | None = on_close

    def __iter__(self) -> Iterator[bytes]:
        yield from cast("Iterable[bytes]", self._answer.stream)

    def close(self) -> None:
        on_close, self._on_close = self._on_close, None
        try:
            self._answer.close()
        finally:
            if on_close is not None:
                on_close()


def refusing_cookie_jar() -> CookieJar:
    """Return a cookie jar that accepts no cookie."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


def _connection_key(request: httpx.Request) -> object:
    """Return a key that is equal for requests that may share a connection. A request without a
    token shares its connection with no other request.
    """
    token = request.headers.get("Authorization")
    return object() if token is None else (request.url.scheme, request.url.netloc, token)


def _sort_headers(request: httpx.Request) -> None:
    """Put the host first and sort the other headers, so that their order reveals nothing."""
    request.headers = httpx.Headers(
        sorted(request.headers.raw, key=lambda one: (one[0].lower() != b"host", one[0].lower()))
    )


#: Maximum size of an answer that is neither a page of letters nor a blob. At the minimum rate, an
#: answer of this size takes a minute.
SMALL_ANSWER_BYTES_MAX: Final = 256 * 1024
_WRITE_CHUNK_BYTES: Final = 64 * 1024  # bytes written or read at a time
_PROXY_TIMEOUT_S: Final = (
    30.0  # seconds without an answer from a proxy, for which httpcore sets no timeout
)


class MinimumRate:
    """A minimum number of bytes per ``each_s`` seconds, both directions together."""

    def __init__(
        self,
        least_bytes: int,
        now_s: Callable[[], float] = time.monotonic,
        each_s: float | None = None,
    ) -> None:
        self._least = least_bytes
        self._now_s = now_s
        self._each_s = TRANSFER_INTERVAL_S if each_s is None else each_s
        self._moved = 0
        self._since_s = now_s()

    def count_bytes(self, count: int) -> None:
        """Record that ``count`` more bytes were sent or received."""
        self._moved += count
        if self._moved >= self._least:  # a surplus does not count for the next interval
            self._moved, self._since_s = 0, self._now_s()

    def seconds_left(self) -> float:
        """Return how many seconds the next bytes may take; 0 or less means that they are
        overdue.
        """
        return self._since_s + self._each_s - self._now_s()


_CURRENT_MINIMUM_RATE: Final[ContextVar[MinimumRate | None]] = ContextVar("kept", default=None)
_OPENED_STREAMS: Final[ContextVar[list[httpcore.NetworkStream] | None]] = ContextVar(
    "opened", default=None
)


@contextmanager
def enforce_minimum_rate(pace: MinimumRate) -> Iterator[None]:
    """Inside the block, requests over :class:`RateCheckedTransport` time out if slower than
    ``pace``.
    """
    before = _CURRENT_MINIMUM_RATE.set(pace)
    try:
        yield
    finally:
        _CURRENT_MINIMUM_RATE.reset(before)


@dataclass(frozen=True, slots=True)
class ProxyRoute:
    """A proxy, and the credentials for it.

    Tor uses a separate circuit for each pair of user name and password.
    """

    proxy: Proxy
    name: str
    password: str


class RateCheckedTransport(httpx.HTTPTransport):
    """httpx's transport with sockets that enforce a minimum rate.

    The rate applies inside :func:`enforce_minimum_rate`.

    ``network`` opens the sockets instead of a :class:`RateCheckedNetwork`.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        route: ProxyRoute | None = None,
        network: httpcore.NetworkBackend | None = None,
    ) -> None:
        super().__init__(verify=context, trust_env=False)
        limits: dict[str, Any] = {  # the same limits as in httpx itself
            "ssl_context": context,
            "max_connections": 100,
            "max_keepalive_connections": 20,
            "keepalive_expiry": 5.0,
            "network_backend": network or RateCheckedNetwork(route.proxy if route else None),
        }
        if route is None:
            self._pool = httpcore.ConnectionPool(**limits)
            return
        self._pool = httpcore.SOCKSProxy(
            f"socks5://{route.proxy}",  # httpcore leaves resolving names to the proxy
            proxy_auth=(route.name, route.password),
            **limits,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Handle a request like httpx; also raise httpx.ProxyError if the proxy does not speak
        SOCKS.
        """
        opened = list[httpcore.NetworkStream]()
        before = _OPENED_STREAMS.set(opened)
        try:
            return super().handle_request(request)
        except BaseException as why:
            for stream in opened:  # httpcore leaves the socket open if the proxy fails to connect
                stream.close()
            if isinstance(why, (AssertionError, socksio.SOCKSError)):
                raise httpx.ProxyError("it speaks no SOCKS5", request=request) from None
            raise
        finally:
            _OPENED_STREAMS.reset(before)


class RateCheckedNetwork(httpcore.NetworkBackend):
    """Opens sockets to servers, or only to ``proxy`` if there is one, which then resolves names.

    ``may_reach`` returns whether the program may connect to an IP address to which a name was
    resolved.
    """

    def __init__(
        self, proxy: Proxy | None = None, may_reach: Callable[[str], bool] = lambda _: True
    ) -> None:
        self._real = httpcore.SyncBackend()
        self._proxy = proxy
        self._may_reach = may_reach

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers.

        The timeout applies to each attempt. Inside :func:`enforce_minimum_rate`, all attempts
        together also have to end within the interval.

        Raises:
            OnionNeedsProxy: names below .onion must not be looked up (RFC 7686 section 2).
            ProxyUnreachable.
        """
        if host.rstrip(".").lower().endswith(".onion"):
            raise OnionNeedsProxy(host=host)
        last: Exception = httpcore.ConnectError("it has no address")
        try:
            for address in filter(self._may_reach, _resolve_host(host, port)):
                left_s = _limited_timeout(timeout, httpcore.ConnectTimeout)
                try:
                    return _tracked_and_rate_checked(
                        self._real.connect_tcp(address, port, left_s, local_address, socket_options)
                    )
                except (httpcore.ConnectError, httpcore.ConnectTimeout) as why:
                    last = why
            raise last
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            if self._proxy is None:
                raise
            raise ProxyUnreachable(host=str(self._proxy)) from None


class _RateCheckedStream(httpcore.NetworkStream):
    def __init__(self, real: httpcore.NetworkStream) -> None:
        self._real = real

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        came = self._real.read(max_bytes, _limited_timeout(timeout, httpcore.ReadTimeout))
        _count_moved_bytes(len(came))
        return came

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write in pieces, because the underlying stream restarts its timeout after each partial
        write.
        """
        for at in range(0, len(buffer), _WRITE_CHUNK_BYTES):
            piece = buffer[at : at + _WRITE_CHUNK_BYTES]
            self._real.write(piece, _limited_timeout(timeout, httpcore.WriteTimeout))
            _count_moved_bytes(len(piece))

    def close(self) -> None:
        self._real.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left_s = _limited_timeout(timeout, httpcore.ConnectTimeout)
        return _RateCheckedStream(self._real.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._real.get_extra_info(info)


def _tracked_and_rate_checked(stream: httpcore.NetworkStream) -> _RateCheckedStream:
    opened = _OPENED_STREAMS.get()
    if opened is not None:
        opened.append(stream)
    return _RateCheckedStream(stream)


def _resolve_host(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as why:
        raise httpcore.ConnectError(str(why)) from why
    return [str(address[0]) for *_, address in found]


def _limited_timeout(timeout: float | None, timeout_error: type[Exception]) -> float | None:
    """Return the timeout in seconds, limited to the rest of the interval.

    Raise ``timeout_error`` if no time is left.
    """
    pace = _CURRENT_MINIMUM_RATE.get()
    if timeout is None:
        timeout = _PROXY_TIMEOUT_S
    if pace is None:
        return timeout
    left_s = pace.seconds_left()
    if left_s <= 0:
        raise timeout_error
    return min(timeout, left_s)


def _count_moved_bytes(count: int) -> None:
    pace = _CURRENT_MINIMUM_RATE.get()
    if pace is not None:
        pace.count_bytes(count)
