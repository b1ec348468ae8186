"""A relay that follows the protocol, but records what could link two requests.

It serves the real relay application over TLS on the loopback interface, issues session tickets, and
sets a new cookie for each request that has none.
"""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import h11

from tests.in_memory.courier import App, run_sync
from tests.serving.certificates import CertificateFiles

_KEY_SHARE, _PRE_SHARED_KEY, _SERVER_NAME = 51, 41, 0
_PEEK_BYTES: Final = 16 * 1024
#: Headers that may differ between the requests of one client, besides Cookie and Entrenous-*.
_VARYING_HEADERS: Final = (b"authorization", b"content-length", b"range")


@dataclass(frozen=True)
class RecordedRequest:
    """One request as the relay sees it."""

    connection_number: int
    client_hello: bytes  # the parts of the TLS ClientHello that do not vary
    ticket: bytes | None  # the extension with the ticket of the session to resume
    resumed: bool
    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]  # as received
    body: bytes
    cookie: bytes  # the request's cookie, or the new cookie in the answer

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def header_style(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers as the client spells and orders them, without those that may differ between
        the requests of one client.
        """
        return tuple(
            one
            for one in self.headers
            if one[0].lower() not in _VARYING_HEADERS
            and not one[0].lower().startswith((b"entrenous-", b"cookie"))
        )


@dataclass
class HostileRelay:
    """Serves ``app`` until ``listener`` is shut down, with one thread for each connection."""

    app: App
    listener: socket.socket
    context: ssl.SSLContext
    recorded_requests: list[RecordedRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._connections, self._cookies = 0, 0
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        with suppress(OSError):  # the listener was shut down
            while True:
                connection, _ = self.listener.accept()
                self._connections += 1
                threading.Thread(
                    target=self._serve_connection, args=(connection, self._connections), daemon=True
                ).start()

    def _serve_connection(self, connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, suppress(OSError, h11.RemoteProtocolError):
            connection.settimeout(60)
            client_hello, ticket = parse_client_hello(_peek_client_hello(connection))
            with self.context.wrap_socket(connection, server_side=True) as tls:
                self._serve_requests(tls, number, client_hello, ticket)

    def _serve_requests(
        self, tls: ssl.SSLSocket, number: int, client_hello: bytes, ticket: bytes | None
    ) -> None:
        http = h11.Connection(h11.SERVER)
        while (request := _read_request(http, tls)) is not None:
            head, body = request
            received = next((value for name, value in head.headers if name == b"cookie"), None)
            with self._lock:
                self._cookies += 1
                cookie = received or b"who=%d" % self._cookies
                self.recorded_requests.append(
                    RecordedRequest(
                        number,
                        client_hello,
                        ticket,
                        bool(tls.session_reused),
                        head.method.decode(),
                        head.target.decode(),
                        tuple(head.headers.raw_items()),
                        body,
                        cookie,
                    )
                )
                status, headers, answer = _run_application(self.app, head, body)
            if received is None:
                headers.append((b"Set-Cookie", cookie + b"; Path=/; Max-Age=999999"))
            headers = [one for one in headers if one[0].lower() != b"content-length"]
            headers.append((b"Content-Length", b"%d" % len(answer)))
            response = http.send(h11.Response(status_code=status, headers=headers)) or b""
            response += (http.send(h11.Data(data=answer)) or b"") if status != 204 else b""
            tls.sendall(response + (http.send(h11.EndOfMessage()) or b""))
            http.start_next_cycle()


@contextmanager
def run_hostile_relay(certificate_files: CertificateFiles) -> Iterator[HostileRelay]:
    """Run a hostile relay without an application. The caller has to set its ``app``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_files.cert, certificate_files.key)
    assert context.num_tickets == 2  # OpenSSL's default
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        relay = HostileRelay(_no_application, listener, context)
        thread = threading.Thread(target=relay.serve, daemon=True)
        thread.start()
        try:
            yield relay
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


async def _no_application(*_: Any) -> None:
    raise AssertionError("a request came before an application was set")


def _read_request(http: h11.Connection, tls: ssl.SSLSocket) -> tuple[h11.Request, bytes] | None:
    """Return the next request and its body, or None if the connection is closed."""
    head, body = None, bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(tls.recv(1 << 16))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return head, bytes(body)
        else:
            return None


def _run_application(
    app: App, head: h11.Request, body: bytes
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return the status, headers and body of the application's answer."""
    path, _, query = head.target.partition(b"?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": head.method.decode(),
        "scheme": "https",
        "path": path.decode(),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(head.headers),
        "server": ("127.0.0.1", 0),
        "client": None,
    }
    sent = list[Any]()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    run_sync(app(scope, receive, send))
    start, *rest = sent
    return start["status"], list(start["headers"]), b"".join(one.get("body", b"") for one in rest)


def _peek_client_hello(connection: socket.socket) -> bytes:
    """Return a whole ClientHello without consuming it."""
    while True:
        received = connection.recv(_PEEK_BYTES, socket.MSG_PEEK)
        if not received or len(received) >= 5 + int.from_bytes(received[3:5], "big"):
            return received


def parse_client_hello(received: bytes) -> tuple[bytes, bytes | None]:
    """Return two parts of a ClientHello (RFC 8446 section 4.1.2).

    The first part is the cipher suites and the extensions, without the values of the key share,
    the pre-shared key and the server name. The second part is the value of the extension that has
    the ticket of the session to resume, or None if there is no such extension.
    """
    at = 5 + 4 + 2 + 32  # record header, message header, version, random bytes
    at += 1 + received[at]  # the legacy session id, which is random
    suites = 2 + int.from_bytes(received[at : at + 2], "big")
    kept, at = received[at : at + suites], at + suites
    at += 1 + received[at] + 2
    ticket = None
    while at + 4 <= len(received):
        kind, size = (int.from_bytes(received[at + n : at + n + 2], "big") for n in (0, 2))
        value = received[at + 4 : at + 4 + size]
        kept += received[at : at + 4]
        kept += value if kind not in {_KEY_SHARE, _PRE_SHARED_KEY, _SERVER_NAME} else b""
        ticket = value if kind == _PRE_SHARED_KEY else ticket
        at += 4 + size
    return kept, ticket
