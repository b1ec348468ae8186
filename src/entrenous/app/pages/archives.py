"""Archives: move data to another device, encrypted under a separate passphrase."""

import io
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from entrenous.app.forms import chosen_files, read_form, typed_text
from entrenous.app.jobs import ReportProgress
from entrenous.app.pages.copies import NoFileChosen
from entrenous.app.passphrases import (
    chosen_passphrase,
    new_passphrase_variables,
    passphrase_in,
)
from entrenous.app.web import (
    error_words,
    job_result,
    language_of,
    posted_form,
    run_in_vault,
    show,
    start_job,
    state_of,
)
from entrenous.archive.export import (
    describe_import,
    describe_omissions,
    describe_omitted_cases,
    export_archive_to_zip,
    import_archive,
    import_archive_from_zip,
)
from entrenous.base.errors import EntrenousError
from entrenous.device.device import Device

#: The name of a new archive. It stays in the device's folder until the app is locked, since a
#: browser may download it in several requests.
ARCHIVE_FILE_NAME: Final = "archive.zip"
_BYTES_PER_MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class MadeArchive:
    """A new archive, and the data that it leaves out."""

    size: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ArchiveImportResult:
    """The result of importing an archive, in sentences."""

    said: tuple[str, ...]


def routes() -> list[Route]:
    return [
        Route("/112", show_archive_form, name="archive", methods=["GET"]),
        Route("/112", start_making_archive, methods=["POST"]),
        Route("/112/{handle}", show_made_archive, name="archive_made"),
        Route("/112/{handle}/file", serve_archive, name="archive_file"),
        Route("/113", show_import_form, name="take_archive", methods=["GET"]),
        Route("/113", import_uploaded_or_local_archive, methods=["POST"]),
        Route("/113/{handle}", show_imported, name="archive_taken"),
    ]


async def show_archive_form(
    request: Request, why: EntrenousError | None = None, status: int = 200
) -> Response:
    await run_in_vault(request, lambda _: None)
    return show(
        request,
        "archive.html",
        status=status,
        **new_passphrase_variables(why),
    )


async def start_making_archive(request: Request) -> Response:
    """Write an encrypted archive into the device's folder, for the browser to save."""
    try:
        words = chosen_passphrase(await read_form(request))
    except EntrenousError as why:
        return await show_archive_form(request, why, 409)
    place, say = _archive_path(request), language_of(request).sentences.gettext
    vault, jobs = state_of(request).vault, state_of(request).jobs

    def write_archive(device: Device, report: ReportProgress) -> MadeArchive:
        def report_bytes(done: int, total: int) -> None:
            report(say("Writing"), done // _BYTES_PER_MB, max(1, total // _BYTES_PER_MB))

        vault.call_at_lock(lambda: delete_archive(place))
        # the new archive takes the place of an earlier one, whose page would then serve the new one
        jobs.forget_results(lambda result: isinstance(result, MadeArchive))
        written = export_archive_to_zip(place, words, device, report_bytes)
        return MadeArchive(place.stat().st_size, tuple(describe_omissions(written)))

    return start_job(request, say("Making the archive"), write_archive, "archive_made")


async def show_made_archive(request: Request) -> Response:
    found, handle = job_result(request, MadeArchive), request.path_params["handle"]
    size = language_of(request).number(max(1, round(found.size / 1000)))
    return show(request, "archive_made.html", found=found, handle=handle, size_kb=size)


async def serve_archive(request: Request) -> Response:
    """Serve the archive to the browser under a neutral name."""
    job_result(request, MadeArchive)
    await run_in_vault(request, lambda _: None)
    return FileResponse(_archive_path(request), filename="page.zip", media_type="application/zip")


async def show_import_form(request: Request, words: str = "", status: int = 200) -> Response:
    await run_in_vault(request, lambda _: None)
    form = posted_form(request)
    folder = typed_text(form, "folder") if form else ""
    return show(request, "take_archive.html", status=status, words=words, folder=folder)


async def import_uploaded_or_local_archive(request: Request) -> Response:
    """Import an archive: an uploaded file, or a folder on this machine."""
    form = await read_form(request)
    files, folder = await chosen_files(form, "file"), typed_text(form, "folder")
    words, say = passphrase_in(form, "passphrase"), language_of(request).sentences.gettext
    if not files and not folder:
        return await show_import_form(request, error_words(NoFileChosen()), 409)

    def import_chosen_archive(device: Device, report: ReportProgress) -> ArchiveImportResult:
        def report_bytes(done: int, total: int) -> None:
            report(say("Reading"), done // _BYTES_PER_MB, max(1, total // _BYTES_PER_MB))

        if files:
            result = import_archive_from_zip(io.BytesIO(files[0].data), words, device, report_bytes)
        else:
            result = import_archive(Path(folder), words, device, report_bytes)
        return ArchiveImportResult((*describe_import(result), *describe_omitted_cases(result)))

    return start_job(request, say("Opening the archive"), import_chosen_archive, "archive_taken")


async def show_imported(request: Request) -> Response:
    said = job_result(request, ArchiveImportResult).said
    say = language_of(request).sentences.gettext
    return show(request, "told.html", heading=say("The archive was opened"), said=said, back="home")


def delete_archive(place: Path) -> None:
    """Delete an archive if it exists. Errors of the disk are ignored."""
    with suppress(OSError):
        place.unlink(missing_ok=True)


def _archive_path(request: Request) -> Path:
    return state_of(request).settings.home / ARCHIVE_FILE_NAME
