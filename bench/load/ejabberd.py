"""The relay's peer: Debian's ejabberd with its offline queue on disk, driven over XMPP.

Each connection is one account that has not announced its presence, so messages to it go to the
offline queue. Its cycle is like that of bench/load/cycles.py: send a message of 4 KB, which the
server confirms (XEP-0198), fetch the queue, and purge it (XEP-0013). The server runs in a folder of
its own, without Erlang's distribution and without TLS.
"""

import base64
import os
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.load.cycles import LETTER_BYTES, Cycles, processor_s

_BEAM: Final = sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin"))
_QUEUE: Final = (
    '<iq type="{}" id="{}"><offline xmlns="http://jabber.org/protocol/offline"><{}/></offline></iq>'
)
_CONFIG: Final = """
hosts: [localhost]
loglevel: none
auth_method: internal
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, max_stanza_size: 65536}}
access_rules:
  everybody: {{allow: all}}
shaper_rules:
  offline: 5000
registration_timeout: infinity
modules:
  mod_offline: {{access_max_user_messages: offline, db_type: mnesia}}
  mod_register: {{ip_access: everybody, access: everybody}}
  mod_stream_mgmt: {{}}
  mod_disco: {{}}
"""


def version() -> str | None:
    """Return the name and version, e.g. ``ejabberd 24.12``, or None if it is not installed."""
    if not _BEAM or shutil.which("erl") is None:
        return None
    return "ejabberd " + _BEAM[-1].parent.name.removeprefix("ejabberd-").split("-")[0]


@contextmanager
def ejabberd(folder: Path, port: int) -> Iterator[None]:
    """Run a server on the loopback interface, with its tables in ``folder``."""
    (folder / "ejabberd.yml").write_text(_CONFIG.format(port=port))
    known = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    paths = {
        "EJABBERD_CONFIG_PATH": str(folder / "ejabberd.yml"),
        "EJABBERD_LOG_PATH": str(folder / "log"),
        "ERL_LIBS": str(_BEAM[-1].parent.parent),
        "HOME": str(folder),
        "ERL_CRASH_DUMP_BYTES": "0",
    }
    command = ["erl", "-noinput", "-pa", str(_BEAM[-1])]
    command += ["-mnesia", "dir", f'"{folder / "spool"}"', "-s", "ejabberd"]
    with subprocess.Popen(  # noqa: S603 -- Debian's program
        command, env={**known, **paths}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            _wait_for(port, server)
            yield
        finally:
            server.kill()


def drive(port: int, connections: int, seconds: float) -> Cycles:
    """Keep this many accounts busy for ``seconds``, and at least until one cycle is complete.

    Raises:
        SystemExit: the server does not return a message that it confirmed.
    """
    poll, by_number = select.epoll(), {}
    for number in range(connections):
        connection = _Connection(port, f"user{number}")
        by_number[connection.socket.fileno()] = connection
        poll.register(connection.socket.fileno(), select.EPOLLIN)
    for connection in by_number.values():
        next(connection.steps)
    began, cpu, times = time.perf_counter(), processor_s(), list[float]()
    while time.perf_counter() < began + seconds or not times:
        for number, _ in poll.poll(1.0):
            connection = by_number[number]
            since = connection.began
            if connection.hear() and next(connection.steps):
                times.append(connection.began - since)
    made = Cycles(len(times), time.perf_counter() - began, times, processor_s() - cpu)
    for connection in by_number.values():
        connection.socket.close()
    poll.close()
    return made


class _Connection:
    """One connected account, and the state of its cycle."""

    def __init__(self, port: int, name: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._until, self._heard, self.began = b"", b"", 0.0
        self._begin()
        register = f"<username>{name}</username><password>secret</password>"
        self._iq("set", f'<query xmlns="jabber:iq:register">{register}</query>')
        plain = base64.b64encode(f"\0{name}\0secret".encode()).decode()
        self._say(
            f'<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">{plain}</auth>',
            b"<success",
        )
        self._begin()
        self._iq("set", '<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/>')
        self._say('<enable xmlns="urn:xmpp:sm:3"/>', b"<enabled")
        self._to = f"{name}@localhost"
        self.steps = self._cycle()

    def hear(self) -> bool:
        """Receive data, and return whether the end of the expected answer has arrived.

        Raises:
            SystemExit: the server closed the connection.
        """
        received = self.socket.recv(65536)
        if not received:
            raise SystemExit("ejabberd closed a connection")
        self._heard += received
        return self._until in self._heard

    def _cycle(self) -> Iterator[bool]:
        body, ended = base64.b64encode(os.urandom(LETTER_BYTES)), False
        message = b'<message to="%b" type="chat" id="m"><body>%b</body></message>'
        post = message % (self._to.encode(), body) + b'<r xmlns="urn:xmpp:sm:3"/>'
        fetch = _QUEUE.format("get", "f", "fetch").encode()
        purge = _QUEUE.format("set", "p", "purge").encode()
        while True:
            self.began = time.perf_counter()
            self._send(post, b"<a ")
            yield ended
            self._send(fetch, b"id='f'")
            yield False
            if body not in self._heard:
                raise SystemExit("ejabberd did not hand over what it had confirmed")
            self._send(purge, b"id='p'")
            yield False
            ended = True

    def _begin(self) -> None:
        self._say(
            '<?xml version="1.0"?><stream:stream to="localhost" version="1.0" '
            'xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">',
            b"</stream:features>",
        )

    def _iq(self, kind: str, inner: str) -> None:
        self._say(f'<iq type="{kind}" id="i">{inner}</iq>', b"id='i'")

    def _say(self, text: str, until: bytes) -> None:
        self._send(text.encode(), until)
        while not self.hear():
            pass

    def _send(self, data: bytes, until: bytes) -> None:
        self._until, self._heard = until, b""
        self.socket.sendall(data)


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)  # ejabberd does not say when it listens
    raise SystemExit("ejabberd did not start")
