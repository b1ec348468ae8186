"""Serve an application on a socket of our own, and say so once it truly does."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.applications import Starlette

from entrenous.model.setting import AddressTaken

_BACKLOG: Final = 2048
_GRACE_S: Final = 10  # what is on its way at a stop may take this long to finish


def serve(app: Starlette, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; port 0 takes a free one.

    Args:
        app: what to serve.
        host: an address of this machine, without brackets.
        port: 0 to 65535.
        announce: called once with the URL, when requests are answered.

    Raises:
        AddressTaken: the address can't be had.
    """
    with listening(host, port) as taken, _calm_stop():
        asyncio.run(_serve(server_for(app), taken, announce))


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only on sockets that say theirs;
    # without it every answer with a body waits 40 ms for an acknowledgement.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((host, port))
        except (OSError, UnicodeError, OverflowError):  # taken, not ours, or no address at all
            raise AddressTaken(listen=f"{host}:{port}") from None
        taken.listen(_BACKLOG)
        yield taken


def server_for(app: Starlette) -> uvicorn.Server:
    """The server: no access log, and nothing about it in its answers."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )


def url_of(taken: socket.socket) -> str:
    """Where a socket listens, as a URL."""
    host, port = taken.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _serve(
    server: uvicorn.Server, taken: socket.socket, announce: Callable[[str], None]
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[taken]))
    while not server.started and not serving.done():  # noqa: ASYNC110 -- a flag is all it has
        await asyncio.sleep(0.005)
    if server.started:
        announce(url_of(taken))
    await serving


@contextmanager
def _calm_stop() -> Iterator[None]:
    """Let SIGTERM end the server and not the process: uvicorn raises it again when it is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
