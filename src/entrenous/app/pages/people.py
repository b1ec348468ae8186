"""People: invite, add and block them, verify their keys by number, by emoji or face to face, and
put them into circles (named groups).
"""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import BrokenForm, chosen_files, read_form, typed_text
from entrenous.app.pages.copies import NoFileChosen
from entrenous.app.web import (
    ConfirmationQuestion,
    error_words,
    has_confirmed,
    job_result,
    language_of,
    posted_or_kept_form,
    redirect_to,
    response_for_page,
    run_in_vault,
    show,
    show_confirmation_page,
    start_job,
    state_of,
)
from entrenous.base.errors import EntrenousError, NotFound, Refused
from entrenous.base.identity import Contact
from entrenous.base.limits import INVITE_DAYS
from entrenous.crypto.short_auth_string import ShortAuthString
from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.send.flush import flush_outbox
from entrenous.send.formats.identity_formats import read_invite_link
from entrenous.send.people.block import block_contact, rename_contact, set_receipts, unblock_contact
from entrenous.send.people.circle_members import (
    create_or_extend_circle,
    members_of,
    remove_from_circle_or_delete,
)
from entrenous.send.people.circles import circles
from entrenous.send.people.compare_keys import (
    accept_qr_code,
    auth_string_with,
    begin_or_answer_comparison,
    comparison_with,
    confirm_match,
    qr_code_text_for,
    record_mismatch,
    safety_number,
)
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_by_id, forget_contact, mark_keys_compared
from entrenous.send.people.people_nouns import ComparisonStage
from entrenous.send.people.qr_codes import qr_picture, read_qr_code


class NoLinkGiven(Refused):
    """Paste the person's link, or choose a photo of their code. Nobody was added."""


class NoSuchContact(NotFound):
    """
    The person that this page is about is not among your contacts on this device. Nothing was
    changed. Go back to the list of people, and choose somebody there.
    """


@dataclass(frozen=True, slots=True)
class MadeInviteLink:
    """An invite link, in memory, and the person it is for."""

    link: str
    name: str


@dataclass(frozen=True, slots=True)
class ComparisonProgress:
    """The progress of a comparison by emoji. ``string`` is None until both people can compare."""

    stage: ComparisonStage | None
    string: ShortAuthString | None = None


def routes() -> list[Route]:
    return [
        Route("/50", show_people, name="people", methods=["GET"]),
        Route("/51", start_invite, name="invite", methods=["POST"]),
        Route("/51/{handle}", show_invite, name="invited", methods=["GET"]),
        Route("/51/{handle}/qr", serve_invite_code, name="invite_code"),
        Route("/52", add_by_link, name="add_person", methods=["POST"]),
        Route("/53/{person}", show_person, name="person", methods=["GET"]),
        Route("/53/{person}", change_person, methods=["POST"]),
        Route("/54/{person}", show_comparison, name="compare", methods=["GET"]),
        Route("/54/{person}", take_comparison_step, methods=["POST"]),
        Route("/54/{person}/differs", explain_difference, name="differs"),
        Route("/55/{person}", show_face_to_face, name="face_to_face", methods=["GET"]),
        Route("/55/{person}", scan_code, methods=["POST"]),
        Route("/55/{person}/qr", serve_own_code, name="own_code"),
        Route("/56", extend_or_remove_circle, name="circle", methods=["POST"]),
    ]


async def show_people(request: Request, words: str = "", status: int = 200) -> Response:
    def read_people_and_circles(device: Device) -> tuple[tuple[Contact, ...], dict[str, list[str]]]:
        every = circles(device.vault)
        return contacts(device), {
            one.name: [contact.name for contact in members_of(one, device)] for one in every
        }

    known, groups = await run_in_vault(request, read_people_and_circles)
    form = posted_or_kept_form(request)
    return show(
        request,
        "people.html",
        status=status,
        words=words,
        form=form,
        people=[(_handle_of_contact(request, one), one) for one in known],
        circles=groups,
    )


async def start_invite(request: Request) -> Response:
    form = await read_form(request)
    name = typed_text(form, "for") or None
    say = language_of(request).sentences.gettext

    def make_link(device: Device, _: object) -> MadeInviteLink:
        return MadeInviteLink(make_invite_link(device, name=name), name or "")

    return start_job(request, say("Making a link"), make_link, "invited")


async def show_invite(request: Request) -> Response:
    made = job_result(request, MadeInviteLink)
    handle = request.path_params["handle"]
    return show(request, "invited.html", made=made, handle=handle, days=INVITE_DAYS)


async def serve_invite_code(request: Request) -> Response:
    return response_for_page(
        request, qr_picture(job_result(request, MadeInviteLink).link), "image/png"
    )


async def add_by_link(request: Request) -> Response:
    """Add somebody by their link, typed or photographed. If no name is typed, the name in the link
    is used.
    """
    form = await read_form(request)
    link, photos = "".join(typed_text(form, "link").split()), await chosen_files(form, "photo")
    try:
        if photos and not link:
            link = await asyncio.to_thread(read_qr_code, photos[0].data)
        if not link:
            raise NoLinkGiven
        name = typed_text(form, "name") or read_invite_link(link).name
        added = await run_in_vault(request, lambda device: add_person(link, name, device))
    except EntrenousError as why:
        return await _show_people_again(request, why)
    return redirect_to(request, "person", person=_handle_of_contact(request, added))


async def show_person(request: Request) -> Response:
    def read_person_and_number(device: Device) -> tuple[Contact, str]:
        contact = _find_contact(request, device)
        return contact, safety_number(contact.name, device)

    contact, number = await run_in_vault(request, read_person_and_number)
    return show(
        request,
        "person.html",
        contact=contact,
        person=request.path_params["person"],
        number=number.split(),
    )


async def change_person(request: Request) -> Response:
    """Rename, block, unblock or forget a person, set whether they get receipts, or record that the
    safety numbers match.
    """
    form = await read_form(request)
    what, name = typed_text(form, "do"), typed_text(form, "name")
    if what in {"block", "forget"} and not has_confirmed(form):
        known = await run_in_vault(request, lambda device: _find_contact(request, device))
        return show_confirmation_page(
            request, form, _confirmation_question(request, what, known.name)
        )

    def change_and_flush(device: Device) -> Contact:
        contact = _find_contact(request, device)
        changed = _apply_change(what, contact.name, name, device)
        flush_outbox(device)
        return changed

    contact = await run_in_vault(request, change_and_flush)
    if what == "forget":
        return redirect_to(request, "people")
    return redirect_to(request, "person", person=_handle_of_contact(request, contact))


def _confirmation_question(request: Request, what: str, name: str) -> ConfirmationQuestion:
    """Return what to ask before somebody is blocked or forgotten."""
    say = language_of(request).sentences.gettext
    if what == "block":
        said = (
            say("Nothing that they send is accepted any more, and you can send them nothing."),
            say("They are not told. You can unblock them at any time."),
        )
        heading, yes, no = say("Block {name}?"), say("Block"), say("Do not block")
    else:
        said = (
            say("You cannot write to each other any more. What they sent you stays here."),
            say("To write to each other again, one of you needs a new link from the other."),
        )
        heading, yes, no = say("Forget {name}?"), say("Forget"), say("Do not forget")
    return ConfirmationQuestion(heading.format(name=name), said, yes, no)


def _apply_change(what: str, name: str, new_name: str, device: Device) -> Contact:
    match what:
        case "rename":
            return rename_contact(name, new_name, device)
        case "block":
            return block_contact(name, device)
        case "unblock":
            return unblock_contact(name, device)
        case "forget":
            return forget_contact(name, device)
        case "receipts-on" | "receipts-off":
            return set_receipts(name, device, wanted=what == "receipts-on")
        case "same":
            return mark_keys_compared(name, device)
        case _:
            raise BrokenForm


async def show_comparison(request: Request) -> Response:
    def read_person_and_progress(device: Device) -> tuple[Contact, ComparisonProgress]:
        contact = _find_contact(request, device)
        return contact, _read_comparison(contact, device)

    contact, comparing = await run_in_vault(request, read_person_and_progress)
    person = request.path_params["person"]
    return show(request, "compare.html", contact=contact, person=person, comparing=comparing)


def _read_comparison(contact: Contact, device: Device) -> ComparisonProgress:
    known = comparison_with(contact.person.id, device)
    if known is None:
        return ComparisonProgress(None)
    if known.stage in {ComparisonStage.READY, ComparisonStage.AGREED}:
        return ComparisonProgress(known.stage, auth_string_with(contact.name, device))
    return ComparisonProgress(known.stage)


async def take_comparison_step(request: Request) -> Response:
    """Begin or answer a comparison, or record whether both people see the same pictures."""
    what = typed_text(await read_form(request), "do")

    def take_step_and_flush(device: Device) -> None:
        name = _find_contact(request, device).name
        {"same": confirm_match, "differs": record_mismatch}.get(what, begin_or_answer_comparison)(
            name, device
        )
        flush_outbox(device)

    await run_in_vault(request, take_step_and_flush)
    page = "differs" if what == "differs" else "compare"
    return redirect_to(request, page, person=request.path_params["person"])


async def explain_difference(request: Request) -> Response:
    """Say what it means that the two devices showed different pictures."""
    contact = await run_in_vault(request, lambda device: _find_contact(request, device))
    person = request.path_params["person"]
    return show(request, "differs.html", contact=contact, person=person)


async def show_face_to_face(request: Request) -> Response:
    contact = await run_in_vault(request, lambda device: _find_contact(request, device))
    person = request.path_params["person"]
    return show(request, "face_to_face.html", contact=contact, person=person)


async def serve_own_code(request: Request) -> Response:
    code = await run_in_vault(
        request, lambda device: qr_code_text_for(_find_contact(request, device).name, device)
    )
    return response_for_page(request, qr_picture(code), "image/png")


async def scan_code(request: Request) -> Response:
    """Read a photograph of the code on the other person's screen."""
    photos = await chosen_files(await read_form(request), "photo")
    if not photos:
        raise NoFileChosen

    def accept_photographed_code(device: Device) -> Contact:
        return accept_qr_code(
            _find_contact(request, device).name, read_qr_code(photos[0].data), device
        )

    contact = await run_in_vault(request, accept_photographed_code)
    return redirect_to(request, "person", person=_handle_of_contact(request, contact))


async def extend_or_remove_circle(request: Request) -> Response:
    """Add people to a circle, or remove it."""
    form, say = await read_form(request), language_of(request).sentences.gettext
    name, remove = typed_text(form, "circle"), typed_text(form, "remove")
    if remove and not has_confirmed(form):
        said = (say("The people in it stay in your list, and nobody is told."),)
        heading = say("Remove the circle {name}?").format(name=remove)
        return show_confirmation_page(
            request, form, ConfirmationQuestion(heading, said, say("Remove it"), say("Keep it"))
        )
    people = [one for one in form.getlist("person") if isinstance(one, str)]
    try:
        if remove:
            await run_in_vault(
                request, lambda device: remove_from_circle_or_delete(remove, [], device)
            )
        else:
            await run_in_vault(
                request, lambda device: create_or_extend_circle(name, people, device)
            )
    except EntrenousError as why:
        return await _show_people_again(request, why)
    return redirect_to(request, "people")


async def _show_people_again(request: Request, why: EntrenousError) -> Response:
    return await show_people(request, error_words(why), 409)


def _handle_of_contact(request: Request, contact: Contact) -> str:
    return state_of(request).login.handle_for("person", contact.person.id.hex())


def _find_contact(request: Request, device: Device) -> Contact:
    """Return the person whose handle is in the address; raises NoSuchContact."""
    named = state_of(request).login.name_of_handle("person", request.path_params["person"])
    contact = None if named is None else contact_by_id(bytes.fromhex(named), device)
    if contact is None:
        raise NoSuchContact
    return contact
