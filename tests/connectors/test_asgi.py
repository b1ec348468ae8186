"""The ASGI middleware: decisions about uploads, request bodies, accounts and slow senders."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from entrenous.connectors import asgi
from entrenous.connectors.asgi import GateMiddleware
from entrenous.connectors.upload_rules import FILES_MAX
from entrenous.stop.client.gate_answer import GateReason, account_header
from entrenous.stop.client.upload_client import AsyncGateClient
from tests.connectors.running_gates import (
    ACCEPTED_FILE,
    CASE,
    HELD_FILE,
    REFUSED_FILE,
    UNREADABLE_FILE,
    ScriptedGate,
    client_settings,
)
from tests.stop.client.test_multipart_uploads import FILE_HEADER, build_form

FORM_TYPE = "multipart/form-data; boundary=edge"


class RecordingApplication:
    """A Starlette application that records the bodies and decision headers of requests."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[str] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._record, methods=["POST", "GET"])])

    async def _record(self, request: Request) -> Response:
        self.headers.append(request.headers.get("entrenous-decision", ""))
        self.bodies.append(await request.body())
        return JSONResponse({"done": True})


def send_request(
    app: Any, body: bytes | list[bytes], content_type: str = "image/jpeg", **request_options: Any
) -> Any:
    """Send one request, whose body is one piece or a list of pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        for piece in body:
            assert isinstance(piece, bytes)
            yield piece

    async def send_once() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as web:
            headers = {"Content-Type": content_type, **request_options.pop("headers", {})}
            content = body if isinstance(body, bytes) else pieces()
            method, path = (
                request_options.pop("method", "POST"),
                request_options.pop("path", "/upload"),
            )
            return await web.request(method, path, content=content, headers=headers)

    return anyio.run(send_once)


@pytest.mark.threat("hook-walked-around")
@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD", "OPTIONS", "MKCOL"])
@pytest.mark.parametrize("in_pieces", [False, True])
def test_body_of_any_method_is_checked(method: str, *, in_pieces: bool) -> None:
    """WordPress reads a GET with ``?_method=POST`` like a POST."""
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(application.app, gate.settings, client=gate.async_client())
    body = [REFUSED_FILE] if in_pieces else REFUSED_FILE
    assert send_request(app, body, method=method).status_code == 422
    assert (application.bodies, gate.received_bodies) == ([], [REFUSED_FILE])


async def _answer_after_reading(scope: Any, receive: Any, send: Any) -> None:
    del scope
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.threat("hook-walked-around")
@pytest.mark.parametrize(
    ("version", "body", "status"),
    [("1.1", b"", 200), ("2", b"", 200), ("2", ACCEPTED_FILE, 200), ("2", REFUSED_FILE, 422)],
)
def test_get_without_headers_for_a_body(version: str, body: bytes, status: int) -> None:
    """In HTTP/2, a body needs none of these headers, so the middleware reads."""
    gate, events = ScriptedGate(), list[Any]()
    app = GateMiddleware(_answer_after_reading, gate.settings, client=gate.async_client())
    received = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        events.append("read")
        return received.pop()

    async def send(message: Any) -> None:
        events.append(message.get("status"))

    scope = {"type": "http", "http_version": version, "method": "GET", "path": "/", "headers": []}
    anyio.run(app, scope, receive, send)
    assert (events[0], events[1]) == ("read", status)
    assert gate.received_bodies == ([body] if body else [])


def test_account_is_found_in_the_scope() -> None:
    """The account comes from a function of the ASGI scope, never from a header of the client."""
    gate = ScriptedGate()
    app = GateMiddleware(
        RecordingApplication().app,
        gate.settings,
        client=gate.async_client(),
        account=lambda scope: scope.get("user"),
    )

    async def send_signed_in(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "user": "ana"}, receive, send)

    send_request(send_signed_in, ACCEPTED_FILE)
    send_request(
        send_signed_in,
        build_form((FILE_HEADER, ACCEPTED_FILE), (FILE_HEADER, ACCEPTED_FILE)),
        FORM_TYPE,
    )
    send_request(app, ACCEPTED_FILE, headers={"Entrenous-Account": "ana", "User": "ana"})
    send_request(
        GateMiddleware(RecordingApplication().app, gate.settings, client=gate.async_client()),
        ACCEPTED_FILE,
    )
    ana = account_header("ana", gate.settings.token)["Entrenous-Account"]
    said = [head.get("entrenous-account") for head in gate.received_headers]
    assert said == [ana, ana, ana, None, None]


@pytest.mark.parametrize("content_type", ["image/jpeg", FORM_TYPE])
@pytest.mark.parametrize(
    ("picture", "on_hold", "status"),
    [
        (ACCEPTED_FILE, "publish", 200),
        (HELD_FILE, "publish", 200),
        (UNREADABLE_FILE, "publish", 422),
        (REFUSED_FILE, "publish", 422),
        (HELD_FILE, "header", 200),
        (UNREADABLE_FILE, "header", 200),
        (REFUSED_FILE, "header", 422),
    ],
)
def test_picture_is_checked_before_the_application(
    content_type: str, picture: bytes, on_hold: str, status: int
) -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(
        application.app, gate.settings, on_hold=on_hold, client=gate.async_client()
    )
    body = build_form((FILE_HEADER, picture)) if content_type == FORM_TYPE else picture
    answer = send_request(app, [body[:7], b"", body[7:]], content_type)
    assert (answer.status_code, gate.received_bodies) == (status, [picture])
    if status == 200:
        decision = "let through" if picture is ACCEPTED_FILE else "hold"
        listed = "; published" if (picture, on_hold) == (HELD_FILE, "publish") else ""
        assert application.bodies == [body]
        assert application.headers == [f"{decision}; case={CASE}; why=gate{listed}"]
    else:
        assert application.bodies == []
        assert answer.json()["case"] == CASE
        assert answer.headers["cache-control"] == "no-store"
    if status == 422:
        assert answer.headers["content-type"] == "application/problem+json"


def test_form_of_a_real_client_is_checked() -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(application.app, gate.settings, client=gate.async_client())
    files = {"file": ("x.jpg", REFUSED_FILE, "image/jpeg")}
    request = httpx.Request("POST", "http://site/", data={"status": "words"}, files=files)
    answer = send_request(app, request.read(), request.headers["content-type"])
    assert (answer.status_code, gate.received_bodies) == (422, [REFUSED_FILE])
    assert answer.json() == {
        "type": "urn:entrenous:refused:stopped-upload",
        "title": "Stopped upload",
        "status": 422,
        "detail": "This upload was not accepted, because it matches something that somebody asked "
        "this site to keep out. Nothing was published. If you think that this is a mistake, ask "
        "the people who run this site to look at the upload, and give them the case number "
        f"{CASE}.",
        "case": CASE,
    }


def test_decision_header_of_the_sender_is_removed() -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(
        application.app, gate.settings, paths=["/upload"], client=gate.async_client()
    )
    for name in ("Entrenous-Decision", "entrenous_decision"):
        for path in ("/upload", "/other"):
            send_request(app, b"{}", "application/json", path=path, headers={name: "let through"})
    assert application.headers == [""] * 4
    assert gate.received_bodies == []


def test_requests_with_other_paths_or_methods_are_not_checked() -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(
        application.app, gate.settings, paths=["/upload"], client=gate.async_client()
    )
    assert send_request(app, REFUSED_FILE, path="/other").status_code == 200
    assert send_request(app, b"", method="GET").status_code == 200
    assert send_request(app, REFUSED_FILE, path="/Upload//x").status_code == 422
    assert (application.bodies, gate.received_bodies) == ([REFUSED_FILE, b""], [REFUSED_FILE])


def test_body_beyond_the_limit_is_passed_on_in_full_or_answered_413() -> None:
    application, gate = RecordingApplication(), ScriptedGate(upload_bytes_max=1000)
    large = [ACCEPTED_FILE, *[bytes([number]) * 50_000 for number in range(6)]]
    app = GateMiddleware(
        application.app, gate.settings, on_hold="header", client=gate.async_client()
    )
    assert send_request(app, large).status_code == 200
    assert application.bodies == [b"".join(large)]
    assert application.headers == ["hold; why=too-large"]
    refusing = GateMiddleware(application.app, gate.settings, client=gate.async_client())
    assert send_request(refusing, large).status_code == 413
    assert gate.received_bodies == []


def test_body_is_buffered_only_up_to_the_limit() -> None:
    """The application receives the rest of a large body as it arrives."""
    gate = ScriptedGate(upload_bytes_max=1000)
    received_messages: list[int] = []

    async def receive() -> Any:
        received_messages.append(1)
        return {
            "type": "http.request",
            "body": bytes(50_000),
            "more_body": len(received_messages) < 1000,
        }

    async def application(scope: Any, receive: Any, _send: Any) -> None:
        assert (b"entrenous-decision", b"hold; why=too-large") in scope["headers"]
        assert len(received_messages) == 2
        size = 0
        while (message := await receive())["more_body"]:
            size += len(message["body"])
        assert size + len(message["body"]) == 50_000_000

    app = GateMiddleware(application, gate.settings, on_hold="header", client=gate.async_client())
    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    anyio.run(app, scope, receive, anyio.sleep)
    assert len(received_messages) == 1000


def test_unreadable_body_is_answered_400() -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(application.app, gate.settings, client=gate.async_client())
    assert (
        send_request(app, build_form((FILE_HEADER, ACCEPTED_FILE))[:-9], FORM_TYPE).status_code
        == 400
    )
    assert send_request(app, ACCEPTED_FILE, headers={"Content-Encoding": "gzip"}).status_code == 400
    assert (application.bodies, gate.received_bodies) == ([], [])


def test_request_of_a_disconnected_sender_does_not_reach_the_application() -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(application.app, gate.settings, client=gate.async_client())
    messages = [
        {"type": "http.request", "body": ACCEPTED_FILE, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    anyio.run(app, scope, receive, send)
    assert (application.bodies, gate.received_bodies) == ([], [])


def test_slow_sender_is_answered_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "BODY_ARRIVAL_S_MAX", 0.05)
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(application.app, gate.settings, client=gate.async_client())
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    anyio.run(app, scope, anyio.sleep_forever, send)
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["type"] == "urn:entrenous:refused:slow-upload"


POST_SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
LARGE_BODY = ACCEPTED_FILE + bytes(asgi.SMALL_BODY_BYTES_MAX)


def make_receive(*pieces: bytes, ends: bool = True) -> Any:
    """Return an ASGI receive function that yields the pieces and then waits forever."""
    left = list(pieces)

    async def receive() -> Any:
        if not left:
            await anyio.sleep_forever()
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or not ends}

    return receive


async def ignore_answer(_: Any) -> None:
    pass


async def statuses_beside_idle_senders(
    app: Any, idle_receives: list[Any], receive: Any
) -> list[int]:
    """Send one request while other senders are idle; return the statuses of the answers to it."""
    statuses: list[int] = []

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    async with anyio.create_task_group() as task_group:
        for idle in idle_receives:
            task_group.start_soon(app, POST_SCOPE, idle, ignore_answer)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            await app(POST_SCOPE, receive, send)
        task_group.cancel_scope.cancel()
    return statuses


def test_idle_senders_do_not_delay_other_senders() -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(application.app, gate.settings, client=gate.async_client())
    for pieces in ([], [ACCEPTED_FILE]):
        idle_receives = [
            make_receive(*pieces, ends=False) for _ in range(2 * asgi.LARGE_BODIES_MAX)
        ]
        assert anyio.run(
            statuses_beside_idle_senders, app, idle_receives, make_receive(ACCEPTED_FILE)
        ) == [200]
    assert application.bodies == [ACCEPTED_FILE, ACCEPTED_FILE]


@pytest.mark.parametrize(
    ("on_hold", "shadow", "status", "decision_headers"),
    [
        ("publish", False, 503, []),
        ("header", False, 200, ["hold; why=gate-busy"]),
        ("publish", True, 200, ["hold; why=gate-busy; shadow"]),
    ],
)
def test_large_body_without_a_free_slot_is_held(
    monkeypatch: pytest.MonkeyPatch,
    *,
    on_hold: str,
    shadow: bool,
    status: int,
    decision_headers: list[str],
) -> None:
    monkeypatch.setattr(asgi, "SLOT_WAIT_S_MAX", 0.05)
    application, gate = RecordingApplication(), ScriptedGate(shadow=shadow)
    app = GateMiddleware(
        application.app, gate.settings, on_hold=on_hold, client=gate.async_client()
    )
    large = make_receive(LARGE_BODY[:-7], LARGE_BODY[-7:])
    idle_receives = [make_receive(LARGE_BODY, ends=False) for _ in range(asgi.LARGE_BODIES_MAX)]
    assert anyio.run(statuses_beside_idle_senders, app, idle_receives, large) == [status]
    assert (application.headers, gate.received_bodies) == (decision_headers, [])
    assert application.bodies == [LARGE_BODY] * len(decision_headers)


def test_slot_is_kept_until_the_application_reads_the_body() -> None:
    gate = ScriptedGate()
    concurrent: list[int] = [0, 0]  # the current and the largest number of concurrent requests
    release = anyio.Event()

    async def application(_scope: Any, receive: Any, _send: Any) -> None:
        concurrent[0] += 1
        concurrent[1] = max(concurrent)
        await release.wait()
        concurrent[0] -= 1
        await receive()
        await anyio.sleep_forever()

    async def send_all() -> None:
        async with anyio.create_task_group() as task_group:
            for _ in range(3 * asgi.LARGE_BODIES_MAX):
                task_group.start_soon(
                    app,
                    POST_SCOPE,
                    make_receive(LARGE_BODY[:-7], LARGE_BODY[-7:], b""),
                    ignore_answer,
                )
            await _wait_until(lambda: concurrent[0] == asgi.LARGE_BODIES_MAX)
            release.set()
            await _wait_until(lambda: len(gate.received_bodies) == 3 * asgi.LARGE_BODIES_MAX)
            task_group.cancel_scope.cancel()

    app = GateMiddleware(application, gate.settings, client=gate.async_client())
    anyio.run(send_all)
    assert concurrent[1] == asgi.LARGE_BODIES_MAX


async def _wait_until(condition: Any) -> None:
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 -- the condition has no event
            await anyio.sleep(0.01)


def test_slot_is_released_however_a_request_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, slow, failed and disconnected requests all release the slot."""
    monkeypatch.setattr(asgi, "SLOT_WAIT_S_MAX", 0.05)
    monkeypatch.setattr(asgi, "BODY_ARRIVAL_S_MAX", 0.05)
    gate = ScriptedGate()

    async def fail(*_: Any) -> None:
        raise ZeroDivisionError

    async def receive_then_disconnect() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    async def send_all() -> None:
        for _ in range(asgi.LARGE_BODIES_MAX + 1):
            await app(POST_SCOPE, make_receive(REFUSED_FILE + LARGE_BODY, b""), send)
            await app(POST_SCOPE, make_receive(LARGE_BODY, ends=False), send)
            with pytest.raises(ZeroDivisionError):
                await app(POST_SCOPE, make_receive(LARGE_BODY, b""), send)
            parts[:] = [{"type": "http.request", "body": LARGE_BODY, "more_body": True}]
            parts.append({"type": "http.disconnect"})
            await app(POST_SCOPE, receive_then_disconnect, send)

    parts: list[Any] = []
    statuses: list[int] = []
    app = GateMiddleware(fail, gate.settings, client=gate.async_client())
    anyio.run(send_all)
    assert statuses == [422, 408] * (asgi.LARGE_BODIES_MAX + 1)


def test_all_files_of_a_request_share_one_budget() -> None:
    async def never_answer(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    application, gate_settings = RecordingApplication(), client_settings(budget_s=0.2)
    client = AsyncGateClient(gate_settings, httpx.MockTransport(never_answer))
    app = GateMiddleware(application.app, gate_settings, on_hold="header", client=client)
    begin = time.monotonic()
    assert (
        send_request(
            app, build_form(*[(FILE_HEADER, ACCEPTED_FILE)] * FILES_MAX), FORM_TYPE
        ).status_code
        == 200
    )
    assert 0.2 <= time.monotonic() - begin < 1.5
    assert application.headers == [f"hold; why={GateReason.SLOW.value.replace(' ', '-')}"]


def test_websockets_and_lifespan_pass_unchanged() -> None:
    calls: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        calls.append((scope, receive, send))

    gate = ScriptedGate()
    app = GateMiddleware(application, gate.settings, client=gate.async_client())
    for scope_type in ("lifespan", "websocket"):
        anyio.run(app, {"type": scope_type}, anyio.sleep_forever, anyio.sleep)
    assert calls == [
        ({"type": scope_type}, anyio.sleep_forever, anyio.sleep)
        for scope_type in ("lifespan", "websocket")
    ]


@settings(max_examples=30)
@given(
    st.lists(st.binary(max_size=300), max_size=6), st.sampled_from(["", "text/plain", FORM_TYPE])
)
def test_body_of_a_passed_request_is_unchanged(pieces: list[bytes], content_type: str) -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(
        application.app, gate.settings, on_hold="header", client=gate.async_client()
    )
    assert send_request(app, pieces, content_type).status_code == 200
    assert application.bodies == [b"".join(pieces)]
