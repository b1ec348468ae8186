"""Make marked copies for any messenger, one for each person. No relay is involved."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import chosen_files, read_form, typed_text
from entrenous.app.jobs import ReportProgress
from entrenous.app.web import (
    ResultGone,
    download_response,
    job_result,
    language_of,
    run_in_vault,
    show,
    start_job,
    take_kept_form,
)
from entrenous.base.copies import parse_labels
from entrenous.base.errors import Refused
from entrenous.base.identifiers import RecipientId
from entrenous.device.device import Device
from entrenous.media.file_kind import is_animated

if TYPE_CHECKING:
    from entrenous.send.copies.mark_file import MarkedFile


class NoFileChosen(Refused):
    """
    No file was chosen, so nothing was done. Choose the file that the page asks for, then try again.
    """


class NobodyNamed(Refused):
    """
    You did not name anybody, so no copies were made. Go back and type who gets a copy, one name on
    each line.
    """


@dataclass(frozen=True, slots=True)
class MadeCopies:
    """The finished copies, in memory. ``message`` is the name of their message in the vault.

    ``moves`` says that the original is a moving picture, of which the copies have the first frame.
    """

    message: str
    copies: tuple[MarkedFile, ...]
    moves: bool


def routes() -> list[Route]:
    return [
        Route("/20", show_copies_form, name="copies", methods=["GET"]),
        Route("/20", start_making_copies, methods=["POST"]),
        Route("/21/{handle}", show_made_copies, name="copies_made"),
        Route("/21/{handle}/{number:int}", serve_copy, name="save_copy"),
    ]


async def show_copies_form(request: Request) -> Response:
    await run_in_vault(request, lambda _: None)
    return show(request, "copies.html", form=take_kept_form(request))


async def start_making_copies(request: Request) -> Response:
    form = await read_form(request)
    people = parse_labels(line for line in typed_text(form, "names").splitlines() if line.strip())
    files = await chosen_files(form, "file")
    if not files:
        raise NoFileChosen
    if not people:
        raise NobodyNamed
    say = language_of(request).sentences.gettext
    stage = say("Marking")

    def mark_chosen_file(device: Device, report: ReportProgress) -> MadeCopies:
        return _mark_copies(
            files[0].data, people, device, lambda done: report(stage, done, len(people))
        )

    return start_job(request, say("Making the copies"), mark_chosen_file, "copies_made")


def _mark_copies(
    data: bytes, people: tuple[RecipientId, ...], device: Device, report: Callable[[int], None]
) -> MadeCopies:
    from entrenous.send.copies.mark_file import mark_file  # noqa: PLC0415 - slow to load

    message = ""
    made: list[MarkedFile] = []
    report(0)
    with closing(mark_file(data, people, None, device)) as copies:
        for name, copy in copies:
            message = name
            made.append(copy)
            report(len(made))
    return MadeCopies(message, tuple(made), is_animated(data))


async def show_made_copies(request: Request) -> Response:
    made = job_result(request, MadeCopies)
    return show(request, "copies_made.html", made=made, handle=request.path_params["handle"])


async def serve_copy(request: Request) -> Response:
    """Serve one copy as a download under a neutral name."""
    made, number = job_result(request, MadeCopies), request.path_params["number"]
    if not 0 < number <= len(made.copies):
        raise ResultGone
    copy = made.copies[number - 1]
    return download_response(request, copy.data, f"{made.message}-{number}{copy.suffix}")
