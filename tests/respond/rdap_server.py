"""An HTTP server on loopback that stands in for IANA and for RDAP servers (RFC 9082)."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = bytes | Callable[[BaseHTTPRequestHandler], None]


@dataclass
class RdapServer:
    """A server's answers by path, and the requests that it received."""

    url: str = ""
    answers: dict[str, tuple[int, dict[str, str], Body]] = field(default_factory=dict)
    requested_paths: list[str] = field(default_factory=list)
    request_headers: list[dict[str, str]] = field(default_factory=list)

    def set_answer(
        self, path: str, body: Any, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        raw = body if isinstance(body, bytes) or callable(body) else json.dumps(body).encode()
        self.answers[path] = (status, headers or {}, raw)

    def set_server_lists(self, suffix: str = "example", prefix: str = "8.8.8.0/24") -> None:
        """Answer requests for the lists of RDAP servers (RFC 9224) with this server's URL."""
        for file, entry in (
            ("dns.json", suffix),
            ("ipv4.json", prefix),
            ("ipv6.json", "2600::/12"),
        ):
            services = [[[entry], [f"{self.url}rdap/"]]]
            self.set_answer(f"/{file}", {"version": "1.0", "services": services})


@contextmanager
def run_rdap_server() -> Iterator[RdapServer]:
    """Run the server on a free port of the loopback address, and stop it at the end."""
    rdap_server = RdapServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            rdap_server.requested_paths.append(self.path)
            rdap_server.request_headers.append(dict(self.headers.items()))
            status, headers, body = rdap_server.answers.get(self.path, (404, {}, b"{}"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if isinstance(body, bytes):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):  # the client closed the connection
                self.wfile.write(body) if isinstance(body, bytes) else body(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    rdap_server.url = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield rdap_server
    finally:
        server.shutdown()
        server.server_close()


def jcard(name: str, *more: list[Any]) -> list[Any]:
    """Return a jCard (RFC 7095)."""
    return ["vcard", [["version", {}, "text", "4.0"], ["fn", {}, "text", name], *more]]


def abuse_entity(email: str = "abuse@registrar.example", phone: str = "tel:+1.5555551212") -> Any:
    """Return an abuse contact as an RDAP entity (RFC 9083, section 5.1)."""
    return {
        "objectClassName": "entity",
        "roles": ["abuse"],
        "vcardArray": jcard(
            "", ["tel", {"type": "voice"}, "uri", phone], ["email", {}, "text", email]
        ),
    }


#: An answer in the form of RFC 9083, section 5.3: a registrant, and a registrar's abuse contact.
DOMAIN_ANSWER = {
    "objectClassName": "domain",
    "handle": "XXXX",
    "ldhName": "pictures.example",
    "nameservers": [{"objectClassName": "nameserver", "ldhName": "ns1.example.com"}],
    "status": ["locked"],
    "entities": [
        {
            "objectClassName": "entity",
            "handle": "292",
            "roles": ["registrant"],
            "vcardArray": jcard("Joe User", ["email", {}, "text", "joe.user@pictures.example"]),
        },
        {
            "objectClassName": "entity",
            "handle": "123",
            "roles": ["registrar"],
            "vcardArray": jcard("Example Registrar Inc."),
            "entities": [abuse_entity()],
        },
    ],
}
#: An answer in the form of RFC 9083, section 5.4: a network's abuse contact.
NETWORK_ANSWER = {
    "objectClassName": "ip network",
    "handle": "XXXX-RIR",
    "startAddress": "8.8.8.0",
    "endAddress": "8.8.8.255",
    "ipVersion": "v4",
    "name": "NET-RTR-1",
    "entities": [
        {
            "objectClassName": "entity",
            "handle": "XXXX",
            "roles": ["registrant"],
            "vcardArray": jcard("Example Hosting"),
            "entities": [abuse_entity("abuse@host.example")],
        }
    ],
}
