"""A connection of its own for each capability (docs/spec/relay.md section 14).

A relay that sees two tokens on one connection knows that one person holds both. So a connection
carries one token, to one relay, and is closed before another is used; a request without a token has
a connection to itself. Nothing else joins two of them: no cookie is kept, no TLS session is
resumed, and the headers of a request are the same, in the same order, for everybody.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, cast

import httpx

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
