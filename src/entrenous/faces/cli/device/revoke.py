"""``entrenous device revoke``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.craft.wire.identity.recovery import read_sheet
from entrenous.faces.cli.catch_up import catch_up
from entrenous.faces.cli.device.opened import device_of
from entrenous.faces.cli.output import put_json, read_file, say
from entrenous.model.recovery import RecoverySheet
from entrenous.send.devices.check_list import LOST
from entrenous.send.devices.revoke import Revoked, Shut, revoke_device
from entrenous.spec import OFFLINE_HOURS_MAX

_WINDOW: Final = (
    "If you had allowed it to open without its relay (entrenous device offline), the right",
    f"passphrase opens it until that time is over, at most {OFFLINE_HOURS_MAX} hours after you",
    "allowed it; a thief's own program need not keep to that.",
)
_WAITS: Final = (
    "Your relay has not confirmed yet that its vault is shut; it is asked again by every",
    "command. How it stands: entrenous device list",
)
_ELSEWHERE: Final = (
    "Its vault is NOT shut: this device was never told what deletes its part at the relay. The",
    "device of yours that linked it knows, and shuts it as soon as it hears. On that one, now:",
    "entrenous inbox",
)
Sheet = Annotated[
    Path | None, typer.Option("--recovery", metavar="FILE", help="Your recovery sheet.")
]


def revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What entrenous device list calls it.")],
    lost: Annotated[
        bool, typer.Option("--lost", help="It was lost or stolen: also what else to do.")
    ] = False,
    sheet: Sheet = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Take a device off your list for good: its vault stays shut, whoever knows its passphrase.

    The relay deletes its part of the lock and what waits for that device; people are told that it
    is yours no more. What it has shown or exported before stays where it is, and one that you
    allowed to open without its relay opens until that time is over.
    """
    with device_of(context) as device:
        catch_up(device)
        revoked = revoke_device(name, lost=lost, sheet=sheet_in(sheet), device=device)
    if as_json:
        to_do = [{"what": one.what, "why": one.why} for one in LOST] if lost else []
        shut = {"shut": revoked.shut is Shut.DONE, "how": revoked.shut.value}
        put_json({"schema": "entrenous/revoked/1", "device": revoked.name, **shut, "to_do": to_do})
        return
    for line in lines_of(revoked, lost=lost):
        say(line)


def sheet_in(path: Path | None) -> RecoverySheet | None:
    """The recovery sheet in a file, if one was given.

    Raises:
        NotASheet, NoSuchFile, UnreadableFile.
    """
    return None if path is None else read_sheet(read_file(path).decode(errors="replace"))


def lines_of(revoked: Revoked, *, lost: bool) -> Iterator[str]:
    """What its person reads: no more than is so."""
    name = revoked.name
    if revoked.shut is Shut.DONE:
        yield f"{name} is revoked: no passphrase opens its vault any more, unless it had an offline"
        yield "window."
    else:
        yield f"{name} is off your list, and people are told as soon as their relays answer."
        yield from _WAITS if revoked.shut is Shut.WAITS else _ELSEWHERE
    yield from _WINDOW
    if lost:
        yield ""
        yield "What else to do:"
        for place, one in enumerate(LOST, 1):
            yield f"{place}. {one.what} {one.why}"
