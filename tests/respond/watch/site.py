"""A web site on loopback whose answers a test sets, and that records the requests."""

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
from tests.respond.room import Room, seen

Handler = Callable[[BaseHTTPRequestHandler], None]


@cache
def photo(name: str = "astronaut", quality: int = 90, side: int = 0) -> bytes:
    """Return a public photograph as a JPEG; ``side``: the longest side in pixels (0: full size)."""
    image = Image.fromarray(getattr(data, name)()).convert("RGB")
    if side:
        image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def reply(
    body: bytes | str = b"", kind: str = "text/html", status: int = 200, **headers: str
) -> Handler:
    """Return a handler with this answer; underscores in names of headers stand for hyphens."""
    content = body.encode() if isinstance(body, str) else body

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(content)

    return answer


def redirect(to: str, status: int = 302) -> Handler:
    return reply(status=status, Location=to)


def picture(name: str = "astronaut", **headers: str) -> Handler:
    """Return a handler that sends the photograph as a site would: smaller, and saved again."""
    return reply(photo(name, 75, 400), "image/jpeg", **headers)


def endless(kind: str = "text/html") -> Handler:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.end_headers()
        try:
            while True:
                request.wfile.write(b"x" * 65536)
        except OSError:
            pass  # the client closed the connection

    return answer


def slow(each_s: float = 0.05) -> Handler:
    """Return a handler that sends a byte at a time, so that no single read times out."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "text/html")
        request.end_headers()
        try:
            while True:
                request.wfile.write(b"x")
                time.sleep(each_s)
        except OSError:
            pass

    return answer


@dataclass
class Site:
    """A site: ``pages`` maps paths to handlers; other paths, also robots.txt, get status 404."""

    url: str = ""
    pages: dict[str, Handler] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append((request.path, {k.lower(): v for k, v in request.headers.items()}))
        missing = reply("no such page", status=404)
        self.pages.get(request.path, missing)(request)


@contextmanager
def serve_site(context: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serve a site on a free port of the loopback address."""
    site = Site()

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            site.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
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
class Pauses:
    """A clock that only ``sleep`` advances."""

    now_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


@dataclass
class Watching:
    """A device that watches pages of a site; its pictures are decoded in the real sandbox."""

    site: Site
    read_picture: Callable[[bytes], Picture]
    room: Room = field(default_factory=Room)
    pauses: Pauses = field(default_factory=Pauses)
    case: str = ""

    def watch_pages(self, *paths: str, with_picture: bool = True) -> "Watching":
        device = self.room.device
        object.__setattr__(device, "read_picture", self.read_picture)
        self.case = self.room.opens().name
        if with_picture:
            add_file(self.case, photo(), "the picture", device)
        store_watching_agreement(device, by_proxy=False)
        for number, path in enumerate(paths, start=1):
            where = path if "://" in path else self.site.url + path
            add_sighting(self.case, seen(where, at=self.room.clock.now()), device)
            start_watching(self.case, number, device, by_proxy=False)
        return self

    def check_due(self, time_max_s: float = 20.0, **later: float) -> list[CheckedSighting]:
        """Advance the clock by ``later`` and check due sightings; each call requests robots.txt."""
        self.room.clock.advance(**later)
        web = PoliteWeb(
            PublicWeb(time_max_s=time_max_s), lambda: self.pauses.now_s, self.pauses.sleep
        )
        return list(check_due_sightings(self.room.device, web, by_proxy=False))

    def state(self, **later: float) -> tuple[str, str]:
        (one,) = self.check_due(**later)
        return one.record.state.value, one.record.why.value
