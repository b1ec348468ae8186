"""How slow a relay may be in all.

The timeouts of an HTTP client begin anew with every byte, so a relay that sends one now and then
could keep a device, and the vault that it holds open, for as long as it liked: while it connects,
in its headers, in its body. Here a request has to move a number of bytes in every minute.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import httpcore
import httpx
import socksio

from entrenous.model.relay_problem import OnionNeedsProxy, ProxySilent
from entrenous.model.setting import Proxy
from entrenous.spec import PACE_S

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
class Way:
    """A proxy, and the credentials that it is shown; Tor keeps a circuit for each of them."""

    proxy: Proxy
    name: str
    password: str


class PacedTransport(httpx.HTTPTransport):
    """httpx's own, but for its sockets; they know no pace outside of :func:`keeping`."""

    def __init__(self, context: ssl.SSLContext, way: Way | None = None) -> None:
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
