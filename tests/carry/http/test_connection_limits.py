"""Tests of clients that send nothing, or an unfinished, malformed or endless request."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from entrenous.carry.http.relay_app import relay_app
from entrenous.serving.tls import TlsCertificate
from tests.carry.relays import memory_relay, serve_app
from tests.ready import start_program
from tests.serving.certificates import write_certificate_files
from tests.serving.slow_clients import assert_refuses_endless_heads, open_connection, send_malformed

pytestmark = pytest.mark.real

OPEN_FILES_MAX = 256
RUN_WITH_FILE_LIMIT = (
    "import resource, runpy, sys; files = int(sys.argv.pop(1));"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (files, files));"
    "sys.argv[0] = 'entrenous'; runpy.run_module('entrenous', run_name='__main__', alter_sys=True)"
)
UNFINISHED_REQUEST = (
    b"PUT /v1/mailboxes/AAAAAAAAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{"
)


@contextmanager
def relay_with_file_limit(
    folder: Path, open_files_max: int = OPEN_FILES_MAX
) -> Iterator[tuple[int, int]]:
    """Start a relay that may have ``open_files_max`` files open; yield its process id and port."""
    words = ("relay", "run", "--data", str(folder), "--listen", "127.0.0.1:0", "--json")
    program = [sys.executable, "-c", RUN_WITH_FILE_LIMIT, str(open_files_max), *words]
    with start_program(program, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process.pid, httpx.URL(json.loads(process.stdout.readline())["url"]).port or 0
        finally:
            process.kill()


def open_file_count(pid: int) -> int:
    """Return the number of files that a process has open.

    Since Linux 6.2, the size of ``/proc/PID/fd`` is this number; earlier versions report 0.
    """
    folder = Path(f"/proc/{pid}/fd")
    return folder.stat().st_size or len(list(folder.iterdir()))


@pytest.mark.parametrize(
    "sent_bytes", [b"", b"GET /v1/st", UNFINISHED_REQUEST], ids=["nothing", "a head", "a body"]
)
def test_idle_connections_do_not_block_the_relay(tmp_path: Path, sent_bytes: bytes) -> None:
    """Idle clients open twice as many connections as the relay may have files open."""
    with (
        relay_with_file_limit(tmp_path) as (pid, port),
        ExitStack() as clients,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as device,
    ):
        for _ in range(2 * OPEN_FILES_MAX):
            connection = clients.enter_context(socket.create_connection(("127.0.0.1", port), 60))
            try:
                connection.sendall(sent_bytes)
            except ConnectionError:
                continue  # the relay has already closed this connection
        assert device.get("/v1/status").status_code == 200
        assert open_file_count(pid) < OPEN_FILES_MAX * 3 // 4
        assert device.get("/v1/status").status_code == 200


@pytest.mark.parametrize("sent_bytes", [b"", b"GET /v1/st"], ids=["nothing", "a head"])
def test_connection_without_a_complete_request_head_is_closed(
    monkeypatch: pytest.MonkeyPatch, sent_bytes: bytes
) -> None:
    monkeypatch.setattr("entrenous.serving.connection_limits._HEAD_WAIT_S_MAX", 0.5)
    with (
        serve_app(relay_app(memory_relay())) as url,
        socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), 20) as client,
    ):
        client.sendall(sent_bytes)
        try:
            received = client.recv(1)
        except ConnectionResetError:
            received = b""
        assert received == b""


def test_malformed_requests_are_not_logged(tmp_path: Path) -> None:
    words = ("relay", "run", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", "--json")
    program = [sys.executable, "-m", "entrenous", *words]
    with (
        (tmp_path / "log").open("wb") as log,
        start_program(program, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            assert process.stdout is not None
            send_malformed(json.loads(process.stdout.readline())["url"])
        finally:
            process.terminate()
            process.wait(60)
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "tls"])
def test_endless_request_head_is_refused(tmp_path: Path, *, with_tls: bool) -> None:
    pair = write_certificate_files(tmp_path) if with_tls else None
    server_certificate = TlsCertificate(pair.cert, pair.key) if pair else None
    with serve_app(relay_app(memory_relay()), server_certificate) as url:
        assert_refuses_endless_heads(url, pair)
        with open_connection(url, pair) as device:
            device.sendall(b"GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n")
            assert device.recv(100).startswith(b"HTTP/1.1 200 ")
