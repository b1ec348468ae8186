"""Come in by the one-time link, set up, unlock, lock, and leave quickly."""

import asyncio
import unicodedata
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed
from entrenous.app.login import COOKIE
from entrenous.app.passphrases import is_weak, suggestion
from entrenous.app.web import go_to, kept_form, show, state_of
from entrenous.base.errors import EntrenousError
from entrenous.base.language import translatable, translated
from entrenous.base.secret import Secret
from entrenous.learn.check_up import guesses_log10

_BLANK: Final = '<!doctype html><html lang="en"><title>Page</title></html>'
_WEAK: Final = translatable(
    "A computer can guess this passphrase if somebody gets hold of this device. Choose another one,"
    " or use it anyway. Nothing was set up yet."
)
_AGAIN: Final = translatable("Type the passphrase twice in the same way. Nothing was set up.")


def routes() -> list[Route]:
    return [
        Route("/enter/{link}", enter, name="enter"),
        Route("/0", set_up_page, name="setup", methods=["GET"]),
        Route("/0", set_up, methods=["POST"]),
        Route("/1", unlock_page, name="unlock", methods=["GET"]),
        Route("/1", unlock, methods=["POST"]),
        Route("/2", lock, name="lock", methods=["POST"]),
        Route("/3", leave, name="leave", methods=["POST"]),
        Route("/6", strength, name="strength", methods=["POST"]),
    ]


async def enter(request: Request) -> Response:
    """Begin the browser session; the link works once."""
    state = state_of(request)
    cookie = state.login.enter(request.path_params["link"])
    if cookie is None:
        if state.login.knows(request.cookies.get(COOKIE)):
            return go_to(request, "home")
        return show(request, "closed.html", status=403)
    response = go_to(request, "home")
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", path="/")
    return response


async def set_up_page(request: Request, words: str = "", status: int = 200) -> Response:
    state = state_of(request)
    if state.has_device:
        return go_to(request, "unlock")
    form = getattr(request.state, "form", None) or kept_form(request)
    return show(
        request,
        "setup.html",
        status=status,
        words=translated(words),
        form=form,
        suggestion=suggestion(),
        may_be_weak=words == _WEAK,
    )


async def set_up(request: Request) -> Response:
    form = await read_form(request)
    words = _passphrase(form.get("passphrase", ""))
    if words.reveal() != _passphrase(form.get("again", "")).reveal():
        return await set_up_page(request, _AGAIN, 409)
    if is_weak(words) and not typed(form, "anyway"):
        return await set_up_page(request, _WEAK, 409)
    relay = typed(form, "relay") if typed(form, "where") == "relay" else None
    opening = state_of(request).vault.create(typed(form, "name"), words, relay)
    try:
        await asyncio.wrap_future(opening)
    except EntrenousError as why:
        return await set_up_page(request, str(why), 409)
    return go_to(request, "home")


async def strength(request: Request) -> Response:
    """Say how strong the passphrase is that is being typed."""
    words = _passphrase((await read_form(request)).get("passphrase", ""))
    return show(request, "strength.html", tries=round(guesses_log10(words)), weak=is_weak(words))


async def unlock_page(request: Request, words: str = "", status: int = 200) -> Response:
    state = state_of(request)
    if not state.has_device:
        return go_to(request, "setup")
    if state.vault.is_open:
        return go_to(request, "home")
    return show(request, "unlock.html", status=status, words=words)


async def unlock(request: Request) -> Response:
    """Open the vault, and show the page that was wanted."""
    state = state_of(request)
    form = await read_form(request)
    if not state.vault.is_open:
        opening = state.vault.unlock(_passphrase(form.get("passphrase", "")))
        try:
            await asyncio.wrap_future(opening)
        except EntrenousError as why:
            return await unlock_page(request, str(why), 409)
    wanted, state.wanted = state.wanted, "/"
    return RedirectResponse(wanted, status_code=303)


async def lock(request: Request) -> Response:
    state_of(request).vault.lock()
    return go_to(request, "home")


async def leave(request: Request) -> Response:
    """Lock, forget what was typed, and show an empty page; nothing leads back without the
    passphrase.
    """
    state = state_of(request)
    state.wanted = "/"
    state.vault.lock()
    state.login.forget()
    return HTMLResponse(_BLANK)


def _passphrase(value: object) -> Secret:
    """Normalise to NFC, since keyboards encode accents differently."""
    text = value if isinstance(value, str) else ""
    return Secret(unicodedata.normalize("NFC", text).encode(errors="surrogateescape"))
