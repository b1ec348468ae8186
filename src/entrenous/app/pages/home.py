"""The first page: links to the four main tasks, and the work in progress."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from entrenous.app.pages.messages import undismissed_notices
from entrenous.app.vault_session import VaultLocked
from entrenous.app.web import (
    AppState,
    error_words,
    http_status_of_error,
    redirect_to,
    run_in_vault,
    show,
    show_error,
    state_of,
)
from entrenous.device.device import Device
from entrenous.device.identities import has_relay
from entrenous.send.message.draft import stored_drafts
from entrenous.send.timeline import count_unopened


@dataclass(frozen=True, slots=True)
class HomePageContents:
    """The drafts of this device, the notices that were not dismissed, the number of messages to
    open, and whether the device has a relay.
    """

    has_relay: bool = False
    drafts: tuple[bytes, ...] = ()
    notices: tuple[tuple[str, str], ...] = ()
    to_open: int = 0


def routes() -> list[Route]:
    return [
        Route("/", show_home, name="home"),
        Route("/4", stream_events, name="events"),
        Route("/8", check_unlocked, name="unlocked", methods=["POST"]),
        Route("/5/{handle}", show_progress, name="progress"),
    ]


async def show_home(request: Request) -> Response:
    """Show the first page; the vault may be locked."""
    state = state_of(request)
    found = HomePageContents()
    with suppress(VaultLocked):
        found = await run_in_vault(request, lambda device: _read_home_page_contents(state, device))
    return show(
        request,
        "home.html",
        has_relay=found.has_relay,
        drafts=[state.login.handle_for("draft", one.hex()) for one in found.drafts],
        notices=found.notices,
        to_open=found.to_open,
    )


def _read_home_page_contents(state: AppState, device: Device) -> HomePageContents:
    drafts = tuple(draft.id for draft in stored_drafts(device))
    to_open = count_unopened(device).total()
    return HomePageContents(has_relay(device), drafts, undismissed_notices(state, device), to_open)


async def show_progress(request: Request) -> Response:
    """Show a job's progress; once it has ended, its result or its error."""
    job = state_of(request).jobs.find_job(request.path_params["handle"])
    if job is None:
        return redirect_to(request, "home")
    if job.is_over and job.error is not None:
        return show_error(
            request,
            error_words(job.error),
            http_status_of_error(job.error),
            job.form,
            job.form_page,
        )
    if job.is_over:
        return redirect_to(request, job.page, handle=job.handle)
    return show(request, "progress.html", job=job)


async def stream_events(request: Request) -> Response:
    """Tell the page by server-sent events that something changed; the page then updates itself."""

    async def event_lines() -> AsyncIterator[str]:
        # report a change at once: something may have changed while the page was loading
        yield "retry: 2000\ndata: changed\n\n"
        async for _ in state_of(request).events.changes():
            yield "data: changed\n\n"

    return StreamingResponse(event_lines(), media_type="text/event-stream")


async def check_unlocked(request: Request) -> Response:
    """Answer with status 204 while the app is unlocked, and with 409 once it has locked."""
    return Response(status_code=204 if state_of(request).vault.is_open else 409)
