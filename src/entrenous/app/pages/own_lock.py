"""This device's lock: the recovery sheet, a new passphrase, offline unlocking, and moving to
another relay.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_text
from entrenous.app.jobs import ReportProgress
from entrenous.app.pages.devices import RevocationOutcome, describe_checklist, sheet_from_form
from entrenous.app.passphrases import (
    chosen_passphrase,
    new_passphrase_variables,
    passphrase_in,
)
from entrenous.app.vault_session import VaultLocked, VaultSession
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
from entrenous.app.wording import without_commands
from entrenous.base.environment import SystemClock
from entrenous.base.errors import EntrenousError, Refused, Unreachable
from entrenous.base.language import moment_in_words, translated
from entrenous.base.limits import OFFLINE_UNLOCK_HOURS_MAX
from entrenous.device.device import Device
from entrenous.device.identities import own_device
from entrenous.device.recovery_sheet import RecoverySheet, allow_more_tries, revoke_by_sheet
from entrenous.device.relay_lock_client import (
    allow_offline_unlock,
    change_passphrase,
    forbid_offline_unlock,
    lock_at_new_relay,
)
from entrenous.device.store.vault_folder import (
    UnlockedVault,
    has_offline_window,
    is_current_passphrase,
)
from entrenous.send.devices.device_wording import (
    ADVICE_AFTER_WRONG_PASSPHRASES,
    describe_move,
    describe_passphrase_change,
    describe_revocation_by_sheet,
)
from entrenous.send.devices.move_device import cancel_move, move_all_devices
from entrenous.send.devices.own_devices import (
    REVOKED_BY_SHEET_CHECKLIST,
    delete_master_key,
    device_overview,
    make_recovery_sheet,
)
from entrenous.send.fetch import fetch_messages
from entrenous.send.formats.identity_formats import write_sheet
from entrenous.send.people.qr_codes import qr_picture
from entrenous.send.set_up import normalized_relay_address


class NoSheetGiven(Refused):
    """Type what is on your recovery sheet, or choose a photo of its code. Nothing was changed."""


class NotThePassphrase(Refused):
    """
    That is not this device's current passphrase. Nothing was changed. Check Caps Lock and the
    keyboard's language, then try again.
    """


@dataclass(frozen=True, slots=True)
class MadeRecoverySheet:
    """A recovery sheet, in memory until it is on paper. ``device`` is the name of the device for
    which it was made, and which the sheet can unlock or, if the device is lost, revoke.
    """

    text: str
    device: str

    @property
    def in_groups(self) -> str:
        """The text in groups of eight characters, so that it can be copied by hand. The first row
        has the prefix and one group, and each further row has up to four groups. Spaces and line
        ends are ignored when the sheet is read.
        """
        prefix, colon, code = "".join(self.text.split()).rpartition(":")
        first, rest = code[:_SHEET_GROUP_CHARS], code[_SHEET_GROUP_CHARS:]
        groups = [
            rest[at : at + _SHEET_GROUP_CHARS] for at in range(0, len(rest), _SHEET_GROUP_CHARS)
        ]
        rows = (
            groups[at : at + _SHEET_GROUPS_PER_ROW]
            for at in range(0, len(groups), _SHEET_GROUPS_PER_ROW)
        )
        return "\n".join((f"{prefix}{colon}{first}", *map(" ".join, rows)))


_SHEET_GROUP_CHARS: Final = 8
_SHEET_GROUPS_PER_ROW: Final = 4


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """What the person reads after a change: a heading, and paragraphs."""

    heading: str
    said: tuple[str, ...]


def routes() -> list[Route]:
    return [
        Route("/66", show_sheet_form, name="sheet", methods=["GET"]),
        Route("/66", start_making_sheet, methods=["POST"]),
        Route("/66/{handle}", show_sheet, name="sheet_made", methods=["GET"]),
        Route("/66/{handle}", confirm_sheet_and_delete_key, methods=["POST"]),
        Route("/66/{handle}/code", serve_sheet_code, name="sheet_code"),
        Route("/67", show_use_sheet_form, name="use_sheet", methods=["GET"]),
        Route("/67", act_by_sheet, methods=["POST"]),
        Route("/68", show_passphrase_change_form, name="passphrase", methods=["GET"]),
        Route("/68", start_passphrase_change, methods=["POST"]),
        Route("/68/hours", show_offline_unlock_form, name="offline", methods=["GET"]),
        Route("/68/hours", set_offline_unlock, methods=["POST"]),
        Route("/68/{handle}", show_result_words, name="told"),
        Route("/69", show_move_form, name="move", methods=["GET"]),
        Route("/69", start_or_cancel_move, methods=["POST"]),
    ]


async def show_sheet_form(request: Request, words: str = "", status: int = 200) -> Response:
    """Explain what a recovery sheet is for, and offer to make one."""
    shown = await run_in_vault(request, device_overview)
    return show(
        request, "sheet.html", status=status, words=words, needs_sheet=not shown.master_here
    )


async def start_making_sheet(request: Request) -> Response:
    try:
        old = await sheet_from_form(await read_form(request))
    except EntrenousError as why:
        return await show_sheet_form(request, error_words(why), 409)
    vault, say = state_of(request).vault, language_of(request).sentences.gettext

    def make_sheet_after_fetching(device: Device, _: ReportProgress) -> MadeRecoverySheet:
        with suppress(Unreachable):
            # a waiting message may report a lost device, and the new sheet must take that into
            # account
            fetch_messages(device)
        made = make_recovery_sheet(_require_unlocked(vault).part.output, old, device)
        return MadeRecoverySheet(write_sheet(made), device_overview(device).devices[0].name)

    return start_job(request, say("Making the sheet"), make_sheet_after_fetching, "sheet_made")


async def show_sheet(request: Request) -> Response:
    made, handle = job_result(request, MadeRecoverySheet), request.path_params["handle"]
    return show(request, "sheet_made.html", made=made, handle=handle, now=SystemClock().now())


async def serve_sheet_code(request: Request) -> Response:
    return response_for_page(
        request, qr_picture(job_result(request, MadeRecoverySheet).text), "image/png"
    )


async def confirm_sheet_and_delete_key(request: Request) -> Response:
    """Ask whether the sheet is on paper. After a yes, delete the master key from this device, and
    the sheet from memory.
    """
    job_result(request, MadeRecoverySheet)
    form, say = await read_form(request), language_of(request).sentences.gettext
    if not has_confirmed(form):
        said = (
            say("This device now forgets the sheet, and the key that adds and removes devices."),
            say("From then on, it needs the paper for that. Check that every line is on it."),
        )
        yes, no = say("Yes, it is on paper"), say("Show it again")
        return show_confirmation_page(
            request, form, ConfirmationQuestion(say("Is all of it on paper?"), said, yes, no)
        )
    await run_in_vault(request, delete_master_key)
    state_of(request).jobs.forget_job(request.path_params["handle"])
    return redirect_to(request, "devices")


async def show_use_sheet_form(request: Request, words: str = "", status: int = 200) -> Response:
    """Offer what a recovery sheet can do without the vault: allow more attempts, or revoke a lost
    device.
    """
    return show(request, "use_sheet.html", status=status, words=words)


async def act_by_sheet(request: Request) -> Response:
    """Allow more attempts, revoke a lost device, or unlock this one while its relay is gone."""
    form = await read_form(request)
    try:
        given = await sheet_from_form(form)
        if given is None:
            raise NoSheetGiven
        match typed_text(form, "do"):
            case "tries":
                return await _allow_more_attempts(request, given)
            case "shut":
                return await _revoke_by_sheet(request, given)
            case _:
                words = passphrase_in(form, "passphrase")
                await asyncio.wrap_future(state_of(request).vault.unlock(words, given))
    except EntrenousError as why:
        return await show_use_sheet_form(request, error_words(why), 409)
    return redirect_to(request, "move")


async def _allow_more_attempts(request: Request, given: RecoverySheet) -> Response:
    await asyncio.to_thread(allow_more_tries, state_of(request).settings, given)
    say = language_of(request).sentences.gettext
    return show(
        request,
        "told.html",
        heading=say("Ten more tries"),
        said=[without_commands(translated(ADVICE_AFTER_WRONG_PASSPHRASES))],
        back="unlock",
    )


async def _revoke_by_sheet(request: Request, given: RecoverySheet) -> Response:
    await asyncio.to_thread(revoke_by_sheet, state_of(request).settings, given)
    done = RevocationOutcome(tuple(describe_revocation_by_sheet()), REVOKED_BY_SHEET_CHECKLIST)
    to_do = describe_checklist(done)
    return show(request, "revoked.html", said=done.said, to_do=to_do)


async def show_passphrase_change_form(
    request: Request, why: EntrenousError | None = None, status: int = 200
) -> Response:
    await run_in_vault(request, lambda _: None)
    return show(
        request,
        "passphrase.html",
        status=status,
        **new_passphrase_variables(why),
    )


async def start_passphrase_change(request: Request) -> Response:
    """Change the passphrase. The current one has to be typed too, since somebody else may find the
    app open.
    """
    form, vault = await read_form(request), state_of(request).vault
    say = language_of(request).sentences.gettext
    now = passphrase_in(form, "now")

    def refuse_wrong_passphrase(_: Device) -> None:
        if not is_current_passphrase(now, _require_unlocked(vault)):
            raise NotThePassphrase

    try:
        words = chosen_passphrase(form)
        await run_in_vault(request, refuse_wrong_passphrase)
    except VaultLocked:
        raise
    except EntrenousError as why:
        return await show_passphrase_change_form(request, why, 409)

    def set_new_passphrase(device: Device, _: ReportProgress) -> ChangeResult:
        before = _require_unlocked(vault)
        vault.unlocked = change_passphrase(before, words, device)
        said = tuple(describe_passphrase_change(before, vault.unlocked))
        return ChangeResult(say("Your passphrase was changed"), said)

    return start_job(
        request, say("Locking this device with the new passphrase"), set_new_passphrase, "told"
    )


async def show_result_words(request: Request) -> Response:
    done = job_result(request, ChangeResult)
    said = [without_commands(one) for one in done.said]
    return show(request, "told.html", heading=done.heading, said=said, back="devices")


async def show_offline_unlock_form(
    request: Request, words: str = "", status: int = 200
) -> Response:
    home = state_of(request).settings.home
    is_open = await run_in_vault(request, lambda _: has_offline_window(home))
    return show(
        request,
        "offline.html",
        status=status,
        words=words,
        has_window=is_open,
        most=OFFLINE_UNLOCK_HOURS_MAX,
    )


async def set_offline_unlock(request: Request) -> Response:
    """Let this device unlock without its relay for some hours, or stop allowing that."""
    form, vault = await read_form(request), state_of(request).vault
    hours = max(1, min(OFFLINE_UNLOCK_HOURS_MAX, int(typed_text(form, "hours") or 1)))
    say = language_of(request).sentences.gettext

    def change_offline_window(device: Device) -> str:
        if typed_text(form, "do") == "off":
            forbid_offline_unlock(_require_unlocked(vault))
            return say("This device opens only with its relay.")
        until = moment_in_words(allow_offline_unlock(_require_unlocked(vault), hours, device.clock))
        return say("Until {time} this device opens without its relay.").format(time=until)

    try:
        said = await run_in_vault(request, change_offline_window)
    except VaultLocked:
        raise
    except EntrenousError as why:
        return await show_offline_unlock_form(request, error_words(why), 409)
    return show(
        request, "told.html", heading=say("Open without the relay"), said=[said], back="devices"
    )


async def show_move_form(request: Request, words: str = "", status: int = 200) -> Response:
    def read_relay_and_move(device: Device) -> tuple[str, str, bool]:
        shown = device_overview(device)
        return own_device(device).home.relay_url, shown.moves_to or "", shown.master_here

    relay, moves_to, master_here = await run_in_vault(request, read_relay_and_move)
    form = posted_or_kept_form(request)
    return show(
        request,
        "move.html",
        status=status,
        words=words,
        relay=relay,
        wanted=typed_text(form, "relay") or moves_to,
        moves_to=moves_to,
        needs_sheet=not master_here,
    )


async def start_or_cancel_move(request: Request) -> Response:
    """Begin, continue or cancel a move to another relay."""
    form, vault = await read_form(request), state_of(request).vault
    say = language_of(request).sentences.gettext
    try:
        paper, url = (
            await sheet_from_form(form),
            normalized_relay_address(typed_text(form, "relay")),
        )
        if typed_text(form, "do") == "cancel":
            await run_in_vault(request, cancel_move)
            return redirect_to(request, "devices")
    except VaultLocked:
        raise
    except EntrenousError as why:
        return await show_move_form(request, error_words(why), 409)

    def move_to_relay(device: Device, _: ReportProgress) -> ChangeResult:
        with suppress(Unreachable):
            fetch_messages(device)
        moved = move_all_devices(url, paper, device)
        # if the new relay does not answer, the next unlock makes the lock there
        with suppress(Unreachable):
            vault.unlocked = lock_at_new_relay(_require_unlocked(vault), device)
        return ChangeResult(say("You moved"), tuple(describe_move(moved)))

    return start_job(request, say("Moving to the other relay"), move_to_relay, "told")


def _require_unlocked(vault: VaultSession) -> UnlockedVault:
    """Return the parts of the vault's key; raises VaultLocked."""
    if vault.unlocked is None:
        raise VaultLocked
    return vault.unlocked
