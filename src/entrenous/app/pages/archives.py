"""Archives: move data to another device, encrypted under a separate passphrase."""

import io
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from entrenous.app.forms import chosen_files, read_form, typed
from entrenous.app.jobs import Report
from entrenous.app.pages.copies import NothingChosen
from entrenous.app.passphrases import (
    chosen_passphrase,
    passphrase_fields,
    passphrase_in,
)
from entrenous.app.web import (
    error_words,
    in_vault,
    language_of,
    result_of,
    show,
    start_job,
    state_of,
)
from entrenous.archive.archive_wording import (
    describe_import,
    describe_omissions,
    describe_omitted_cases,
)
from entrenous.archive.export import export_to_file, import_archive, import_from_file
from entrenous.base.errors import EntrenousError
from entrenous.device.device import Device

#: Stored in the device's folder until the app is locked, since a browser fetches it in pieces.
ARCHIVE_FILE: Final = "archive.zip"
_MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Made:
    """A new archive, and the data that it leaves out."""

    size: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of importing an archive."""

    said: tuple[str, ...]


def routes() -> list[Route]:
    return [
        Route("/112", show_archive_form, name="archive", methods=["GET"]),
        Route("/112", make_archive, methods=["POST"]),
        Route("/112/{handle}", show_made_archive, name="archive_made"),
        Route("/112/{handle}/file", serve_archive, name="archive_file"),
        Route("/113", show_import_form, name="take_archive", methods=["GET"]),
        Route("/113", take_archive_in, methods=["POST"]),
        Route("/113/{handle}", show_imported, name="archive_taken"),
    ]


async def show_archive_form(
    request: Request, why: EntrenousError | None = None, status: int = 200
) -> Response:
    await in_vault(request, lambda _: None)
    return show(
        request,
        "archive.html",
        status=status,
        **passphrase_fields(why),
    )


async def make_archive(request: Request) -> Response:
    """Write an encrypted archive into the device's folder, for the browser to save."""
    try:
        words = chosen_passphrase(await read_form(request))
    except EntrenousError as why:
        return await show_archive_form(request, why, 409)
    place, say = _archive_path(request), language_of(request).sentences.gettext
    vault = state_of(request).vault

    def work(device: Device, report: Report) -> Made:
        def reached(done: int, total: int) -> None:
            report(say("Writing"), done // _MB, max(1, total // _MB))

        vault.call_at_lock(lambda: forget_archive(place))
        written = export_to_file(place, words, device, reached)
        return Made(place.stat().st_size, tuple(describe_omissions(written)))

    return start_job(request, say("Making the archive"), work, "archive_made")


async def show_made_archive(request: Request) -> Response:
    found, handle = result_of(request, Made), request.path_params["handle"]
    size = language_of(request).number(max(1, round(found.size / 1000)))
    return show(request, "archive_made.html", found=found, handle=handle, size_kb=size)


async def serve_archive(request: Request) -> Response:
    """Serve the archive to the browser under a neutral name."""
    result_of(request, Made)
    await in_vault(request, lambda _: None)
    return FileResponse(_archive_path(request), filename="page.zip", media_type="application/zip")


async def show_import_form(request: Request, words: str = "", status: int = 200) -> Response:
    await in_vault(request, lambda _: None)
    form = getattr(request.state, "form", None)
    folder = typed(form, "folder") if form else ""
    return show(request, "take_archive.html", status=status, words=words, folder=folder)


async def take_archive_in(request: Request) -> Response:
    """Import an archive: an uploaded file, or a folder on this machine."""
    form = await read_form(request)
    files, folder = await chosen_files(form, "file"), typed(form, "folder")
    words, say = passphrase_in(form, "passphrase"), language_of(request).sentences.gettext
    if not files and not folder:
        return await show_import_form(request, error_words(NothingChosen()), 409)

    def work(device: Device, report: Report) -> Taken:
        def reached(done: int, total: int) -> None:
            report(say("Reading"), done // _MB, max(1, total // _MB))

        if files:
            told = import_from_file(io.BytesIO(files[0].data), words, device, reached)
        else:
            told = import_archive(Path(folder), words, device, reached)
        return Taken((*describe_import(told), *describe_omitted_cases(told)))

    return start_job(request, say("Opening the archive"), work, "archive_taken")


async def show_imported(request: Request) -> Response:
    said = result_of(request, Taken).said
    say = language_of(request).sentences.gettext
    return show(request, "told.html", heading=say("The archive was opened"), said=said, back="home")


def forget_archive(place: Path) -> None:
    """Delete an archive, whether or not the browser fetched it."""
    with suppress(OSError):
        place.unlink(missing_ok=True)


def _archive_path(request: Request) -> Path:
    return state_of(request).settings.home / ARCHIVE_FILE
