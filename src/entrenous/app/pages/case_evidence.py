"""Evidence of a case: store, stamp, check, capture and view it; save it with its proofs."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import chosen_files, read_form, typed
from entrenous.app.jobs import Report
from entrenous.app.pages.copies import NothingChosen
from entrenous.app.pages.one_case import (
    case_handle,
    change_or_show_refusal,
    find_case_name,
    run_in_case,
)
from entrenous.app.slots import Shown, Slots
from entrenous.app.web import (
    ResultGone,
    error_words,
    file_response,
    go_to,
    language_of,
    result_of,
    show,
    shown_file,
    start_job,
    state_of,
)
from entrenous.app.wording import for_pages
from entrenous.base.errors import EntrenousError
from entrenous.base.language import translated
from entrenous.base.picture import MediaKind
from entrenous.crypto.rfc3161 import certificate_fingerprints
from entrenous.device.device import Device
from entrenous.media.file_kind import medium_of
from entrenous.respond.capture.saved_page import (
    describe_file,
    description_in_words,
    file_suffix,
)
from entrenous.respond.case_file import find_case, find_open_case
from entrenous.respond.client.stamp_authority import check_stamp, known_authorities
from entrenous.respond.evidence import (
    AUTHORITY_SEES,
    PROVES,
    ExportedItem,
    StampPostponed,
    export_item,
    exported_files,
    how_to_check_stamp,
    kept_in_words,
    read_evidence,
    stamp_or_wait,
    stamps_of,
    verification_in_words,
    verified_bytes,
    verify_case,
)
from entrenous.respond.nouns import EvidenceLevel
from entrenous.respond.open_case import BEFORE_CAPTURE, add_file, add_statement
from entrenous.respond.packs.make_pack import zip_files
from entrenous.respond.stamp_authorities import kept_roots_text

_SLOT: Final = "evidence"
_SMALL_PX: Final = 480
_NOTHING_TO_SEE: Final = Shown(b"", "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of long work in sentences; the page links back to ``page``, which may be of a
    case.

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
    def parts(self) -> dict[str, str]:
        """The parts of the address of ``page``."""
        return {"case": self.case} if self.case else {}


def routes() -> list[Route]:
    return [
        Route("/90/{case}", show_evidence, name="evidence", methods=["GET"]),
        Route("/90/{case}", store_evidence, methods=["POST"]),
        Route("/90/{case}/stamp", stamp_evidence, name="stamp", methods=["POST"]),
        Route("/90/{case}/check", check_evidence, name="check_case", methods=["POST"]),
        Route("/90/{case}/pictures", show_small, name="show_small", methods=["POST"]),
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
    """Show the stored evidence and what each item proves; before the first one, what to know."""
    case, slots = await run_in_case(request, find_case), state_of(request).slots
    small = {one.number: slots.find((_SLOT, case.name, one.number)) for one in case.evidence}
    return show(
        request,
        "evidence.html",
        status=409 if words else 200,
        words=words,
        it=case,
        case=case_handle(request),
        before=[translated(line) for line in BEFORE_CAPTURE],
        authority_sees=translated(AUTHORITY_SEES),
        items=[(one, kept_in_words(one, case), stamps_of(one, case)) for one in case.evidence],
        described=description_in_words,
        shown={number for number, made in small.items() if made and made.data},
        unseen=any(
            small[one.number] is None for one in case.evidence if one.level is not EvidenceLevel.A0
        ),
        pages=[seen for seen in case.sightings if seen.where.startswith("http")],
        form=getattr(request.state, "form", None) or {},
    )


async def store_evidence(request: Request) -> Response:
    """Store files and a note unchanged."""
    form = await read_form(request)
    files, note = await chosen_files(form, "file"), typed(form, "note")
    if not files and not note:
        return await show_evidence(request, str(NothingChosen()))

    def kept(name: str, device: Device) -> None:
        find_open_case(name, device)
        with device.vault.transaction():
            for one in files:
                add_file(name, one.data, describe_file(one.data), device)
            if note:
                add_statement(name, note, device)

    done = await change_or_show_refusal(request, kept, show_evidence)
    return done or go_to(request, "evidence", case=case_handle(request))


async def stamp_evidence(request: Request) -> Response:
    """Have a stamp authority confirm that all evidence exists now; it sees one hash."""
    name, handle = await find_case_name(request), case_handle(request)
    settings, language = state_of(request).settings, language_of(request)
    say = language.sentences.gettext

    def work(device: Device, report: Report) -> Outcome:
        report(say("Asking a stamp authority"), 0, 0)
        try:
            with known_authorities(settings) as ask:
                case = stamp_or_wait(name, ask, device)
        except StampPostponed as why:
            return Outcome(say("It waits for a stamp"), (error_words(why),), handle, "evidence")
        newest = case.stamps[-1]
        words = (f"{language.moment(newest.at)}, {newest.authority_url}", translated(PROVES))
        return Outcome(say("It is stamped"), words, handle, "evidence")

    return start_job(request, say("Having it stamped"), work, "outcome")


async def check_evidence(request: Request) -> Response:
    """Check the custody chain, every item and every stamp again; nothing leaves the device."""
    name, handle = await find_case_name(request), case_handle(request)
    say, settings = language_of(request).sentences.gettext, state_of(request).settings

    def work(device: Device, report: Report) -> Outcome:
        report(say("Checking everything that was kept"), 0, 0)
        case = verify_case(name, device, check_stamp)
        roots = [one for at in case.stamps for one in certificate_fingerprints(at.authorities)]
        worth = kept_roots_text(name, roots, settings) if roots else ""
        words = (*verification_in_words(case), *for_pages([worth]))
        return Outcome(say("Everything holds"), words, handle, "evidence")

    return start_job(request, say("Checking everything that was kept"), work, "outcome")


async def show_small(request: Request) -> Response:
    """Make small versions of the pictures, shown veiled; the case records that they were viewed."""
    name, handle = await find_case_name(request), case_handle(request)
    say, slots = language_of(request).sentences.gettext, state_of(request).slots

    def work(device: Device, report: Report) -> Outcome:
        case = find_case(name, device)
        items = [one for one in case.evidence if one.level is not EvidenceLevel.A0]
        for done, one in enumerate(items):
            report(say("Making the pictures small"), done, len(items))
            if slots.find((_SLOT, name, one.number)) is None:
                made = _make_small_version(verified_bytes(case, one, device), slots)
                slots.keep((_SLOT, name, one.number), made)
                if made.data:
                    read_evidence(name, one.number, "shown small in the app", device)
        return Outcome("", (), handle, "evidence")

    return start_job(request, say("Making the pictures small"), work, "outcome")


def _make_small_version(untrusted_data: bytes, slots: Slots) -> Shown:
    """Return a picture or a clip's first frame; without bytes if there is none to show."""
    if medium_of(untrusted_data) is MediaKind.SOUND:
        return _NOTHING_TO_SEE
    try:
        made = slots.preview(untrusted_data, _SMALL_PX)
    except EntrenousError:
        return _NOTHING_TO_SEE
    return made if made.media_type == "image/jpeg" else _NOTHING_TO_SEE


async def serve_small_picture(request: Request) -> Response:
    """Show the small version of an item, if it was made since the app was unlocked."""
    number, slots = request.path_params["number"], state_of(request).slots
    name = await find_case_name(request)
    made = slots.find((_SLOT, name, number))
    if made is None or not made.data:
        raise ResultGone
    return shown_file(request, made.data, made.media_type)


async def show_outcome(request: Request) -> Response:
    """Show the result of long work; without words, its page shows it."""
    found = result_of(request, Outcome)
    if not found.words:
        return go_to(request, found.page, **found.parts)
    return show(request, "outcome.html", it=found, handle=request.path_params["handle"])


async def serve_outcome_file(request: Request) -> Response:
    found = result_of(request, Outcome)
    return file_response(request, found.file, found.name)


async def serve_item(request: Request) -> Response:
    """Serve one stored item as a download, and record that in the case."""
    number = request.path_params["number"]
    data = await run_in_case(
        request, lambda name, device: read_evidence(name, number, "saved from the app", device)
    )
    return file_response(request, data, f"item-{number}{file_suffix(data)}")


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
    told = "\n".join(how_to_check_stamp(list(files)))
    made = zip_files({**files, "how-to-check.txt": f"{told}\n".encode()})
    return file_response(request, made, f"item-{number}.zip")
