"""Tests of the limits of connections: number, times, unread bytes and request heads."""

import asyncio
import json
import resource
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from entrenous.serving.buffered_requests import BufferedProtocol
from entrenous.serving.connection_limits import LimitedConnections, raise_file_limit_for_connections
from tests.serving.test_buffered_requests import (
    GET_REQUEST,
    PUT_REQUEST,
    UNBUFFERED_REQUEST,
    BufferingApp,
    FakeTransport,
)

PUT_HEAD = b"PUT /other HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"


class FakeTransportWithBuffer(FakeTransport):
    def __init__(self) -> None:
        super().__init__()
        self.unread = 0

    def abort(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return self.unread


class BodyReadingApp(BufferingApp):
    """An application that reads the whole body before it answers, unless ``answers_early``."""

    answers_early = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.answers_early:
            await Request(scope, receive).body()
        await super().__call__(scope, receive, send)


class LimitedServer:
    """A server's connections, with a clock that tests advance."""

    def __init__(self, max_connections: int = 100) -> None:
        self.app, self.limits, self.elapsed_s = (
            BodyReadingApp(),
            LimitedConnections(max_connections),
            0.0,
        )
        self.config = uvicorn.Config(self.app, log_config=None, timeout_keep_alive=30)
        self.protocols: list[BufferedProtocol] = []
        loop = asyncio.get_running_loop()
        self.began = loop.time()
        loop.time = lambda: self.began + self.elapsed_s  # type: ignore[method-assign]

    def connect(self, *chunks: bytes) -> BufferedProtocol:
        connection = BufferedProtocol(self.config, self.limits, {})
        self.protocols.append(connection)
        connection.connection_made(FakeTransportWithBuffer())
        for data in chunks:
            connection.data_received(data)
        return connection

    async def wait(self, seconds: float) -> None:
        """Advance the clock second by second, and close overdue connections after each second."""
        await let_tasks_run()
        for _ in range(int(seconds)):
            self.elapsed_s += 1
            self.limits.close_overdue(self.began + self.elapsed_s)

    async def abort_all(self) -> None:
        """Report all connections as lost, to end the tasks that wait for them."""
        for connection in self.protocols:
            connection.connection_lost(ConnectionResetError())
        await let_tasks_run()


async def let_tasks_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def are_closed(*connections: BufferedProtocol) -> list[bool]:
    return [connection.transport.is_closing() for connection in connections]


def run_scenario(scenario: Callable[[LimitedServer], Any], max_connections: int = 100) -> None:
    async def run_on_server() -> None:
        server = LimitedServer(max_connections)
        try:
            await scenario(server)
        finally:
            await server.abort_all()

    asyncio.run(run_on_server())


def test_connection_without_a_whole_head_is_closed_after_ten_seconds() -> None:
    async def scenario(server: LimitedServer) -> None:
        silent, slow = server.connect(), server.connect(b"GET /held HT")
        await server.wait(9)
        slow.data_received(b"TP/1.1\r\nX: ")
        assert are_closed(silent, slow) == [False, False]
        await server.wait(3)
        assert are_closed(silent, slow) == [True, True]
        assert not server.limits.connections

    run_scenario(scenario)


@pytest.mark.parametrize("first_request", [PUT_REQUEST, UNBUFFERED_REQUEST])
def test_idle_connection_stays_open_for_the_keep_alive_time(first_request: bytes) -> None:
    """A request head that begins in the keep-alive time must be complete within ten seconds."""

    async def scenario(server: LimitedServer) -> None:
        idle, blank, next_ = (server.connect(first_request) for _ in range(3))
        while server.app.unanswered:
            server.app.answer_next()
        await server.wait(25)
        assert are_closed(idle, blank, next_) == [False, False, False]
        blank.data_received(b"\r\n")  # a blank line stops uvicorn's timer, but begins no request
        next_.data_received(GET_REQUEST[:9])
        await server.wait(9)
        assert are_closed(idle, blank, next_) == [True, True, False]
        await server.wait(3)
        assert are_closed(next_) == [True]

    run_scenario(scenario)


def test_connection_being_answered_is_not_closed() -> None:
    """One connection waits for an answer; another has sent only the head of an upload."""

    async def scenario(server: LimitedServer) -> None:
        waiting, uploading = server.connect(PUT_REQUEST), server.connect(PUT_HEAD)
        await server.wait(300)
        assert are_closed(waiting, uploading) == [False, False]

    run_scenario(scenario)


def test_body_must_be_complete_a_minute_after_an_early_answer() -> None:
    async def scenario(server: LimitedServer) -> None:
        server.app.answers_early = True
        connection = server.connect(PUT_HEAD)
        await server.wait(50)
        connection.data_received(b"x")
        assert are_closed(connection) == [False]
        await server.wait(12)
        assert are_closed(connection) == [True]

    run_scenario(scenario)


def test_client_that_reads_nothing_for_a_minute_is_closed() -> None:
    async def scenario(server: LimitedServer) -> None:
        stuck, slow = server.connect(PUT_HEAD), server.connect(PUT_HEAD)
        for connection in (stuck, slow):
            connection.pause_writing()
            connection.transport.unread = 100_000
        await server.wait(50)
        slow.transport.unread = 90_000
        await server.wait(12)
        assert are_closed(stuck, slow) == [True, False]

    run_scenario(scenario)


def test_connection_with_most_unread_bytes_is_closed_if_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The unread bytes of closing connections count as well."""
    monkeypatch.setattr("entrenous.serving.connection_limits._UNREAD_BYTES_MAX", 1000)

    async def scenario(server: LimitedServer) -> None:
        few, many, most, none = (server.connect(PUT_HEAD) for _ in range(4))
        few.transport.unread, many.transport.unread, most.transport.unread = (
            300,
            400,
            500,
        )
        await server.wait(1)
        assert are_closed(few, many, most, none) == [False, False, True, False]
        few.transport.unread = 601
        many.shutdown()
        await server.wait(1)
        assert are_closed(few, none) == [True, False]
        assert server.limits.connections == {many, none}

    run_scenario(scenario)


PIECE = b"a" * 2000
HEAD_START = b"GET /other HTTP/1.1\r\nHost: a\r\n"
CHUNKED_PUT_HEAD = b"PUT /other HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD_START, b"X: a\r\n" * 330),
        (HEAD_START + b"X: ", PIECE),
        (HEAD_START, PIECE),
        (b"GET /", PIECE),
        (b"", b"\r\n" * 1000),
        (UNBUFFERED_REQUEST, b"\r\n" * 1000),
    ],
    ids=["lines", "a line", "a name", "an address", "nothing", "nothing behind a request"],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_endless_request_head_is_refused_after_32_kib(
    start: bytes, piece: bytes, *, at_once: bool
) -> None:
    async def scenario(server: LimitedServer) -> None:
        connection = server.connect(start)
        await let_tasks_run()
        for _ in range(15):
            connection.data_received(piece)
        assert are_closed(connection) == [False]
        if at_once:
            connection.data_received(piece * 100)
        for _ in range(3):
            connection.data_received(piece)
        assert connection.transport.paused
        head, _, body = connection.transport.sent.rpartition(b"\r\n\r\n")
        assert b"HTTP/1.1 431 " in head
        assert f"content-length: {len(body)}\r\n".encode() in head
        assert json.loads(body)["status"] == 431
        assert connection.transport.sent.count(b" 431 ") == 1
        server.elapsed_s += 2
        await asyncio.sleep(0)
        await let_tasks_run()
        assert are_closed(connection) == [True]

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (CHUNKED_PUT_HEAD + b"4\r\nbody\r\n0\r\n", b"X: a\r\n" * 330),
        (CHUNKED_PUT_HEAD + b"4\r\nbody\r\n0\r\nX: ", PIECE),
        (CHUNKED_PUT_HEAD + b"4;", PIECE),
    ],
    ids=["trailers", "a trailer", "an extension"],
)
def test_endless_chunk_head_or_trailer_closes_the_connection(start: bytes, piece: bytes) -> None:
    async def scenario(server: LimitedServer) -> None:
        connection = server.connect(start)
        for _ in range(15):
            connection.data_received(piece)
        assert are_closed(connection) == [False]
        for _ in range(3):
            connection.data_received(piece)
        assert are_closed(connection) == [True]

    run_scenario(scenario)


def test_endless_head_behind_an_unanswered_request_closes_the_connection() -> None:
    async def scenario(server: LimitedServer) -> None:
        connection = server.connect(PUT_HEAD, b"x" * 200_000 + HEAD_START, PIECE * 20)
        assert (are_closed(connection), connection.transport.sent) == ([True], b"")

    run_scenario(scenario)


def test_long_head_and_long_body_are_read_whole() -> None:
    """Long requests arrive in one piece, in many pieces or in chunks.

    Another connection sends 2,200 short requests in one piece.
    """

    async def scenario(server: LimitedServer) -> None:
        lines = b"".join(b"X-%d: %b\r\n" % (at, PIECE) for at in range(15))
        body = b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000
        long = HEAD_START.replace(b"GET", b"PUT") + lines + body
        in_one_piece, slow, chunky = (
            server.connect(long),
            server.connect(),
            server.connect(CHUNKED_PUT_HEAD),
        )
        for at in range(0, len(long), 999):
            slow.data_received(long[at : at + 999])
        for _ in range(9000):
            chunky.data_received(b"1\r\nx\r\n")
        chunky.data_received(b"0\r\n\r\n")
        many = server.connect((HEAD_START + b"\r\n") * 2200)
        await server.wait(1)
        for connection in (in_one_piece, slow, chunky):
            assert connection.transport.sent.count(b"by the parser") == 1
        assert are_closed(in_one_piece, slow, chunky, many) == [False] * 4

    run_scenario(scenario)


def test_longest_waiting_connection_is_closed_when_full() -> None:
    """The server closes a connection that sent little of a body, then a later silent connection."""

    async def scenario(server: LimitedServer) -> None:
        busy, large = server.connect(PUT_REQUEST), server.connect(PUT_HEAD, b"x" * 70_000)
        body = server.connect(PUT_HEAD, b"x")
        await server.wait(2)
        silent = server.connect()
        newer = server.connect(GET_REQUEST)
        server.app.unanswered.pop()  # The request of ``newer`` is never answered.
        assert are_closed(busy, large, body, silent, newer) == [False, False, True, False, False]
        newest = server.connect()
        assert are_closed(busy, large, silent, newer, newest) == [False, False, True, False, False]
        assert len(server.limits.connections) == 4

    run_scenario(scenario, max_connections=4)


def test_new_connection_is_refused_when_none_can_be_closed() -> None:
    async def scenario(server: LimitedServer) -> None:
        busy = [server.connect(PUT_REQUEST), server.connect(PUT_REQUEST)]
        assert are_closed(*busy, server.connect()) == [False, False, True]
        server.app.answer_next()
        await let_tasks_run()
        assert are_closed(server.connect(), *busy) == [False, True, False]

    run_scenario(scenario, max_connections=2)


@pytest.fixture
def simulate_file_limit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[int, int]]]:
    """Return a function that simulates limits on open files, and records attempts to raise them."""
    requested_limits: list[tuple[int, int]] = []

    def simulate(soft: int, hard: int) -> list[tuple[int, int]]:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda _, both: requested_limits.append(both))
        return requested_limits

    return simulate


@pytest.mark.parametrize(
    ("soft", "hard", "connections_max", "expected_limits"),
    [
        (256, 256, 112, []),
        (1024, 4096, 2032, [(4096, 4096)]),
        (1024, 1 << 20, 4096, [(8224, 1 << 20)]),
        (1024, resource.RLIM_INFINITY, 4096, [(8224, resource.RLIM_INFINITY)]),
        (1 << 20, 1 << 20, 4096, []),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 4096, []),
    ],
)
def test_open_file_limit_is_raised_if_necessary_and_decides_the_connection_limit(
    simulate_file_limit: Callable[..., list[tuple[int, int]]],
    soft: int,
    hard: int,
    connections_max: int,
    expected_limits: list[tuple[int, int]],
) -> None:
    requested_limits = simulate_file_limit(soft, hard)
    assert raise_file_limit_for_connections() == connections_max
    assert requested_limits == expected_limits
