"""A web site on loopback that records requests, and a device that watches its pages."""

import io
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image
from skimage import data

from entrenous.base.picture import Picture
from entrenous.respond.client.public_web import PublicWeb
from entrenous.respond.open_case import add_file, add_sighting
from entrenous.respond.watch.check_sightings import CheckedSighting, check_due_sightings
from entrenous.respond.watch.polite_web import PoliteWeb
from entrenous.respond.watch.records import start_watching, store_watching_agreement
from tests.respond.case_owner import CaseOwner, make_sighting

Handler = Callable[[BaseHTTPRequestHandler], None]


@cache
def photo(photo_name: str = "astronaut", quality: int = 90, side: int = 0) -> bytes:
    """Return a public photograph as a JPEG file; a ``side`` above 0 limits its width and height."""
    image = Image.fromarray(getattr(data, photo_name)()).convert("RGB")
    if side:
        image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def reply(
    body: bytes | str = b"", content_type: str = "text/html", status: int = 200, **headers: str
) -> Handler:
    """Return a handler that sends this answer. In the names of ``headers``, "_" stands for "-"."""
    content = body.encode() if isinstance(body, str) else body

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", content_type)
        request.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(content)

    return answer


def redirect_reply(location: str, status: int = 302) -> Handler:
    return reply(status=status, Location=location)


def picture_reply(photo_name: str = "astronaut", **headers: str) -> Handler:
    """Return a handler that sends a smaller, newly compressed copy of the photograph."""
    return reply(photo(photo_name, 75, 400), "image/jpeg", **headers)


def endless_reply(content_type: str = "text/html") -> Handler:
    """Return a handler that sends bytes until the client closes the connection."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", content_type)
        request.end_headers()
        try:
            while True:
                request.wfile.write(b"x" * 65536)
        except OSError:
            pass  # the client closed the connection

    return answer


def slow_reply(pause_s: float = 0.05) -> Handler:
    """Return a handler that sends a byte every ``pause_s``, so that no single read times out."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "text/html")
        request.end_headers()
        try:
            while True:
                request.wfile.write(b"x")
                time.sleep(pause_s)
        except OSError:
            pass

    return answer


@dataclass
class Site:
    """A site that answers each path in ``pages`` with its handler, and other paths with 404."""

    url: str = ""
    pages: dict[str, Handler] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def requested_paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append((request.path, {k.lower(): v for k, v in request.headers.items()}))
        missing = reply("no such page", status=404)
        self.pages.get(request.path, missing)(request)


@contextmanager
def serve_site(context: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serve a site on a free port of the loopback address."""
    site = Site()

    class RequestHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            site.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), RequestHandler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    site.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class PauseClock:
    """A clock that only its ``sleep`` advances; it records the pauses in seconds."""

    now_s: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_s += seconds


@dataclass
class PageWatcher:
    """A device that watches the pages of a site, with a clock and a vault in memory."""

    site: Site
    read_picture: Callable[[bytes], Picture]
    owner: CaseOwner = field(default_factory=CaseOwner)
    pause_clock: PauseClock = field(default_factory=PauseClock)
    case: str = ""

    def watch_pages(self, *paths: str, with_picture: bool = True) -> "PageWatcher":
        """Open a case with a sighting of each page, and start to watch them all."""
        device = self.owner.device
        object.__setattr__(device, "read_picture", self.read_picture)
        self.case = self.owner.open_case().name
        if with_picture:
            add_file(self.case, photo(), "the picture", device)
        store_watching_agreement(device, by_proxy=False)
        for number, path in enumerate(paths, start=1):
            where = path if "://" in path else self.site.url + path
            add_sighting(self.case, make_sighting(where, at=self.owner.clock.now()), device)
            start_watching(self.case, number, device, by_proxy=False)
        return self

    def check_due(self, time_max_s: float = 20.0, **later: float) -> list[CheckedSighting]:
        """Advance the clock by ``later``, and return the results of the checks that are due."""
        self.owner.clock.advance(**later)
        web = PoliteWeb(
            PublicWeb(time_max_s=time_max_s), lambda: self.pause_clock.now_s, self.pause_clock.sleep
        )
        return list(check_due_sightings(self.owner.device, web, by_proxy=False))

    def check_state(self, **later: float) -> tuple[str, str]:
        """Check the only watched sighting, and return its new state and the reason."""
        (checked,) = self.check_due(**later)
        return checked.record.state.value, checked.record.why.value
