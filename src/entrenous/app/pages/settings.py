"""Change the settings, which are few and have safe defaults; erase everything; or close the app."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from babel import Locale
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_text
from entrenous.app.language import LANGUAGES
from entrenous.app.preferences import ICON_NAMES, TEXT_SIZES_PERCENT, change_preferences
from entrenous.app.vault_session import VaultLocked
from entrenous.app.web import (
    error_words,
    language_of,
    posted_or_kept_form,
    redirect_to,
    run_in_vault,
    show,
    state_of,
)
from entrenous.base.environment import PROXY_FILE_NAME, parse_proxy
from entrenous.base.errors import EntrenousError, Refused
from entrenous.base.files import translate_folder_errors, write_private_file
from entrenous.device.device import Device
from entrenous.device.erase_device import close_own_mailboxes, erase_device_files
from entrenous.device.identities import has_relay, own_device

_LAST_PAGE_WAIT_S = 1.0  # seconds for the last page and its style sheet to reach the browser


class WordNotTyped(Refused):
    """
    You did not type the word that the page asks for, so nothing was erased. To erase, type exactly
    that word.
    """


def routes() -> list[Route]:
    return [
        Route("/110", show_settings, name="settings", methods=["GET"]),
        Route("/110", save_settings, methods=["POST"]),
        Route("/111", show_proxy_form, name="proxy", methods=["GET"]),
        Route("/111", save_proxy_and_lock, methods=["POST"]),
        Route("/114", show_erase_form, name="erase", methods=["GET"]),
        Route("/114", erase_everything, methods=["POST"]),
        Route("/115", show_close_page, name="close", methods=["GET"]),
        Route("/115", close_app, methods=["POST"]),
    ]


async def show_settings(request: Request) -> Response:
    """Show the settings; while the vault is locked, the relay is unknown."""
    state = state_of(request)
    return show(
        request,
        "settings.html",
        languages=[(tag, Locale.parse(tag).get_display_name(tag)) for tag in LANGUAGES],
        sizes=TEXT_SIZES_PERCENT,
        icons=ICON_NAMES,
        folder=_folder_with_tilde(state.settings.home),
        proxy=state.settings.proxy,
        relay=await _relay_url_or_empty(request),
    )


def _folder_with_tilde(folder: Path) -> str:
    """Return a folder's path with "~" for the user's home folder."""
    own = Path.home()
    return f"~/{folder.relative_to(own)}" if folder.is_relative_to(own) else str(folder)


async def _relay_url_or_empty(request: Request) -> str:
    def read_relay_url(device: Device) -> str:
        return own_device(device).home.relay_url if has_relay(device) else ""

    try:
        return await run_in_vault(request, read_relay_url)
    except (VaultLocked, EntrenousError):
        return ""


async def save_settings(request: Request) -> Response:
    """Store the chosen settings; a value that is not offered means the default."""
    state, form = state_of(request), await read_form(request)
    language, size, icon = (
        typed_text(form, "language"),
        typed_text(form, "size"),
        typed_text(form, "icon"),
    )
    with translate_folder_errors(state.settings.home):
        change_preferences(
            state.settings.home,
            language=language if language in LANGUAGES else "",
            text_size=int(size) if size in map(str, TEXT_SIZES_PERCENT) else TEXT_SIZES_PERCENT[0],
            icon=icon if icon in ICON_NAMES else ICON_NAMES[0],
            title=typed_text(form, "title")[:40] or "Page",
        )
    state.reread_preferences()
    return redirect_to(request, "settings")


async def show_proxy_form(request: Request, words: str = "", status: int = 200) -> Response:
    form = posted_or_kept_form(request)
    state = state_of(request)
    now = f"socks5h://{state.settings.proxy}" if state.settings.proxy else ""
    return show(
        request,
        "proxy.html",
        status=status,
        words=words,
        address=typed_text(form, "address") or now,
        by_variable=bool(os.environ.get("ENTRENOUS_PROXY")),
    )


async def save_proxy_and_lock(request: Request) -> Response:
    """Store a proxy in the device's folder, or delete the stored one. The app then locks, so that
    no open connection bypasses the proxy.
    """
    state, form = state_of(request), await read_form(request)
    address = typed_text(form, "address") if typed_text(form, "do") != "none" else ""
    say = language_of(request).sentences.gettext
    try:
        chosen = parse_proxy(say("Proxy"), address)
    except EntrenousError as why:
        return await show_proxy_form(request, error_words(why), 409)
    home = state.settings.home
    with translate_folder_errors(home):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if chosen is None:
            (home / PROXY_FILE_NAME).unlink(missing_ok=True)
        else:
            write_private_file(home / PROXY_FILE_NAME, f"{address}\n".encode())
    await asyncio.to_thread(lambda: state.vault.lock(wait=True))
    state.use_settings(replace(state.settings, proxy=chosen))
    return redirect_to(request, "settings")


async def show_erase_form(request: Request, words: str = "", status: int = 200) -> Response:
    say = language_of(request).sentences.gettext
    return show(
        request,
        "erase.html",
        status=status,
        words=words,
        word=say("erase"),
        folder=_folder_with_tilde(state_of(request).settings.home),
    )


@dataclass(frozen=True, slots=True)
class EraseResult:
    """Whether there was a device, whether its mailbox was deleted (None: unknown, because the vault
    was locked), and the files in the folder that are not Entrenous's own.
    """

    had_device: bool  # False if the page is loaded again
    mailbox_gone: bool | None
    left: tuple[str, ...]


async def erase_everything(request: Request) -> Response:
    """Delete the mailbox at the relay, if possible, and Entrenous's files in the folder."""
    state, form = state_of(request), await read_form(request)
    if (
        typed_text(form, "word").casefold()
        != language_of(request).sentences.gettext("erase").casefold()
    ):
        return await show_erase_form(request, error_words(WordNotTyped()), 409)
    had_device = state.has_device
    state.jobs.stop_running()
    try:
        gone = await run_in_vault(request, close_own_mailboxes)
    except VaultLocked:
        gone = None
    await asyncio.to_thread(lambda: state.vault.lock(wait=True))
    state.login.forget_input_and_handles()
    state.jobs.keep_only_running_vault_jobs()
    state.linking = None
    left = await asyncio.to_thread(erase_device_files, state.settings.home)
    state.reread_preferences()
    return show(request, "erased.html", it=EraseResult(had_device, gone, left))


async def show_close_page(request: Request) -> Response:
    return show(request, "close.html", jobs=state_of(request).jobs.running_jobs())


async def close_app(request: Request) -> Response:
    """Lock, show a last page, and end this process."""
    state = state_of(request)
    await asyncio.to_thread(state.vault.lock)
    answer = show(request, "ended.html")
    answer.background = BackgroundTask(
        _call_after_last_page, lambda: os.kill(os.getpid(), signal.SIGTERM)
    )
    return answer


async def _call_after_last_page(end: Callable[[], None]) -> None:
    await asyncio.sleep(_LAST_PAGE_WAIT_S)
    end()
