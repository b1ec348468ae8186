"""Clients that try to fill the memory or the log of a server."""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.serving.certificates import CertificateFiles

#: Refused requests of one packet each. If a server logged them, clients could fill a disk.
MALFORMED_REQUESTS = (
    b"rubbish\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nA b: c\r\n\r\n",
    b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
)
_ENDLESS_HEADS = (  # the start of a head, and the piece that is repeated
    (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: a\r\n" * 10_000),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"a" * 60_000),
    (b"GET /", b"a" * 60_000),
    (b"", b"\r\n" * 30_000),
)
_SOCKET_BUFFERS_BYTES_MAX = 16 << 20  # an upper limit for the data in both sockets' buffers


def open_connection(
    url: str, certificate: CertificateFiles | None, receive_buffer_bytes: int = 0
) -> socket.socket:
    """Connect, with TLS if a certificate is given.

    If ``receive_buffer_bytes`` is 0, the socket keeps its default receive buffer.
    """
    connection = socket.socket()
    if receive_buffer_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", httpx.URL(url).port or 0))
    if certificate is None:
        return connection
    context = ssl.create_default_context(cafile=str(certificate.cert))
    return context.wrap_socket(connection, server_hostname="localhost")


def assert_refuses_endless_heads(url: str, certificate: CertificateFiles | None) -> None:
    """Check that each endless request head gets a 431, and that the server stops reading it."""

    def sent_after_refusal(head: tuple[bytes, bytes]) -> int:
        start, piece = head
        with open_connection(url, certificate) as client:
            client.sendall(start + piece[:40_000])
            assert client.recv(100).startswith(b"HTTP/1.1 431 ")
            return sum(map(len, _send_until_closed(client, piece)))

    # Run in parallel, because the server gives each client a second to read the refusal.
    with ThreadPoolExecutor(len(_ENDLESS_HEADS)) as clients:
        assert max(clients.map(sent_after_refusal, _ENDLESS_HEADS)) < _SOCKET_BUFFERS_BYTES_MAX


def send_malformed(url: str) -> None:
    """Send each malformed request, and check that it is refused with a 4xx status."""
    for request in MALFORMED_REQUESTS:
        with open_connection(url, None) as client:
            client.sendall(request)
            assert client.recv(1000).startswith(b"HTTP/1.1 4")


def _send_until_closed(client: socket.socket, piece: bytes) -> Iterator[bytes]:
    """Send the piece again and again until the connection fails; yield the piece each time."""
    try:
        while True:
            client.sendall(piece)
            yield piece
    except OSError:
        return
