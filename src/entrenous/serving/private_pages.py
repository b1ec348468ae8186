"""Web pages on the loopback interface for one user of this machine: access control, no caching.

Requests are refused if they come from another web page in the same browser, use a foreign host name
that resolves to this machine (DNS rebinding), or come from another user of this machine.
"""

import os
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DISPLAY_VARIABLES: Final = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
_TCP_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LOCAL_COLUMN, _REMOTE_COLUMN, _USER_COLUMN = (
    1,
    2,
    7,
)  # Linux, Documentation/networking/proc_net_tcp.rst


def is_client_our_user(client_port: int, server_port: int) -> bool:
    """Return whether this process's user owns the other end of a loopback connection.

    This can be checked on Linux only; elsewhere it returns True.
    """
    is_known = False
    for table in _TCP_TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        is_known = True
        for line in lines:
            fields = line.split()
            ports = tuple(
                int(fields[at].rpartition(":")[2], 16) for at in (_LOCAL_COLUMN, _REMOTE_COLUMN)
            )
            if ports == (client_port, server_port):
                return int(fields[_USER_COLUMN]) == os.getuid()
    return not is_known


_RESPONSE_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=()",
}
_ALLOWED_FETCH_SITES: Final = frozenset({"same-origin", "none"})


class PrivatePages:
    """Answers only this user's browser, and forbids it to store answers.

    The server listens on the socket ``listener``.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        self._app, self._host, self._port = app, f"{host}:{port}", port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [
                    (name.encode(), value.encode()) for name, value in _RESPONSE_HEADERS.items()
                ]
                message["headers"] = [*message.get("headers", []), *added]
            await send(message)

        app = self._app if self._is_allowed(Request(scope)) else Response(status_code=403)
        await app(scope, receive, send_with_headers)

    def _is_allowed(self, request: Request) -> bool:
        headers, client = request.headers, request.client
        return (
            headers.getlist("host") == [self._host]
            and headers.get("sec-fetch-site", "none") in _ALLOWED_FETCH_SITES
            and client is not None
            and is_client_our_user(client.port, self._port)
        )


def open_browser(address: str) -> bool:
    """Open the page in a graphical browser; return whether there is one.

    Text browsers are not used, since they would take over this terminal.
    """
    has_screen = sys.platform in {"darwin", "win32"} or any(map(os.environ.get, _DISPLAY_VARIABLES))
    if not has_screen:
        return False
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    return True
