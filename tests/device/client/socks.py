"""A small SOCKS5 proxy (RFC 1928, RFC 1929) that connects every request to one local port."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

_DOMAIN_NAME_TYPE: Final = 3
_ADDRESS_BYTES_BY_TYPE: Final = {1: 4, 4: 16}  # address type: length in bytes
_SUCCESS_REPLY: Final = b"\x05\x00\x00\x01" + bytes(6)
_REFUSAL_REPLY: Final = b"\x05\x05\x00\x01" + bytes(6)


@dataclass(frozen=True)
class ConnectionRequest:
    """A request to connect to a host name or a numeric address."""

    by_name: bool
    host: str
    credentials: bytes


@dataclass
class SocksProxy:
    """Connects all requests to the local port ``target_port``, or refuses them if it is 0."""

    port: int
    target_port: int
    requests: list[ConnectionRequest] = field(default_factory=list)

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
            size = (
                _read_exactly(connection, 1)[0]
                if kind == _DOMAIN_NAME_TYPE
                else _ADDRESS_BYTES_BY_TYPE[kind]
            )
            host = _read_exactly(connection, size + 2)[:-2]
            requested_host = host.decode() if kind == _DOMAIN_NAME_TYPE else host.hex()
            self.requests.append(
                ConnectionRequest(kind == _DOMAIN_NAME_TYPE, requested_host, name + b":" + password)
            )
            if not self.target_port:
                connection.sendall(_REFUSAL_REPLY)
                return
            with socket.create_connection(("127.0.0.1", self.target_port)) as there:
                connection.sendall(_SUCCESS_REPLY)
                back = threading.Thread(target=_forward, args=(there, connection), daemon=True)
                back.start()
                _forward(connection, there)
                back.join(10)


@contextmanager
def socks_proxy(target_port: int) -> Iterator[SocksProxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = SocksProxy(int(listener.getsockname()[1]), target_port)
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
