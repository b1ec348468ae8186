"""Evidence of a case: store, stamp, check and view it, and save it with its proofs."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import chosen_files, read_form, typed_text
from entrenous.app.jobs import ReportProgress
from entrenous.app.page_file_cache import PageFile, PageFileCache
from entrenous.app.pages.copies import NoFileChosen
from entrenous.app.pages.one_case import (
    case_handle,
    change_case_or_show_refusal,
    find_case_name,
    run_in_case,
)
from entrenous.app.web import (
    ResultGone,
    download_response,
    error_words,
    job_result,
    language_of,
    posted_or_kept_form,
    redirect_to,
    response_for_page,
    show,
    start_job,
    state_of,
)
from entrenous.app.wording import texts_without_commands
from entrenous.base.errors import EntrenousError
from entrenous.base.language import translated
from entrenous.base.picture import MediaKind
from entrenous.crypto.rfc3161 import root_certificate_fingerprints
from entrenous.device.device import Device
from entrenous.media.file_kind import media_kind_of
from entrenous.respond.capture.saved_page import (
    describe_file,
    file_suffix,
    translated_file_description,
)
from entrenous.respond.case_file import find_case, find_open_case
from entrenous.respond.client.stamp_authority import open_known_authorities, verify_stamp
from entrenous.respond.evidence import (
    WHAT_STAMP_AUTHORITY_SEES,
    WHAT_STAMP_PROVES,
    ExportedItem,
    StampPostponed,
    explain_how_to_check_stamp,
    export_item,
    exported_files,
    item_history_in_words,
    read_evidence,
    read_verified_bytes,
    stamp_evidence_or_postpone,
    stamps_over_item,
    verification_in_words,
    verify_case,
)
from entrenous.respond.nouns import EvidenceLevel
from entrenous.respond.open_case import ADVICE_BEFORE_CAPTURE, add_file, add_statement
from entrenous.respond.packs.make_pack import zip_files
from entrenous.respond.stamp_authorities import stored_roots_trust_text

_EVIDENCE_CACHE_NAME: Final = "evidence"
_EVIDENCE_PREVIEW_SIDE_PX_MAX: Final = 480
_NO_PREVIEW: Final = PageFile(b"", "")


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The result of long work, in sentences. The page that shows it links back to the route
    ``page``; if that route belongs to a case, ``case`` is the handle of the case.

    ``file`` is saved under the neutral ``name`` by a button that says ``save``. ``note`` can be
    stored in the case.
    """

    heading: str
    words: tuple[str, ...]
    case: str
    page: str
    file: bytes = b""
    name: str = ""
    note: str = ""
    save: str = ""

    @property
    def page_path_params(self) -> dict[str, str]:
        """The parts of the address of ``page``."""
        return {"case": self.case} if self.case else {}


def routes() -> list[Route]:
    return [
        Route("/90/{case}", show_evidence, name="evidence", methods=["GET"]),
        Route("/90/{case}", store_evidence, methods=["POST"]),
        Route("/90/{case}/stamp", stamp_evidence, name="stamp", methods=["POST"]),
        Route("/90/{case}/check", check_evidence, name="check_case", methods=["POST"]),
        Route(
            "/90/{case}/pictures", start_making_small_pictures, name="show_small", methods=["POST"]
        ),
        Route("/90/{case}/{number:int}", serve_item, name="item", methods=["POST"]),
        Route(
            "/90/{case}/{number:int}/proofs",
            serve_item_with_proofs,
            name="item_proofs",
            methods=["POST"],
        ),
        Route("/90/{case}/{number:int}/picture", serve_small_picture, name="item_picture"),
        Route("/91/{handle}", show_outcome, name="outcome"),
        Route("/91/{handle}/file", serve_outcome_file, name="outcome_file"),
    ]


async def show_evidence(request: Request, words: str = "") -> Response:
    """Show the stored evidence and what each item proves, and what to know before adding more."""
    case, page_files = await run_in_case(request, find_case), state_of(request).page_files
    small = {
        one.number: page_files.find((_EVIDENCE_CACHE_NAME, case.name, one.number))
        for one in case.evidence
    }
    return show(
        request,
        "evidence.html",
        status=409 if words else 200,
        words=words,
        it=case,
        case=case_handle(request),
        before=[translated(line) for line in ADVICE_BEFORE_CAPTURE],
        authority_sees=translated(WHAT_STAMP_AUTHORITY_SEES),
        items=[
            (one, item_history_in_words(one, case), stamps_over_item(one, case))
            for one in case.evidence
        ],
        described=translated_file_description,
        shown={number for number, made in small.items() if made and made.data},
        unseen=any(
            small[one.number] is None for one in case.evidence if one.level is not EvidenceLevel.A0
        ),
        pages=[seen for seen in case.sightings if seen.where.startswith("http")],
        form=posted_or_kept_form(request),
    )


async def store_evidence(request: Request) -> Response:
    """Store files and a note unchanged."""
    form = await read_form(request)
    files, note = await chosen_files(form, "file"), typed_text(form, "note")
    if not files and not note:
        return await show_evidence(request, str(NoFileChosen()))

    def add_files_and_note(name: str, device: Device) -> None:
        find_open_case(name, device)
        with device.vault.transaction():
            for one in files:
                add_file(name, one.data, describe_file(one.data), device)
            if note:
                add_statement(name, note, device)

    done = await change_case_or_show_refusal(request, add_files_and_note, show_evidence)
    return done or redirect_to(request, "evidence", case=case_handle(request))


async def stamp_evidence(request: Request) -> Response:
    """Have a timestamp authority confirm that all evidence exists now; the authority sees one
    hash.
    """
    name, handle = await find_case_name(request), case_handle(request)
    settings, language = state_of(request).settings, language_of(request)
    say = language.sentences.gettext

    def request_stamp(device: Device, report: ReportProgress) -> JobOutcome:
        report(say("Asking a stamp authority"), 0, 0)
        try:
            with open_known_authorities(settings) as ask:
                case = stamp_evidence_or_postpone(name, ask, device)
        except StampPostponed as why:
            return JobOutcome(say("It waits for a stamp"), (error_words(why),), handle, "evidence")
        newest = case.stamps[-1]
        words = (
            f"{language.moment(newest.at)}, {newest.authority_url}",
            translated(WHAT_STAMP_PROVES),
        )
        return JobOutcome(say("It is stamped"), words, handle, "evidence")

    return start_job(request, say("Having it stamped"), request_stamp, "outcome")


async def check_evidence(request: Request) -> Response:
    """Check the custody chain, every item and every stamp again; nothing leaves the device."""
    name, handle = await find_case_name(request), case_handle(request)
    say, settings = language_of(request).sentences.gettext, state_of(request).settings

    def verify_evidence(device: Device, report: ReportProgress) -> JobOutcome:
        report(say("Checking everything that was kept"), 0, 0)
        case = verify_case(name, device, verify_stamp)
        roots = [one for at in case.stamps for one in root_certificate_fingerprints(at.authorities)]
        worth = stored_roots_trust_text(name, roots, settings) if roots else ""
        words = (*verification_in_words(case), *texts_without_commands([worth]))
        return JobOutcome(say("Everything holds"), words, handle, "evidence")

    return start_job(request, say("Checking everything that was kept"), verify_evidence, "outcome")


async def start_making_small_pictures(request: Request) -> Response:
    """Make small versions of the pictures, which the page shows veiled. The case records that these
    pictures were shown.
    """
    name, handle = await find_case_name(request), case_handle(request)
    say, page_files = language_of(request).sentences.gettext, state_of(request).page_files

    def make_small_versions(device: Device, report: ReportProgress) -> JobOutcome:
        case = find_case(name, device)
        items = [one for one in case.evidence if one.level is not EvidenceLevel.A0]
        for done, one in enumerate(items):
            report(say("Making the pictures small"), done, len(items))
            if page_files.find((_EVIDENCE_CACHE_NAME, name, one.number)) is None:
                made = _make_small_version(read_verified_bytes(case, one, device), page_files)
                page_files.keep((_EVIDENCE_CACHE_NAME, name, one.number), made)
                if made.data:
                    read_evidence(name, one.number, "shown small in the app", device)
        return JobOutcome("", (), handle, "evidence")

    return start_job(request, say("Making the pictures small"), make_small_versions, "outcome")


def _make_small_version(untrusted_data: bytes, page_files: PageFileCache) -> PageFile:
    """Return a small picture, or a clip's first frame; a file without bytes if neither can be
    shown.
    """
    if media_kind_of(untrusted_data) is MediaKind.SOUND:
        return _NO_PREVIEW
    try:
        made = page_files.make_preview(untrusted_data, _EVIDENCE_PREVIEW_SIDE_PX_MAX)
    except EntrenousError:
        return _NO_PREVIEW
    return made if made.media_type == "image/jpeg" else _NO_PREVIEW


async def serve_small_picture(request: Request) -> Response:
    """Show the small version of an item, if it was made since the app was unlocked."""
    number, page_files = request.path_params["number"], state_of(request).page_files
    name = await find_case_name(request)
    made = page_files.find((_EVIDENCE_CACHE_NAME, name, number))
    if made is None or not made.data:
        raise ResultGone
    return response_for_page(request, made.data, made.media_type)


async def show_outcome(request: Request) -> Response:
    """Show the result of long work; if it has no words, show the page that it links back to."""
    found = job_result(request, JobOutcome)
    if not found.words:
        return redirect_to(request, found.page, **found.page_path_params)
    return show(request, "outcome.html", it=found, handle=request.path_params["handle"])


async def serve_outcome_file(request: Request) -> Response:
    found = job_result(request, JobOutcome)
    return download_response(request, found.file, found.name)


async def serve_item(request: Request) -> Response:
    """Serve one stored item as a download, and record that in the case."""
    number = request.path_params["number"]
    data = await run_in_case(
        request, lambda name, device: read_evidence(name, number, "saved from the app", device)
    )
    return download_response(request, data, f"item-{number}{file_suffix(data)}")


async def serve_item_with_proofs(request: Request) -> Response:
    """Serve an item with its stamps and with instructions to check them; the case records this."""
    number, taken = request.path_params["number"], list[ExportedItem]()
    await run_in_case(
        request,
        lambda name, device: export_item(
            name, number, "saved from the app with its proofs", device, taken.append
        ),
    )
    files = exported_files(taken[0])
    instructions = "\n".join(explain_how_to_check_stamp(list(files)))
    made = zip_files({**files, "how-to-check.txt": f"{instructions}\n".encode()})
    return download_response(request, made, f"item-{number}.zip")
