"""Find the case whose handle is in the address, and read or change it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from entrenous.app.web import ResultGone, error_words, run_in_vault, state_of
from entrenous.base.errors import EntrenousError
from entrenous.device.device import Device
from entrenous.respond.custody import CASES_TABLE

T = TypeVar("T")


async def run_in_case(request: Request, work: Callable[[str, Device], T]) -> T:
    """Call ``work`` with the case's name and the device, in the vault's thread.

    Raises VaultLocked; ResultGone if there is no such case any more; and the errors of ``work``.
    """
    login, wanted = state_of(request).login, case_handle(request)

    def call_with_case_name(device: Device) -> T:
        for name in device.vault.keys(CASES_TABLE):
            if login.lasting_handle_for("case", name) == wanted:
                return work(name, device)
        raise ResultGone

    return await run_in_vault(request, call_with_case_name)


async def change_case_or_show_refusal(
    request: Request,
    change: Callable[[str, Device], object],
    again: Callable[[Request, str], Awaitable[Response]],
) -> Response | None:
    """Change the case. If that is refused, return the page that ``again`` makes, with the reason
    and the typed text; otherwise return None.

    Raises VaultLocked, ResultGone.
    """
    try:
        await run_in_case(request, change)
    except EntrenousError as why:
        if not state_of(request).vault.is_open:
            raise
        return await again(request, error_words(why))
    return None


async def find_case_name(request: Request) -> str:
    """Return the name of the case; raises VaultLocked, ResultGone."""
    return await run_in_case(request, lambda name, _: name)


def case_handle(request: Request) -> str:
    handle: str = request.path_params["case"]
    return handle
