"""Review a draft before it is sent: its recipients, the metadata that is removed, and a preview of
a recipient's copy.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_text
from entrenous.app.jobs import ReportProgress
from entrenous.app.web import (
    ConfirmationQuestion,
    ResultGone,
    has_confirmed,
    job_result,
    language_of,
    redirect_to,
    response_for_page,
    run_in_vault,
    show,
    show_confirmation_page,
    start_job,
    state_of,
)
from entrenous.app.world_map import svg_land_path_around
from entrenous.base.environment import SystemClock
from entrenous.base.identity import Contact
from entrenous.base.picture import MediaKind
from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.media.file_kind import is_animated, is_sound_only_webm, media_kind_of
from entrenous.media.metadata import Metadata, read_metadata
from entrenous.send.clock_sanity import rounded_expiry
from entrenous.send.conversations import contact_names_among, participants_of_message
from entrenous.send.guard import inspect_draft
from entrenous.send.inbox import received_message_named, reference_to_message, text_to_show
from entrenous.send.message.draft import (
    Draft,
    MessagePolicy,
    NoSuchDraft,
    RecipientWarning,
    StoredDraft,
    discard_draft,
    find_draft,
    remove_draft_file,
)
from entrenous.send.people.circle_members import resolve_recipients
from entrenous.send.people.contact_history import latest_messages_sent_to

if TYPE_CHECKING:
    from entrenous.send.copies.picture_copies import CopyPreview

_QUOTED_CHARS_MAX: Final = 120  # number of characters shown of an answered message
DRAFT_PREVIEW_SIDE_PX_MAX: Final = 480
_COPY_PREVIEW_SIDE_PX_MAX: Final = 900
_WORD_BY_MEDIA_KIND: Final = {
    MediaKind.PICTURE: "picture",
    MediaKind.CLIP: "clip",
    MediaKind.SOUND: "sound",
}


@dataclass(frozen=True, slots=True)
class Recipient:
    """A recipient, and the time of the last message sent to them."""

    contact: Contact
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class DraftFile:
    """A file of a draft: its name, its kind in words, its metadata, a map of the land around its
    place, and whether it is a moving picture, of which only the first frame is sent.
    """

    name: str
    kind: str
    metadata: Metadata
    land: str
    moves: bool


@dataclass(frozen=True, slots=True)
class ReviewPageContents:
    """What the review page shows: recipients, files, and the warnings of the guard, which looks for
    a wrong recipient.
    """

    draft: StoredDraft
    people: tuple[Recipient, ...]
    files: tuple[DraftFile, ...]
    warnings: tuple[RecipientWarning, ...]
    answers: str


@dataclass(frozen=True, slots=True)
class RecipientCopyPreview:
    """A preview of a recipient's copy, in memory. ``draft`` is the handle of the draft, and
    ``factor`` says how much the shown difference from the original is amplified.
    """

    draft: str
    factor: int
    preview: "CopyPreview"


def routes() -> list[Route]:
    return [
        Route("/11/{draft}", show_review, name="review", methods=["GET"]),
        Route(
            "/14/{draft}/{number:int}", serve_draft_file_preview, name="draft_file", methods=["GET"]
        ),
        Route("/14/{draft}/{number:int}", remove_one_file, methods=["POST"]),
        Route(
            "/15/{draft}/{number:int}",
            start_making_copy_preview,
            name="make_copy",
            methods=["POST"],
        ),
        Route("/16/{handle}", show_copy_preview, name="their_copy"),
        Route("/16/{handle}/{picture}", serve_copy_preview_picture, name="copy_picture"),
    ]


async def show_review(request: Request, words: str = "", status: int = 200) -> Response:
    """Show recipients, removed metadata, and the guard's questions. If the draft has no
    recipient, return to the form in which it was written.
    """

    def read_draft_to_review(device: Device) -> ReviewPageContents | None:
        kept = draft_at_address(request, device)
        if not kept.to:
            return None
        draft = sendable_draft_of(kept, frozenset(), device)
        known = {one.name: one for one in contacts(device)}
        people = tuple(_describe_recipient(known[name], device) for name in draft.to)
        files = tuple(
            _inspect_file(name, data) for name, data in zip_longest(kept.names, draft.files)
        )
        warnings = inspect_draft(draft, device).unanswered
        return ReviewPageContents(
            kept, people, files, warnings, beginning_of_answered_message(kept.reply, device)
        )

    found = await run_in_vault(request, read_draft_to_review)
    if found is None:
        write = request.app.url_path_for("send")
        return RedirectResponse(f"{write}?draft={request.path_params['draft']}", 303)
    return show(
        request,
        "review.html",
        status=status,
        words=words,
        found=found,
        until=SystemClock().now() + timedelta(days=found.draft.days),
        file_handles=[
            state_of(request).login.handle_for("draft_file", blob.hex())
            for blob in found.draft.files
        ],
        handle=request.path_params["draft"],
    )


def _describe_recipient(contact: Contact, device: Device) -> Recipient:
    sent = latest_messages_sent_to(contact.person.id, device)
    return Recipient(contact, sent[-1].at if sent else None)


def _inspect_file(name: str | None, data: bytes) -> DraftFile:
    """Read the kind and the metadata of a file. Like its metadata, its name is not sent."""
    metadata = read_metadata(data)
    land = (
        svg_land_path_around(metadata.place.latitude, metadata.place.longitude)
        if metadata.place
        else ""
    )
    kind = MediaKind.SOUND if is_sound_only_webm(data) else media_kind_of(data)
    return DraftFile(name or "", _WORD_BY_MEDIA_KIND[kind], metadata, land, is_animated(data))


async def serve_draft_file_preview(request: Request) -> Response:
    """Serve a small version of a draft's file, made from its decoded pixels or samples."""
    number, page_files = int(request.path_params["number"]), state_of(request).page_files

    def find_blob_and_data(device: Device) -> tuple[str, bytes | None]:
        kept = draft_at_address(request, device)
        if not 0 < number <= len(kept.files):
            raise NoSuchDraft
        blob = kept.files[number - 1]
        found = page_files.find(("draft", blob.hex(), 0))
        return blob.hex(), None if found else device.vault.read_stored_file(blob)

    blob, data = await run_in_vault(request, find_blob_and_data)
    made = await page_files.get_or_make(
        ("draft", blob, 0), lambda: page_files.make_preview(data or b"", DRAFT_PREVIEW_SIDE_PX_MAX)
    )
    return response_for_page(request, made.data, made.media_type)


async def remove_one_file(request: Request) -> Response:
    """Remove one file from the draft, once the person is sure; a draft without files and text is
    deleted.
    """
    number, draft = request.path_params["number"], request.path_params["draft"]
    form, say = await read_form(request), language_of(request).sentences.gettext
    # not the number: those of later files change when a file is removed
    blob = state_of(request).login.name_of_handle("draft_file", typed_text(form, "file"))
    if not has_confirmed(form):
        said = say("Your own file stays where it is; a voice that you recorded here is gone.")
        heading = say("Remove file {number} from this message?").format(number=number)
        return show_confirmation_page(
            request, form, ConfirmationQuestion(heading, (said,), say("Remove it"), say("Keep it"))
        )

    def remove_and_discard_if_empty(device: Device) -> bool:
        kept = draft_at_address(request, device)
        blobs = [one.hex() for one in kept.files]
        if blob is not None and blob in blobs:
            kept = remove_draft_file(kept.id, blobs.index(blob), device)
        if kept.files or kept.text:
            return True
        discard_draft(kept.id, device)
        return False

    is_left = await run_in_vault(request, remove_and_discard_if_empty)
    forget_copy_previews(request, draft)
    if is_left:
        return redirect_to(request, "review", draft=draft)
    return redirect_to(request, "send")


def forget_copy_previews(request: Request, draft: str) -> None:
    """Forget the previews of the copies of a draft, given its handle."""

    def is_preview_of_draft(result: object) -> bool:
        return isinstance(result, RecipientCopyPreview) and result.draft == draft

    state_of(request).jobs.forget_results(is_preview_of_draft)


async def start_making_copy_preview(request: Request) -> Response:
    """Make a preview of a recipient's copy, in memory."""
    say, place = language_of(request).sentences.gettext, int(request.path_params["number"]) - 1
    draft = request.path_params["draft"]

    def make_marked_preview(device: Device, _: ReportProgress) -> RecipientCopyPreview:
        from entrenous.send.copies.picture_copies import DIFFERENCE_AMPLIFICATION, preview_copy  # noqa: PLC0415 - loads OpenCV

        kept = draft_at_address(request, device)
        if not 0 <= place < len(kept.files):
            raise NoSuchDraft
        made = preview_copy(
            device.vault.read_stored_file(kept.files[place]), _COPY_PREVIEW_SIDE_PX_MAX, device
        )
        return RecipientCopyPreview(draft, DIFFERENCE_AMPLIFICATION, made)

    return start_job(request, say("Marking a copy to look at"), make_marked_preview, "their_copy")


async def show_copy_preview(request: Request) -> Response:
    made = job_result(request, RecipientCopyPreview)
    return show(request, "their_copy.html", made=made, handle=request.path_params["handle"])


async def serve_copy_preview_picture(request: Request) -> Response:
    made = job_result(request, RecipientCopyPreview).preview
    pictures = {"original": made.original, "copy": made.copy, "difference": made.difference}
    found = pictures.get(request.path_params["picture"])
    if found is None:
        raise ResultGone
    return response_for_page(request, found, "image/jpeg")


def beginning_of_answered_message(reply: str, device: Device) -> str:
    """Return the beginning of the answered message, or its name if it has no text to show; "" if no
    message is answered.
    """
    if not reply:
        return ""
    received = received_message_named(reply, device)
    text = (
        device.ledger.message_named(reply).caption
        if received is None
        else text_to_show(received, device)
    )
    return (text or reply)[:_QUOTED_CHARS_MAX]


def draft_at_address(request: Request, device: Device) -> StoredDraft:
    """Return the draft whose handle is in the address; raises NoSuchDraft."""
    named = state_of(request).login.name_of_handle("draft", request.path_params["draft"]) or ""
    return find_draft(bytes.fromhex(named), device)


def sendable_draft_of(kept: StoredDraft, confirmed: frozenset[str], device: Device) -> Draft:
    """Return a draft as it would be sent now; ``confirmed`` are the names typed for the guard.

    Raises UnknownPerson, UnknownMessage and the errors of an invalid draft.
    """
    within = participants_of_message(kept.reply, device) if kept.reply else None
    going = resolve_recipients(list(kept.to) or contact_names_among(within, device), device)
    files = tuple(device.vault.read_stored_file(blob) for blob in kept.files)
    return Draft(
        files=files,
        to=going.people,
        policy=MessagePolicy(
            rounded_expiry(kept.days, device),
            1 if kept.once else None,
            may_export=kept.may_export,
        ),
        caption=(kept.text or None) if files else None,
        confirmed=confirmed,
        circles=going.circles,
        within=within,
        text=None if files else (kept.text or None),
        reply=reference_to_message(kept.reply, device) if kept.reply else None,
    )
