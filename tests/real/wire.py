"""A proxy in front of a relay, as operators have one, which records every byte that passes."""

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
    """The bytes that the client sent, and those that the relay answered."""

    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)

    def exchanges(self) -> Iterator[RecordedExchange]:
        requests = _messages(httptools.HttpRequestParser, self.up)
        responses = _messages(httptools.HttpResponseParser, self.down)
        for request, response in zip(requests, responses, strict=True):
            yield RecordedExchange(
                str(request.start), request.path, request.body, int(response.start), response.body
            )


@dataclass
class Wire:
    """All recorded traffic; ``url`` is the proxy's, which clients use as that of their relay."""

    url: str = ""
    connections: list[Connection] = field(default_factory=list)

    def flows(self) -> list[bytes]:
        """Return the bytes of each direction of each connection."""
        return [bytes(one) for talk in self.connections for one in (talk.up, talk.down)]

    def exchanges(self) -> list[RecordedExchange]:
        return [one for connection in self.connections for one in connection.exchanges()]


@contextmanager
def recorded(relay_url: str) -> Iterator[Wire]:
    """Run a recording proxy in front of the relay at this URL until the context ends."""
    host, _, port = relay_url.removeprefix("http://").partition(":")
    wire = Wire()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        accepting = threading.Thread(target=_accept, args=(listener, (host, int(port)), wire))
        accepting.start()
        try:
            yield wire
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(10)


def _accept(listener: socket.socket, relay: tuple[str, int], wire: Wire) -> None:
    threads = []
    with suppress(OSError):  # the listener was shut down
        while True:
            client, _ = listener.accept()
            connection = Connection()
            wire.connections.append(connection)
            threads.append(threading.Thread(target=_carry, args=(client, relay, connection)))
            threads[-1].start()
    for one in threads:
        one.join(10)


def _carry(client: socket.socket, relay: tuple[str, int], connection: Connection) -> None:
    with client, socket.create_connection(relay) as server:
        up = threading.Thread(target=_pass_on, args=(client, server, connection.up))
        up.start()
        _pass_on(server, client, connection.down)
        up.join()


def _pass_on(one: socket.socket, other: socket.socket, record: bytearray) -> None:
    """Forward and record bytes until one end closes; then close the other end for writing."""
    with suppress(OSError):
        while data := one.recv(65_536):
            record += data
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


@dataclass
class _Message:
    path: str = ""
    start: str | int = ""
    body: bytes = b""


class _Reader:
    """Collects what httptools finds in one direction of a connection."""

    def __init__(self) -> None:
        self.found: list[_Message] = []
        self.parser: Any = None

    def on_message_begin(self) -> None:
        self.found.append(_Message())

    def on_url(self, url: bytes) -> None:
        self.found[-1].path += url.decode()

    def on_headers_complete(self) -> None:
        is_request = isinstance(self.parser, httptools.HttpRequestParser)
        start_line = (
            self.parser.get_method().decode() if is_request else self.parser.get_status_code()
        )
        self.found[-1].start = start_line

    def on_body(self, body: bytes) -> None:
        self.found[-1].body += body


def _messages(parser: Callable[[_Reader], Any], flow: bytearray) -> list[_Message]:
    reader = _Reader()
    reader.parser = parser(reader)
    reader.parser.feed_data(bytes(flow))
    return reader.found
