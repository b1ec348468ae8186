"""Serve an exchange on a real socket, by plain HTTP or TLS, and run a proxy that leads to it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import uvicorn
from starlette.types import ASGIApp

from tests.serving.certificates import Pair


class BehindClock:
    """A clock that is some seconds behind the real time, because PyPI's ``threatexchange`` only
    asks for what is at least five seconds old.
    """

    def __init__(self, behind_s: int = 0) -> None:
        self.behind = timedelta(seconds=behind_s)

    def now(self) -> datetime:
        return datetime.now(UTC) - self.behind

    def wind(self, **by: float) -> None:
        self.behind -= timedelta(**by)


@contextmanager
def serving(app: ASGIApp, pair: Pair | None = None) -> Iterator[int]:
    """Serve the app until the context ends, and yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = uvicorn.Config(app, log_level="critical", lifespan="off", access_log=False)
        if pair is not None:
            config.ssl_certfile, config.ssl_keyfile = str(pair.cert), str(pair.key)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([taken],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield taken.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(5)


@contextmanager
def leading_to(port: int) -> Iterator[str]:
    """Run a proxy (CONNECT) that connects to this local port, whatever host is asked for; yield
    its URL.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        threading.Thread(target=_accept, args=(taken, port), daemon=True).start()
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
        taken.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts


def _accept(taken: socket.socket, port: int) -> None:
    with suppress(OSError):
        while True:
            client, _ = taken.accept()
            threading.Thread(target=_connect, args=(client, port), daemon=True).start()


def _connect(client: socket.socket, port: int) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as there:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += client.recv(4096)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=_pump, args=(there, client), daemon=True)
        back.start()
        _pump(client, there)
        back.join()


def _pump(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
    with suppress(OSError):
        to.shutdown(socket.SHUT_WR)
