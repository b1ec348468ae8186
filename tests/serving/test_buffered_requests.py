"""Buffered requests are read as the parser would read them; all others are left to it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from entrenous.serving.buffered_requests import (
    BufferedProtocol,
    BufferedRequest,
    SendAnswer,
    parse_buffered_request,
)
from tests.fuzz.targets.web import read_alike

GET = b"GET /held?after=3 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x \r\n\r\n"
PUT = b"PUT /held HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
OTHER = b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n"


NEAR = st.lists(
    st.sampled_from(
        [
            *(
                b"GET ",
                b"PUT ",
                b"DELETE ",
                b"POST ",
                b"/a",
                b"/b?c=d&e",
                b"//",
                b"?",
                b"%41",
                b"#",
            ),
            *(b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b"\t", b":"),
            *(b"Host: a", b"Content-Length: 2", b"content-length:0", b"Content-Length: +1"),
            *(b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: keep-alive"),
            *(b"Expect: 100-continue", b"Upgrade: h2c", b"X: \xc3\xa9", b"X-Y:z ", b"ab", b"\0"),
        ]
    ),
    max_size=14,
).map(b"".join)
PLAIN = st.builds(
    lambda method, path, lines, body: b"".join(
        (method, path, b" HTTP/1.1\r\n", *lines, b"Content-Length: %d\r\n\r\n" % len(body), body)
    ),
    st.sampled_from([b"GET ", b"PUT ", b"DELETE "]),
    st.sampled_from([b"/", b"/a/b_-~.", b"/a?b=c&d", b"/a?", b"/%20", b"/a?b?c", b"/a#b"]),
    st.lists(
        st.sampled_from(
            [
                b"Host: a\r\n",
                b"X:\t b \t\r\n",
                b"Y: a: b\r\n",
                b"Z:\r\n",
                b" folded\r\n",
                b"Z: 1\r\n",
            ]
        ),
        max_size=3,
    ),
    st.binary(max_size=9),
)


@given(NEAR | PLAIN)
@example(GET)
@example(PUT)
@example(GET + GET)
@example(PUT[:-1])
@example(GET.replace(b"Host", b"Content-Length: 9999999999\r\nHost"))
def test_buffered_requests_match_the_real_parser(data: bytes) -> None:
    assert read_alike(data)


def test_plain_requests_are_taken() -> None:
    assert parse_buffered_request(PUT) == BufferedRequest(
        "PUT", "/held", "", {"host": "a", "content-length": "4"}, b"body"
    )
    taken = parse_buffered_request(GET)
    assert taken is not None
    assert (taken.query, taken.headers["authorization"]) == ("after=3", "Bearer x")


class Socket(asyncio.Transport):
    """Records what a protocol writes."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.closed, self.paused = b"", False, False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class App:
    """Accepts requests for ``/held``, and answers them when allowed."""

    def __init__(self) -> None:
        self.held: list[tuple[BufferedRequest, SendAnswer]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("by the parser")(scope, receive, send)

    def answer_buffered(self, asked: BufferedRequest, tell: SendAnswer) -> bool:
        if asked.path == "/held":
            self.held.append((asked, tell))
        return asked.path == "/held"

    def let_go(self) -> None:
        _, tell = self.held.pop(0)
        tell(201, [(b"content-length", b"2")], b"ok")


class Line:
    """A connection: its protocol, its transport and its application."""

    def __init__(self, keep_alive_s: int = 30) -> None:
        self.app, self.socket = App(), Socket()
        config = uvicorn.Config(self.app, log_config=None, timeout_keep_alive=keep_alive_s)
        self.protocol = BufferedProtocol(config, ServerState(), {})
        self.protocol.connection_made(self.socket)

    async def answers(self) -> bytes:
        for _ in range(20):
            await asyncio.sleep(0)
        return self.socket.sent


def ran(work: Callable[[], Any]) -> None:
    asyncio.run(work())


def test_pipelined_requests_are_answered_in_order() -> None:
    async def work() -> None:
        line = Line()
        line.protocol.data_received(PUT)
        line.protocol.data_received(OTHER + GET)  # arrives before the first is answered
        assert await line.answers() == b""
        line.app.let_go()
        assert (await line.answers()).startswith(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n")
        both = await line.answers()
        assert both.count(b"HTTP/1.1") == 3  # the parser got both, as they came in one piece
        assert both.count(b"by the parser") == 2
        line.protocol.data_received(GET)
        line.app.let_go()
        assert (await line.answers()).endswith(b"\r\n\r\nok")

    ran(work)


def test_request_in_pieces_is_left_to_the_parser() -> None:
    async def work() -> None:
        line = Line()
        line.protocol.data_received(PUT[:20])
        line.protocol.data_received(PUT[20:])
        assert b"by the parser" in await line.answers()
        line.protocol.data_received(PUT[:-1])
        line.protocol.data_received(b"y")
        assert (await line.answers()).count(b"by the parser") == 2
        assert not line.app.held

    ran(work)


def test_malformed_request_is_refused_by_the_parser() -> None:
    async def work() -> None:
        line = Line()
        line.protocol.data_received(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert (await line.answers()).startswith(b"HTTP/1.1 400 ")
        assert line.socket.closed

    ran(work)


def test_stop_waits_for_the_answer_and_closes_the_connection() -> None:
    async def work() -> None:
        busy, idle = Line(), Line()
        busy.protocol.data_received(PUT)
        busy.protocol.shutdown()
        idle.protocol.shutdown()
        assert (busy.socket.closed, idle.socket.closed) == (False, True)
        busy.app.let_go()
        assert b"connection: close\r\n" in busy.socket.sent
        assert busy.socket.closed

    ran(work)


def test_a_flood_behind_an_unanswered_request_is_not_read() -> None:
    async def work() -> None:
        line = Line()
        line.protocol.data_received(PUT)
        line.protocol.data_received(OTHER * 2200)
        assert line.socket.paused
        line.app.let_go()
        assert (await line.answers()).count(b"HTTP/1.1") > 1

    ran(work)


def test_closed_connection_is_not_answered() -> None:
    async def work() -> None:
        line = Line()
        line.protocol.data_received(PUT)
        line.protocol.connection_lost(None)
        line.app.let_go()
        assert line.socket.sent == b""

    ran(work)


@pytest.mark.parametrize("asked", [PUT, OTHER])
def test_an_idle_connection_is_closed_and_a_busy_one_is_not(asked: bytes) -> None:
    async def work() -> None:
        line = Line(keep_alive_s=0)
        line.protocol.data_received(PUT)
        line.protocol.timeout_keep_alive_handler()
        assert not line.socket.closed
        line.app.let_go()
        line.protocol.data_received(asked)
        if line.app.held:
            line.app.let_go()
        await line.answers()
        await asyncio.sleep(0.01)
        line.protocol.timeout_keep_alive_handler()
        assert line.socket.closed

    ran(work)
