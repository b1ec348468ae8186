"""Enter by the one-time link, set up, unlock, lock, and leave quickly."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_text
from entrenous.app.login import SESSION_COOKIE_NAME
from entrenous.app.pages.joining import (
    LinkGivenButMessengerChosen,
    prefill_person_form,
    read_link_or_relay_address,
)
from entrenous.app.passphrases import (
    chosen_passphrase,
    is_weak,
    new_passphrase_variables,
    passphrase_in,
)
from entrenous.app.web import error_words, posted_or_kept_form, redirect_to, show, state_of
from entrenous.base.errors import EntrenousError
from entrenous.device.lock_errors import WrongPassphrase
from entrenous.learn.check_up import passphrase_guesses_log10
from entrenous.send.set_up import set_up as set_up_device

_BLANK_PAGE_HTML: Final = '<!doctype html><html lang="en"><title>Page</title></html>'


def routes() -> list[Route]:
    return [
        Route("/enter/{link}", enter_by_link, name="enter"),
        Route("/0", show_set_up_form, name="setup", methods=["GET"]),
        Route("/0", set_up, methods=["POST"]),
        Route("/1", show_unlock_form, name="unlock", methods=["GET"]),
        Route("/1", unlock, methods=["POST"]),
        Route("/2", lock, name="lock", methods=["POST"]),
        Route("/3", leave_quickly, name="leave", methods=["POST"]),
        Route("/7", dismiss_warnings, name="warnings_read", methods=["POST"]),
        Route("/6", serve_passphrase_strength, name="strength", methods=["POST"]),
    ]


async def enter_by_link(request: Request) -> Response:
    """Begin the browser session; the link works once."""
    state = state_of(request)
    cookie = state.login.redeem_link(request.path_params["link"])
    if cookie is None:
        if state.login.is_session_cookie(request.cookies.get(SESSION_COOKIE_NAME)):
            return redirect_to(request, "home")
        return show(request, "closed.html", status=403)
    response = redirect_to(request, "home")
    response.set_cookie(SESSION_COOKIE_NAME, cookie, httponly=True, samesite="strict", path="/")
    return response


async def show_set_up_form(
    request: Request, why: EntrenousError | None = None, status: int = 200
) -> Response:
    state = state_of(request)
    if state.has_device:
        return redirect_to(request, "unlock")
    form = posted_or_kept_form(request)
    return show(
        request,
        "setup.html",
        status=status,
        form=form,
        **new_passphrase_variables(why),
    )


async def set_up(request: Request) -> Response:
    """Create the device. An invite link names the relay; whoever made the link can then be
    added.
    """
    form = await read_form(request)
    name = typed_text(form, "name")
    try:
        by_relay = typed_text(form, "where") == "relay"
        if typed_text(form, "relay") and not by_relay:
            raise LinkGivenButMessengerChosen
        invitation = read_link_or_relay_address(typed_text(form, "relay")) if by_relay else None
        url = invitation.relay_url if invitation else None
        opening = state_of(request).vault.create(
            chosen_passphrase(form), lambda device, _: set_up_device(name, url, device)
        )
        await asyncio.wrap_future(opening)
    except EntrenousError as why:
        return await show_set_up_form(request, why, 409)
    if invitation is not None and invitation.link:
        prefill_person_form(invitation, request)
        return redirect_to(request, "people")
    return _redirect_to_wanted(request)


async def serve_passphrase_strength(request: Request) -> Response:
    """Return how strong the passphrase being typed is."""
    words = passphrase_in(await read_form(request), "passphrase")
    return show(
        request, "strength.html", tries=round(passphrase_guesses_log10(words)), weak=is_weak(words)
    )


async def show_unlock_form(
    request: Request, why: EntrenousError | None = None, status: int = 200
) -> Response:
    state = state_of(request)
    if not state.has_device:
        return redirect_to(request, "setup")
    if state.vault.is_open:
        return redirect_to(request, "home")
    # if few attempts are left, the error is of a subclass, whose message says how many
    tries = why.facts.get("tries") if type(why) is WrongPassphrase else None
    words = "" if why is None else error_words(why)
    return show(request, "unlock.html", status=status, words=words, tries=tries)


async def unlock(request: Request) -> Response:
    """Unlock the vault, and show the requested page."""
    state = state_of(request)
    form = await read_form(request)
    try:
        async with state.opening:
            if not state.vault.is_open:
                opening = state.vault.unlock(passphrase_in(form, "passphrase"))
                await asyncio.wrap_future(opening)
    except EntrenousError as why:
        return await show_unlock_form(request, why, 409)
    return _redirect_to_wanted(request)


def _redirect_to_wanted(request: Request) -> Response:
    """Redirect to the page that was requested before the vault was unlocked."""
    state = state_of(request)
    wanted, state.wanted = state.wanted, "/"
    return RedirectResponse(wanted, status_code=303)


async def lock(request: Request) -> Response:
    state_of(request).vault.lock()
    return redirect_to(request, "home")


async def dismiss_warnings(request: Request) -> Response:
    state_of(request).warnings.clear()
    return redirect_to(request, "home")


async def leave_quickly(request: Request) -> Response:
    """Lock, forget what was typed, and show an empty page; going back needs the passphrase."""
    state = state_of(request)
    state.wanted = "/"
    state.vault.lock()
    state.jobs.keep_only_running_vault_jobs()
    state.login.forget_input_and_handles()
    return HTMLResponse(_BLANK_PAGE_HTML)
