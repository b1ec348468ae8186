"""Serve an ASGI application on a socket, and announce its address once it accepts connections."""

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from entrenous.base.environment import AddressTaken
from entrenous.serving.buffered_requests import BufferedProtocol
from entrenous.serving.connection_limits import LimitedServer
from entrenous.serving.server_process import tune_garbage_collection
from entrenous.serving.tls import TlsCertificate, install_sighup_handler

_LISTEN_BACKLOG: Final = 2048
_POLL_INTERVAL_S: Final = 0.1
_STOP_GRACE_S: Final = 10  # seconds for requests that are being answered when the server stops


@dataclass(frozen=True, slots=True)
class SecondApp:
    """A second application in the same process, at its own address, in plain HTTP."""

    app: ASGIApp
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How an application is served.

    With a ``certificate``, it is served over TLS; SIGHUP reloads the certificate (serving/tls.py).
    ``second_app`` is started and stopped together with it. ``on_stopping`` is called when the
    server stops, to end waiting requests. ``make_room`` is called when there are too many
    connections; it ends one waiting request, or returns False if there is none.
    """

    certificate: TlsCertificate | None = None
    second_app: SecondApp | None = None
    on_stopping: Callable[[], None] | None = None
    make_room: Callable[[], bool] | None = None


def serve(
    app: ASGIApp,
    host: str,
    port: int,
    announce: Callable[[str], None],
    options: ServeOptions | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C.

    ``host`` has no brackets; ``port`` 0 selects a free port. ``announce`` is called once with the
    URL, when the server accepts requests. Without options, it serves plain HTTP and no second
    application.

    Raises:
        AddressTaken: the address of one of the applications is not available.
    """
    with listening_socket(host, port) as listener:
        serve_on(listener, app, announce, options)


def serve_on(
    listener: socket.socket,
    app: ASGIApp,
    announce: Callable[[str], None],
    options: ServeOptions | None = None,
) -> None:
    """Like :func:`serve`, on a socket that is listening already."""
    options = options or ServeOptions()
    tune_garbage_collection()
    with _second_server(options.second_app) as second, _sigterm_stops_server():
        server = make_server(app, options.certificate)
        if options.make_room is not None:
            server.server_state.make_room = options.make_room
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve_all(server, listener, announce, second, options))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the factory of uvloop's event loop, which needs half the time of asyncio's; None on
    Windows.
    """
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415

    return uvloop.new_event_loop


@contextmanager
def _second_server(
    beside: SecondApp | None,
) -> Iterator[tuple[uvicorn.Server, socket.socket] | None]:
    if beside is None:
        yield None
        return
    with listening_socket(beside.host, beside.port) as listener:
        yield make_server(beside.app), listener


async def _serve_all(
    server: uvicorn.Server,
    listener: socket.socket,
    announce: Callable[[str], None],
    second: tuple[uvicorn.Server, socket.socket] | None,
    options: ServeOptions,
) -> None:
    """Serve both applications; when the first one stops, so does the second."""
    install_sighup_handler(server, options.certificate)
    stop_watcher = asyncio.create_task(_call_when_stopping(server, options.on_stopping))
    if second is None:
        await _serve_and_announce(server, listener, announce)
    else:
        second_server, second_listener = second
        serving = asyncio.create_task(second_server.serve(sockets=[second_listener]))
        await _wait_until_started(second_server, serving)
        await _serve_and_announce(server, listener, announce)
        second_server.should_exit = True
        await serving
    stop_watcher.cancel()


async def _call_when_stopping(server: uvicorn.Server, stopping: Callable[[], None] | None) -> None:
    while not server.should_exit:  # noqa: ASYNC110 -- uvicorn offers only a flag
        await asyncio.sleep(_POLL_INTERVAL_S)
    if stopping is not None:
        stopping()


@contextmanager
def listening_socket(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is given because asyncio sets TCP_NODELAY only on sockets whose protocol is set.
    # Without TCP_NODELAY, every answer with a body waits 40 ms for an acknowledgement.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        # The address is in use or belongs to another machine, or this is not an address at all.
        except (OSError, UnicodeError, OverflowError):
            raise AddressTaken(listen=f"{host}:{port}") from None
        listener.listen(_LISTEN_BACKLOG)
        yield listener


def make_server(app: ASGIApp, certificate: TlsCertificate | None = None) -> LimitedServer:
    """Return a server that logs no requests and does not name itself in its answers."""
    config = uvicorn.Config(
        app,
        http=BufferedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",  # uvicorn's warnings would let every stranger write lines to the log
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_STOP_GRACE_S,
    )
    if certificate is not None:
        config.load()
        config.ssl = certificate.context
    return LimitedServer(config)


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def _serve_and_announce(
    server: uvicorn.Server, listener: socket.socket, announce: Callable[[str], None]
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await _wait_until_started(server, serving)
    if server.started:
        announce(url_of(listener, "https" if server.config.ssl else "http"))
    await serving


async def _wait_until_started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    while not server.started and not serving.done():  # noqa: ASYNC110 -- uvicorn offers only a flag
        await asyncio.sleep(0.005)


@contextmanager
def _sigterm_stops_server() -> Iterator[None]:
    """Make SIGTERM stop only the server, not the process.

    After uvicorn has stopped, it raises the signal again, which would end the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous_handler = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
