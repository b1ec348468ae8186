"""A proxy that records every byte between clients and a server, as an operator's proxy could."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httptools


@dataclass(frozen=True)
class RecordedExchange:
    """One request and its answer."""

    method: str
    path: str
    request_body: bytes
    status: int
    response_body: bytes


@dataclass
class Connection:
    """The bytes that a client sent to the server, and the bytes that the client received."""

    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)

    def exchanges(self) -> Iterator[RecordedExchange]:
        requests = _parse_messages(httptools.HttpRequestParser, self.sent)
        responses = _parse_messages(httptools.HttpResponseParser, self.received)
        for request, response in zip(requests, responses, strict=True):
            yield RecordedExchange(
                str(request.method_or_status),
                request.path,
                request.body,
                int(response.method_or_status),
                response.body,
            )


@dataclass
class RecordedTraffic:
    """All recorded traffic. Clients use the proxy's ``url`` as the URL of the server."""

    url: str = ""
    connections: list[Connection] = field(default_factory=list)

    def flows(self) -> list[bytes]:
        """Return the bytes of each direction of each connection."""
        return [
            bytes(one)
            for connection in self.connections
            for one in (connection.sent, connection.received)
        ]

    def exchanges(self) -> list[RecordedExchange]:
        return [one for connection in self.connections for one in connection.exchanges()]


@contextmanager
def record_traffic(relay_url: str) -> Iterator[RecordedTraffic]:
    """Run a recording proxy in front of the server at this URL until the context ends."""
    host, _, port = relay_url.removeprefix("http://").partition(":")
    traffic = RecordedTraffic()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        traffic.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        accepting = threading.Thread(target=_accept, args=(listener, (host, int(port)), traffic))
        accepting.start()
        try:
            yield traffic
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(10)


def _accept(
    listener: socket.socket, relay_address: tuple[str, int], traffic: RecordedTraffic
) -> None:
    threads = []
    with suppress(OSError):  # the listener was shut down
        while True:
            client, _ = listener.accept()
            connection = Connection()
            traffic.connections.append(connection)
            threads.append(
                threading.Thread(target=_forward, args=(client, relay_address, connection))
            )
            threads[-1].start()
    for one in threads:
        one.join(10)


def _forward(client: socket.socket, relay_address: tuple[str, int], connection: Connection) -> None:
    with client, socket.create_connection(relay_address) as server:
        sent = threading.Thread(target=_forward_and_record, args=(client, server, connection.sent))
        sent.start()
        _forward_and_record(server, client, connection.received)
        sent.join()


def _forward_and_record(source: socket.socket, target: socket.socket, record: bytearray) -> None:
    """Forward and record bytes until ``source`` closes; then close ``target`` for writing."""
    with suppress(OSError):
        while data := source.recv(65_536):
            record += data
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@dataclass
class _Message:
    path: str = ""
    method_or_status: str | int = ""
    body: bytes = b""


class _MessageCollector:
    """Collects the messages that httptools parses in one direction of a connection."""

    def __init__(self) -> None:
        self.messages: list[_Message] = []
        self.parser: Any = None

    def on_message_begin(self) -> None:
        self.messages.append(_Message())

    def on_url(self, url: bytes) -> None:
        self.messages[-1].path += url.decode()

    def on_headers_complete(self) -> None:
        is_request = isinstance(self.parser, httptools.HttpRequestParser)
        start_line = (
            self.parser.get_method().decode() if is_request else self.parser.get_status_code()
        )
        self.messages[-1].method_or_status = start_line

    def on_body(self, body: bytes) -> None:
        self.messages[-1].body += body


def _parse_messages(
    parser_class: Callable[[_MessageCollector], Any], flow: bytearray
) -> list[_Message]:
    reader = _MessageCollector()
    reader.parser = parser_class(reader)
    reader.parser.feed_data(bytes(flow))
    return reader.messages
