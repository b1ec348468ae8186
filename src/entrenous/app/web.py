"""Functions that every page uses: the state of the app, templates, forms, pages that ask for
confirmation, and error pages.
"""

import asyncio
import mimetypes
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, TypeVar, cast

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Match, Route

from entrenous.app.case_index import CaseIndex
from entrenous.app.forms import typed_text
from entrenous.app.jobs import ChangeEvents, Job, Jobs, ReportProgress
from entrenous.app.language import Language, language_for
from entrenous.app.linking import Linking
from entrenous.app.login import SESSION_COOKIE_NAME, Login
from entrenous.app.mail import MailWatch
from entrenous.app.page_file_cache import PageFileCache
from entrenous.app.preferences import Preferences, read_preferences
from entrenous.app.vault_session import VaultLocked, VaultSession
from entrenous.app.wording import without_commands
from entrenous.base.environment import Settings
from entrenous.base.errors import EntrenousError, NotFound
from entrenous.base.files import disk_fault
from entrenous.base.language import translatable, translated
from entrenous.device.device import Device
from entrenous.device.store.vault_folder import has_vault

T = TypeVar("T")
_RANGE_PATTERN: Final = re.compile(r"bytes=(\d{1,12})-(\d{0,12})")
_HTTP_STATUS_BY_ERROR_FAMILY: Final = {
    "refused": 409,
    "not-found": 404,
    "unreachable": 502,
    "malformed": 400,
}
#: How often a page asks whether the app is still unlocked.
_CHECK_SECONDS_MAX: Final = 10
_FAULT_MESSAGE: Final = translatable(
    "This is a fault in Entrenous ({kind}), not something you did. Nothing that was stored is lost."
)


class ResultGone(NotFound):
    """
    This page cannot be shown. Either the app was locked in the meantime, or the item that the page
    shows was erased, or it is not ready yet. Opening the page changed nothing, and what you did
    before still counts. Start again from the first page.
    """


@dataclass(slots=True, eq=False)
class AppState:
    """What the pages of one process share."""

    settings: Settings
    vault: VaultSession
    login: Login
    events: ChangeEvents
    jobs: Jobs
    mail: MailWatch
    preferences: Preferences
    wanted: str = "/"  # the page to show after unlocking
    #: Held while the vault is made or unlocked. A second opening would wait until the app locks.
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    linking: Linking | None = None  # a linking in progress, on the old or the new device
    warnings: list[str] = field(default_factory=list)  # warnings that the person has not seen yet
    shown: str = "/"  # the page that was shown last
    pages: tuple[Route, ...] = ()
    page_files: PageFileCache = field(default_factory=PageFileCache)
    cases: CaseIndex = field(default_factory=CaseIndex)
    #: Ends the view of a message that opens once. Called when the browser leaves its page.
    end_shown_view: Callable[[], None] = lambda: None

    @property
    def has_device(self) -> bool:
        return has_vault(self.settings.home)

    def use_settings(self, settings: Settings) -> None:
        """Use these settings from the next unlock on."""
        self.settings = settings
        self.vault.settings = settings
        self.mail.settings = settings

    def reread_preferences(self) -> None:
        self.preferences = read_preferences(self.settings.home)


def state_of(request: Request) -> AppState:
    return cast("AppState", request.app.state.entrenous)


async def run_in_vault(request: Request, work: Callable[[Device], T]) -> T:
    """Call ``work`` with the device in the vault's thread; raises VaultLocked, and whatever
    ``work`` raises.
    """
    return await asyncio.wrap_future(state_of(request).vault.run(work))


def is_poll(request: Request) -> bool:
    """Return whether a page asks for news by itself, so that this is no activity of the person."""
    return "x-live" in request.headers


def start_job(
    request: Request, title: str, work: Callable[[Device, ReportProgress], object], page: str
) -> Response:
    """Start long work, and show its progress; ``page`` is the route that shows its result.

    Raises VaultLocked.
    """
    return _redirect_to_progress(state_of(request).jobs.start(title, work, page), request)


def start_job_without_vault(
    request: Request, title: str, work: Callable[[], object], page: str
) -> Response:
    """Start long work that needs no vault, and show its progress as :func:`start_job` does."""
    return _redirect_to_progress(
        state_of(request).jobs.start_without_vault(title, work, page), request
    )


def _redirect_to_progress(job: Job, request: Request) -> Response:
    job.form, job.form_page = posted_form(request), page_of_form(request)
    return redirect_to(request, "progress", handle=job.handle)


def job_result(request: Request, kind: type[T]) -> T:
    """Return the result of the job that the address names.

    Raises ResultGone, VaultLocked, or the error that ended the job.
    """
    state = state_of(request)
    job = state.jobs.find_job(request.path_params["handle"])
    # after a lock, results are forgotten only when running work has ended
    if job is not None and job.began_unlocked and not state.vault.is_open:
        raise VaultLocked
    if job is None or not job.is_over or not isinstance(result := job.future.result(), kind):
        raise ResultGone
    return result


def take_kept_form(request: Request) -> FormData:
    """Return the input of this page that was kept when the vault was locked or an error was shown;
    if there is none, an empty form.
    """
    return state_of(request).login.take_form(request.url.path) or FormData()


def posted_or_kept_form(request: Request) -> FormData:
    """Return the form that this request posted, or else what :func:`take_kept_form` returns."""
    return posted_form(request) or take_kept_form(request)


def redirect_to(request: Request, name: str, **parts: object) -> Response:
    """Redirect to another page, given by the name of its route."""
    return RedirectResponse(request.app.url_path_for(name, **parts), status_code=303)


def language_of(request: Request) -> Language:
    """Return the language that the person chose in the app or for all commands, otherwise the
    browser's.
    """
    chosen = state_of(request).preferences.language or os.environ.get("ENTRENOUS_LANGUAGE")
    return language_for(chosen or request.headers.get("accept-language", ""))


def show(request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
    """Render a page. Besides ``context``, the template gets the language, the preferences, the
    state of the vault, the page to return to after a lock, and the function ``url``, which returns
    the address of a route.
    """
    state = state_of(request)
    if request.method == "GET" and status == HTTPStatus.OK and not is_poll(request):
        state.shown = request.url.path
    language = language_of(request)
    text = language.template(template).render(
        lang=language.tag,
        direction=language.direction,
        language=language,
        preferences=state.preferences,
        is_open=state.vault.is_open,
        has_device=state.has_device,
        url=request.app.url_path_for,
        under_way=state.jobs.running_jobs() if state.vault.is_open else (),
        here=request.url.path,
        returns_to=state.shown,
        check_seconds=min(_CHECK_SECONDS_MAX, state.settings.lock_after_s / 4),
        warnings=tuple(state.warnings) if state.vault.is_open else (),
        **context,
    )
    return HTMLResponse(text, status_code=status)


@dataclass(frozen=True, slots=True)
class ConfirmationQuestion:
    """A question, what happens after a yes, and the labels of both buttons."""

    heading: str
    said: tuple[str, ...]
    yes: str
    no: str


def has_confirmed(form: FormData) -> bool:
    """Return whether the person said yes on the confirmation page that posted this form."""
    return typed_text(form, "sure") == "yes"


def show_confirmation_page(
    request: Request, form: FormData, question: ConfirmationQuestion
) -> Response:
    """Show a page that asks the question. Its yes button posts the same form again; its no button
    leads back to the page that was shown last.
    """
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    back = state_of(request).shown
    return show(request, "ask.html", question=question, fields=fields, back=back)


async def answer_error(request: Request, why: Exception) -> Response:
    """Show an error as a page; for a locked vault, show the page that unlocks it.

    The person's input is kept, so that the error page can link back to the form with the input in
    it.
    """
    if isinstance(why, VaultLocked):
        return _redirect_to_unlock(request)
    return show_error(request, error_words(why), http_status_of_error(why), posted_form(request))


def http_status_of_error(why: BaseException) -> int:
    """Return the HTTP status of an error."""
    return (
        _HTTP_STATUS_BY_ERROR_FAMILY.get(why.family, 500)
        if isinstance(why, EntrenousError)
        else 500
    )


def show_error(
    request: Request, words: str, status: int, form: FormData | None = None, page: str = ""
) -> Response:
    """Show an error, and link back to the ``page`` whose ``form`` was not accepted."""
    page = page or page_of_form(request)
    if form is None or _was_left_meanwhile(request):
        return show(request, "error.html", status=status, words=words, back="")
    state_of(request).login.keep_form(page, form)
    return show(request, "error.html", status=status, words=words, back=page)


def download_response(request: Request, data: bytes, name: str) -> Response:
    """Return a file for the browser to save under ``name``."""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    answer = response_for_page(request, data, kind)
    answer.headers["content-disposition"] = f'attachment; filename="{name}"'
    return answer


def response_for_page(request: Request, data: bytes, media_type: str) -> Response:
    """Return a file for the page to show, or the range of it that a player asks for (RFC 9110,
    14.2).
    """
    headers = {"accept-ranges": "bytes"}
    wanted = _RANGE_PATTERN.fullmatch(request.headers.get("range", ""))
    if wanted is None:
        return Response(data, media_type=media_type, headers=headers)
    first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
    if first > last:
        return Response(status_code=416, headers={"content-range": f"bytes */{len(data)}"})
    headers["content-range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(data[first : last + 1], status_code=206, media_type=media_type, headers=headers)


def error_words(why: BaseException) -> str:
    """Return an error's message without sentences that name commands.

    The text of an error that is a fault of the program, such as a KeyError, could contain private
    data and says nothing to a person: only the error's class is named.
    """
    known = why if isinstance(why, EntrenousError) else disk_fault(why)
    if known is None:
        return translated(_FAULT_MESSAGE).format(kind=type(why).__name__)
    return without_commands(str(known))


def _redirect_to_unlock(request: Request) -> Response:
    state, form = state_of(request), posted_form(request)
    if not _was_left_meanwhile(request):
        if form is not None:
            state.login.keep_form(page_of_form(request), form)
        state.wanted = page_of_form(request)
    return redirect_to(request, "unlock" if state.has_device else "setup")


def _was_left_meanwhile(request: Request) -> bool:
    """Return whether the person left quickly, or erased everything, after this request began."""
    login = state_of(request).login
    return getattr(request.state, "times_left", login.times_left) != login.times_left


def posted_form(request: Request) -> FormData | None:
    """Return the form that this request posted, or None if it has not been read."""
    return getattr(request.state, "form", None)


def page_of_form(request: Request) -> str:
    """Return the address of the page with the posted form, or of the page that was shown last."""
    asked = {**request.scope, "method": "GET"}
    is_page = any(page.matches(asked)[0] is Match.FULL for page in state_of(request).pages)
    return request.url.path if is_page else state_of(request).shown


def is_from_admitted_browser(request: Request) -> bool:
    """Return whether the request comes from the browser that opened the one-time link.

    A request that may change something must also come from one of the app's pages.
    """
    if not state_of(request).login.is_session_cookie(request.cookies.get(SESSION_COOKIE_NAME)):
        return False
    if request.method in {"GET", "HEAD"}:
        return True
    origin = request.headers.get("origin")
    here = f"{request.url.scheme}://{request.url.netloc}"
    return request.headers.get("sec-fetch-site") == "same-origin" or origin == here
