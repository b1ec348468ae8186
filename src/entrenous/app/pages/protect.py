"""Ask a platform to stop a picture, a video or a sound, or withdraw such a request. Only
fingerprints are sent.
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import chosen_files, read_form, typed_text
from entrenous.app.jobs import ReportProgress
from entrenous.app.pages.copies import NoFileChosen
from entrenous.app.pages.found import find_traced_file_data
from entrenous.app.web import (
    ResultGone,
    error_words,
    job_result,
    language_of,
    posted_form,
    run_in_vault,
    show,
    start_job,
    state_of,
)
from entrenous.app.wording import without_commands
from entrenous.base.errors import EntrenousError
from entrenous.base.language import translated
from entrenous.base.picture import MediaKind
from entrenous.device.device import Device
from entrenous.media.file_kind import media_kind_of
from entrenous.stop.client.registration_client import open_registration_client
from entrenous.stop.protect import (
    all_protections,
    delete_protection,
    find_active_registration,
    find_protection,
    fingerprint_file,
    refresh_protection,
    withdraw_protection,
)
from entrenous.stop.protect import register_fingerprints as register
from entrenous.stop.protect_wording import describe_what_is_sent, kind_in_words, state_in_words
from entrenous.stop.registration import (
    ClaimState,
    Consent,
    NotEverybodyAdult,
    Protection,
)


@dataclass(frozen=True, slots=True)
class FileToRegister:
    """A file to register; it is kept in memory until it is registered or the app is locked."""

    data: bytes
    medium: MediaKind


@dataclass(frozen=True, slots=True)
class RegistrationResult:
    """A registration; ``was_there`` means that it already existed, so nothing was sent."""

    protection: Protection
    was_there: bool


def routes() -> list[Route]:
    return [
        Route("/36", ask_age, name="protect", methods=["GET"]),
        Route("/36", confirm_ages, methods=["POST"]),
        Route("/37", keep_chosen_file_in_memory, name="protect_file", methods=["POST"]),
        Route("/38/{handle}", show_platform_question, name="protect_this", methods=["GET"]),
        Route("/38/{handle}", start_registering, methods=["POST"]),
        Route("/38/{handle}/done", show_registered, name="protected"),
        Route("/39", show_registrations, name="protections", methods=["GET"]),
        Route("/39", refresh_registrations, methods=["POST"]),
        Route("/39/{claim}", start_withdrawing_or_forgetting, name="unprotect", methods=["POST"]),
        Route("/39/{handle}/withdrawn", show_registrations_after_job, name="unprotected"),
    ]


async def ask_age(request: Request) -> Response:
    """Ask first whether everybody was at least 18; if not, nothing is chosen, stored or sent."""
    await run_in_vault(request, lambda _: None)
    found, number = request.query_params.get("found", ""), request.query_params.get("number", "")
    return show(request, "protect.html", found=found, number=number)


async def confirm_ages(request: Request) -> Response:
    """Go on to the file or, if somebody was under 18, to the organisations that help in that
    case.
    """
    form = await read_form(request)
    if typed_text(form, "adult") != "yes":
        return show(request, "protect_young.html", words=error_words(NotEverybodyAdult()))
    if typed_text(form, "found"):
        number = int(typed_text(form, "number") or 0)
        return _keep_file_in_memory(
            request, find_traced_file_data(request, typed_text(form, "found"), number)
        )
    return show(request, "protect_file.html")


async def keep_chosen_file_in_memory(request: Request) -> Response:
    files = await chosen_files(await read_form(request), "file")
    if not files:
        raise NoFileChosen
    return _keep_file_in_memory(request, files[0].data)


def _keep_file_in_memory(request: Request, data: bytes) -> Response:
    """Keep a file in memory, for the page that explains what would be sent."""
    say = language_of(request).sentences.gettext
    medium = media_kind_of(data)
    return start_job(
        request, say("One moment"), lambda _, __: FileToRegister(data, medium), "protect_this"
    )


async def show_platform_question(request: Request, words: str = "", status: int = 200) -> Response:
    """Explain what would be sent, and ask which platform should get it."""
    chosen = job_result(request, FileToRegister)
    whole = Consent(adult=True, parts=True)
    form = posted_form(request)
    return show(
        request,
        "protect_this.html",
        status=status,
        words=words,
        leaves=without_commands(describe_what_is_sent(chosen.medium, whole)),
        medium=chosen.medium.value,
        handle=request.path_params["handle"],
        platform=typed_text(form, "platform") if form else "",
    )


async def start_registering(request: Request) -> Response:
    """Register the fingerprints with the named platform."""
    form, chosen = await read_form(request), job_result(request, FileToRegister)
    url, proxy = typed_text(form, "platform"), state_of(request).settings.proxy
    say = language_of(request).sentences.gettext
    consent = Consent(
        adult=True, parts=not typed_text(form, "whole_only"), sound=not typed_text(form, "no_sound")
    )
    try:
        with open_registration_client(url, proxy):
            pass  # opened only to refuse an invalid address before anything is computed
    except EntrenousError as why:
        return await show_platform_question(request, error_words(why), 409)

    def register_unless_active(device: Device, report: ReportProgress) -> RegistrationResult:
        report(say("Computing fingerprints"), 0, 2)
        what = fingerprint_file(chosen.data, consent, device)
        report(say("Asking the platform"), 1, 2)
        with open_registration_client(url, proxy) as gate:
            before = find_active_registration(what, gate, device)
            return RegistrationResult(before or register(what, gate, device), before is not None)

    return start_job(
        request, say("Asking a platform to stop it"), register_unless_active, "protected"
    )


async def show_registered(request: Request) -> Response:
    made = job_result(request, RegistrationResult)
    return show(request, "protected.html", made=made, platform=made.protection.gate_url)


async def show_registrations(request: Request, words: str = "", status: int = 200) -> Response:
    """List the registrations, newest first."""
    every = await run_in_vault(request, all_protections)
    login = state_of(request).login
    return show(
        request,
        "protections.html",
        status=status,
        words=words,
        every=[
            (
                login.handle_for("claim", one.claim),
                one,
                kind_in_words(one.kind),
                state_in_words(one),
            )
            for one in reversed(every)
        ],
        withdrawn=ClaimState.WITHDRAWN,
    )


async def refresh_registrations(request: Request) -> Response:
    """Query the present state of all registrations at their platforms."""
    proxy, say = state_of(request).settings.proxy, language_of(request).sentences.gettext

    def refresh_all(device: Device, report: ReportProgress) -> str:
        every = all_protections(device)
        for number, one in enumerate(every):
            report(one.gate_url, number, len(every))
            try:
                with open_registration_client(one.gate_url, proxy) as gate:
                    refresh_protection(one, gate, device)
            except EntrenousError:
                continue  # the page then shows the last known state
        return ""

    return start_job(request, say("Asking each platform"), refresh_all, "unprotected")


async def start_withdrawing_or_forgetting(request: Request) -> Response:
    """Withdraw a registration. If the person asks for it, and the platform never confirmed the
    registration, remove it from the list instead.
    """
    claim = state_of(request).login.name_of_handle("claim", request.path_params["claim"])
    if claim is None:
        raise ResultGone
    forget = typed_text(await read_form(request), "do") == "forget"
    proxy, say = state_of(request).settings.proxy, language_of(request).sentences.gettext

    def withdraw_or_forget(device: Device, _: ReportProgress) -> str:
        protection = find_protection(claim, device)
        if forget and protection.state is None:
            delete_protection(protection, device)
            return say(
                "It is off your list. If the platform heard of it after all, write to them and "
                "name {claim}."
            ).format(claim=claim)
        with open_registration_client(protection.gate_url, proxy) as gate:
            withdraw_protection(protection, gate, device)
        return translated("It is withdrawn. The platform forgets its fingerprints.")

    return start_job(request, say("Withdrawing it"), withdraw_or_forget, "unprotected")


async def show_registrations_after_job(request: Request) -> Response:
    return await show_registrations(request, job_result(request, str))
