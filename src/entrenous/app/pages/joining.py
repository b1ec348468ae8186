"""Connect a device that was set up without a relay: by somebody's invite link, which names their
relay, or by a relay's address.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import chosen_files, read_form, typed_text
from entrenous.app.jobs import ReportProgress
from entrenous.app.vault_session import VaultLocked
from entrenous.app.web import (
    error_words,
    job_result,
    language_of,
    posted_or_kept_form,
    redirect_to,
    run_in_vault,
    show,
    start_job,
    state_of,
)
from entrenous.app.wording import texts_without_commands
from entrenous.base.errors import EntrenousError, Refused, Unreachable
from entrenous.device.device import Device
from entrenous.device.identities import has_relay
from entrenous.device.relay_lock_client import lock_at_first_relay
from entrenous.send.devices.device_wording import describe_joining_relay
from entrenous.send.formats.identity_formats import read_invite_link
from entrenous.send.people.qr_codes import read_qr_code
from entrenous.send.set_up import join_relay

_INVITE_LINK_PREFIX: Final = "entrenous:"


class NoAddressGiven(Refused):
    """
    The field for the link or address is empty. Nothing was changed. Paste the link or the address
    that you were given. If you have neither, choose a messenger on this page instead of “With this
    app”.
    """


class LinkGivenButMessengerChosen(Refused):
    """
    You pasted a link, but chose a messenger. To use the link, choose “With this app”. To use the
    messenger, delete the link from the field. Nothing was changed.
    """


@dataclass(frozen=True, slots=True)
class Invitation:
    """A relay's address; if it came in an invite link, also the link and its maker's name."""

    relay_url: str
    link: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class RelayJoinOutcome:
    """What the person reads afterwards, and the invitation that was used."""

    said: tuple[str, ...]
    invitation: Invitation


def routes() -> list[Route]:
    return [
        Route("/116", show_join_form, name="join", methods=["GET"]),
        Route("/116", start_joining_relay, methods=["POST"]),
        Route("/116/{handle}", show_joined, name="joined"),
    ]


def read_link_or_relay_address(text: str) -> Invitation:
    """Read an invite link or a relay's address, as it was pasted; raises NoAddressGiven,
    BadInvite.
    """
    pasted = "".join(text.split())
    if not pasted:
        raise NoAddressGiven
    if pasted.startswith(_INVITE_LINK_PREFIX):
        invite = read_invite_link(pasted)
        return Invitation(invite.relay_url, pasted, invite.name)
    return Invitation(pasted if "://" in pasted else f"https://{pasted}")


def prefill_person_form(invitation: Invitation, request: Request) -> None:
    """Fill in the form of the people page that adds the person whose link was used."""
    if invitation.link:
        filled = FormData([("link", invitation.link), ("name", invitation.name)])
        state_of(request).login.keep_form(request.app.url_path_for("people"), filled)


async def show_join_form(request: Request, words: str = "", status: int = 200) -> Response:
    """Ask for the link or the address. If this device already has a relay, redirect to the page for
    moving to another relay.
    """
    if await run_in_vault(request, has_relay):
        return redirect_to(request, "move")
    form = posted_or_kept_form(request)
    return show(request, "join.html", status=status, words=words, form=form)


async def start_joining_relay(request: Request) -> Response:
    form, state = await read_form(request), state_of(request)
    say = language_of(request).sentences.gettext
    try:
        photos, text = await chosen_files(form, "photo"), typed_text(form, "relay")
        if photos and not text:
            text = await asyncio.to_thread(read_qr_code, photos[0].data)
        invitation = read_link_or_relay_address(text)
    except EntrenousError as why:
        return await show_join_form(request, error_words(why), 409)

    def join_and_lock(device: Device, _: ReportProgress) -> RelayJoinOutcome:
        identity = join_relay(invitation.relay_url, device)
        if state.vault.unlocked is None:
            raise VaultLocked
        # if the relay does not answer, the lock is made at the next unlock
        with suppress(Unreachable):
            state.vault.unlocked = lock_at_first_relay(state.vault.unlocked, device)
        state.mail.start()
        return RelayJoinOutcome(
            texts_without_commands(describe_joining_relay(identity)), invitation
        )

    return start_job(request, say("Connecting"), join_and_lock, "joined")


async def show_joined(request: Request) -> Response:
    done, say = job_result(request, RelayJoinOutcome), language_of(request).sentences.gettext
    prefill_person_form(done.invitation, request)
    return show(
        request, "told.html", heading=say("You are connected"), said=done.said, back="people"
    )
