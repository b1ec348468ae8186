"""The log and the metrics of a gate after bugs, malformed requests and early disconnects."""

import json
import logging
import re
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.connectors.exchange.exchange_access import (
    json_error_handlers,
    read_body,
    xml_error_handlers,
)
from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.answers import on_bug
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.platform import Platform
from tests.connectors.hma.conftest import new_hma_app
from tests.ready import start_program
from tests.serving.slow_clients import assert_refuses_endless_heads, send_malformed
from tests.stop.http.conftest import URL, AsgiTransport

BODY_PATHS = (
    *("/v1/uploads", "/v1/claims", "/v1/claims/0123456789abcdef0123456789abcdef/opinions"),
    *("/v1/reviews/3f9a-70c2-b11e", "/hma/m/lookup"),
)
OPERATOR_HEADERS = {
    "host": "x",
    "authorization": "Bearer operator-token",
    "content-type": "application/octet-stream",
    "content-length": "900",
}
BUG_HANDLERS: Any = {Exception: on_bug}
FORM_HEADERS = {"content-type": "multipart/form-data; boundary=x"}


async def disconnect_early(app: Any, path: str, headers: dict[str, str]) -> list[int]:
    """Disconnect after three bytes of the body; return the statuses that the application sent."""
    received = [
        {"type": "http.request", "body": b'{"a', "more_body": True},
        {"type": "http.disconnect"},
    ]
    statuses: list[int] = []

    async def receive() -> Any:
        return received.pop(0)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
        "query_string": b"", "root_path": "", "scheme": "http", "client": ("192.0.2.1", 1),
        "server": ("x", 80), "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    await app(scope, receive, send)
    return statuses


def get_metrics(app: Any) -> str:
    async def get_text() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as web:
            return (await web.get("http://x/v1/metrics", headers=OPERATOR_HEADERS)).text

    return anyio.run(get_text)


@pytest.mark.parametrize("path", BODY_PATHS)
def test_early_disconnect_is_a_400_without_a_warning(
    platform: Platform, access: GateAccess, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = gate_app(platform, access)
    app.mount("/hma", new_hma_app(platform, access))
    headers = OPERATOR_HEADERS | FORM_HEADERS if path.startswith("/hma") else OPERATOR_HEADERS
    assert anyio.run(partial(disconnect_early, app, path, headers)) == [400]
    assert not [one for one in caplog.records if one.levelno > logging.INFO]
    metrics = get_metrics(app)
    assert 'status="400"} 1.0' in metrics
    assert 'status="500"' not in metrics


@pytest.mark.parametrize("make_error_handlers", [json_error_handlers, xml_error_handlers])
def test_early_disconnect_of_a_partner_is_a_400_without_a_warning(
    make_error_handlers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def read_request_body(request: Request) -> Response:
        return Response(await read_body(request, 1000))

    app = Starlette(
        routes=[Route("/", read_request_body, methods=["POST"])],
        exception_handlers=make_error_handlers(),
    )
    assert anyio.run(partial(disconnect_early, app, "/", OPERATOR_HEADERS)) == [400]
    assert not [one for one in caplog.records if one.levelno > logging.INFO]


def test_bug_is_logged_without_data_of_the_request(caplog: pytest.LogCaptureFixture) -> None:
    async def raise_key_error(request: Request) -> Response:
        raise KeyError(await request.body())

    app = Starlette(
        routes=[Route("/", raise_key_error, methods=["POST"])], exception_handlers=BUG_HANDLERS
    )
    with httpx.Client(transport=AsgiTransport(app), base_url=URL) as web, pytest.raises(KeyError):
        web.post("/", content=b"hers")
    (line,) = [one.getMessage() for one in caplog.records if one.name == "entrenous.gate"]
    assert line.startswith("bug: KeyError at ")
    assert "raise_key_error:" in line
    assert "hers" not in line


@pytest.mark.real
def test_strangers_cannot_fill_the_log(tmp_path: Path) -> None:
    """Disconnects, malformed requests and forms, and endless request heads leave the log empty."""
    log_file = tmp_path / "log"
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate/gate.toml").write_text('appeal_url = "https://a.example/appeal"\n')
    arguments = [
        "gate",
        "run",
        "--data",
        str(tmp_path / "gate"),
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]
    program = [sys.executable, "-m", "entrenous", *arguments, "--judges", "0", "--no-slow-look"]
    with (
        log_file.open("wb") as log,
        start_program(program, stdout=subprocess.PIPE, stderr=log) as gate,
    ):
        try:
            assert gate.stdout is not None
            info = json.loads(gate.stdout.readline())
            address = urlsplit(info["url"])
            assert address.hostname is not None
            assert address.port is not None
            with socket.create_connection((address.hostname, address.port)) as sock:
                sock.sendall(
                    b'POST /v1/claims HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{"a'
                )
            send_malformed(info["url"])
            assert_refuses_endless_heads(info["url"], None)
            headers = {"authorization": f"Bearer {Path(info['operator_token_file']).read_text()}"}
            with httpx.Client(base_url=info["url"], headers=headers, trust_env=False) as web:
                assert (
                    web.post("/v1/uploads", content=b"--y\r\n", headers=FORM_HEADERS).status_code
                    == 400
                )
                deadline = time.monotonic() + 60
                metrics = ""
                # The gate notices the disconnect a moment later.
                while 'event="claims",status="400"' not in metrics:
                    assert time.monotonic() < deadline
                    metrics = web.get("/v1/metrics").text
            assert not re.search(r'answers_total.*status="500"', metrics)
        finally:
            gate.terminate()
            gate.wait(60)
    assert log_file.read_text() == ""
