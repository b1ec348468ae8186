"""Tests of writing over TLS in portions: order, number of unsent bytes, closing and aborting."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from entrenous.serving.connection_limits import WRITE_PORTION_BYTES, PortionedWriter
from entrenous.serving.http_server import listening_socket
from entrenous.serving.tls import TlsCertificate
from tests.deterministic import SeededRandomSource
from tests.serving.certificates import CertificateFiles, write_certificate_files

PAYLOAD = SeededRandomSource().token(3_000_000)
UNCOUNTED_BYTES_MAX = 1 << 20  # at least the size of two portions and both sockets' buffers


class FakeTlsTransport:
    """A fake TLS transport that is full after ``writes_left`` writes."""

    def __init__(self, writes_left: int) -> None:
        self.writes_left, self.written, self.closed = writes_left, b"", False

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == WRITE_PORTION_BYTES

    def write(self, data: memoryview) -> None:
        assert 0 < len(data) <= WRITE_PORTION_BYTES
        assert not self.closed
        self.written, self.writes_left = self.written + bytes(data), self.writes_left - 1

    def get_write_buffer_size(self) -> int:
        return 7

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    pause_reading = resume_reading = get_extra_info = close


def test_writer_continues_in_order_and_closes_after_the_last_byte() -> None:
    transport = FakeTlsTransport(3)
    writer = PortionedWriter(transport, lambda: transport.writes_left <= 0)
    writer.write(PAYLOAD[:10])
    writer.write(PAYLOAD[10:200_000])
    writer.write(PAYLOAD[200_000:300_000])
    assert transport.written == PAYLOAD[: 10 + 2 * WRITE_PORTION_BYTES]
    assert writer.get_write_buffer_size() == 300_000 - len(transport.written) + 7
    writer.close()
    assert (writer.is_closing(), transport.closed) == (True, False)
    transport.writes_left = 99
    writer.resume_writing()
    assert (transport.written, transport.closed) == (PAYLOAD[:300_000], True)
    assert writer.get_write_buffer_size() == 7


def test_aborted_writer_writes_nothing_more() -> None:
    transport = FakeTlsTransport(1)
    writer = PortionedWriter(transport, lambda: transport.writes_left <= 0)
    writer.write(PAYLOAD)
    writer.abort()
    transport.writes_left = 99
    writer.resume_writing()
    assert (len(transport.written), writer.get_write_buffer_size(), writer.is_closing()) == (
        65536,
        7,
        True,
    )


class PayloadServer(asyncio.Protocol):
    """A server that writes all of PAYLOAD to a client, and closes the connection."""

    def __init__(self) -> None:
        self.full, self.lost = False, asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.portions = PortionedWriter(transport, lambda: self.full)
        self.portions.write(PAYLOAD[:1_000_000])
        self.portions.write(PAYLOAD[1_000_000:])
        self.portions.close()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self.portions.resume_writing()

    def connection_lost(self, _: Exception | None) -> None:
        self.lost.set()


@pytest.mark.real
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_tls_connection_reports_its_unread_bytes(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    certificate = write_certificate_files(tmp_path)

    async def run_scenario() -> None:
        server = PayloadServer()
        with listening_socket("127.0.0.1", 0) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            context = TlsCertificate(certificate.cert, certificate.key).context
            serving = await asyncio.get_running_loop().create_server(
                lambda: server, sock=listener, ssl=context
            )
            with await asyncio.to_thread(
                connect_and_read_one_byte, listener.getsockname()[1], certificate
            ) as reader:
                await asyncio.sleep(0)
                assert server.portions.get_write_buffer_size() > len(PAYLOAD) - UNCOUNTED_BYTES_MAX
                assert await asyncio.to_thread(read_to_end_after_first_byte, reader) == PAYLOAD
            await asyncio.wait_for(server.lost.wait(), 20)
            assert server.portions.get_write_buffer_size() == 0
            serving.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run_scenario())


def connect_and_read_one_byte(port: int, certificate: CertificateFiles) -> ssl.SSLSocket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", port))
    context = ssl.create_default_context(cafile=str(certificate.cert))
    reader = context.wrap_socket(connection, server_hostname="localhost")
    assert reader.recv(1) == PAYLOAD[:1]
    return reader


def read_to_end_after_first_byte(reader: ssl.SSLSocket) -> bytes:
    received = PAYLOAD[:1]
    while chunk := reader.recv(1 << 16):
        received += chunk
    return received
