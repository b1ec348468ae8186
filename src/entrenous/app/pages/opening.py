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

from entrenous.app.forms import read_form, typed
from entrenous.app.jobs import Report
from entrenous.app.pages.messages import message_in
from entrenous.app.slots import PageFile
from entrenous.app.web import (
    ResultGone,
    file_response,
    go_to,
    in_vault,
    language_of,
    result_of,
    show,
    shown_file,
    start_job,
    state_of,
)
from entrenous.base.errors import EntrenousError, Refused
from entrenous.base.identity import Contact
from entrenous.device.device import Device
from entrenous.send.http.view_once import open_for_view
from entrenous.send.http.view_pages import ViewSession
from entrenous.send.inbox import find_received
from entrenous.send.letter.letter_nouns import FILE_SUFFIX_BY_MEDIA_TYPE, ContentFile, FileRole
from entrenous.send.message.states import Received
from entrenous.send.message.transfer_progress import Stage, TransferWatch
from entrenous.send.open import download_message, kept_file, open_message_to
from entrenous.send.people.block import sender_without_receipt_choice, set_receipts
from entrenous.send.people.notices import ask_for_receipts_in_words, no_receipts_in_words

PICTURE_SIDE_PX: Final = 1080  # a conversation is 700 CSS pixels wide


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """A message that was opened. ``person`` is the stand-in for its sender, to whose page the app
    returns.
    """

    name: str
    person: str


@dataclass(frozen=True, slots=True)
class SeenOnce:
    """A message that is shown once, in memory until the page is left."""

    name: str
    person: str
    look: ViewSession


class ShownAlready(Refused):
    """This was already shown. A message that opens only once is not stored, so it cannot be shown
    again.
    """


def routes() -> list[Route]:
    return [
        Route("/42/{message}", open_it, name="open", methods=["POST"]),
        Route("/42/{handle}/back", opened, name="opened"),
        Route("/43/{message}/{number:int}", file, name="file"),
        Route("/43/{message}/{number:int}/save", save_file, name="save_file"),
        Route("/44/{message}", see_once, name="see_once", methods=["POST"]),
        Route("/45/{handle}", seen, name="seen", methods=["GET"]),
        Route("/45/{handle}", show_once, methods=["POST"]),
        Route("/45/{handle}/{number:int}", seen_file, name="seen_file"),
        Route("/45/{handle}/end", end_seen, name="end_seen", methods=["POST"]),
    ]


async def open_it(request: Request) -> Response:
    """Open a message: the relay is asked for its half of the key."""
    question = await _receipts_question(request)
    if question is not None:
        return question
    name, say = message_in(request), language_of(request).sentences.gettext
    login = state_of(request).login

    def download_and_open(device: Device, report: Report) -> OpenedMessage:
        received = find_received(name, device)
        download_message(name, device, TransferWatch(_stage_reporter(report, say)))
        open_message_to(name, _leave_encrypted, device)
        return OpenedMessage(name, login.handle("person", received.sender.hex()))

    return start_job(request, say("Opening it"), download_and_open, "opened")


def _leave_encrypted(_number: int, _file: object, _fill: object) -> None:
    """Leave the files encrypted. The page requests each of them later."""


async def _receipts_question(request: Request) -> Response | None:
    """Ask once, before the first opening, whether somebody whose keys were not compared (known by
    an invite link only) gets receipts. Store the answer. Return the page with the question, or None
    once it is answered.
    """
    name, answer = message_in(request), typed(await read_form(request), "receipts")

    def find_undecided_sender(device: Device) -> Contact | None:
        sender = sender_without_receipt_choice(find_received(name, device).sender, device)
        if sender is not None and answer in {"yes", "no"}:
            set_receipts(sender.name, device, wanted=answer == "yes")
            return None
        return sender

    sender = await in_vault(request, find_undecided_sender)
    if sender is None:
        return None
    return show(
        request,
        "receipts.html",
        known=no_receipts_in_words(sender.name),
        question=ask_for_receipts_in_words(sender.name),
        person=state_of(request).login.handle("person", sender.person.id.hex()),
    )


async def opened(request: Request) -> Response:
    return go_to(request, "conversation", person=result_of(request, OpenedMessage).person)


async def file(request: Request) -> Response:
    """Show one file of an opened message. A picture is scaled down to the size at which the page
    shows it; other files are as sent.
    """
    name, number = message_in(request), int(request.path_params["number"])
    slots, key = state_of(request).slots, ("message", name, number)

    def load_file(device: Device) -> ContentFile | None:
        if find_received(name, device).key is None:  # expired or recalled since
            slots.drop(name)
        return None if slots.find(key) else kept_file(name, number, device)

    kept = await in_vault(request, load_file)
    found = slots.find(key)
    if found is None and kept is not None:
        found = await slots.get(key, partial(_file_for_page, kept, slots.picture))
    if found is None:
        raise ResultGone
    return shown_file(request, found.data, found.media_type)


def _file_for_page(kept: ContentFile, small: Callable[[bytes, int], PageFile]) -> PageFile:
    if kept.role is FileRole.PICTURE:
        return small(kept.data, PICTURE_SIDE_PX)
    return PageFile(kept.data, kept.media_type)


async def save_file(request: Request) -> Response:
    """Serve one file of an opened message for the browser to save, under a file name that reveals
    nothing.
    """
    name, number = message_in(request), int(request.path_params["number"])
    kept = await in_vault(request, lambda device: kept_file(name, number, device))
    return file_response(
        request,
        kept.data,
        f"{name}-{number}{FILE_SUFFIX_BY_MEDIA_TYPE.get(kept.media_type, '.bin')}",
    )


async def see_once(request: Request) -> Response:
    """Fetch a message that opens once, without opening it yet."""
    question = await _receipts_question(request)
    if question is not None:
        return question
    name, say = message_in(request), language_of(request).sentences.gettext
    login = state_of(request).login

    def download(device: Device, report: Report) -> SeenOnce:
        received: Received = find_received(name, device)
        download_message(name, device, TransferWatch(_stage_reporter(report, say)))
        person = login.handle("person", received.sender.hex())
        return SeenOnce(name, person, ViewSession(received.sender_name))

    return start_job(request, say("Fetching it"), download, "seen")


async def seen(request: Request) -> Response:
    return show(
        request, "see_once.html", once=_seen_once(request), handle=_handle(request), shown=None
    )


async def show_once(request: Request) -> Response:
    """Open a message that opens once, and show it. It counts as opened when the page has loaded all
    of its files.
    """
    once = _seen_once(request)
    if not once.look.request_opening():
        raise ShownAlready
    opening = state_of(request).vault.run(partial(open_for_view, once.name, once.look))
    state_of(request).vault.call_at_lock(once.look.end)
    opening.add_done_callback(lambda done: _end_if_failed(once.look, done))
    shown = await asyncio.wrap_future(once.look.answer)
    return show(request, "see_once.html", once=once, handle=_handle(request), shown=shown)


def _end_if_failed(look: ViewSession, opening: Future[None]) -> None:
    why = opening.exception()
    if why is not None:
        look.report_failure(why if isinstance(why, EntrenousError) else ShownAlready())


async def seen_file(request: Request) -> Response:
    found = _seen_once(request).look.file(int(request.path_params["number"]) - 1)
    if found is None:
        raise ShownAlready
    return shown_file(request, found.data, found.media_type)


async def end_seen(request: Request) -> Response:
    once = _seen_once(request)
    once.look.end()
    return go_to(request, "conversation", person=once.person)


def _stage_reporter(report: Report, say: Callable[[str], str]) -> Callable[[Stage, int, int], None]:
    return lambda stage, done, total: report(say(stage.value), done, total)


def _handle(request: Request) -> str:
    return str(request.path_params["handle"])


def _seen_once(request: Request) -> SeenOnce:
    return result_of(request, SeenOnce)
