"""The person's devices: their state, linking another device (on both sides), and revoking a
device.
"""

import asyncio
from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import chosen_files, read_form, typed_text
from entrenous.app.linking import Linking, LinkingAnswer, LinkingOnNew, LinkingOnOld
from entrenous.app.passphrases import (
    chosen_passphrase,
    new_passphrase_variables,
)
from entrenous.app.web import (
    ResultGone,
    error_words,
    job_result,
    language_of,
    posted_form,
    posted_or_kept_form,
    redirect_to,
    response_for_page,
    run_in_vault,
    show,
    start_job,
    state_of,
)
from entrenous.app.wording import without_commands
from entrenous.base.errors import EntrenousError
from entrenous.base.language import translated
from entrenous.base.limits import LINKING_MINUTES_MAX
from entrenous.device.device import Device
from entrenous.device.identities import has_relay, own_device
from entrenous.device.recovery_sheet import RecoverySheet
from entrenous.send.devices.device_wording import describe_revocation, not_yet_revoked_in_words
from entrenous.send.devices.own_devices import (
    LOST_DEVICE_CHECKLIST,
    ChecklistItem,
    DeviceOverview,
    device_overview,
    revoke_device,
)
from entrenous.send.formats.identity_formats import read_sheet
from entrenous.send.formats.linking import read_link_code
from entrenous.send.people.qr_codes import qr_picture, read_qr_code
from entrenous.terminal.output import key_fingerprint


@dataclass(frozen=True, slots=True)
class RevocationOutcome:
    """The result of revoking a device, and what else to do."""

    said: tuple[str, ...]
    to_do: tuple[ChecklistItem, ...]


def routes() -> list[Route]:
    return [
        Route("/60", show_devices, name="devices"),
        Route("/61", begin_linking_on_old_device, name="link_another", methods=["POST"]),
        Route("/61", show_linking_on_old_device, name="linking", methods=["GET"]),
        Route("/61/answer", answer_comparison_on_old_device, name="link_answer", methods=["POST"]),
        Route("/61/code", serve_link_code, name="link_code"),
        Route("/62", show_link_form, name="link_here", methods=["GET"]),
        Route("/62", accept_link_code, methods=["POST"]),
        Route("/62/{handle}", show_new_device_passphrase_form, name="link_lock", methods=["GET"]),
        Route("/62/{handle}", begin_linking_on_new_device, methods=["POST"]),
        Route("/63", show_linking_on_new_device, name="linking_here", methods=["GET"]),
        Route("/63", answer_comparison_on_new_device, methods=["POST"]),
        Route("/64/{device}", show_revoke_form, name="lost", methods=["GET"]),
        Route("/64/{device}", start_revoking, methods=["POST"]),
        Route("/65/{handle}", show_revoked, name="revoked"),
    ]


async def show_devices(request: Request) -> Response:
    """List the devices, and what the relay or other people have not been told yet."""

    def read_overview_and_fingerprint(device: Device) -> tuple[DeviceOverview, str] | None:
        if not has_relay(device):
            return None
        return device_overview(device), key_fingerprint(own_device(device).person.id)

    found = await run_in_vault(request, read_overview_and_fingerprint)
    if found is None:
        return show(request, "devices.html", shown=None)
    shown, keys = found
    login = state_of(request).login
    return show(
        request,
        "devices.html",
        shown=shown,
        keys=keys,
        listed=[(login.handle_for("device", one.name), one) for one in shown.devices],
        not_shut=list(not_yet_revoked_in_words(shown)),
    )


async def sheet_from_form(form: FormData) -> RecoverySheet | None:
    """Return the recovery sheet that was typed or photographed, if any.

    Raises NotARecoverySheet, NoCodeInPicture, and the errors of reading a picture.
    """
    if text := typed_text(form, "sheet"):
        return read_sheet(text)
    photos = await chosen_files(form, "sheet_photo")
    if not photos:
        return None
    return read_sheet(await asyncio.to_thread(read_qr_code, photos[0].data))


async def begin_linking_on_old_device(request: Request) -> Response:
    """Begin linking. The code is shown as soon as the relay has created a mailbox for the
    linking.
    """
    sheet = await sheet_from_form(await read_form(request))
    state = state_of(request)
    await run_in_vault(request, lambda _: None)
    if state.linking is None or state.linking.is_over:
        begun = LinkingOnOld(state.vault, state.events)
        state.linking = begun
        begun.start(sheet)
    return redirect_to(request, "linking")


async def show_linking_on_old_device(request: Request) -> Response:
    await run_in_vault(request, lambda _: None)
    side = state_of(request).linking
    if side is None or side.is_on_new_device:
        return redirect_to(request, "devices")
    return _show_linking_side(request, side)


def _show_linking_side(request: Request, side: Linking) -> Response:
    return show(
        request,
        "linking_here.html" if side.is_on_new_device else "linking.html",
        side=side,
        words="" if side.error is None else error_words(side.error),
        minutes=LINKING_MINUTES_MAX,
    )


async def answer_comparison_on_old_device(request: Request) -> Response:
    """Process the person's answer: the same on both devices, different, or stop."""
    await _submit_comparison_answer(request)
    return redirect_to(request, "linking")


async def _submit_comparison_answer(request: Request) -> None:
    given, side = typed_text(await read_form(request), "do"), state_of(request).linking
    if side is not None and given in set(LinkingAnswer):
        side.accept_answer(LinkingAnswer(given))
        await side.wait_for_answer_effect()


async def serve_link_code(request: Request) -> Response:
    await run_in_vault(request, lambda _: None)
    side = state_of(request).linking
    if side is None or not side.code:
        raise ResultGone
    return response_for_page(request, qr_picture(side.code), "image/png")


async def show_link_form(request: Request, words: str = "", status: int = 200) -> Response:
    """Ask for the other device's code: this device is new."""
    if state_of(request).has_device:
        return redirect_to(request, "home")
    form = posted_or_kept_form(request)
    return show(request, "link_here.html", status=status, words=words, form=form)


async def accept_link_code(request: Request) -> Response:
    """Read the typed or photographed code, and keep it in memory for the next page."""
    form = await read_form(request)
    try:
        photos = await chosen_files(form, "photo")
        code = typed_text(form, "code")
        if photos and not code:
            code = await asyncio.to_thread(read_qr_code, photos[0].data)
        read_link_code(code)
    except EntrenousError as why:
        return await show_link_form(request, error_words(why), 409)
    return redirect_to(
        request, "link_lock", handle=state_of(request).login.handle_for("link", code)
    )


async def show_new_device_passphrase_form(
    request: Request, why: EntrenousError | None = None, status: int = 200
) -> Response:
    """Ask for the passphrase of this new device."""
    _link_code_of_handle(request)
    form = posted_form(request) or FormData()
    return show(
        request,
        "link_lock.html",
        status=status,
        form=form,
        **new_passphrase_variables(why),
    )


def _link_code_of_handle(request: Request) -> str:
    code = state_of(request).login.name_of_handle("link", request.path_params["handle"])
    if code is None:
        raise ResultGone
    return code


async def begin_linking_on_new_device(request: Request) -> Response:
    state, form, code = state_of(request), await read_form(request), _link_code_of_handle(request)
    try:
        passphrase = chosen_passphrase(form)
    except EntrenousError as why:
        return await show_new_device_passphrase_form(request, why, 409)
    if state.linking is None or state.linking.is_over:
        begun = LinkingOnNew(state.vault, state.events)
        state.linking = begun
        begun.start(code, typed_text(form, "name") or None, passphrase)
    return redirect_to(request, "linking_here")


async def show_linking_on_new_device(request: Request) -> Response:
    side = state_of(request).linking
    if side is None or not side.is_on_new_device:
        return redirect_to(request, "home")
    return _show_linking_side(request, side)


async def answer_comparison_on_new_device(request: Request) -> Response:
    await _submit_comparison_answer(request)
    return redirect_to(request, "linking_here")


async def show_revoke_form(request: Request, words: str = "", status: int = 200) -> Response:
    """Explain what revoking does, and ask whether the device was lost."""
    name = _device_name(request)
    shown = await run_in_vault(request, device_overview)
    return show(
        request,
        "lost.html",
        status=status,
        words=words,
        name=name,
        needs_sheet=not shown.master_here,
    )


async def start_revoking(request: Request) -> Response:
    """Revoke the device for good: the relay deletes its part of the lock."""
    form, name = await read_form(request), _device_name(request)
    is_lost = typed_text(form, "do") == "lost"
    try:
        sheet = await sheet_from_form(form)
    except EntrenousError as why:
        return await show_revoke_form(request, error_words(why), 409)
    say = language_of(request).sentences.gettext

    def revoke(device: Device, _: object) -> RevocationOutcome:
        done = revoke_device(name, lost=is_lost, sheet=sheet, device=device)
        return RevocationOutcome(
            tuple(describe_revocation(done)), LOST_DEVICE_CHECKLIST if is_lost else ()
        )

    return start_job(request, say("Taking it off your list"), revoke, "revoked")


async def show_revoked(request: Request) -> Response:
    done = job_result(request, RevocationOutcome)
    said = [without_commands(one) for one in done.said]
    to_do = describe_checklist(done)
    return show(request, "revoked.html", said=said, to_do=to_do)


def describe_checklist(done: RevocationOutcome) -> list[tuple[str, str]]:
    """Return the steps of the checklist and their reasons, as the pages show them."""
    texts = [(translated(one.what), translated(one.why)) for one in done.to_do]
    return [(without_commands(what), without_commands(why)) for what, why in texts]


def _device_name(request: Request) -> str:
    name = state_of(request).login.name_of_handle("device", request.path_params["device"])
    if name is None:
        raise ResultGone
    return name
