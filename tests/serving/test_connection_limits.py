"""Silent or slow clients hold no connection for long, and never the last one."""

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
from tests.serving.test_buffered_requests import GET, OTHER, PUT, App, Socket

# The event loop's wake-up channel is a socket pair.
pytestmark = pytest.mark.usefixtures("socket_enabled")

HALF = b"PUT /other HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"


class Wire(Socket):
    def __init__(self) -> None:
        super().__init__()
        self.unread = 0

    def abort(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return self.unread


class Reads(App):
    """Reads the whole body before it answers, unless ``early`` is set."""

    early = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.early:
            await Request(scope, receive).body()
        await super().__call__(scope, receive, send)


class Room:
    """A server's connections, with a clock that tests advance."""

    def __init__(self, most: int = 100) -> None:
        self.app, self.crowd, self.passed = Reads(), LimitedConnections(most), 0.0
        self.config = uvicorn.Config(self.app, log_config=None, timeout_keep_alive=30)
        self.every: list[BufferedProtocol] = []
        loop = asyncio.get_running_loop()
        self.began = loop.time()
        loop.time = lambda: self.began + self.passed  # type: ignore[method-assign]

    def comes(self, *said: bytes) -> BufferedProtocol:
        one = BufferedProtocol(self.config, self.crowd, {})
        self.every.append(one)
        one.connection_made(Wire())
        for data in said:
            one.data_received(data)
        return one

    async def later(self, seconds: float) -> None:
        """Let time pass, and check all connections each second."""
        await settled()
        for _ in range(int(seconds)):
            self.passed += 1
            self.crowd.close_overdue(self.began + self.passed)

    async def ends(self) -> None:
        """Abort all connections, so that nothing waits for them."""
        for one in self.every:
            one.connection_lost(ConnectionResetError())
        await settled()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def closed(*some: BufferedProtocol) -> list[bool]:
    return [one.transport.is_closing() for one in some]


def ran(work: Callable[[Room], Any], most: int = 100) -> None:
    async def whole() -> None:
        room = Room(most)
        try:
            await work(room)
        finally:
            await room.ends()

    asyncio.run(whole())


def test_a_connection_without_a_whole_head_is_closed_after_ten_seconds() -> None:
    async def work(room: Room) -> None:
        silent, slow = room.comes(), room.comes(b"GET /held HT")
        await room.later(9)
        slow.data_received(b"TP/1.1\r\nX: ")
        assert closed(silent, slow) == [False, False]
        await room.later(3)
        assert closed(silent, slow) == [True, True]
        assert not room.crowd.connections

    ran(work)


@pytest.mark.parametrize("first", [PUT, OTHER])
def test_idle_connection_stays_open_for_the_keep_alive_time(first: bytes) -> None:
    """After that, the next head has ten seconds of its own. ``first`` is buffered or parsed."""

    async def work(room: Room) -> None:
        idle, blank, next_ = (room.comes(first) for _ in range(3))
        while room.app.held:
            room.app.let_go()
        await room.later(25)
        assert closed(idle, blank, next_) == [False, False, False]
        blank.data_received(b"\r\n")  # which stops uvicorn's timer, and begins no request
        next_.data_received(GET[:9])
        await room.later(9)
        assert closed(idle, blank, next_) == [True, True, False]
        await room.later(3)
        assert closed(next_) == [True]

    ran(work)


def test_connection_being_answered_is_not_late() -> None:
    """A device may wait a minute for a letter."""

    async def work(room: Room) -> None:
        waits, brings = room.comes(PUT), room.comes(HALF)
        await room.later(300)
        assert closed(waits, brings) == [False, False]

    ran(work)


def test_rest_of_an_answered_body_times_out_after_a_minute() -> None:
    async def work(room: Room) -> None:
        room.app.early = True
        one = room.comes(HALF)
        await room.later(50)
        one.data_received(b"x")
        assert closed(one) == [False]
        await room.later(12)
        assert closed(one) == [True]

    ran(work)


def test_client_that_reads_nothing_for_a_minute_is_closed() -> None:
    async def work(room: Room) -> None:
        stuck, slow = room.comes(HALF), room.comes(HALF)
        for one in (stuck, slow):
            one.pause_writing()
            one.transport.unread = 100_000
        await room.later(50)
        slow.transport.unread = 90_000
        await room.later(12)
        assert closed(stuck, slow) == [True, False]

    ran(work)


def test_connections_with_most_unread_bytes_are_closed_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This includes connections being answered, and closing ones with unread bytes."""
    monkeypatch.setattr("entrenous.serving.connection_limits._UNREAD_BYTES_MAX", 1000)

    async def work(room: Room) -> None:
        few, many, most, none = (room.comes(HALF) for _ in range(4))
        few.transport.unread, many.transport.unread, most.transport.unread = 300, 400, 500
        await room.later(1)
        assert closed(few, many, most, none) == [False, False, True, False]
        few.transport.unread = 601
        many.shutdown()
        await room.later(1)
        assert closed(few, none) == [True, False]
        assert room.crowd.connections == {many, none}

    ran(work)


LONG = b"a" * 2000
START = b"GET /other HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"PUT /other HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (START, b"X: a\r\n" * 330),
        (START + b"X: ", LONG),
        (START, LONG),
        (b"GET /", LONG),
        (b"", b"\r\n" * 1000),
        (OTHER, b"\r\n" * 1000),
    ],
    ids=["lines", "a line", "a name", "an address", "nothing", "nothing behind a request"],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_head_without_end_is_refused_after_32_kib(
    start: bytes, piece: bytes, *, at_once: bool
) -> None:
    async def work(room: Room) -> None:
        one = room.comes(start)
        await settled()
        for _ in range(15):
            one.data_received(piece)
        assert closed(one) == [False]
        if at_once:
            one.data_received(piece * 100)
        for _ in range(3):
            one.data_received(piece)
        assert one.transport.paused
        head, _, body = one.transport.sent.rpartition(b"\r\n\r\n")
        assert b"HTTP/1.1 431 " in head
        assert f"content-length: {len(body)}\r\n".encode() in head
        assert json.loads(body)["status"] == 431
        assert one.transport.sent.count(b" 431 ") == 1
        room.passed += 2
        await asyncio.sleep(0)
        await settled()
        assert closed(one) == [True]

    ran(work)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (CHUNKED + b"4\r\nbody\r\n0\r\n", b"X: a\r\n" * 330),
        (CHUNKED + b"4\r\nbody\r\n0\r\nX: ", LONG),
        (CHUNKED + b"4;", LONG),
    ],
    ids=["trailers", "a trailer", "an extension"],
)
def test_endless_chunk_head_is_refused(start: bytes, piece: bytes) -> None:
    async def work(room: Room) -> None:
        one = room.comes(start)
        for _ in range(15):
            one.data_received(piece)
        assert closed(one) == [False]
        for _ in range(3):
            one.data_received(piece)
        assert closed(one) == [True]

    ran(work)


def test_endless_head_during_an_answer_closes_the_connection() -> None:
    async def work(room: Room) -> None:
        one = room.comes(HALF, b"x" * 200_000 + START, LONG * 20)
        assert (closed(one), one.transport.sent) == ([True], b"")

    ran(work)


def test_a_long_head_and_a_long_body_are_read_whole() -> None:
    """In one piece or in many; many short requests in one piece are read, too."""

    async def work(room: Room) -> None:
        lines = b"".join(b"X-%d: %b\r\n" % (at, LONG) for at in range(15))
        body = b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000
        long = START.replace(b"GET", b"PUT") + lines + body
        whole, slow, chunky = room.comes(long), room.comes(), room.comes(CHUNKED)
        for at in range(0, len(long), 999):
            slow.data_received(long[at : at + 999])
        for _ in range(9000):
            chunky.data_received(b"1\r\nx\r\n")
        chunky.data_received(b"0\r\n\r\n")
        many = room.comes((START + b"\r\n") * 2200)
        await room.later(1)
        for one in (whole, slow, chunky):
            assert one.transport.sent.count(b"by the parser") == 1
        assert closed(whole, slow, chunky, many) == [False] * 4

    ran(work)


def test_longest_waiting_connection_is_closed_when_full() -> None:
    """It may be silent, or have sent half a head or little of a body."""

    async def work(room: Room) -> None:
        busy, large = room.comes(PUT), room.comes(HALF, b"x" * 70_000)
        body = room.comes(HALF, b"x")
        await room.later(2)
        silent = room.comes()
        newer = room.comes(GET)
        room.app.held.pop()  # it is never answered
        assert closed(busy, large, body, silent, newer) == [False, False, True, False, False]
        newest = room.comes()
        assert closed(busy, large, silent, newer, newest) == [False, False, True, False, False]
        assert len(room.crowd.connections) == 4

    ran(work, most=4)


def test_new_connection_is_refused_when_none_can_be_closed() -> None:
    async def work(room: Room) -> None:
        busy = [room.comes(PUT), room.comes(PUT)]
        assert closed(*busy, room.comes()) == [False, False, True]
        room.app.let_go()
        await settled()
        assert closed(room.comes(), *busy) == [False, True, False]

    ran(work, most=2)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[int, int]]]:
    """Simulate a limit of open files; requests to raise it are recorded and not carried out."""
    asked: list[tuple[int, int]] = []

    def given(soft: int, hard: int) -> list[tuple[int, int]]:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda _, both: asked.append(both))
        return asked

    return given


@pytest.mark.parametrize(
    ("soft", "hard", "most", "raised"),
    [
        (256, 256, 112, []),
        (1024, 4096, 2032, [(4096, 4096)]),
        (1024, 1 << 20, 4096, [(8224, 1 << 20)]),
        (1024, resource.RLIM_INFINITY, 4096, [(8224, resource.RLIM_INFINITY)]),
        (1 << 20, 1 << 20, 4096, []),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 4096, []),
    ],
)
def test_half_of_the_open_file_limit_is_for_connections(
    files: Callable[..., list[tuple[int, int]]],
    soft: int,
    hard: int,
    most: int,
    raised: list[tuple[int, int]],
) -> None:
    asked = files(soft, hard)
    assert raise_file_limit_for_connections() == most
    assert asked == raised
