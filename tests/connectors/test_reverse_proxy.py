"""The reverse proxy: forwarding, refusals, and answers when the upstream server fails."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from entrenous.base.environment import BadSetting
from entrenous.connectors.asgi import GateMiddleware
from entrenous.connectors.reverse_proxy import UpstreamServer, proxy_app
from tests.connectors.running_gates import (
    ACCEPTED_FILE,
    CASE,
    HELD_FILE,
    REFUSED_FILE,
    ScriptedGate,
    client_settings,
)


class RecordingServer:
    """An upstream server that records the requests it receives."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes, list[tuple[bytes, bytes]], bytes]] = []
        methods = ["GET", "POST", "DELETE", "PATCH", "HEAD"]
        self.app = Starlette(routes=[Route("/{path:path}", self._record, methods=methods)])

    async def _record(self, request: Request) -> Response:
        target = request.scope["raw_path"] + b"?" + request.scope["query_string"]
        body = await request.body()
        self.requests.append((request.method, target, request.headers.raw, body))
        answer = StreamingResponse(
            self._answer_pieces(), 201, {"Connection": "X-Own", "X-Own": "hop"}
        )
        answer.headers.append("Set-Cookie", "a=1")
        answer.headers.append("Set-Cookie", "b=2")
        return answer

    async def _answer_pieces(self) -> AsyncIterator[bytes]:
        yield b"\0raw"
        yield b"\xff"


def build_proxy(server: Any, gate: ScriptedGate, url: str = "http://127.0.0.1:3000") -> Any:
    transport = server if isinstance(server, httpx.AsyncBaseTransport) else None
    upstream = UpstreamServer(url, transport or httpx.ASGITransport(server.app))
    return GateMiddleware(upstream, gate.settings, client=gate.async_client())


def send_request(app: Any, method: str, path: str, **request_options: Any) -> httpx.Response:
    async def send_once() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=("192.0.2.7", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://site.example") as web:
            return await web.request(method, path, **request_options)

    return anyio.run(send_once)


def header_values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for own, value in headers if own == name]


def test_proxy_forwards_request_and_answer() -> None:
    server = RecordingServer()
    app = build_proxy(server, ScriptedGate(), "http://127.0.0.1:3000/below/")
    headers = [
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("TE", "trailers"),
        ("Upgrade", "websocket"),
        ("Proxy-Authorization", "secret"),
        ("Authorization", "for the server"),
        ("X-Forwarded-For", "198.51.100.1"),
        ("Cookie", "a=1"),
    ]
    answer = send_request(
        app, "POST", "/a%2Fb//c?q=%20&r=a+b", content=ACCEPTED_FILE, headers=headers
    )
    ((method, target, received, body),) = server.requests
    assert (method, target, body) == ("POST", b"/below/a%2Fb//c?q=%20&r=a+b", ACCEPTED_FILE)
    assert header_values(received, b"host") == [b"site.example"]
    assert header_values(received, b"x-forwarded-for") == [b"198.51.100.1, 192.0.2.7"]
    assert header_values(received, b"authorization") == [b"for the server"]
    assert header_values(received, b"entrenous-decision")[0].startswith(b"let through")
    hop_by_hop_headers = {b"x-hop", b"te", b"upgrade", b"proxy-authorization", b"connection"}
    assert hop_by_hop_headers.isdisjoint(name for name, _ in received)
    assert (answer.status_code, answer.content) == (201, b"\0raw\xff")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert "x-own" not in answer.headers


@pytest.mark.parametrize(
    "header_name", ["Entrenous-Decision", "ENTRENOUS-DECISION", "entrenous_decision"]
)
def test_connection_header_cannot_remove_the_decision(header_name: str) -> None:
    server, gate = RecordingServer(), ScriptedGate()
    upstream = UpstreamServer("http://127.0.0.1:3000", httpx.ASGITransport(server.app))
    app = GateMiddleware(upstream, gate.settings, on_hold="header", client=gate.async_client())
    for line in (f"close, {header_name}", f"{header_name}", f"X-Hop,{header_name} ,"):
        assert (
            send_request(
                app, "POST", "/", content=HELD_FILE, headers={"Connection": line}
            ).status_code
            == 201
        )
    for _, _, received, _ in server.requests:
        assert header_values(received, b"entrenous-decision") == [
            f"hold; case={CASE}; why=gate".encode()
        ]
    assert len(server.requests) == 3


def test_connection_header_cannot_remove_body_headers() -> None:
    server = RecordingServer()
    app = build_proxy(server, ScriptedGate())
    names = "Content-Type, Content-Length, Content-Encoding, Host, X-Forwarded-For"
    headers = {"Connection": names, "Content-Type": "image/jpeg", "X-Forwarded-For": "198.51.100.1"}
    headers |= {"Content-Encoding": "identity"}
    assert send_request(app, "POST", "/", content=ACCEPTED_FILE, headers=headers).status_code == 201
    ((_, _, received, body),) = server.requests
    assert body == ACCEPTED_FILE
    assert header_values(received, b"content-type") == [b"image/jpeg"]
    assert header_values(received, b"content-length") == [str(len(ACCEPTED_FILE)).encode()]
    assert header_values(received, b"content-encoding") == [b"identity"]
    assert header_values(received, b"host") == [b"site.example"]
    assert header_values(received, b"x-forwarded-for") == [b"198.51.100.1, 192.0.2.7"]


def test_proxy_stops_a_refused_upload() -> None:
    server = RecordingServer()
    answer = send_request(
        build_proxy(server, ScriptedGate()), "POST", "/api/v2/media", files={"file": REFUSED_FILE}
    )
    assert (answer.status_code, server.requests) == (422, [])


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
def test_proxy_forwards_a_request_without_body(method: str) -> None:
    server = RecordingServer()
    assert send_request(build_proxy(server, ScriptedGate()), method, "/").status_code == 201
    names = {name for name, _ in server.requests[0][2]}
    assert names.isdisjoint({b"transfer-encoding", b"content-length"})


@pytest.mark.parametrize(
    ("httpx_error", "status", "problem_type"),
    [
        (httpx.ConnectError("no"), 502, "upstream-unreachable"),
        (httpx.ReadTimeout("when"), 504, "upstream-slow"),
    ],
)
def test_proxy_answers_502_or_504_without_an_answer_from_upstream(
    httpx_error: Exception, status: int, problem_type: str
) -> None:
    async def fail(_: httpx.Request) -> httpx.Response:
        raise httpx_error

    answer = send_request(build_proxy(httpx.MockTransport(fail), ScriptedGate()), "GET", "/")
    assert answer.status_code == status
    assert answer.json()["type"] == f"urn:entrenous:unreachable:{problem_type}"


def test_endless_answer_ends_when_the_client_disconnects() -> None:
    class EndlessStream(httpx.AsyncByteStream):
        closed = False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b"data: 1\n\n"
                await anyio.sleep(0.01)

        async def aclose(self) -> None:
            self.closed = True

    stream = EndlessStream()

    async def answer_endlessly(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=stream)

    sent: list[Any] = []
    enough = anyio.Event()

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) > 3:
            enough.set()

    async def receive() -> Any:
        await enough.wait()
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    scope["http_version"] = "1.1"
    anyio.run(
        build_proxy(httpx.MockTransport(answer_endlessly), ScriptedGate()), scope, receive, send
    )
    assert stream.closed
    assert sent[1]["body"] == b"data: 1\n\n"


def test_proxy_refuses_websockets() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    app = build_proxy(RecordingServer(), ScriptedGate())
    anyio.run(app, {"type": "websocket"}, anyio.sleep_forever, send)
    assert sent == [{"type": "websocket.close", "code": 1003}]


@pytest.mark.parametrize("upstream", ["", "127.0.0.1:3000", "http://other.example", "ftp://x"])
def test_invalid_upstream_is_refused(upstream: str) -> None:
    with pytest.raises(BadSetting, match="upstream"):
        proxy_app(upstream, client_settings())
