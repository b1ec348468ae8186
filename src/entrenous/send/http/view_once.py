"""Open a message whose openings are counted, and show it once, in the system's browser.

The function that opens the message and the server that shows it share a :class:`ViewSession`.
"""

import asyncio
import io
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from threading import Event, Lock
from typing import BinaryIO, Final

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from entrenous.base.errors import EntrenousError
from entrenous.base.language import current_catalogue, language_of_person, translatable, translated
from entrenous.device.device import Device
from entrenous.send.letter.letter_nouns import ContentFile, MessageFileEntry, MessageFrame
from entrenous.send.message.states import UnsafeToShow, ViewNeverShown, ViewNotCompleted
from entrenous.send.message.transfer_progress import TransferWatch
from entrenous.send.open import (
    WriteFile,
    download_message,
    find_unsafe_files,
    show_received_message,
)
from entrenous.serving.http_server import listening_socket, make_server, url_of
from entrenous.serving.private_pages import PrivatePages, open_browser
from entrenous.terminal.output import hint, print_line
from entrenous.terminal.progress_bars import stage_bars

#: Seconds after which the page with the message ends, unless the person leaves it sooner.
VIEW_PAGE_SECONDS: Final = 600
_RANGE_PATTERN: Final = re.compile(r"bytes=(\d{1,12})-(\d{0,12})")
_ALREADY_SHOWN_SENTENCE: Final = translatable(
    "This was given out already. To look again, type the command again."
)


def _random_path() -> str:
    return secrets.token_urlsafe(_PAGE_ADDRESS_BYTES)


@dataclass(frozen=True, slots=True)
class ViewedContent:
    """The content of a message while it is shown, in memory only."""

    text: str | None
    files: tuple[ContentFile, ...]


@dataclass(slots=True, eq=False)
class ViewSession:
    """One view of a message. ``cover`` is the path of the first page, which is served once;
    ``inside`` is the first part of the paths of the message's text and files.

    The command waits for ``asked``, then calls :meth:`provide_content` or :meth:`report_failure`,
    which complete ``answer``. ``loaded`` is set once the page has got the content and requested
    every file, ``over`` once the view has ended, for example because the person left the page. The
    end of the view also sets the other two.
    """

    sender: str
    cover: str = field(default_factory=_random_path)
    inside: str = field(default_factory=_random_path)
    asked: Event = field(default_factory=Event)
    loaded: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)
    answer: "Future[None]" = field(default_factory=Future)
    _shown: ViewedContent | None = None
    _unasked: set[int] = field(default_factory=set)
    _given: bool = False
    _was_shown: bool = False
    _lock: Lock = field(default_factory=Lock)

    def claim_first_page(self) -> bool:
        """Return whether the first page may be served: True at the first call only."""
        with self._lock:
            given, self._given = self._given, True
            return not given

    def request_opening(self) -> bool:
        """Request the opening; returns whether this is the first request."""
        with self._lock:
            first = not self.asked.is_set()
            self.asked.set()
            return first

    def provide_content(self, shown: ViewedContent) -> None:
        """Provide the opened content, unless the view has ended meanwhile."""
        with self._lock:
            if not self.over.is_set():
                self._shown, self._unasked = shown, set(range(len(shown.files)))
        self.answer.set_result(None)

    def report_failure(self, why: Exception) -> None:
        """Report that the message was not opened, or does not count as opened; end the view."""
        if not self.answer.done():
            self.answer.set_exception(why)
        self.end_view()

    def take_content(self) -> ViewedContent | None:
        """Return the content for the page, or None if the view has ended. A message without files
        has now been shown.
        """
        with self._lock:
            if self._shown is None:
                return None
            self._was_shown = True
            if self.has_requested_all():
                self.loaded.set()
            return self._shown

    def hand_out_file(self, index: int) -> ContentFile | None:
        """Return a file by its index, while the content may be viewed."""
        shown = self._shown
        if shown is None or self.over.is_set() or not 0 <= index < len(shown.files):
            return None
        with self._lock:
            self._unasked.discard(index)
            if self.has_requested_all():
                self.loaded.set()
        return shown.files[index]

    def has_requested_all(self) -> bool:
        """Return whether the page has got the content and requested every file."""
        return self._was_shown and not self._unasked

    def end_view(self) -> None:
        """Drop the content, and set every event, so that no thread waits for this view any more."""
        with self._lock:
            self._shown = None
            for one in (self.over, self.asked, self.loaded):
                one.set()


async def wait_for_content(look: ViewSession, request: Request) -> ViewedContent | None:
    """Wait for the opening; return the content for the page that answers ``request``. Return None
    if the view has ended, for example because the browser no longer waits for that page.

    Raises the error that was reported to the session.
    """
    await asyncio.wrap_future(look.answer)
    if await request.is_disconnected():
        look.end_view()
    return look.take_content()


def view_app(look: ViewSession, taken: socket.socket) -> ASGIApp:
    """Return the application that serves one view on the socket ``taken``."""
    pages = _ViewOncePages(look)
    routes = [
        Route(f"/{look.cover}", pages.serve_cover, methods=["GET"]),
        Route(f"/{look.inside}/show", pages.show_message, methods=["POST"]),
        Route(f"/{look.inside}/end", pages.end_view, methods=["POST"]),
        Route(f"/{look.inside}/{{number:int}}", pages.serve_file, methods=["GET"]),
        Route("/look.css", _serve_asset("look.css", "text/css"), methods=["GET"]),
        Route("/look.js", _serve_asset("look.js", "text/javascript"), methods=["GET"]),
    ]
    return PrivatePages(Starlette(routes=routes), taken)


class _ViewOncePages:
    def __init__(self, look: ViewSession) -> None:
        self._look = look
        environment = jinja2.Environment(
            autoescape=True, undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.i18n"]
        )
        environment.install_gettext_translations(current_catalogue(), newstyle=True)  # type: ignore[attr-defined]
        self._template = environment.from_string(_read_asset("page.html.j2"))

    async def serve_cover(self, _: Request) -> Response:
        if not self._look.claim_first_page():
            return self._render_page(words=translated(_ALREADY_SHOWN_SENTENCE), status=410)
        return self._render_page()

    async def show_message(self, request: Request) -> Response:
        """Request the opening, and wait for it."""
        if not self._look.request_opening():
            return self._render_page(words=translated(_ALREADY_SHOWN_SENTENCE), status=410)
        try:
            shown = await wait_for_content(self._look, request)
        except EntrenousError as why:
            return self._render_page(words=str(why), status=409)
        if shown is None:
            return self._render_page(words=translated(_ALREADY_SHOWN_SENTENCE), status=410)
        return self._render_page(shown=shown)

    async def end_view(self, _: Request) -> Response:
        self._look.end_view()
        return HTMLResponse("<!doctype html><title></title>")

    async def serve_file(self, request: Request) -> Response:
        """Return a file, or the range that a player requests (RFC 9110, 14.2)."""
        file = self._look.hand_out_file(request.path_params["number"] - 1)
        if file is None:
            return Response(status_code=404)
        size = len(file.data)
        headers = {"accept-ranges": "bytes"}
        wanted = _RANGE_PATTERN.fullmatch(request.headers.get("range", ""))
        if wanted is None:
            return Response(file.data, media_type=file.media_type, headers=headers)
        first, last = int(wanted[1]), min(int(wanted[2] or size), size - 1)
        if first > last:
            return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
        headers["content-range"] = f"bytes {first}-{last}/{size}"
        part = file.data[first : last + 1]
        return Response(part, status_code=206, media_type=file.media_type, headers=headers)

    def _render_page(
        self, *, shown: ViewedContent | None = None, words: str = "", status: int = 200
    ) -> Response:
        inside = f"/{self._look.inside}"
        return HTMLResponse(
            self._template.render(
                lang=language_of_person(),
                shown=shown,
                words=words,
                sender=self._look.sender,
                inside=inside,
                end=f"{inside}/end",
                seconds=VIEW_PAGE_SECONDS,
            ),
            status_code=status,
        )


def _serve_asset(name: str, media_type: str) -> ASGIApp:
    return Response(_read_asset(name), media_type=media_type)


def _read_asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


_PAGE_ADDRESS_BYTES: Final = 32


@contextmanager
def serve_view(look: ViewSession) -> Iterator[str]:
    """Serve the page on the loopback interface inside the context; yields its address.

    Raises:
        AddressTaken: the program cannot listen on the loopback interface.
    """
    with listening_socket("127.0.0.1", 0) as taken:
        server = make_server(view_app(look, taken))
        thread = threading.Thread(target=server.run, args=([taken],), daemon=True)
        thread.start()
        try:
            yield f"{url_of(taken)}/{look.cover}"
        finally:
            look.end_view()
            server.should_exit = True
            thread.join()


_SHOW_BUTTON_TIMEOUT_S: Final = 600
_LOAD_TIMEOUT_S: Final = 60


def show_once(message: str, sender: str, device: Device) -> None:
    """Serve a page and wait; the relay is asked for its share only after *Show* is pressed there.

    Raises:
        ViewNeverShown: nobody pressed *Show*, so nothing was opened.
        ViewNotCompleted, UnsafeToShow: the message does not count as opened.
        AddressTaken, and the errors of :func:`.show_received_message`.
    """
    with stage_bars() as shown:
        download_message(message, device, TransferWatch(shown.report_bytes))
    look = ViewSession(sender)
    with serve_view(look) as address:
        opened = open_browser(address)
        shown_at = translated("Look at it in a browser: {address}")
        if opened:
            shown_at = translated("Your browser shows it: {address}")
        print_line(shown_at.format(address=address))
        hint(
            translated(
                "The message counts as opened once you press Show on that page. Nothing of "
                "it is stored."
            )
        )
        look.asked.wait(_SHOW_BUTTON_TIMEOUT_S)
        if not look.asked.is_set() or look.over.is_set():
            raise ViewNeverShown(name=message)
        try:
            open_for_view(message, look, device)
        except BaseException as why:
            look.report_failure(
                why if isinstance(why, EntrenousError) else ViewNotCompleted(name=message)
            )
            raise
        look.over.wait(VIEW_PAGE_SECONDS)
    hint(translated("{message} was opened, and nothing of it was kept.").format(message=message))


def open_for_view(message: str, look: ViewSession, device: Device) -> None:
    """Open a message for a page to show. The opening counts once the page has got the text and
    requested every file.

    Raises ViewNotCompleted, UnsafeToShow, and the errors of :func:`.show_received_message`.
    """
    files = list[ContentFile]()

    def add_file(_number: int, file: MessageFileEntry, fill: WriteFile) -> None:
        buffer = io.BytesIO()
        fill(buffer)
        files.append(ContentFile(file.media_type, buffer.getvalue(), file.role))

    def provide_and_await_page(frame: MessageFrame) -> None:
        _refuse_unsafe_files(message, frame, files, device)
        look.provide_content(ViewedContent(frame.text, tuple(files)))
        look.loaded.wait(_LOAD_TIMEOUT_S)
        if not look.has_requested_all():
            raise ViewNotCompleted(name=message)

    show_received_message(message, add_file, device, tell=provide_and_await_page)


def _refuse_unsafe_files(
    message: str, frame: MessageFrame, files: list[ContentFile], device: Device
) -> None:
    """Raise UnsafeToShow or DecoderDidNotStart if a file cannot be shown."""
    fills = [partial(_write_data, one.data) for one in files]
    if find_unsafe_files(list(zip(frame.files, fills, strict=True)), device):
        raise UnsafeToShow(name=message)


def _write_data(data: bytes, writer: BinaryIO) -> None:
    writer.write(data)
