"""Tests of the limits on waiting wake-up requests at a relay, and of a client that disconnects."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from entrenous.base.identifiers import MailboxId
from entrenous.base.secret import Secret
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay_settings import long_poll_limits
from entrenous.carry.wake_ups import LocalWakeUps
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.wire.encodings import to_base64url
from tests.carry.http.test_connection_limits import relay_with_file_limit
from tests.carry.relays import SampleMessage, memory_relay, serve_app
from tests.deterministic import SeededRandomSource
from tests.real.processes import wait_until

pytestmark = pytest.mark.real

MailboxWithOwner = tuple[MailboxId, Secret]
WAITING_CLIENT_PROGRAM = Path(__file__).with_name("waiting_client.py")


def create_mailboxes(port: int, count: int) -> list[MailboxWithOwner]:
    """Create ``count`` mailboxes at the relay; return their ids and owner tokens."""
    random_source, url = SeededRandomSource(), f"http://127.0.0.1:{port}"
    mailboxes = [
        (MailboxId(random_source.token(16)), Secret(random_source.token(32))) for _ in range(count)
    ]
    with new_relay_client() as web:
        for mailbox, owner in mailboxes:
            HttpCourier(web).create_mailbox(url, mailbox, owner)
    return mailboxes


@contextmanager
def run_waiting_client(port: int, mailboxes: list[MailboxWithOwner]) -> Iterator[None]:
    """Run a client that waits at each of these mailboxes, until the context ends."""
    argument = [
        port,
        [(to_base64url(mailbox), to_base64url(owner.reveal())) for mailbox, owner in mailboxes],
    ]
    command = [sys.executable, WAITING_CLIENT_PROGRAM, json.dumps(argument)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"all requests sent\n"
            yield
        finally:
            process.kill()


def open_file_count(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def response_time_s(port: int) -> float:
    """Return the seconds that a status request takes on a new connection; infinity if it fails."""
    began_s = time.monotonic()
    with httpx.Client(trust_env=False, timeout=5) as web:
        try:
            assert web.get(f"http://127.0.0.1:{port}/v1/status").status_code == 200
        except httpx.TransportError:
            return float("inf")
    return time.monotonic() - began_s


def response_times_s(port: int) -> Iterator[float]:
    """Yield at least fifty response times, measured during at least two seconds: long enough that
    the waiting client repeats ended requests.
    """
    began_s, count = time.monotonic(), 0
    while count < 50 or time.monotonic() < began_s + 2:
        count += 1
        yield response_time_s(port)


@pytest.mark.threat("relay-starved")
@pytest.mark.parametrize(
    ("open_files_max", "mailbox_count"),
    [(256, 17), pytest.param(1024, 64, marks=pytest.mark.nightly)],
)
def test_client_waiting_at_many_mailboxes_does_not_block_the_relay(
    tmp_path: Path, open_files_max: int, mailbox_count: int
) -> None:
    """The relay may have ``open_files_max`` files open; the client tries to keep eight requests
    waiting at each mailbox.
    """
    with (
        relay_with_file_limit(tmp_path, open_files_max) as (pid, port),
        run_waiting_client(port, create_mailboxes(port, mailbox_count)),
    ):
        times_s = list(response_times_s(port))
        assert open_file_count(pid) < open_files_max * 3 // 4
    assert len(times_s) >= 50
    assert max(times_s) < 1, sorted(times_s)


def test_wake_up_bounds_follow_from_the_connection_limit() -> None:
    bounds = [
        long_poll_limits(connections, behind_proxy=False) for connections in (1, 8, 112, 4096)
    ]
    assert [connection.total for connection in bounds] == [1, 6, 84, 3072]
    assert [connection.network for connection in bounds] == [16, 16, 16, 192]
    assert long_poll_limits(4096, behind_proxy=True).network is None


def test_disconnected_client_no_longer_waits() -> None:
    wake_ups, message = LocalWakeUps(), SampleMessage()
    with (
        serve_app(relay_app(replace(memory_relay(), wake_ups=wake_ups))) as url,
        new_relay_client() as web,
    ):
        HttpCourier(web).create_mailbox(url, message.mailbox, message.owner)
        with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), 20) as connection:
            connection.sendall(
                f"GET /v1/mailboxes/{to_base64url(message.mailbox)}/wake HTTP/1.1\r\nHost: a\r\n"
                f"Authorization: Bearer {to_base64url(message.owner.reveal())}\r\n"
                "Entrenous-Protocol: 2\r\n\r\n".encode()
            )
            assert wait_until(lambda: wake_ups.count_listening_mailboxes() == 1, 20)
        assert wait_until(lambda: wake_ups.count_listening_mailboxes() == 0, 20)
