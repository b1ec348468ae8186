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
class Asked:
    """One connection request."""

    by_name: bool
    name: str
    credentials: bytes


@dataclass
class Socks:
    """A proxy that connects every request to the local port ``leads_to``, or refuses if it is 0."""

    port: int
    leads_to: int
    asked: list[Asked] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                line, _ = listener.accept()
                threading.Thread(target=self._connection, args=(line,), daemon=True).start()

    def _connection(self, line: socket.socket) -> None:
        with line, suppress(OSError):
            line.settimeout(30)
            methods = _exactly(line, _exactly(line, 2)[1])
            assert 2 in methods, "no credentials are offered"
            line.sendall(b"\x05\x02")
            name = _exactly(line, _exactly(line, 2)[1])
            password = _exactly(line, _exactly(line, 1)[0])
            line.sendall(b"\x01\x00")
            kind = _exactly(line, 4)[3]
            size = _exactly(line, 1)[0] if kind == _BY_NAME else _BY_NUMBER[kind]
            host = _exactly(line, size + 2)[:-2]
            told = host.decode() if kind == _BY_NAME else host.hex()
            self.asked.append(Asked(kind == _BY_NAME, told, name + b":" + password))
            if not self.leads_to:
                line.sendall(_REFUSED)
                return
            with socket.create_connection(("127.0.0.1", self.leads_to)) as there:
                line.sendall(_DONE)
                back = threading.Thread(target=_carry, args=(there, line), daemon=True)
                back.start()
                _carry(line, there)
                back.join(10)


@contextmanager
def socks_proxy(leads_to: int) -> Iterator[Socks]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Socks(int(listener.getsockname()[1]), leads_to)
        thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while came := source.recv(1 << 16):
            target.sendall(came)
        target.shutdown(socket.SHUT_WR)


def _exactly(line: socket.socket, count: int) -> bytes:
    came = b""
    while len(came) < count:
        more = line.recv(count - len(came))
        if not more:
            raise OSError("the client is gone")
        came += more
    return came
