"""Drive a relay over many connections, each of which posts, fetches and deletes letters in cycles.

The relay accepts each letter durably. The load runs on the same two cores as the relay, so it is
made cheap: plain sockets and one ``epoll``, with every request written in advance except for its
id. The peer's load (ejabberd.py) has the same form: one process, the same number of connections,
and in each cycle three requests written in advance, three answers, and a search for the letter in
what is fetched. Both measure the processor time that they take. One line of JSON is printed.

    python -m bench.load.cycles URL.. --seconds 5
"""

import argparse
import base64
import hashlib
import json
import os
import resource
import select
import socket
import time
import urllib.parse
from collections.abc import Iterator
from datetime import timedelta
from typing import Final, NamedTuple

from entrenous.base.environment import SystemClock

LETTER_BYTES: Final = 4096
_LOCK: Final = b"entrenous/1 lock\x00"
_HEAD: Final = "{method} {path} HTTP/1.1\r\nHost: relay\r\nEntrenous-Protocol: 2\r\n"


class Cycles(NamedTuple):
    """The results of a load.

    ``times_s`` are the times of all cycles; ``cpu_s`` is the processor time of this process.
    """

    count: int
    seconds: float
    times_s: list[float]
    cpu_s: float


class _Connection:
    """One connection with a mailbox of its own, and the state of its cycle."""

    def __init__(self, host: str, port: int, body: bytes) -> None:
        self.socket = socket.create_connection((host, port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        mailbox, owner, sender = make_mailbox(self.socket)
        at = f"/v1/mailboxes/{mailbox}"
        self._post = _head("PUT", at + "/envelopes/%s", sender, len(body))
        self._body = body
        self._list = _head("GET", at + "/envelopes?after={}&limit=1", owner).encode()
        self._drop = _head("DELETE", at + "/envelopes/%s", owner)
        self._sequence = 0
        self.steps = self._cycle()
        self.began = 0.0
        next(self.steps)

    def _cycle(self) -> Iterator[bool]:
        """At each step, receive an answer and send the next request; yield True after a cycle."""
        send, ended = self.socket.sendall, False
        while True:
            envelope = b64u(os.urandom(16))
            self.began = time.perf_counter()
            send((self._post % envelope).encode() + self._body)
            yield ended
            _expect(_answer(self.socket), b"201")
            send(self._list.replace(b"{}", b"%d" % self._sequence))
            yield False
            page = _answer(self.socket)
            _expect(page, b"200")
            if envelope.encode() not in page:
                raise SystemExit("a letter that was acknowledged is not handed over")
            self._sequence += 1
            send((self._drop % envelope).encode())
            yield False
            _expect(_answer(self.socket), b"204")
            ended = True


def drive(urls: list[str], connections: int, seconds: float) -> Cycles:
    """Keep this many connections busy for ``seconds``, and at least until one cycle is complete.

    Cycles that are in progress at the end are not counted. The connections are divided evenly among
    the ``urls``, which belong to relays that share a database.

    Raises:
        SystemExit: a relay gave an unexpected answer or closed a connection.
    """
    body = _letter()
    poll, by_number = select.epoll(), {}
    for number in range(connections):
        address = urllib.parse.urlsplit(urls[number % len(urls)])
        connection = _Connection(address.hostname or "", address.port or 0, body)
        by_number[connection.socket.fileno()] = connection
        poll.register(connection.socket.fileno(), select.EPOLLIN)
    began, cpu = time.perf_counter(), processor_s()
    until, times = began + seconds, list[float]()
    while time.perf_counter() < until or not times:
        for number, _ in poll.poll(1.0):
            connection = by_number[number]
            since = connection.began
            if next(connection.steps):
                times.append(connection.began - since)
    made = Cycles(len(times), time.perf_counter() - began, times, processor_s() - cpu)
    for connection in by_number.values():
        connection.socket.close()
    poll.close()
    return made


def make_mailbox(connection: socket.socket) -> tuple[str, bytes, bytes]:
    """Make a mailbox; return its id in base64url, its owner's token, and a send token for it."""
    mailbox, owner, sender = b64u(os.urandom(16)), os.urandom(32), os.urandom(32)
    at = f"/v1/mailboxes/{mailbox}"
    lock = json.dumps({"owner_lock": lock_of(owner), "close_lock": None}).encode()
    granted = b'{"uses":null,"expires_at":null}'
    for path, token, body in ((at, b"", lock), (f"{at}/tokens/{lock_of(sender)}", owner, granted)):
        connection.sendall(_head("PUT", path, token, len(body)).encode() + body)
        _expect(_answer(connection), b"201")
    return mailbox, owner, sender


def percentile(times_s: list[float], part: float) -> float:
    """Return the percentile ``part`` of the times, e.g. 0.99 for the 99th."""
    return sorted(times_s)[min(len(times_s) - 1, int(part * len(times_s)))]


def _letter() -> bytes:
    shape = {
        "sealed": b64u(os.urandom(LETTER_BYTES)),
        "expires_at": tomorrow(),
        "withdraw_lock": b64u(os.urandom(32)),
        "share": None,
        "blobs": [],
    }
    return json.dumps(shape, separators=(",", ":")).encode()


def _head(method: str, path: str, token: bytes, length: int = 0) -> str:
    head = _HEAD.format(method=method, path=path)
    if token:
        head += f"Authorization: Bearer {b64u(token)}\r\n"
    if length:
        head += f"Content-Length: {length}\r\n"
    return head + "\r\n"


def is_whole(data: bytes) -> bool:
    """Return whether an HTTP answer is complete, according to its Content-Length."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = data[:end].lower().find(b"content-length:")
    return at < 0 or len(data) >= end + 4 + int(data[at + 15 : data.index(b"\r\n", at)])


def _answer(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    while not is_whole(data):
        more = connection.recv(65536)
        if not more:
            raise SystemExit("the relay closed the connection")
        data += more
    return data


def _expect(answer: bytes, status: bytes) -> None:
    if answer[9:12] != status:
        raise SystemExit(f"{status!r} was expected, not {answer[:400]!r}")


def tomorrow() -> int:
    """Return the time one day from now, in seconds since 1970."""
    return int((SystemClock().now() + timedelta(days=1)).timestamp())


def b64u(data: bytes) -> str:
    """Encode bytes in base64url without padding, as in docs/spec/relay.md."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def lock_of(token: bytes) -> str:
    """Return a token's lock, the hash that a relay stores, in base64url."""
    return b64u(hashlib.sha256(_LOCK + token).digest())


def processor_s() -> float:
    """Return the processor time that this process has used, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Drive one or more relays, and print the results as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--lines", type=int, default=64)
    options = parser.parse_args()
    made = drive(options.urls, options.lines, options.seconds)
    p50, p99 = (round(1000 * percentile(made.times_s, part), 1) for part in (0.5, 0.99))
    result = {"cycles_per_s": round(made.count / made.seconds), "p50_ms": p50, "p99_ms": p99}
    print(json.dumps({**result, "load_cpu_us": round(1e6 * made.cpu_s / made.count)}))  # noqa: T201


if __name__ == "__main__":
    main()
