"""Servers for tests of exchanges: an app on a real socket, with or without TLS, and a proxy."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import uvicorn
from starlette.types import ASGIApp

from tests.serving.certificates import CertificateFiles


class DelayedClock:
    """A clock that can be behind the real time. PyPI's ``threatexchange`` requests only data that
    is at least five seconds old.
    """

    def __init__(self, behind_s: int = 0) -> None:
        self.behind = timedelta(seconds=behind_s)

    def now(self) -> datetime:
        return datetime.now(UTC) - self.behind

    def advance(self, **by: float) -> None:
        self.behind -= timedelta(**by)


@contextmanager
def serve_app(app: ASGIApp, certificate_files: CertificateFiles | None = None) -> Iterator[int]:
    """Serve the app until the context ends, and yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="critical", lifespan="off", access_log=False)
        if certificate_files is not None:
            config.ssl_certfile, config.ssl_keyfile = (
                str(certificate_files.cert),
                str(certificate_files.key),
            )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(5)


@contextmanager
def run_connect_proxy(port: int) -> Iterator[str]:
    """Run a CONNECT proxy that connects every client to ``port``, and yield the proxy's URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)  # ends the thread that accepts connections


def _accept(listener: socket.socket, port: int) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_connect, args=(client, port), daemon=True).start()


def _connect(client: socket.socket, port: int) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        request = b""
        while b"\r\n\r\n" not in request:
            request += client.recv(4096)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join()


def _pump(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
    with suppress(OSError):
        to.shutdown(socket.SHUT_WR)
