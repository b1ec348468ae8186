"""The pages of one look, as an ASGI application (docs/spec/content.md section 7).

Every answer is ``no-store``, and goes only to who names the address that was given out.
"""

import asyncio
import re
import socket
from importlib.resources import files
from typing import Final

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrenous.faces.cli.look.peer import is_our_user
from entrenous.faces.cli.look.session import Look, Shown
from entrenous.model.errors import EntrenousError

#: How long a page that was shown stays.
VIEW_S: Final = 600
_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; media-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_FROM_HERE: Final = frozenset({"same-origin", "none"})
_RANGE: Final = re.compile(r"bytes=(\d{1,12})-(\d{0,12})")
_GONE: Final = "This was given out already. To look again, type the command again."


def look_app(look: Look, taken: socket.socket) -> ASGIApp:
    """Serves one look on the socket ``taken``."""
    pages = _Pages(look)
    routes = [
        Route(f"/{look.cover}", pages.cover, methods=["GET"]),
        Route(f"/{look.inside}/show", pages.show, methods=["POST"]),
        Route(f"/{look.inside}/end", pages.end, methods=["POST"]),
        Route(f"/{look.inside}/{{number:int}}", pages.file, methods=["GET"]),
        Route("/look.css", _asset("look.css", "text/css"), methods=["GET"]),
        Route("/look.js", _asset("look.js", "text/javascript"), methods=["GET"]),
    ]
    host, port = taken.getsockname()[:2]
    return _Guarded(Starlette(routes=routes), f"{host}:{port}", port)


class _Guarded:
    """Answers nobody but this user's own browser, at this address; nothing is kept of an answer."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._app, self._host, self._port = app, host, port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *more]
            await send(message)

        app = self._app if self._may(Request(scope)) else Response(status_code=403)
        await app(scope, receive, with_headers)

    def _may(self, request: Request) -> bool:
        headers, client = request.headers, request.client
        return (
            headers.getlist("host") == [self._host]
            and headers.get("sec-fetch-site", "none") in _FROM_HERE
            and client is not None
            and is_our_user(client.port, self._port)
        )


class _Pages:
    """The handlers of one look."""

    def __init__(self, look: Look) -> None:
        self._look = look
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        self._template = environment.from_string(_read("page.html.j2"))

    async def cover(self, _: Request) -> Response:
        if not self._look.give_out():
            return self._page(words=_GONE, status=410)
        return self._page()

    async def show(self, _: Request) -> Response:
        """Ask for the opening, and wait for it."""
        if not self._look.ask():
            return self._page(words=_GONE, status=410)
        try:
            shown = await asyncio.wrap_future(self._look.answer)
        except EntrenousError as why:
            return self._page(words=str(why), status=409)
        return self._page(shown=shown)

    async def end(self, _: Request) -> Response:
        self._look.end()
        return HTMLResponse("<!doctype html><title></title>")

    async def file(self, request: Request) -> Response:
        """All of a file, or the part that a player asks for (RFC 9110, 14.2)."""
        file = self._look.file(request.path_params["number"] - 1)
        if file is None:
            return Response(status_code=404)
        size = len(file.data)
        headers = {"accept-ranges": "bytes"}
        wanted = _RANGE.fullmatch(request.headers.get("range", ""))
        if wanted is None:
            return Response(file.data, media_type=file.media_type, headers=headers)
        first, last = int(wanted[1]), min(int(wanted[2] or size), size - 1)
        if first > last:
            return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
        headers["content-range"] = f"bytes {first}-{last}/{size}"
        part = file.data[first : last + 1]
        return Response(part, status_code=206, media_type=file.media_type, headers=headers)

    def _page(self, *, shown: Shown | None = None, words: str = "", status: int = 200) -> Response:
        inside = f"/{self._look.inside}"
        return HTMLResponse(
            self._template.render(
                shown=shown,
                words=words,
                sender=self._look.sender,
                inside=inside,
                end=f"{inside}/end",
                seconds=VIEW_S,
            ),
            status_code=status,
        )


def _asset(name: str, media_type: str) -> ASGIApp:
    return Response(_read(name), media_type=media_type)


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
