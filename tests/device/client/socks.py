"""A small SOCKS5 proxy (RFC 1928, RFC 1929) that connects every name to this machine."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

_BY_NAME: Final = 3
_BY_NUMBER: Final = {1: 4, 4: 16}  # address type: length in bytes
_DONE: Final = b"\x05\x00\x00\x01" + bytes(6)
_REFUSED: Final = b"\x05\x05\x00\x01" + bytes(6)


@dataclass(frozen=True)
class ConnectionRequest:
    """One connection request."""

    by_name: bool
    name: str
    credentials: bytes


@dataclass
class SocksProxy:
    """A proxy that connects every request to the local port ``leads_to``, or refuses if it is 0."""

    port: int
    leads_to: int
    asked: list[ConnectionRequest] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                connection, _ = listener.accept()
                threading.Thread(
                    target=self._serve_connection, args=(connection,), daemon=True
                ).start()

    def _serve_connection(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(30)
            methods = _read_exactly(connection, _read_exactly(connection, 2)[1])
            assert 2 in methods, "no credentials are offered"
            connection.sendall(b"\x05\x02")
            name = _read_exactly(connection, _read_exactly(connection, 2)[1])
            password = _read_exactly(connection, _read_exactly(connection, 1)[0])
            connection.sendall(b"\x01\x00")
            kind = _read_exactly(connection, 4)[3]
            size = _read_exactly(connection, 1)[0] if kind == _BY_NAME else _BY_NUMBER[kind]
            host = _read_exactly(connection, size + 2)[:-2]
            requested_host = host.decode() if kind == _BY_NAME else host.hex()
            self.asked.append(
                ConnectionRequest(kind == _BY_NAME, requested_host, name + b":" + password)
            )
            if not self.leads_to:
                connection.sendall(_REFUSED)
                return
            with socket.create_connection(("127.0.0.1", self.leads_to)) as there:
                connection.sendall(_DONE)
                back = threading.Thread(target=_forward, args=(there, connection), daemon=True)
                back.start()
                _forward(connection, there)
                back.join(10)


@contextmanager
def socks_proxy(leads_to: int) -> Iterator[SocksProxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = SocksProxy(int(listener.getsockname()[1]), leads_to)
        thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while received := source.recv(1 << 16):
            target.sendall(received)
        target.shutdown(socket.SHUT_WR)


def _read_exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        more = connection.recv(count - len(received))
        if not more:
            raise OSError("the client is gone")
        received += more
    return received
