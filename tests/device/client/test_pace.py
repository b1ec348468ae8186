"""Tests of the minimum transfer rate of a relay, and of the maximum size of an answer."""

import hashlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import Final

import pytest

from entrenous.base.errors import NotUnderstood, RelayUnreachable
from entrenous.base.identifiers import BlobId, EnvelopeId, MailboxId
from entrenous.base.secret import Secret
from entrenous.device.client import connections
from entrenous.device.client.connections import MinimumRate
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.wire.relay_nouns import BlobDeposit

TOKEN: Final = Secret(bytes(32))
HEADERS: Final = b"HTTP/1.1 200 OK\r\nEntrenous-Protocol: 2\r\n"
LARGE_RESPONSE_HEAD: Final = HEADERS + b"Content-Length: 16000000\r\n\r\n"
MINUTE_S: Final = 0.3  # the length of a minute with the fixture ``courier``, in seconds


@contextmanager
def serve_with(answer: Callable[[socket.socket, threading.Event], object]) -> Iterator[str]:
    """Yield the address of a server that calls ``answer`` for each connection.

    The second argument of ``answer`` is an event that is set when the server stops.
    """
    stop = threading.Event()

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            answer(connection, stop)

    def listen() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with ExitStack() as last:
        listener = last.enter_context(socket.create_server(("127.0.0.1", 0)))
        last.callback(listener.shutdown, socket.SHUT_RDWR)  # so that accept returns
        last.callback(stop.set)
        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def make_dripping_answer(head: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Return an answer that sends ``head``, and then single bytes until the server stops."""

    def answer(connection: socket.socket, stop: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(head)
        while not stop.wait(MINUTE_S / 10):
            connection.sendall(b"x")

    return answer


@pytest.fixture
def courier(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpCourier]:
    """Return a courier for which a minute takes ``MINUTE_S`` seconds."""
    monkeypatch.setattr(connections, "TRANSFER_INTERVAL_S", MINUTE_S)
    with new_relay_client() as client:
        yield HttpCourier(client)


def test_minute_restarts_only_after_enough_bytes() -> None:
    now = 0.0
    pace = MinimumRate(1000, lambda: now)
    pace.count_bytes(999)
    now = 59.0
    assert pace.seconds_left() == 1
    pace.count_bytes(1)
    assert pace.seconds_left() == 60
    pace.count_bytes(1_000_000)
    pace.count_bytes(999)
    now = 119.0
    assert pace.seconds_left() == 0  # a million bytes at once gain only one minute


@pytest.mark.real
@pytest.mark.timeout(60)
class TestOverSockets:
    """Transfers over real sockets, with a shortened minute."""

    @pytest.mark.usefixtures("courier")  # this fixture shortens the minute
    @pytest.mark.parametrize(
        "head", [LARGE_RESPONSE_HEAD, HEADERS + b"Longwinded: "], ids=["body", "headers"]
    )
    def test_too_slow_relay_counts_as_unreachable(self, head: bytes) -> None:
        requests: tuple[Callable[[HttpCourier, str], object], ...] = (
            lambda courier, url: courier.status(url),
            lambda courier, url: courier.envelope_status(url, EnvelopeId(bytes(16)), TOKEN),
            lambda courier, url: courier.waiting_envelopes(url, MailboxId(bytes(16)), TOKEN, 0),
            lambda courier, url: courier.download_blob(url, BlobId(bytes(16)), TOKEN, io.BytesIO()),
        )
        with serve_with(make_dripping_answer(head)) as url, new_relay_client() as client:
            # After a timeout, a courier avoids the relay for a while. So each request has a
            # new courier.
            for request in requests:
                with pytest.raises(RelayUnreachable):
                    request(HttpCourier(client), url)

    def test_downloaded_part_of_a_blob_is_kept(self, courier: HttpCourier) -> None:
        received = io.BytesIO()
        with (
            serve_with(make_dripping_answer(LARGE_RESPONSE_HEAD)) as url,
            pytest.raises(RelayUnreachable),
        ):
            courier.download_blob(url, BlobId(bytes(16)), TOKEN, received)
        assert len(received.getvalue()) >= 1

    def test_download_at_the_minimum_rate_may_take_over_a_minute(
        self, courier: HttpCourier, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A minute takes two seconds here, because ``MINUTE_S`` is too short on a busy machine."""
        minute, size = 2.0, 8
        monkeypatch.setattr(connections, "TRANSFER_INTERVAL_S", minute)
        monkeypatch.setattr(
            "entrenous.device.client.http_courier.TRANSFER_BYTES_MIN_PER_INTERVAL", 1
        )

        def answer(connection: socket.socket, stop: threading.Event) -> None:
            connection.recv(65536)
            connection.sendall(HEADERS + b"Content-Length: %d\r\n\r\n" % size)
            for _ in range(size):
                stop.wait(1.2 * minute / size)
                connection.sendall(b"x")

        received = io.BytesIO()
        with serve_with(answer) as url:
            courier.download_blob(url, BlobId(bytes(16)), TOKEN, received)
        assert len(received.getvalue()) == size

    def test_too_slow_upload_is_given_up(self, courier: HttpCourier) -> None:
        def answer(connection: socket.socket, stop: threading.Event) -> None:
            while not stop.wait(MINUTE_S / 10):
                connection.recv(16)

        data = bytes(32 * 1024 * 1024)  # more than fits into the socket buffers
        deposit = BlobDeposit(
            BlobId(bytes(16)),
            MailboxId(bytes(16)),
            len(data),
            hashlib.sha256(data).digest(),
            bytes(32),
            bytes(32),
            datetime(2026, 11, 25, tzinfo=UTC),
        )
        with serve_with(answer) as url, pytest.raises(RelayUnreachable):
            courier.upload_blob(url, TOKEN, deposit, io.BytesIO(data))

    def test_overlong_answer_is_refused(self, courier: HttpCourier) -> None:
        def answer(connection: socket.socket, _: threading.Event) -> None:
            connection.recv(65536)
            connection.sendall(LARGE_RESPONSE_HEAD + bytes(connections.SMALL_ANSWER_BYTES_MAX + 1))

        with serve_with(answer) as url, pytest.raises(NotUnderstood):
            courier.status(url)
