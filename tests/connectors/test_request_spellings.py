"""Many spellings of a covered path, none of which passes the hooks without a decision.

A real nginx, with and without merged slashes, and models of Java and Python servers say which
spellings lead to the path. Each such spelling is sent to a real server with the hook.
Uploads to ordinary paths pass without a question to the gate.
"""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from entrenous.connectors import asgi, wsgi
from tests.connectors.form_readings import (
    COVERED_PATH,
    is_covered,
    paths_read_by_java,
    paths_read_by_python,
)
from tests.connectors.running_gates import ACCEPTED_FILE, ScriptedGate
from tests.nginx import NGINX, needs_nginx

pytestmark = pytest.mark.real

#: Spellings that a server may read as a slash.
SLASH_SPELLINGS = (
    *("//", "/./", "/x/../", "/x/y/../../", "/.;/", "/;/", "/;x/", "/x/..;/", "/x/..;y=1/"),
    *("%2f", "%2F", "/%2f", "/%2e/", "/x/%2e%2e/", "/x/%2E./", "/x/.%2e;a/", "/%2e;/", "\\", "%5c"),
    *("/x%2f../", "/x/..%2f", "%5C", "/x\\..\\", "/x%5c..%5c", "///", "/.//", "%252f", "/x;y/../"),
    *("/%252e/", "/x/%252e%252e/", "%255c", "/x/..//"),
)
#: Endings of a name in a path. A server may ignore such an ending.
SEGMENT_TAILS = (";", ";x", ";x=1", ";x=1;y=2", ";x,y", ";%2e", ";..", "%3b", "%3Bx", "%253b")
#: Functions that spell a word in a way that a server may read as the same word.
LETTER_SPELLINGS: tuple[Callable[[str], str], ...] = (
    str.upper,
    str.title,
    lambda word: "".join(f"%{ord(letter):02x}" for letter in word),
    lambda word: "".join(f"%25{ord(letter):02x}" for letter in word),
    lambda word: f"%{ord(word[0]):02X}{word[1:]}",
    lambda word: f"%25{ord(word[0]):02X}{word[1:]}",
)
PATH_ENDS = (
    "/",
    "/7",
    ".json",
    "//",
    "/.",
    "/;x",
    "/x/..",
    "%2f",
    "%2F7",
    "/%2e",
    "?x=/../",
    ";x/7",
)
#: Usual paths that are not covered.
ORDINARY_PATHS = (
    *("/", "/other", "/api", "/api/v2", "/api/v1/media", "/api/v2/mediation", "/api/v2/media-list"),
    *(
        "/@ana/109",
        "/a.b/c_d-e~f",
        "/other?next=/api/v2/media;x/../",
        "/caf%C3%A9",
        "/a%20b",
        "/a+b",
    ),
    *("/rooms/%21a%3Ahouse/send/m.room.message/7", "/x/.well-known/y", "/users/a,b", "/a=b", "/$a"),
    *("/%E6%97%A5%E6%9C%AC", "/other/", "/x/api/v2/media", "/files/report.v2.pdf", "/a'b(c)*"),
)


def path_spellings() -> list[str]:
    words = COVERED_PATH.strip("/").split("/")
    found = []
    for place in range(3):
        before, own, after = words[:place], words[place], words[place + 1 :]
        found += [
            _join_words(before, slash + _join_words([own], "", after)[1:])
            for slash in SLASH_SPELLINGS
        ]
        found += [_join_words([*before, own + tail, *after]) for tail in SEGMENT_TAILS]
        found += [_join_words([*before, written(own), *after]) for written in LETTER_SPELLINGS]
    found += [COVERED_PATH + end for end in PATH_ENDS]
    found += [
        a.join(["", *words]) + b for a in ("//", "/./", "/;/") for b in (*SEGMENT_TAILS, *PATH_ENDS)
    ]
    return list(dict.fromkeys(one if one[0] in "/%\\" else f"/{one}" for one in found))


def _join_words(words: list[str], rest: str = "", after: list[str] | None = None) -> str:
    return "".join(f"/{word}" for word in [*words]) + rest + "".join(f"/{w}" for w in after or [])


NGINX_CONF = """
daemon off; {user} pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port}; server_name merged;
    location / {{ return 200 other; }}
    location ~* ^/api/v2/media {{ return 200 covered; }}
  }}
  server {{
    listen 127.0.0.1:{port}; server_name apart; merge_slashes off;
    location / {{ return 200 other; }}
    location ~* ^/+api/+v2/+media {{ return 200 covered; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def nginx_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run nginx; yield the port."""
    assert NGINX is not None
    folder = tmp_path_factory.mktemp("nginx")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX_CONF.format(user=user, folder=folder, port=port))
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with subprocess.Popen(command) as process:
        try:
            _wait_for_port(port)
            yield port
        finally:
            process.terminate()
            process.wait(20)


def _wait_for_port(port: int) -> None:
    for _ in range(200):
        with socket.socket() as line:
            if line.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("no server")


def send_upload(port: int, target: str, host: str = "site") -> tuple[int, str]:
    """Send an upload to exactly this target; return the status and body of the answer."""
    head = f"POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\n"
    head += f"Content-Length: {len(ACCEPTED_FILE)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        line.sendall(head.encode() + ACCEPTED_FILE)
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    first, _, body = answer.partition(b"\r\n\r\n")
    return int(first.split(b" ", 2)[1]), body.decode()


async def _report_decision(request: Request) -> PlainTextResponse:
    await request.body()
    return PlainTextResponse("decided" if "entrenous-decision" in request.headers else "undecided")


@contextmanager
def run_asgi_site(gate: ScriptedGate) -> Iterator[int]:
    inner = Starlette(routes=[Route("/{path:path}", _report_decision, methods=["POST"])])
    app = asgi.GateMiddleware(
        inner, gate.settings, paths=[COVERED_PATH], client=gate.async_client()
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        running = threading.Thread(target=server.run, args=([taken],))
        running.start()
        try:
            yield taken.getsockname()[1]
        finally:
            server.should_exit = True
            running.join(20)


@contextmanager
def run_wsgi_site(gate: ScriptedGate) -> Iterator[int]:
    def answer_with_decision(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"decided" if wsgi.DECISION_ENVIRON_KEY in environ else b"undecided"]

    class SilentRequestHandler(WSGIRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    app = wsgi.GateMiddleware(
        answer_with_decision, gate.settings, paths=[COVERED_PATH], client=gate.client()
    )
    with make_server("127.0.0.1", 0, app, handler_class=SilentRequestHandler) as server:
        running = threading.Thread(target=server.serve_forever, args=(0.05,))
        running.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            running.join(20)


RUN_SITE_BY_KIND = {"asgi": run_asgi_site, "wsgi": run_wsgi_site}


@pytest.mark.threat("hook-walked-around")
@needs_nginx
@pytest.mark.parametrize("site_kind", RUN_SITE_BY_KIND)
def test_no_spelling_of_a_covered_path_passes_undecided(site_kind: str, nginx_port: int) -> None:
    leads_to_covered_path: dict[str, Callable[[str], bool]] = {
        "nginx": lambda target: send_upload(nginx_port, target, "merged") == (200, "covered"),
        "nginx without merging": lambda target: (
            send_upload(nginx_port, target, "apart") == (200, "covered")
        ),
        "Java": lambda target: any(map(is_covered, paths_read_by_java(target.partition("?")[0]))),
        "Python": lambda target: any(
            map(is_covered, paths_read_by_python(target.partition("?")[0]))
        ),
    }
    leading = {
        name: {one for one in path_spellings() if leads(one)}
        for name, leads in leads_to_covered_path.items()
    }
    covered_spellings = sorted(set().union(*leading.values()))
    assert len(covered_spellings) >= 200
    assert all(len(found) >= 50 for found in leading.values()), {
        k: len(v) for k, v in leading.items()
    }
    with RUN_SITE_BY_KIND[site_kind](ScriptedGate()) as port:
        answers = {target: send_upload(port, target) for target in covered_spellings}
    passed = [target for target, (_, body) in answers.items() if body == "undecided"]
    assert passed == []
    assert sum(body == "decided" for _, body in answers.values()) >= 200


@pytest.mark.parametrize("site_kind", RUN_SITE_BY_KIND)
def test_ordinary_paths_pass_without_asking_the_gate(site_kind: str) -> None:
    gate = ScriptedGate()
    with RUN_SITE_BY_KIND[site_kind](gate) as port:
        answers = {target: send_upload(port, target) for target in ORDINARY_PATHS}
        assert set(answers.values()) == {(200, "undecided")}, answers
        assert gate.received_bodies == []
        assert send_upload(port, COVERED_PATH) == (200, "decided")
