"""Behind a real nginx, our proxy checks uploads to a server that takes no plug-ins."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.connectors.running_gates import (
    her_picture,
    her_picture_mirrored,
    other_picture,
    running_gate,
    waiting_picture,
)
from tests.ready import start_program
from tests.stop.commands.gates import wait_if_hour_ends_within

pytestmark = pytest.mark.real

NGINX_PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
UPLOADS_PER_HOUR = 2
# The configuration of docs/gate.md, with additions for the tests.
NGINX_CONFIG = """
daemon off; {user} pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  map "$request_method $http_content_length$http_transfer_encoding" $behind {{
    default {proxy};
    "~^(GET|HEAD|OPTIONS) 0?$" {upstream};
  }}
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 100m;
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-User $remote_user;
    proxy_http_version 1.1;
    location / {{ proxy_pass $behind; }}
  }}
}}
"""
UPSTREAM_PROGRAM = """
import sys
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from entrenous.serving.http_server import serve

async def media(request: Request) -> JSONResponse:
    form = await request.form()
    data = await form["file"].read()
    seen = request.headers.get("entrenous-decision", ""), request.headers["x-forwarded-for"]
    return JSONResponse({"id": "1", "bytes": len(data), "words": form["description"], "seen": seen})

async def page(request: Request) -> JSONResponse:
    await request.body()
    hops = request.headers["x-forwarded-for"].count(",")
    words = {"path": request.url.path, "host": request.headers["host"], "proxied": bool(hops)}
    return JSONResponse(words)

every = Route("/{path:path}", page, methods=["GET", "POST", "DELETE"])
routes = [Route("/api/v2/media", media, methods=["POST"]), every]
serve(Starlette(routes=routes), "127.0.0.1", 0, lambda url: print(url, flush=True))
"""


@contextmanager
def run_upstream(program: str, *words: str) -> Iterator[str]:
    command = [sys.executable, "-c", program, *words]
    with start_program(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def run_proxy(upstream_url: str, gate_url: str, token_file: Path) -> Iterator[str]:
    words = ["--upstream", upstream_url, "--gate", gate_url, "--token-file", str(token_file)]
    words += ["--paths", "/api/v1/media,/api/v2/media", "--listen", "127.0.0.1:0"]
    words += ["--budget", "20", "--account-header", "X-User", "--json"]
    command = [sys.executable, "-m", "entrenous", "gate", "proxy", *words]
    with start_program(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def run_nginx(folder: Path, upstream_url: str, proxy_url: str) -> Iterator[str]:
    assert NGINX_PROGRAM is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    conf = NGINX_CONFIG.format(
        user=user, folder=folder, port=port, upstream=upstream_url, proxy=proxy_url
    )
    (folder / "nginx.conf").write_text(conf)
    command = [NGINX_PROGRAM, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with subprocess.Popen(command) as process:
        try:
            for _ in range(1200):
                with socket.socket() as connection:
                    if connection.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "gate").mkdir()
    (folder / "gate/gate.toml").write_text(f"uploads_per_account = {UPLOADS_PER_HOUR}\n")
    with (
        running_gate(folder, "--no-slow-look") as (gate_url, token_file),
        run_upstream(UPSTREAM_PROGRAM) as upstream_url,
        run_proxy(upstream_url, gate_url, token_file) as proxy_url,
        run_nginx(folder, upstream_url, proxy_url) as url,
        httpx.Client(base_url=url, timeout=60) as web,
    ):
        yield web


def upload(web: httpx.Client, data: bytes, path: str = "/api/v2/media") -> httpx.Response:
    files = {"file": ("x.jpg", data, "image/jpeg")}
    return web.post(
        f"{str(web.base_url).rstrip('/')}{path}", data={"description": "words"}, files=files
    )


needs_nginx = pytest.mark.skipif(
    NGINX_PROGRAM is None, reason="no nginx: apt-get install nginx-light"
)


@needs_nginx
def test_picture_without_match_passes(site: httpx.Client) -> None:
    answer = upload(site, other_picture())
    assert answer.status_code == 200, answer.text
    media = answer.json()
    assert (media["id"], media["bytes"], media["words"]) == (
        "1",
        len(other_picture()),
        "words",
    )
    assert media["seen"][0].startswith("let through; case=")
    assert media["seen"][1] == "127.0.0.1, 127.0.0.1"


@needs_nginx
@pytest.mark.parametrize("path", ["/api/v2/media", "/api/v2/media/", "//api/v2/media"])
def test_refused_picture_does_not_pass(site: httpx.Client, path: str) -> None:
    for data in (her_picture(), her_picture_mirrored()):
        answer = upload(site, data, path)
        assert (answer.status_code, answer.headers["content-type"]) == (
            422,
            "application/problem+json",
        )
        assert answer.json()["type"] == "urn:entrenous:refused:stopped-upload"


@pytest.mark.threat("hook-walked-around")
@needs_nginx
@pytest.mark.parametrize(
    "path", ["/api;x/v2/media", "/x/..;/api/v2/media", "/api%2fv2/media", "/%2561pi/v2/media"]
)
def test_upload_by_an_unnormalised_path_is_refused(site: httpx.Client, path: str) -> None:
    """A server might read each of these paths as /api/v2/media, where the proxy checks uploads."""
    files = {"file": ("x.jpg", her_picture(), "image/jpeg")}
    url = httpx.URL(site.base_url).copy_with(raw_path=path.encode())
    assert site.post(url, files=files).status_code == 422


@needs_nginx
def test_post_to_another_path_passes(site: httpx.Client) -> None:
    assert upload(site, her_picture(), "/api/v1/statuses").json()["path"] == "/api/v1/statuses"


@needs_nginx
def test_picture_held_for_a_claim_passes(site: httpx.Client) -> None:
    answer = upload(site, waiting_picture())
    assert answer.status_code == 200, answer.text
    assert answer.json()["seen"][0].startswith("hold; case=")
    assert answer.json()["seen"][0].endswith("; published")


@needs_nginx
def test_unreadable_picture_does_not_pass(site: httpx.Client) -> None:
    answer = upload(site, waiting_picture()[:9000])
    assert (answer.status_code, json.loads(answer.text)["title"]) == (422, "Held upload")


@needs_nginx
def test_get_requests_pass(site: httpx.Client) -> None:
    for path in ("/", "/@ana/1", "/api/v1/media/7"):
        for headers in ({}, {"Content-Length": "0"}):
            page = site.get(path, headers=headers).json()
            assert page == {"path": path, "host": "127.0.0.1", "proxied": False}


@needs_nginx
@pytest.mark.threat("hook-walked-around")
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PUT", "MKCOL"])
@pytest.mark.parametrize("in_pieces", [False, True])
def test_refused_picture_does_not_pass_with_any_method(
    site: httpx.Client, method: str, *, in_pieces: bool
) -> None:
    """WordPress reads a GET with ``?_method=POST`` like a POST."""
    content = iter([her_picture()]) if in_pieces else her_picture()
    headers = {"Content-Type": "image/jpeg"}
    answer = site.request(method, "/api/v2/media?_method=POST", content=content, headers=headers)
    assert answer.status_code == 422


@needs_nginx
def test_get_with_a_body_passes_the_proxy_to_another_path(site: httpx.Client) -> None:
    answer = site.request("GET", "/search", content=b"{}", headers={"Content-Type": "text/json"})
    assert answer.json() == {"path": "/search", "host": "127.0.0.1", "proxied": True}


@needs_nginx
@pytest.mark.threat("probing-registered")
def test_uploads_are_limited_per_account_and_hour(site: httpx.Client) -> None:
    """nginx sets the account header, and a client cannot choose the account by headers."""
    wait_if_hour_ends_within(60)

    def upload_status(name: str, **headers: str) -> int:
        url, files = (
            f"{site.base_url}/api/v2/media",
            {"file": ("x.jpg", other_picture(), "image/jpeg")},
        )
        answer = httpx.post(
            url, data={"description": "w"}, files=files, auth=(name, "x"), headers=headers,
            timeout=60,
        )  # fmt: skip
        return answer.status_code

    assert [upload_status("ana") for _ in range(UPLOADS_PER_HOUR + 1)] == [
        200
    ] * UPLOADS_PER_HOUR + [429]
    assert upload_status("ana", **{"X-User": "carla", "Entrenous-Account": "carla"}) == 429
    assert upload_status("ben") == 200
