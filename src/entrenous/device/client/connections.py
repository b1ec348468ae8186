"""A connection for each capability, and a limit on how slow a relay may be (docs/spec/relay.md,
section 14).
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
from entrenous.base.errors import OnionNeedsProxy, ProxySilent
from entrenous.base.limits import PACE_S

#: Sent with every request; says neither which version asks, nor on which system.
HEADERS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
    "User-Agent": "Entrenous",
}


@dataclass(eq=False, slots=True)
class _Lane:
    transport: httpx.BaseTransport
    busy: int = 0


class Lanes(httpx.BaseTransport):
    """One transport for each pair of a relay and an ``Authorization``; ``make`` makes it, given the
    URL of its first request.

    Lanes without a request under way are closed as soon as another one is used.
    """

    def __init__(self, make: Callable[[httpx.URL], httpx.BaseTransport]) -> None:
        self._make = make
        self._lanes = dict[object, _Lane]()
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer; its lane is busy until its body was read or given up."""
        _put_in_order(request)
        lane = self._enter(_key(request), request.url)
        try:
            answer = lane.transport.handle_request(request)
        except BaseException:
            self._leave(lane)
            raise
        return httpx.Response(
            answer.status_code,
            headers=answer.headers,
            stream=_Body(answer, lambda: self._leave(lane)),
            extensions=answer.extensions,
        )

    def rest(self) -> None:
        """Close every connection that has no request under way."""
        with self._lock:
            self._close_idle()

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for lane in self._lanes.values():
                lane.transport.close()
            self._lanes.clear()

    def _enter(self, key: object, url: httpx.URL) -> _Lane:
        with self._lock:
            lane = self._lanes.get(key)
            if lane is not None:
                lane.busy += 1
            self._close_idle()
            if lane is None:
                lane = self._lanes[key] = _Lane(self._make(url), busy=1)
            return lane

    def _leave(self, lane: _Lane) -> None:
        with self._lock:
            lane.busy -= 1

    def _close_idle(self) -> None:
        for key, lane in tuple(self._lanes.items()):
            if not lane.busy:
                del self._lanes[key]
                lane.transport.close()


class _Body(httpx.SyncByteStream):
    """The body of an answer; ``left`` is called once, when it is closed."""

    def __init__(self, answer: httpx.Response, left: Callable[[], None]) -> None:
        self._answer = answer
        self._left: Callable[[], None] | None = left

    def __iter__(self) -> Iterator[bytes]:
        yield from cast("Iterable[bytes]", self._answer.stream)

    def close(self) -> None:
        """End the answer, and free its lane."""
        left, self._left = self._left, None
        try:
            self._answer.close()
        finally:
            if left is not None:
                left()


def no_cookies() -> CookieJar:
    """A jar into which no cookie goes."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


def _key(request: httpx.Request) -> object:
    """What may share a connection; what carries no token shares it with nothing."""
    token = request.headers.get("Authorization")
    return object() if token is None else (request.url.scheme, request.url.netloc, token)


def _put_in_order(request: httpx.Request) -> None:
    """The host, then every other header by its name, whoever added it and when."""
    request.headers = httpx.Headers(
        sorted(request.headers.raw, key=lambda one: (one[0].lower() != b"host", one[0].lower()))
    )


#: Also the longest answer that is neither a page of letters nor a blob: it comes in a minute, or
#: never.
SMALL_BYTES: Final = 256 * 1024
_PIECE: Final = 64 * 1024  # bytes
_SILENT_S: Final = 30.0  # httpcore gives what it says to a proxy no time-out


class Pace:
    """At least so many bytes in every minute, both ways taken together."""

    def __init__(self, least_bytes: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._least = least_bytes
        self._now_s = now_s
        self._moved = 0
        self._since_s = now_s()

    def moved(self, count: int) -> None:
        """So many more bytes went or came."""
        self._moved += count
        if self._moved >= self._least:  # what is beyond is no credit for a rest
            self._moved, self._since_s = 0, self._now_s()

    def left_s(self) -> float:
        """How long the next bytes may take; 0 or less when they are late."""
        return self._since_s + PACE_S - self._now_s()


_KEPT: Final[ContextVar[Pace | None]] = ContextVar("kept", default=None)
_OPENED: Final[ContextVar[list[httpcore.NetworkStream] | None]] = ContextVar("opened", default=None)


@contextmanager
def keeping(pace: Pace) -> Iterator[None]:
    """What a client over :class:`PacedTransport` does in here keeps ``pace``, or times out."""
    before = _KEPT.set(pace)
    try:
        yield
    finally:
        _KEPT.reset(before)


@dataclass(frozen=True, slots=True)
class ProxyRoute:
    """A proxy, and the credentials that it is shown; Tor keeps a circuit for each of them."""

    proxy: Proxy
    name: str
    password: str


class PacedTransport(httpx.HTTPTransport):
    """httpx's own, but for its sockets; they know no pace outside of :func:`keeping`."""

    def __init__(self, context: ssl.SSLContext, way: ProxyRoute | None = None) -> None:
        super().__init__(verify=context, trust_env=False)
        limits: dict[str, Any] = {  # as httpx has them
            "ssl_context": context,
            "max_connections": 100,
            "max_keepalive_connections": 20,
            "keepalive_expiry": 5.0,
        }
        if way is None:
            self._pool = httpcore.ConnectionPool(**limits, network_backend=_Network())
            return
        self._pool = httpcore.SOCKSProxy(
            f"socks5://{way.proxy}",  # as every SOCKSProxy of httpcore, it is told names
            proxy_auth=(way.name, way.password),
            **limits,
            network_backend=_Network(way.proxy),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx does; raises httpx.ProxyError also for a proxy that speaks no SOCKS."""
        opened = list[httpcore.NetworkStream]()
        before = _OPENED.set(opened)
        try:
            return super().handle_request(request)
        except BaseException as why:
            for stream in opened:  # httpcore leaves open what a proxy did not connect
                stream.close()
            if isinstance(why, (AssertionError, socksio.SOCKSError)):
                raise httpx.ProxyError("it speaks no SOCKS5", request=request) from None
            raise
        finally:
            _OPENED.reset(before)


class _Network(httpcore.NetworkBackend):
    """Sockets to relays; or to ``proxy`` alone, which looks names up."""

    def __init__(self, proxy: Proxy | None = None) -> None:
        self._real = httpcore.SyncBackend()
        self._proxy = proxy

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """To the first of its addresses that answers; who named the host chose how many it has.

        Raises:
            OnionNeedsProxy: nobody may be asked where such a name leads (RFC 7686 section 2).
            ProxySilent.
        """
        if host.rstrip(".").lower().endswith(".onion"):
            raise OnionNeedsProxy(host=host)
        last: Exception = httpcore.ConnectError("it has no address")
        try:
            for address in _addresses(host, port):
                left_s = _within(timeout, httpcore.ConnectTimeout)
                try:
                    return _noted(
                        self._real.connect_tcp(address, port, left_s, local_address, socket_options)
                    )
                except (httpcore.ConnectError, httpcore.ConnectTimeout) as why:
                    last = why
            raise last
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            if self._proxy is None:
                raise
            raise ProxySilent(host=str(self._proxy)) from None


class _Paced(httpcore.NetworkStream):
    def __init__(self, real: httpcore.NetworkStream) -> None:
        self._real = real

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        came = self._real.read(max_bytes, _within(timeout, httpcore.ReadTimeout))
        _moved(len(came))
        return came

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """In pieces, for the stream below waits anew whenever a part of what it was given went."""
        for at in range(0, len(buffer), _PIECE):
            piece = buffer[at : at + _PIECE]
            self._real.write(piece, _within(timeout, httpcore.WriteTimeout))
            _moved(len(piece))

    def close(self) -> None:
        self._real.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left_s = _within(timeout, httpcore.ConnectTimeout)
        return _Paced(self._real.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._real.get_extra_info(info)


def _noted(stream: httpcore.NetworkStream) -> _Paced:
    opened = _OPENED.get()
    if opened is not None:
        opened.append(stream)
    return _Paced(stream)


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as why:
        raise httpcore.ConnectError(str(why)) from why
    return [str(address[0]) for *_, address in found]


def _within(timeout: float | None, late: type[Exception]) -> float | None:
    """The client's own timeout, cut short; raises ``late`` when nothing is left of the minute."""
    pace = _KEPT.get()
    if timeout is None:
        timeout = _SILENT_S
    if pace is None:
        return timeout
    left_s = pace.left_s()
    if left_s <= 0:
        raise late
    return min(timeout, left_s)


def _moved(count: int) -> None:
    pace = _KEPT.get()
    if pace is not None:
        pace.moved(count)
