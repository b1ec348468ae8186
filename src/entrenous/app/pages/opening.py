"""Open messages: ask about receipts, show files from the vault, and show messages that open
once.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_text
from entrenous.app.jobs import ReportProgress
from entrenous.app.page_file_cache import PageFile
from entrenous.app.pages.messages import find_message_name
from entrenous.app.web import (
    ResultGone,
    download_response,
    job_result,
    language_of,
    redirect_to,
    response_for_page,
    run_in_vault,
    show,
    start_job,
    state_of,
)
from entrenous.base.errors import EntrenousError, Refused
from entrenous.base.identity import Contact
from entrenous.device.device import Device
from entrenous.send.http.view_once import (
    VIEW_PAGE_SECONDS,
    ViewSession,
    open_for_view,
    wait_for_content,
)
from entrenous.send.inbox import find_received_message, has_expired
from entrenous.send.letter.letter_nouns import FILE_SUFFIX_BY_MEDIA_TYPE, ContentFile, FileRole
from entrenous.send.message.states import ReceivedMessage
from entrenous.send.message.transfer_progress import TransferStage, TransferWatch
from entrenous.send.open import download_message, show_received_message, stored_file
from entrenous.send.people.block import sender_without_receipt_choice, set_receipts
from entrenous.send.people.notices import no_receipts_in_words, receipts_question

CONVERSATION_PICTURE_SIDE_PX_MAX: Final = 1080  # a conversation is 700 CSS pixels wide


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """An opened message, and the handle of its sender, to go back to their conversation."""

    name: str
    person: str


@dataclass(frozen=True, slots=True)
class ViewOnceMessage:
    """A message that is shown once, in memory until the page is left."""

    name: str
    person: str
    view_session: ViewSession


class ShownAlready(Refused):
    """
    This message cannot be shown on this page any more: it was already shown, or the page was closed
    or failed. A message that can be opened only once is not stored. If you did not see it, go back
    to the conversation and try to open it again. If that does not work, ask the sender to send it
    again.
    """


def routes() -> list[Route]:
    return [
        Route("/42/{message}", start_opening, name="open", methods=["POST"]),
        Route("/42/{handle}/back", redirect_to_opened_conversation, name="opened"),
        Route("/43/{message}/{number:int}", serve_file, name="file"),
        Route("/43/{message}/{number:int}/save", serve_file_to_save, name="save_file"),
        Route("/44/{message}", fetch_view_once, name="see_once", methods=["POST"]),
        Route("/45/{handle}", offer_view_once, name="seen", methods=["GET"]),
        Route("/45/{handle}", open_and_show_view_once, methods=["POST"]),
        Route("/45/{handle}/{number:int}", serve_view_once_file, name="seen_file"),
        Route("/45/{handle}/end", end_view_once, name="end_seen", methods=["POST"]),
    ]


async def start_opening(request: Request) -> Response:
    """Open a message. This asks the relay for its share of the key."""
    question = await _ask_or_store_receipt_choice(request)
    if question is not None:
        return question
    name, say = find_message_name(request), language_of(request).sentences.gettext
    login = state_of(request).login

    def download_and_open(device: Device, report: ReportProgress) -> OpenedMessage:
        received = find_received_message(name, device)
        download_message(name, device, TransferWatch(_make_stage_reporter(report, say)))
        show_received_message(name, _leave_encrypted, device)
        return OpenedMessage(name, login.handle_for("person", received.sender.hex()))

    return start_job(request, say("Opening it"), download_and_open, "opened")


def _leave_encrypted(_number: int, _file: object, _fill: object) -> None:
    """Leave the files encrypted. The page requests each file when it shows the file."""


async def _ask_or_store_receipt_choice(request: Request) -> Response | None:
    """Ask once, before the first opening, whether somebody known by link gets receipts, and store
    the answer. Return the page with the question, or None if no question is left.
    """
    name, answer = find_message_name(request), typed_text(await read_form(request), "receipts")

    def find_undecided_sender(device: Device) -> Contact | None:
        sender = sender_without_receipt_choice(find_received_message(name, device).sender, device)
        if sender is not None and answer in {"yes", "no"}:
            set_receipts(sender.name, device, wanted=answer == "yes")
            return None
        return sender

    sender = await run_in_vault(request, find_undecided_sender)
    if sender is None:
        return None
    return show(
        request,
        "receipts.html",
        known=no_receipts_in_words(sender.name),
        question=receipts_question(sender.name),
        person=state_of(request).login.handle_for("person", sender.person.id.hex()),
    )


async def redirect_to_opened_conversation(request: Request) -> Response:
    return redirect_to(request, "conversation", person=job_result(request, OpenedMessage).person)


async def serve_file(request: Request) -> Response:
    """Show one file of an opened message. A picture is scaled down to the size at which the
    page shows it; other files are served as they were sent.
    """
    name, number = find_message_name(request), int(request.path_params["number"])
    page_files, key = state_of(request).page_files, ("message", name, number)

    def read_unless_cached(device: Device) -> ContentFile | None:
        received = find_received_message(name, device)
        if received.key is None or has_expired(received, device):  # it can no longer be opened
            page_files.forget_files_of(name)
        return None if page_files.find(key) else stored_file(name, number, device)

    kept = await run_in_vault(request, read_unless_cached)
    found = page_files.find(key)
    if found is None and kept is not None:
        found = await page_files.get_or_make(
            key, partial(_prepare_for_page, kept, page_files.make_picture)
        )
    if found is None:
        raise ResultGone
    return response_for_page(request, found.data, found.media_type)


def _prepare_for_page(kept: ContentFile, make_small: Callable[[bytes, int], PageFile]) -> PageFile:
    if kept.role is FileRole.PICTURE:
        return make_small(kept.data, CONVERSATION_PICTURE_SIDE_PX_MAX)
    return PageFile(kept.data, kept.media_type)


async def serve_file_to_save(request: Request) -> Response:
    """Hand one file of an opened message to the browser to save under a neutral name."""
    name, number = find_message_name(request), int(request.path_params["number"])
    kept = await run_in_vault(request, lambda device: stored_file(name, number, device))
    return download_response(
        request,
        kept.data,
        f"{name}-{number}{FILE_SUFFIX_BY_MEDIA_TYPE.get(kept.media_type, '.bin')}",
    )


async def fetch_view_once(request: Request) -> Response:
    """Fetch a message that opens once, without opening it yet."""
    question = await _ask_or_store_receipt_choice(request)
    if question is not None:
        return question
    name, say = find_message_name(request), language_of(request).sentences.gettext
    login = state_of(request).login

    def download_only(device: Device, report: ReportProgress) -> ViewOnceMessage:
        received: ReceivedMessage = find_received_message(name, device)
        download_message(name, device, TransferWatch(_make_stage_reporter(report, say)))
        person = login.handle_for("person", received.sender.hex())
        return ViewOnceMessage(name, person, ViewSession(received.sender_name))

    return start_job(request, say("Fetching it"), download_only, "seen")


async def offer_view_once(request: Request) -> Response:
    return show(
        request,
        "see_once.html",
        once=_find_view_once(request),
        handle=_handle_in_address(request),
        shown=None,
    )


async def open_and_show_view_once(request: Request) -> Response:
    """Open and show the message; it counts as opened once the page has loaded all of it. The view
    ends when the page is left, when the app is locked, and after ten minutes.
    """
    once, state = _find_view_once(request), state_of(request)
    view_session = once.view_session
    if not view_session.request_opening():
        raise ShownAlready
    opening = state.vault.run(partial(open_for_view, once.name, view_session))
    state.vault.call_at_lock(view_session.end_view)
    state.end_shown_view = view_session.end_view
    opening.add_done_callback(lambda done: _end_view_if_opening_failed(view_session, done))
    shown = await wait_for_content(view_session, request)
    if shown is None:
        raise ShownAlready
    asyncio.get_running_loop().call_later(VIEW_PAGE_SECONDS, view_session.end_view)
    return show(
        request,
        "see_once.html",
        once=once,
        handle=_handle_in_address(request),
        shown=shown,
        seconds=VIEW_PAGE_SECONDS,
    )


def _end_view_if_opening_failed(view_session: ViewSession, opening: Future[None]) -> None:
    why = opening.exception()
    if why is not None:
        view_session.report_failure(why if isinstance(why, EntrenousError) else ShownAlready())


async def serve_view_once_file(request: Request) -> Response:
    found = _find_view_once(request).view_session.hand_out_file(
        int(request.path_params["number"]) - 1
    )
    if found is None:
        raise ShownAlready
    return response_for_page(request, found.data, found.media_type)


async def end_view_once(request: Request) -> Response:
    """End the view. Go back to the conversation, unless a script reports that the page was left."""
    once = _find_view_once(request)
    once.view_session.end_view()
    if typed_text(await read_form(request), "left"):
        return Response(status_code=204)
    return redirect_to(request, "conversation", person=once.person)


def _make_stage_reporter(
    report: ReportProgress, say: Callable[[str], str]
) -> Callable[[TransferStage, int, int], None]:
    return lambda stage, done, total: report(say(stage.value), done, total)


def _handle_in_address(request: Request) -> str:
    return str(request.path_params["handle"])


def _find_view_once(request: Request) -> ViewOnceMessage:
    return job_result(request, ViewOnceMessage)
