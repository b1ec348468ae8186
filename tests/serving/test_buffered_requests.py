"""Tests of requests that are read without uvicorn's parser: content, order, limits and closing."""

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
from tests.fuzz.targets.web import is_read_like_the_parser

GET_REQUEST = b"GET /held?after=3 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x \r\n\r\n"
PUT_REQUEST = b"PUT /held HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
UNBUFFERED_REQUEST = b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n"


REQUEST_FRAGMENTS = st.lists(
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
SIMPLE_REQUESTS = st.builds(
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


@given(REQUEST_FRAGMENTS | SIMPLE_REQUESTS)
@example(GET_REQUEST)
@example(PUT_REQUEST)
@example(GET_REQUEST + GET_REQUEST)
@example(PUT_REQUEST[:-1])
@example(GET_REQUEST.replace(b"Host", b"Content-Length: 9999999999\r\nHost"))
def test_requests_are_read_as_the_parser_reads_them_or_left_to_it(data: bytes) -> None:
    assert is_read_like_the_parser(data)


def test_simple_requests_are_buffered() -> None:
    assert parse_buffered_request(PUT_REQUEST) == BufferedRequest(
        "PUT", "/held", "", {"host": "a", "content-length": "4"}, b"body"
    )
    buffered = parse_buffered_request(GET_REQUEST)
    assert buffered is not None
    assert (buffered.query, buffered.headers["authorization"]) == ("after=3", "Bearer x")


class FakeTransport(asyncio.Transport):
    """A transport that records the bytes that a protocol writes."""

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


class BufferingApp:
    """An application that buffers requests for ``/held`` until ``answer_next`` is called."""

    def __init__(self) -> None:
        self.unanswered: list[tuple[BufferedRequest, SendAnswer]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("by the parser")(scope, receive, send)

    def answer_buffered(self, request: BufferedRequest, send_answer: SendAnswer) -> bool:
        if request.path == "/held":
            self.unanswered.append((request, send_answer))
        return request.path == "/held"

    def answer_next(self) -> None:
        _, send_answer = self.unanswered.pop(0)
        send_answer(201, [(b"content-length", b"2")], b"ok")


class Connection:
    """The server's side of a connection, with a fake transport and a buffering application."""

    def __init__(self, keep_alive_s: int = 30) -> None:
        self.app, self.transport = BufferingApp(), FakeTransport()
        config = uvicorn.Config(self.app, log_config=None, timeout_keep_alive=keep_alive_s)
        self.protocol = BufferedProtocol(config, ServerState(), {})
        self.protocol.connection_made(self.transport)

    async def bytes_sent_after_tasks(self) -> bytes:
        """Let pending tasks run, and return all bytes that have been sent so far."""
        for _ in range(20):
            await asyncio.sleep(0)
        return self.transport.sent


def run_scenario(scenario: Callable[[], Any]) -> None:
    asyncio.run(scenario())


def test_pipelined_requests_are_answered_in_order() -> None:
    async def scenario() -> None:
        connection = Connection()
        connection.protocol.data_received(PUT_REQUEST)
        # Two more requests arrive before the first request is answered.
        connection.protocol.data_received(UNBUFFERED_REQUEST + GET_REQUEST)
        assert await connection.bytes_sent_after_tasks() == b""
        connection.app.answer_next()
        assert (await connection.bytes_sent_after_tasks()).startswith(
            b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n"
        )
        answers = await connection.bytes_sent_after_tasks()
        assert answers.count(b"HTTP/1.1") == 3  # uvicorn's parser reads the last two requests
        assert answers.count(b"by the parser") == 2
        connection.protocol.data_received(GET_REQUEST)
        connection.app.answer_next()
        assert (await connection.bytes_sent_after_tasks()).endswith(b"\r\n\r\nok")

    run_scenario(scenario)


def test_request_in_pieces_is_left_to_the_parser() -> None:
    async def scenario() -> None:
        connection = Connection()
        connection.protocol.data_received(PUT_REQUEST[:20])
        connection.protocol.data_received(PUT_REQUEST[20:])
        assert b"by the parser" in await connection.bytes_sent_after_tasks()
        connection.protocol.data_received(PUT_REQUEST[:-1])
        connection.protocol.data_received(b"y")
        assert (await connection.bytes_sent_after_tasks()).count(b"by the parser") == 2
        assert not connection.app.unanswered

    run_scenario(scenario)


def test_malformed_request_is_refused_by_the_parser() -> None:
    async def scenario() -> None:
        connection = Connection()
        connection.protocol.data_received(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert (await connection.bytes_sent_after_tasks()).startswith(b"HTTP/1.1 400 ")
        assert connection.transport.closed

    run_scenario(scenario)


def test_shutdown_waits_for_the_answer_and_closes_the_connection() -> None:
    async def scenario() -> None:
        busy, idle = Connection(), Connection()
        busy.protocol.data_received(PUT_REQUEST)
        busy.protocol.shutdown()
        idle.protocol.shutdown()
        assert (busy.transport.closed, idle.transport.closed) == (False, True)
        busy.app.answer_next()
        assert b"connection: close\r\n" in busy.transport.sent
        assert busy.transport.closed

    run_scenario(scenario)


def test_flood_of_pipelined_requests_pauses_reading_and_is_then_answered() -> None:
    async def scenario() -> None:
        connection = Connection()
        connection.protocol.data_received(PUT_REQUEST)
        connection.protocol.data_received(UNBUFFERED_REQUEST * 2200)
        assert connection.transport.paused
        connection.app.answer_next()
        assert (await connection.bytes_sent_after_tasks()).count(b"HTTP/1.1") > 1

    run_scenario(scenario)


def test_closed_connection_is_not_answered() -> None:
    async def scenario() -> None:
        connection = Connection()
        connection.protocol.data_received(PUT_REQUEST)
        connection.protocol.connection_lost(None)
        connection.app.answer_next()
        assert connection.transport.sent == b""

    run_scenario(scenario)


@pytest.mark.parametrize("second_request", [PUT_REQUEST, UNBUFFERED_REQUEST])
def test_keep_alive_timeout_closes_only_idle_connections(second_request: bytes) -> None:
    async def scenario() -> None:
        connection = Connection(keep_alive_s=0)
        connection.protocol.data_received(PUT_REQUEST)
        connection.protocol.timeout_keep_alive_handler()
        assert not connection.transport.closed
        connection.app.answer_next()
        connection.protocol.data_received(second_request)
        if connection.app.unanswered:
            connection.app.answer_next()
        await connection.bytes_sent_after_tasks()
        await asyncio.sleep(0.01)
        connection.protocol.timeout_keep_alive_handler()
        assert connection.transport.closed

    run_scenario(scenario)
