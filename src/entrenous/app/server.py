"""Assemble the pages, and serve them to this user's browser."""

import os
import socket
from collections.abc import Callable
from importlib import import_module
from importlib.resources import files
from pkgutil import iter_modules
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from entrenous.app import pages
from entrenous.app.case_index import CaseIndex
from entrenous.app.jobs import ChangeEvents, Jobs
from entrenous.app.login import Login
from entrenous.app.mail import MailWatch
from entrenous.app.page_file_cache import PageFileCache
from entrenous.app.pages.archives import ARCHIVE_FILE_NAME, delete_archive
from entrenous.app.preferences import ICON_NAMES, read_preferences
from entrenous.app.vault_session import VaultSession
from entrenous.app.web import (
    AppState,
    answer_error,
    error_words,
    is_from_admitted_browser,
    is_poll,
    language_of,
    posted_form,
    show,
    show_error,
    state_of,
)
from entrenous.app.wording import without_commands
from entrenous.base.environment import Settings
from entrenous.base.errors import EntrenousError
from entrenous.base.language import speaking
from entrenous.device.device import Device
from entrenous.device.identities import own_name
from entrenous.device.open_device import take_failed_tries_warning
from entrenous.serving.private_pages import PrivatePages

_STATIC_FILE_TYPES: Final = {
    "house.css": "text/css",
    "house.js": "text/javascript",
    **{f"{name}.svg": "image/svg+xml" for name in ICON_NAMES},
}


def all_routes() -> list[Route]:
    """Return the routes of all modules in ``pages``."""
    found = (import_module(f"{pages.__name__}.{one.name}") for one in iter_modules(pages.__path__))
    return [route for page in found if hasattr(page, "routes") for route in page.routes()]


def make_browser_app(settings: Settings, login: Login, listening: socket.socket) -> ASGIApp:
    """Return the application for one browser on the socket ``listening``.

    ``login.link`` is the last part of the one-time address: ``/enter/LINK``.
    """
    events, routes = ChangeEvents(), all_routes()
    state = _make_state(settings, login, events)
    app = Starlette(
        routes=[
            Route(f"/static/{name}", _static_file_endpoint(name, kind))
            for name, kind in _STATIC_FILE_TYPES.items()
        ]
        + [Mount("/", routes=routes, middleware=[Middleware(_OnlyThisBrowser)])],
        exception_handlers={EntrenousError: answer_error, 404: _no_such_page},
    )
    app.state.entrenous, state.pages = state, tuple(routes)
    return PrivatePages(app, listening)


def _make_state(settings: Settings, login: Login, events: ChangeEvents) -> AppState:
    vault = VaultSession(settings)
    jobs, mail = Jobs(vault, events), MailWatch(settings, vault, events)

    def start_after_unlock() -> None:
        mail.start()
        login.restore_answers()
        vault.run(
            lambda device: state.warnings.extend(_take_wrong_passphrase_warnings(vault, device))
        )

    page_files, index = PageFileCache(), CaseIndex()

    def clear_after_lock() -> None:
        page_files.forget_all()
        mail.stop()
        state.warnings.clear()
        login.forget_handles()
        index.clear()
        jobs.keep_only_running_vault_jobs()
        events.publish()

    # When the vault is locked, the person's answers are hidden at once. The rest is cleared later,
    # when no running work can add to it.
    vault.on_open, vault.on_lock, vault.on_close = (
        start_after_unlock,
        login.hide_answers,
        clear_after_lock,
    )
    preferences = read_preferences(settings.home)
    delete_archive(
        settings.home / ARCHIVE_FILE_NAME
    )  # a process that was killed may have left the file
    state = AppState(
        settings, vault, login, events, jobs, mail, preferences, page_files=page_files, cases=index
    )
    return state


def _take_wrong_passphrase_warnings(vault: VaultSession, device: Device) -> tuple[str, ...]:
    """Return warnings about wrong passphrases that were tried since the last unlock."""
    if vault.unlocked is None:
        return ()
    sentences = take_failed_tries_warning(vault.unlocked, own_name(device))
    return tuple(without_commands(one) for one in sentences)


class _OnlyThisBrowser:
    """Admits only the browser that opened the one-time link. The link itself needs no admission."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if scope["type"] == "http" and not (
            _is_entrance(request) or is_from_admitted_browser(request)
        ):
            await show(request, "closed.html", status=403)(scope, receive, send)
            return
        if request.headers.get("sec-fetch-dest") == "document":
            state_of(request).end_shown_view()
        if scope["type"] == "http" and not (is_poll(request) or _is_event_stream(request)):
            state_of(request).vault.touch()
        request.state.times_left = state_of(request).login.times_left
        with speaking(language_of(request).tag):
            await self._answer_or_show_fault(request, scope, receive, send)

    async def _answer_or_show_fault(
        self, request: Request, scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            await self._app(scope, receive, send)
        except HTTPException:
            raise
        except Exception as bug:
            # only when debugging: a logged exception would contain private data
            if os.environ.get("ENTRENOUS_DEBUG"):
                raise
            await show_error(request, error_words(bug), 500, posted_form(request))(
                scope, receive, send
            )


def _is_entrance(request: Request) -> bool:
    return request.method == "GET" and request.url.path.startswith("/enter/")


def _is_event_stream(request: Request) -> bool:
    return bool(request.url.path == request.app.url_path_for("events"))


async def _no_such_page(request: Request, _: Exception) -> Response:
    if not is_from_admitted_browser(request):
        return Response(status_code=404)
    words = language_of(request).sentences.gettext("There is no such page.")
    return show_error(request, words, 404)


def _static_file_endpoint(name: str, kind: str) -> Callable[[Request], Response]:
    data = files(__package__).joinpath("static", name).read_bytes()
    return lambda _: Response(data, media_type=kind)
