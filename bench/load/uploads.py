"""Upload files to a gate over several connections, on the same cores that the gate runs on."""

import select
import socket
import time
import urllib.parse
from collections.abc import Sequence
from contextlib import closing
from typing import Final, NamedTuple

from bench.load.cycles import is_whole
from bench.load.processor import tree_cpu_s

_BOUNDARY: Final = "entrenous-bench"


class Gate(NamedTuple):
    """A running gate: files are posted to ``path``, and a good answer contains ``good``."""

    process: int
    url: str
    token: str
    path: str = "/v1/uploads"
    good: bytes = b'"decision":"let through"'
    beside: tuple[int, ...] = ()  # other processes that work for it, such as a database server


class Posted(NamedTuple):
    """The results of a load.

    ``times_s`` are the times of all uploads. The processor times are those of the gate and its
    descendants, of this process, and of the other processes that work for the gate.
    """

    count: int
    seconds: float
    times_s: list[float]
    gate_cpu_s: float
    load_cpu_s: float
    beside_cpu_s: float = 0.0


def forms(files: Sequence[bytes], field: str = "file") -> list[bytes]:
    """Return a multipart/form-data body for each file, as browsers send it (RFC 7578)."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="a.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return [head.encode() + one + f"\r\n--{_BOUNDARY}--\r\n".encode() for one in files]


def drive(to: Gate, bodies: Sequence[bytes], connections: int, seconds: float) -> Posted:
    """Keep this many connections busy for ``seconds``, and at least until one upload is answered.

    After a KeyboardInterrupt, return the results up to then.

    Raises:
        SystemExit: the gate gave an unexpected answer or closed a connection without one.
    """
    poll, by_number = select.epoll(), dict[int, _Connection]()
    for number in range(connections):
        connection = _Connection(to, bodies[number::connections])
        by_number[connection.socket.fileno()] = connection
        poll.register(connection.socket.fileno(), select.EPOLLIN)
    before = _cpu_s(to)
    began, times = time.perf_counter(), list[float]()
    with closing(poll):
        try:
            while time.perf_counter() < began + seconds or not times:
                for number, _ in poll.poll(1.0):
                    connection = by_number[number]
                    known = connection.socket
                    times += connection.answered()
                    if connection.socket is not known:
                        del by_number[number]
                        by_number[connection.socket.fileno()] = connection
                        poll.register(connection.socket.fileno(), select.EPOLLIN)
        except KeyboardInterrupt:
            pass
    taken = time.perf_counter() - began
    used = [now - then for now, then in zip(_cpu_s(to), before, strict=True)]
    for connection in by_number.values():
        connection.end()
    return Posted(len(times), taken, times, *used)


def _cpu_s(of: Gate) -> tuple[float, float, float]:
    return tree_cpu_s(of.process), time.process_time(), sum(map(tree_cpu_s, of.beside))


class _Connection:
    """One connection, and its upload in progress.

    If the gate closes the connection after an answer, a new one is made, and the time to connect
    counts as a part of the next upload's time.
    """

    def __init__(self, to: Gate, bodies: Sequence[bytes]) -> None:
        address = urllib.parse.urlsplit(to.url)
        self._address = address.hostname or "", address.port or 0
        self._head = (
            f"POST {to.path} HTTP/1.1\r\nHost: gate\r\n"
            f"Authorization: Bearer {to.token}\r\n"
            f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n"
        )
        self._good, self._bodies, self._turn = to.good, bodies, 0
        self._came = b""
        self._began = 0.0
        self.socket = self._connected()
        self._send()

    def answered(self) -> list[float]:
        """Receive data; if that completes an answer, send the next upload.

        Returns:
            The seconds that the completed upload took, as the only item, or an empty list.
        """
        more = self.socket.recv(65536)
        if not more:
            raise SystemExit("the gate closed the connection")
        self._came += more
        if not is_whole(self._came):
            return []
        if self._came[9:12] != b"200" or self._good not in self._came:
            raise SystemExit(f"not what should be answered: {self._came[:400]!r}")
        took = time.perf_counter() - self._began
        ends = b"connection: close" in self._came.partition(b"\r\n\r\n")[0].lower()
        self._came = b""
        self._send(anew=ends)
        return [took]

    def end(self) -> None:
        """Wait for the last answer, so that the gate is free when the next load starts."""
        self.socket.recv(65536)
        self.socket.close()

    def _connected(self) -> socket.socket:
        made = socket.create_connection(self._address, timeout=60)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _send(self, *, anew: bool = False) -> None:
        body = self._bodies[self._turn % len(self._bodies)]
        self._turn += 1
        self._began = time.perf_counter()
        if anew:
            self.socket.close()
            self.socket = self._connected()
        self.socket.sendall(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
