"""Look up who hosts a web page. First explain who learns what from that; then query the registries,
or read an answer that the person pasted.
"""

import os
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_text
from entrenous.app.pages.case_answers import web_address_or_empty
from entrenous.app.pages.case_evidence import JobOutcome
from entrenous.app.pages.one_case import case_handle, run_in_case
from entrenous.app.web import (
    ResultGone,
    language_of,
    posted_or_kept_form,
    redirect_to,
    show,
    start_job_without_vault,
    state_of,
)
from entrenous.app.wording import texts_without_commands
from entrenous.base.language import translatable, translated
from entrenous.device.device import Device
from entrenous.respond.abuse_contacts import (
    WRITE_TO_HOST_ADVICE,
    AbuseLookUpResult,
    read_contacts_in_text,
)
from entrenous.respond.case_file import find_open_case
from entrenous.respond.platforms import host_of
from entrenous.respond.rdap_services import (
    IANA_LISTS_URL,
    NO_PUBLIC_ADDRESS_MESSAGE,
    describe_what_look_up_reveals,
    is_ip_address,
    is_public_address,
)

_NO_WEB_ADDRESS_MESSAGE: Final = translatable(
    "This is no web address. Copy it from the top of the browser."
)
_WEB_HOST_PLATFORM_ID: Final = "generic_host"  # id of the record for any web host
_PLACEHOLDER_ADDRESS: Final = (
    "192.0.2.1"  # placeholder for an address that is typed later; RFC 5737
)


def routes() -> list[Route]:
    return [
        Route("/75", show_site_form, name="who_hosts", methods=["GET"]),
        Route("/75", look_up_typed_site, methods=["POST"]),
        Route(
            "/96/{case}/{number:int}", show_sighting_host_form, name="case_host", methods=["GET"]
        ),
        Route("/96/{case}/{number:int}", look_up_site_of_sighting, methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True)
class SiteToLookUp:
    """The host to look up, and the page, the case and the sighting to which the answer belongs, if
    any.
    """

    host: str
    back: str
    case: str = ""
    sighting: int = 0


async def show_site_form(request: Request) -> Response:
    """Ask for the address of a page, then explain who learns what from looking it up; needs no
    vault.
    """
    return _show_explanation(request, _site_from_answers(request))


async def look_up_typed_site(request: Request) -> Response:
    """Keep the typed address in memory and explain the look-up. Once the person agrees, look up who
    hosts the page.
    """
    form, state = await read_form(request), state_of(request)
    if not typed_text(form, "act"):
        address = web_address_or_empty(typed_text(form, "where"))
        if not address:
            return _show_explanation(
                request, SiteToLookUp("", "who_hosts"), translated(_NO_WEB_ADDRESS_MESSAGE)
            )
        state.login.answers["site"] = address
        return redirect_to(request, "who_hosts")
    return _start_look_up(request, form, _site_from_answers(request))


def _site_from_answers(request: Request) -> SiteToLookUp:
    return SiteToLookUp(host_of(state_of(request).login.answers.get("site", "")), "who_hosts")


async def show_sighting_host_form(request: Request) -> Response:
    """Explain who learns what if the host of a sighting is looked up."""
    return _show_explanation(request, await _site_of_sighting(request))


async def look_up_site_of_sighting(request: Request) -> Response:
    return _start_look_up(request, await read_form(request), await _site_of_sighting(request))


async def _site_of_sighting(request: Request) -> SiteToLookUp:
    number = request.path_params["number"]

    def find_host(name: str, device: Device) -> str:
        seen = find_open_case(name, device).sightings
        return next((host_of(one.where) for one in seen if one.number == number), "")

    host = await run_in_case(request, find_host)
    if "." not in host:
        raise ResultGone
    return SiteToLookUp(host, "case", case_handle(request), number)


def _show_explanation(request: Request, it: SiteToLookUp, words: str = "") -> Response:
    proxy, lists = state_of(request).settings.proxy, _rdap_lists_url()
    sees = describe_what_look_up_reveals(it.host, proxy, "", lists) if it.host else ()
    with_address = (
        describe_what_look_up_reveals(it.host, proxy, _PLACEHOLDER_ADDRESS, lists)
        if it.host
        else ()
    )
    return show(
        request,
        "who_hosts.html",
        status=409 if words else 200,
        words=words,
        it=it,
        sees=sees,
        sees_besides=[line for line in with_address if line not in sees],
        is_number=is_ip_address(it.host),
        about=texts_without_commands([translated(WRITE_TO_HOST_ADVICE)]),
        form=posted_or_kept_form(request),
        host_record=state_of(request).login.lasting_handle_for("platform", _WEB_HOST_PLATFORM_ID),
    )


def _start_look_up(request: Request, form: FormData, it: SiteToLookUp) -> Response:
    """Query the registries, or read the pasted answer, which never leaves the device."""
    say, proxy = language_of(request).sentences.gettext, state_of(request).settings.proxy
    address, pasted = typed_text(form, "address"), typed_text(form, "pasted")
    if address and not is_public_address(address):
        return _show_explanation(request, it, translated(NO_PUBLIC_ADDRESS_MESSAGE))
    if not it.host:
        return redirect_to(request, it.back)

    def query_or_read() -> JobOutcome:
        if typed_text(form, "act") == "read":
            return _make_outcome(say("What is in it"), read_contacts_in_text(pasted), it)
        from entrenous.respond.client.rdap import look_up_site  # noqa: PLC0415 - loads httpx

        found = look_up_site(it.host, address, proxy, _rdap_lists_url())
        return _make_outcome(say("Who hosts it"), found, it)

    return start_job_without_vault(request, say("Asking the registries"), query_or_read, "outcome")


def _make_outcome(heading: str, found: AbuseLookUpResult, it: SiteToLookUp) -> JobOutcome:
    words = texts_without_commands(found.lines)
    kept = "\n".join((it.host, *(one.text for one in found.contacts)))
    note = kept if it.case and found.contacts else ""
    return JobOutcome(heading, (it.host, *words), it.case, it.back, note=note)


def _rdap_lists_url() -> str:
    """Return the address of the lists of RDAP servers: the address in the environment variable
    ENTRENOUS_CASE_PLATFORM_LISTS, which the command reads too, or else IANA's address.
    """
    return os.environ.get("ENTRENOUS_CASE_PLATFORM_LISTS", IANA_LISTS_URL)
