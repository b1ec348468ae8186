"""Evidence of a case: store, stamp, capture and view it."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.files import file_response
from entrenous.app.forms import chosen_files, read_form, typed
from entrenous.app.jobs import Report
from entrenous.app.pages.copies import NothingChosen
from entrenous.app.pages.one_case import case_handle, case_name, in_case
from entrenous.app.web import (
    error_words,
    go_to,
    language_of,
    result_of,
    show,
    start_job,
    state_of,
)
from entrenous.base.errors import EntrenousError
from entrenous.base.language import translated
from entrenous.device.device import Device
from entrenous.respond.capture.saved_page import describe_file, file_suffix
from entrenous.respond.case_file import find_case, find_open_case
from entrenous.respond.client.stamp_authority import known_authorities
from entrenous.respond.evidence import level_in_words, read_evidence, stamp_or_wait
from entrenous.respond.open_case import BEFORE_CAPTURE, add_file, add_statement
from entrenous.respond.timestamps import AUTHORITY_SEES, PROVES, StampWaits


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of long work in sentences; the page links back to ``page``, of a case if any.

    ``file`` can be saved under the neutral ``name``; ``note`` can be stored in the case.
    """

    heading: str
    words: tuple[str, ...]
    case: str
    page: str
    file: bytes = b""
    name: str = ""
    note: str = ""

    @property
    def parts(self) -> dict[str, str]:
        """The parts of the address of ``page``."""
        return {"case": self.case} if self.case else {}


def routes() -> list[Route]:
    return [
        Route("/90/{case}", evidence, name="evidence", methods=["GET"]),
        Route("/90/{case}", keep, methods=["POST"]),
        Route("/90/{case}/stamp", stamp, name="stamp", methods=["POST"]),
        Route("/90/{case}/{number:int}", item, name="item", methods=["POST"]),
        Route("/91/{handle}", outcome, name="outcome"),
        Route("/91/{handle}/file", outcome_file, name="outcome_file"),
    ]


async def evidence(request: Request, words: str = "") -> Response:
    """Show the stored evidence and what each item proves; before the first one, what to know."""
    case = await in_case(request, find_case)
    return show(
        request,
        "evidence.html",
        status=409 if words else 200,
        words=words,
        it=case,
        case=case_handle(request),
        before=[translated(line) for line in BEFORE_CAPTURE],
        authority_sees=translated(AUTHORITY_SEES),
        items=[(one, level_in_words(one, case)) for one in case.evidence],
        pages=[seen for seen in case.sightings if seen.where.startswith("http")],
        form=getattr(request.state, "form", None) or {},
    )


async def keep(request: Request) -> Response:
    """Store files and a note unchanged."""
    form = await read_form(request)
    files, note = await chosen_files(form, "file"), typed(form, "note")
    if not files and not note:
        return await evidence(request, str(NothingChosen()))

    def kept(name: str, device: Device) -> None:
        find_open_case(name, device)
        with device.vault.together():
            for one in files:
                add_file(name, one.data, describe_file(one.data), device)
            if note:
                add_statement(name, note, device)

    try:
        await in_case(request, kept)
    except EntrenousError as why:
        if not state_of(request).vault.is_open:
            raise
        return await evidence(request, error_words(why))
    return go_to(request, "evidence", case=case_handle(request))


async def stamp(request: Request) -> Response:
    """Have a stamp authority confirm that all evidence exists now; it sees one hash."""
    name, handle = await case_name(request), case_handle(request)
    settings, language = state_of(request).settings, language_of(request)
    say = language.sentences.gettext

    def work(device: Device, report: Report) -> Outcome:
        report(say("Asking a stamp authority"), 0, 0)
        try:
            with known_authorities(settings) as ask:
                case = stamp_or_wait(name, ask, device)
        except StampWaits as why:
            return Outcome(say("It waits for a stamp"), (error_words(why),), handle, "evidence")
        newest = case.stamps[-1]
        words = (f"{language.moment(newest.at)}, {newest.authority_url}", translated(PROVES))
        return Outcome(say("It is stamped"), words, handle, "evidence")

    return start_job(request, say("Having it stamped"), work, "outcome")


async def outcome(request: Request) -> Response:
    """Show the result of long work."""
    found = result_of(request, Outcome)
    return show(request, "outcome.html", it=found, handle=request.path_params["handle"])


async def outcome_file(request: Request) -> Response:
    found = result_of(request, Outcome)
    return file_response(request, found.file, found.name)


async def item(request: Request) -> Response:
    """Serve one stored item as a download, and record that in the case."""
    number = request.path_params["number"]
    data = await in_case(
        request, lambda name, device: read_evidence(name, number, "saved from the app", device)
    )
    return file_response(request, data, f"item-{number}{file_suffix(data)}")
