"""Trace found files, and show whose copy each is, how certain that is, and how it was
determined.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import ChosenFile, chosen_files, read_form
from entrenous.app.jobs import ReportProgress
from entrenous.app.pages.copies import NoFileChosen
from entrenous.app.web import (
    ResultGone,
    download_response,
    error_words,
    job_result,
    language_of,
    response_for_page,
    run_in_vault,
    show,
    start_job,
    state_of,
)
from entrenous.base.errors import EntrenousError
from entrenous.base.language import translated
from entrenous.device.device import Device
from entrenous.device.open_device import with_fast_picture_decoding
from entrenous.trace.explain.drawing import drawing_as_svg
from entrenous.trace.explain.wording import (
    NOT_WHO_PASSED_IT_ON,
    how_to_check_trace,
    translated_caveats,
)

if TYPE_CHECKING:
    from entrenous.trace.explain.sections import ReportContent
    from entrenous.trace.originals import OriginalsCache


@dataclass(frozen=True, slots=True)
class TracedFile:
    """A found file: its report, or the reason why there is no report."""

    name: str
    report: ReportContent | None = None
    error: str = ""
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class TracedFiles:
    """The found files, in their order."""

    files: tuple[TracedFile, ...]


def routes() -> list[Route]:
    return [
        Route("/30", show_found_form, name="found", methods=["GET"]),
        Route("/30", start_tracing, methods=["POST"]),
        Route("/31/{handle}", show_verdicts, name="verdicts"),
        Route("/31/{handle}/{number:int}", show_explanation, name="how"),
        Route("/31/{handle}/{number:int}/pdf", serve_report_pdf, name="paper"),
        Route("/31/{handle}/{number:int}/{picture}", serve_report_picture, name="overlay"),
    ]


async def show_found_form(request: Request) -> Response:
    """Ask for the files. If there is no device on this machine yet, show where to begin instead."""
    if state_of(request).has_device:
        await run_in_vault(request, lambda _: None)
    newest = state_of(request).jobs.newest_successful_job("verdicts")
    return show(request, "found.html", newest=newest.handle if newest else "")


async def start_tracing(request: Request) -> Response:
    files = await chosen_files(await read_form(request), "file")
    if not files:
        raise NoFileChosen
    say = language_of(request).sentences.gettext
    stage = say("Looking at file {number} of {total}, and comparing it with all your copies")

    def trace_all_files(device: Device, report: ReportProgress) -> TracedFiles:
        from entrenous.trace.originals import OriginalsCache  # noqa: PLC0415 - slow to load

        originals, found = OriginalsCache(device.read_picture), list[TracedFile]()
        with with_fast_picture_decoding(device) as reader:
            for number, file in enumerate(files, start=1):
                report(stage.format(number=number, total=len(files)), number - 1, len(files))
                found.append(_trace_one_file(file, reader, originals))
        return TracedFiles(tuple(found))

    return start_job(request, say("Finding out whose copy it is"), trace_all_files, "verdicts")


def _trace_one_file(file: ChosenFile, device: Device, originals: OriginalsCache) -> TracedFile:
    from entrenous.trace.explain.sections import ReportOptions, report_content_of_file  # noqa: PLC0415 - as above
    from entrenous.trace.trace_file import trace_file, with_current_names  # noqa: PLC0415 - as above

    try:
        traced = with_current_names(trace_file(file.data, device, originals), device)
        return TracedFile(
            file.name,
            report_content_of_file(traced, file.data, file.name, device, ReportOptions()),
            data=file.data,
        )
    except EntrenousError as why:
        return TracedFile(file.name, error=error_words(why), data=file.data)


async def show_verdicts(request: Request) -> Response:
    """Show, for each file, the verdict, its probability, and what it does not say."""
    found = job_result(request, TracedFiles)
    handle = request.path_params["handle"]
    return show(
        request,
        "verdicts.html",
        files=found.files,
        handle=handle,
        not_who=translated(NOT_WHO_PASSED_IT_ON),
    )


async def show_explanation(request: Request) -> Response:
    """Show how the verdict was reached: scores, changes, method, and limits."""
    report = _find_report_content(request)
    return show(
        request,
        "how.html",
        it=report,
        handle=request.path_params["handle"],
        number=request.path_params["number"],
        plot=Markup(drawing_as_svg(report.plot)) if report.plot else "",  # noqa: S704 - escapes its texts
        limits=translated_caveats(),
        not_who=translated(NOT_WHO_PASSED_IT_ON),
        check=how_to_check_trace(report.number),
    )


async def serve_report_pdf(request: Request) -> Response:
    """Serve the report as a PDF under a neutral name."""
    from entrenous.trace.explain.pdf import write_pdf  # noqa: PLC0415 - slow to load

    report = _find_report_content(request)
    data = await asyncio.to_thread(write_pdf, report)
    return download_response(request, data, f"page-{report.number}.pdf")


async def serve_report_picture(request: Request) -> Response:
    """Serve one of the report's pictures, which the page veils."""
    pictures = _find_report_content(request).pictures
    name = request.path_params["picture"]
    if pictures is None or name not in {"original", "outlined", "laid", "found"}:
        raise ResultGone
    return response_for_page(request, getattr(pictures, name).jpeg, "image/jpeg")


def find_traced_file_data(request: Request, handle: str, number: int) -> bytes:
    """Return a found file by the job that traced it; raises ResultGone."""
    job = state_of(request).jobs.find_job(handle)
    result = job.future.result() if job is not None and job.is_over else None
    if not isinstance(result, TracedFiles) or not 0 < number <= len(result.files):
        raise ResultGone
    return result.files[number - 1].data


def _find_report_content(request: Request) -> ReportContent:
    files, number = job_result(request, TracedFiles).files, int(request.path_params["number"])
    report = files[number - 1].report if 0 < number <= len(files) else None
    if report is None:
        raise ResultGone
    return report
