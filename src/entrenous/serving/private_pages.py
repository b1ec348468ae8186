"""Web pages on the loopback interface for one user of this machine: access control, no caching.

Requests are refused if they come from another web page in the same browser, use a foreign host name
that resolves to this machine (DNS rebinding), or come from another user of this machine.
"""

import os
import socket
import struct
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DISPLAY_VARIABLES: Final = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
# linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h
_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST: Final = 1
_NETLINK_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_DIAG_REQUEST: Final = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_SOCKET_PORTS: Final = struct.Struct("!HH")  # of the socket itself and of its other end
_ANY_INTERFACE_AND_COOKIE: Final = struct.pack("=III", 0, 0xFFFF_FFFF, 0xFFFF_FFFF)
_ALL_STATES: Final = 0xFFFF_FFFF
_ADDRESS_BYTES: Final = 16
# Byte offsets in the kernel's answer, whose ports and addresses are encoded as in the request.
_ENDS_OFFSET: Final = 20
_USER_OFFSET: Final = 80
_TCP_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LOCAL_COLUMN, _REMOTE_COLUMN, _USER_COLUMN = (
    1,
    2,
    7,
)  # Linux, Documentation/networking/proc_net_tcp.rst

Address = tuple[str, int]  # an IP address and a port


def is_client_our_user(client: Address, server: Address) -> bool:
    """Return whether this process's user owns the other end of a loopback connection.

    This can be checked on Linux only; on other systems this function returns True.
    """
    user = _socket_user_from_kernel(client, server)
    return _is_socket_ours_in_tables(client, server) if user is None else user == os.getuid()


def _socket_user_from_kernel(client: Address, server: Address) -> int | None:
    """Return the ID of the user who owns the client's socket, from sock_diag(7).

    Return None if the kernel cannot say: it has no sock_diag, or it knows no such socket.
    """
    if sys.platform != "linux":
        return None
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    ends = _SOCKET_PORTS.pack(client[1], server[1])
    try:
        for host, _ in (client, server):
            ends += socket.inet_pton(family, host).ljust(_ADDRESS_BYTES, b"\0")
    except OSError:  # not an IP address
        return None
    request = _DIAG_REQUEST.pack(family, socket.IPPROTO_TCP, 0, _ALL_STATES)
    request += ends + _ANY_INTERFACE_AND_COOKIE
    size = _NETLINK_HEADER.size + len(request)
    header = _NETLINK_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.send(header + request)
            answer = kernel.recv(4096)
    except OSError:
        return None
    _, kind, *_ = _NETLINK_HEADER.unpack_from(answer)
    # The kernel reports the same error (ENOENT) if it has no sock_diag and if it knows no such
    # socket. In the second case, it may also return a socket that listens on the client's port.
    if kind != _SOCK_DIAG_BY_FAMILY or answer[_ENDS_OFFSET:][: len(ends)] != ends:
        return None
    (user,) = struct.unpack_from("=I", answer, _USER_OFFSET)
    return int(user)


def _is_socket_ours_in_tables(client: Address, server: Address) -> bool:
    """Return whether this process's user owns the client's socket, from the tables of all sockets.

    The tables list every socket of the machine, so reading them takes milliseconds. Return True if
    they cannot be read, as on macOS, which has no such tables.
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
            if ports == (client[1], server[1]):
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
    """Refuses requests from other users and from foreign web pages, and forbids browsers to store
    answers.

    The server listens on the socket ``listener``.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        host, port = self._address = listener.getsockname()[:2]
        self._app, self._host = app, f"{host}:{port}"

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
            and is_client_our_user(client, self._address)
        )


def open_browser(address: str) -> bool:
    """Open the page in a graphical browser; return False if the machine seems to have no screen.

    Text browsers are not used, since they would take over this terminal.
    """
    has_screen = sys.platform in {"darwin", "win32"} or any(map(os.environ.get, _DISPLAY_VARIABLES))
    if not has_screen:
        return False
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    return True
