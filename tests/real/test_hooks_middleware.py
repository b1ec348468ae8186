"""The WSGI and ASGI middleware checks uploads to real servers, with a real gate."""

import hashlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import skimage.data

from tests.connectors.running_gates import (
    her_picture,
    her_picture_mirrored,
    other_picture,
    running_gate,
    waiting_picture,
)
from tests.ready import start_program
from tests.stop.platform_for_tests import png

pytestmark = pytest.mark.real

UPLOAD_BYTES_MAX = 300_000
# Each program stores the SHA-256 and the decision of each POST that reaches the application, and
# returns all of them as the answer to GET /.
WSGI_PROGRAM = """
import hashlib, json, sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from entrenous.connectors.wsgi import GateMiddleware

seen = []

def behind(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        seen.append([hashlib.sha256(body).hexdigest(), environ.get("HTTP_ENTRENOUS_DECISION", "")])
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

class Silent(WSGIRequestHandler):
    def log_message(self, *_): ...

app = GateMiddleware(behind, json.loads(sys.argv[1]), on_hold=sys.argv[2])
with make_server("127.0.0.1", 0, app, Server, Silent) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
"""
ASGI_PROGRAM = """
import hashlib, json, socket, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from entrenous.connectors import asgi
from entrenous.connectors.asgi import GateMiddleware

asgi.BODY_ARRIVAL_S_MAX = 3  # seconds instead of 60
seen = []

async def behind(request):
    if request.method == "POST":
        body = await request.body()
        decision = request.headers.get("entrenous-decision", "")
        seen.append([hashlib.sha256(body).hexdigest(), decision])
    return JSONResponse(seen)

app = Starlette(routes=[Route("/{path:path}", behind, methods=["GET", "POST"])])
app = GateMiddleware(app, json.loads(sys.argv[1]), on_hold=sys.argv[2])
with socket.create_server(("127.0.0.1", 0)) as taken:
    print(taken.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run([taken])
"""
PROGRAM_BY_INTERFACE = {"wsgi": WSGI_PROGRAM, "asgi": ASGI_PROGRAM}


@dataclass(frozen=True)
class Site:
    """A server with the middleware, and an application that records the received uploads."""

    port: int
    web: httpx.Client

    def post(self, picture: bytes, *, as_form: bool = False) -> httpx.Response:
        raw: dict[str, Any] = {"content": picture, "headers": {"Content-Type": "image/jpeg"}}
        form: dict[str, Any] = {"files": {"file": ("x.jpg", picture, "image/jpeg")}}
        request = self.web.build_request("POST", "/upload", **(form if as_form else raw))
        request.read()
        return self.web.send(request)

    def received_uploads(self) -> list[list[str]]:
        """Return the SHA-256 and the decision of each body that reached the application."""
        return list(self.web.get("/").json())

    def start_upload(self, picture: bytes) -> socket.socket:
        """Start an upload: connect, and send all but the last 5,000 bytes."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n"
        connection.sendall(f"POST /upload HTTP/1.1\r\nHost: site\r\n{head}\r\n".encode())
        connection.sendall(picture[:-5000])
        return connection


@contextmanager
def run_site(interface: str, on_hold: str, gate_url: str, token_file: Path) -> Iterator[Site]:
    settings = {"gate": gate_url, "token_file": str(token_file), "budget_s": 20}
    words = (json.dumps(settings | {"upload_bytes_max": UPLOAD_BYTES_MAX}), on_hold)
    command = [sys.executable, "-c", PROGRAM_BY_INTERFACE[interface], *words]
    with start_program(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as web:
                yield Site(port, web)
        finally:
            process.kill()


def sha256_hex(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def read_status(connection: socket.socket) -> int:
    with connection, connection.makefile("rb") as answer:
        return int(answer.readline().split()[1])


@pytest.fixture(scope="module")
def gate_url_and_token_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with running_gate(tmp_path_factory.mktemp("gate"), "--no-slow-look") as one:
        yield one


@pytest.fixture(scope="module")
def sites(gate_url_and_token_file: tuple[str, Path]) -> Iterator[dict[tuple[str, str], Site]]:
    with ExitStack() as stack:
        yield {
            (interface, on_hold): stack.enter_context(
                run_site(interface, on_hold, *gate_url_and_token_file)
            )
            for interface in PROGRAM_BY_INTERFACE
            for on_hold in ("publish", "header")
        }


@pytest.fixture(params=PROGRAM_BY_INTERFACE)
def site(request: pytest.FixtureRequest, sites: dict[tuple[str, str], Site]) -> Site:
    return sites[request.param, "publish"]


@pytest.fixture(params=PROGRAM_BY_INTERFACE)
def marking_site(request: pytest.FixtureRequest, sites: dict[tuple[str, str], Site]) -> Site:
    """Return a site whose application also receives quarantined uploads, which a header marks."""
    return sites[request.param, "header"]


@pytest.mark.parametrize("as_form", [False, True])
def test_upload_without_match_reaches_the_application_unchanged(
    site: Site, *, as_form: bool
) -> None:
    before = len(site.received_uploads())
    answer = site.post(other_picture(), as_form=as_form)
    assert answer.status_code == 200, answer.text
    [[digest, decision]] = site.received_uploads()[before:]
    assert digest == sha256_hex(answer.request.content)
    assert decision.startswith("let through; case=")
    assert decision.endswith("; why=gate")


@pytest.mark.parametrize("as_form", [False, True])
def test_refused_or_unreadable_upload_does_not_reach_the_application(
    site: Site, *, as_form: bool
) -> None:
    before = site.received_uploads()
    broken = her_picture_mirrored()[:9000]
    for picture, problem in ((broken, "held-upload"), (her_picture_mirrored(), "stopped-upload")):
        answer = site.post(picture, as_form=as_form)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].endswith(problem)
        assert answer.json()["case"] in answer.json()["detail"]
    assert site.received_uploads() == before


@pytest.mark.parametrize("as_form", [False, True])
def test_upload_held_for_a_claim_reaches_the_application_and_is_listed(
    site: Site, gate_url_and_token_file: tuple[str, Path], *, as_form: bool
) -> None:
    before = len(site.received_uploads())
    answer = site.post(waiting_picture(), as_form=as_form)
    assert answer.status_code == 200, answer.text
    [[digest, decision]] = site.received_uploads()[before:]
    assert digest == sha256_hex(answer.request.content)
    assert decision.startswith("hold; case=")
    assert decision.endswith("; why=gate; published")
    who = {"Authorization": f"Bearer {gate_url_and_token_file[1].read_text().strip()}"}
    listed = httpx.get(f"{gate_url_and_token_file[0]}/v1/reviews/published", headers=who).json()[
        "cases"
    ]
    assert decision.split("case=")[1].partition(";")[0] in {one["case"] for one in listed}


def test_held_upload_reaches_a_marking_site_and_a_refused_one_does_not(marking_site: Site) -> None:
    before = len(marking_site.received_uploads())
    assert marking_site.post(waiting_picture()).status_code == 200
    assert marking_site.post(her_picture()).status_code == 422
    [[digest, decision]] = marking_site.received_uploads()[before:]
    assert digest == sha256_hex(waiting_picture())
    assert decision.startswith("hold; case=")


def test_too_large_upload_is_refused_or_marked_as_held(site: Site, marking_site: Site) -> None:
    large = png(skimage.data.astronaut())
    assert len(large) > UPLOAD_BYTES_MAX + 64 * 1024
    before, marked = site.received_uploads(), len(marking_site.received_uploads())
    assert site.post(large).status_code == 413
    assert site.received_uploads() == before
    assert marking_site.post(large).status_code == 200
    assert marking_site.received_uploads()[marked:] == [[sha256_hex(large), "hold; why=too-large"]]


def test_slow_body_is_judged_when_complete_and_delays_nobody(site: Site) -> None:
    before = len(site.received_uploads())
    stopped, passed = site.start_upload(her_picture_mirrored()), site.start_upload(other_picture())
    assert site.post(her_picture()).status_code == 422  # meanwhile, another upload is answered
    assert len(site.received_uploads()) == before
    stopped.sendall(her_picture_mirrored()[-5000:])
    passed.sendall(other_picture()[-5000:])
    assert (read_status(stopped), read_status(passed)) == (422, 200)
    assert [digest for digest, _ in site.received_uploads()[before:]] == [
        sha256_hex(other_picture())
    ]


def test_half_a_body_reaches_no_application(site: Site) -> None:
    before = site.received_uploads()
    with site.start_upload(other_picture()) as connection:
        connection.shutdown(socket.SHUT_WR)
        connection.makefile("rb").read()  # until the server closes the connection
    assert site.received_uploads() == before


def test_unfinished_body_times_out(sites: dict[tuple[str, str], Site]) -> None:
    """Only the ASGI middleware limits the time for a body."""
    site = sites["asgi", "publish"]
    before = site.received_uploads()
    assert read_status(site.start_upload(other_picture())) == 408
    assert site.received_uploads() == before


@pytest.mark.parametrize("interface", PROGRAM_BY_INTERFACE)
def test_uploads_are_refused_or_marked_while_the_gate_is_unreachable(
    interface: str, tmp_path: Path
) -> None:
    with ExitStack() as sites:
        with running_gate(tmp_path, "--no-slow-look") as gate_url_and_token_file:
            refusing = sites.enter_context(run_site(interface, "publish", *gate_url_and_token_file))
            marking_site = sites.enter_context(
                run_site(interface, "header", *gate_url_and_token_file)
            )
            assert refusing.post(other_picture()).status_code == 200
        before = refusing.received_uploads()
        unreachable = refusing.post(other_picture())
        assert (unreachable.status_code, unreachable.headers["retry-after"]) == (503, "30")
        assert refusing.received_uploads() == before
        assert marking_site.post(other_picture()).status_code == 200
        assert marking_site.received_uploads() == [
            [sha256_hex(other_picture()), "hold; why=gate-away"]
        ]
