"""Tests of clients that leave large pages unread: little memory, and closed connections."""

import json
import secrets
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from entrenous.base.limits import SEALED_LETTER_BYTES_MAX
from entrenous.carry.http.relay_app import relay_app
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.serving.connection_limits import LimitedProtocol
from entrenous.serving.tls import TlsCertificate
from entrenous.wire.encodings import to_base64url
from tests.carry.relays import NOON, SampleMessage, memory_relay, serve_app
from tests.ready import start_program
from tests.serving.certificates import CertificateFiles, write_certificate_files
from tests.serving.slow_clients import open_connection

pytestmark = pytest.mark.real


def fill_mailbox(count: int, courier: HttpCourier, url: str, until: datetime) -> SampleMessage:
    """Post ``count`` messages of the largest size to a new mailbox; return the SampleMessage."""
    message = SampleMessage(until=until, sealed=secrets.token_bytes(SEALED_LETTER_BYTES_MAX))
    courier.create_mailbox(url, message.mailbox, message.owner)
    courier.register_token(url, message.mailbox, message.owner, message.send_token())
    for _ in range(count):
        courier.post(url, message.token, message.new_envelope())
    return message


def request_page(
    url: str, certificate: CertificateFiles | None, message: SampleMessage
) -> socket.socket:
    """Request a page of waiting messages; return the connection without reading from it."""
    connection = open_connection(url, certificate, 4096)
    connection.sendall(
        f"GET /v1/mailboxes/{to_base64url(message.mailbox)}/envelopes HTTP/1.1\r\nHost: a\r\n"
        "Entrenous-Protocol: 2\r\n"
        f"Authorization: Bearer {to_base64url(message.owner.reveal())}\r\n\r\n".encode()
    )
    return connection


def test_unread_pages_take_little_memory(tmp_path: Path) -> None:
    words = ("relay", "run", "--data", str(tmp_path), "--listen", "127.0.0.1:0", "--json")
    program = [sys.executable, "-m", "entrenous", *words]
    with (
        start_program(program, stdout=subprocess.PIPE) as process,
        ExitStack() as clients,
        new_relay_client() as web,
    ):
        try:
            assert process.stdout is not None
            url, courier = json.loads(process.stdout.readline())["url"], HttpCourier(web)
            until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
            message = fill_mailbox(50, courier, url, until)
            memory_before_mb = resident_mb(process.pid)
            for _ in range(40):
                clients.enter_context(request_page(url, None, message))
            # A client that had connected before is still answered.
            assert courier.waiting_envelopes(url, message.mailbox, message.owner, 0)
            # Without the limit on the bytes of a page, the forty pages would take 430 MB.
            assert resident_mb(process.pid) - memory_before_mb < 128
        finally:
            process.kill()


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "tls"])
def test_connections_with_too_much_unread_data_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, with_tls: bool
) -> None:
    """Twelve responses of 850 KiB exceed the socket buffers, so the relay has to hold the rest."""
    monkeypatch.setattr("entrenous.serving.connection_limits._UNREAD_BYTES_MAX", 3 << 20)
    aborted, real_abort = list[LimitedProtocol](), LimitedProtocol.abort
    monkeypatch.setattr(
        LimitedProtocol,
        "abort",
        lambda connection: (aborted.append(connection), real_abort(connection)),
    )
    certificate = write_certificate_files(tmp_path) if with_tls else None
    server_certificate = TlsCertificate(certificate.cert, certificate.key) if certificate else None
    with (
        serve_app(relay_app(memory_relay()), server_certificate, send_buffer_bytes=65536) as url,
        ExitStack() as clients,
        new_relay_client(certificate and certificate.cert) as web,
    ):
        courier = HttpCourier(web)
        message = fill_mailbox(4, courier, url, NOON + timedelta(days=1))
        connections = [
            clients.enter_context(request_page(url, certificate, message)) for _ in range(12)
        ]
        deadline = time.monotonic() + 60
        while len(aborted) < 7 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(courier.waiting_envelopes(url, message.mailbox, message.owner, 0)) == 4
        assert (
            sum(is_response_complete(connection) for connection in connections)
            == 12 - len(aborted)
            > 0
        )


def is_response_complete(connection: socket.socket) -> bool:
    received = b""
    try:
        while not received.endswith(b"]}"):
            received += (more := connection.recv(1 << 16))
            if not more:
                return False
    except ConnectionError:
        return False
    return True


def resident_mb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024
