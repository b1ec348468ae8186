"""``entrenous device revoke``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.craft.wire.identity.recovery import read_sheet
from entrenous.faces.cli.catch_up import catch_up
from entrenous.faces.cli.device.opened import device_of, session_of
from entrenous.faces.cli.output import put_json, read_file, say
from entrenous.model.lost import NoDeviceToRevokeOn
from entrenous.model.recovery import RecoverySheet
from entrenous.model.vault import NoVaultHere
from entrenous.send.devices.check_list import LOST, LOST_ALONE, ToDo
from entrenous.send.devices.revoke import Revoked, Shut, revoke_device
from entrenous.spec import OFFLINE_HOURS_MAX
from entrenous.wiring.by_sheet import shut_by_sheet

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
_REFUSED: Final = (
    "Its vault is NOT shut: your relay does not take what this device knows to shut it with. That",
    "was replaced, and it had no time to tell. Another device of yours may know the newest, and",
    "shuts it as soon as it hears. On each of them, now: entrenous inbox",
    "If you have a recovery sheet that was written on it, the newest one shuts it too:",
    "entrenous device revoke --lost --recovery FILE",
)
_NOT_DONE: Final = {Shut.WAITS: _WAITS, Shut.REFUSED: _REFUSED, Shut.ELSEWHERE: _ELSEWHERE}
_ALONE: Final = (
    "The device that this recovery sheet was written on is shut: no passphrase opens its vault any",
    "more, unless it had an offline window.",
)
_UNTOLD: Final = (
    "People are NOT told: the sheet knows neither them nor your list of devices. What they send to",
    "it is refused from now on, and their programs still list that device as yours.",
    "If that device had moved to another relay after the sheet was written, it is not shut: repeat",
    "this with the sheet that was written after the move.",
)
Sheet = Annotated[
    Path | None, typer.Option("--recovery", metavar="FILE", help="Your recovery sheet.")
]


def revoke(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help="What entrenous device list calls it. Left out: the one that the sheet was "
            "written on."
        ),
    ] = None,
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

    If you lost your only device, its recovery sheet shuts it from any machine, without NAME and
    without a passphrase: entrenous device revoke --lost --recovery FILE. People are not told then.
    """
    if name is None:
        if sheet is None or not lost:
            raise typer.BadParameter(
                "say which device: NAME, or, to shut a lost one by its recovery sheet alone, "
                "--lost --recovery FILE"
            )
        _revoke_alone(context, sheet, as_json=as_json)
        return
    try:
        with device_of(context) as device:
            catch_up(device)
            revoked = revoke_device(name, lost=lost, sheet=sheet_in(sheet), device=device)
    except NoVaultHere as why:
        raise NoDeviceToRevokeOn(home=why.facts["home"], name=name) from None
    if as_json:
        to_do = _as_json(LOST) if lost else []
        shut = {"shut": revoked.shut is Shut.DONE, "how": revoked.shut.value}
        put_json({"schema": "entrenous/revoked/1", "device": revoked.name, **shut, "to_do": to_do})
        return
    for line in lines_of(revoked, lost=lost):
        say(line)


def _revoke_alone(context: typer.Context, sheet: Path, *, as_json: bool) -> None:
    """By the sheet alone: the vault that may be here is another device's, and stays as it is."""
    shut_by_sheet(session_of(context).settings, read_sheet_in(sheet))
    if as_json:
        told = {"shut": True, "people_told": False, "to_do": _as_json(LOST_ALONE)}
        put_json({"schema": "entrenous/shut-by-sheet/1", **told})
        return
    for line in (*_ALONE, *_WINDOW, *_UNTOLD, *_to_do(LOST_ALONE)):
        say(line)


def sheet_in(path: Path | None) -> RecoverySheet | None:
    """The recovery sheet in a file, if one was given.

    Raises:
        NotASheet, NoSuchFile, UnreadableFile.
    """
    return None if path is None else read_sheet_in(path)


def read_sheet_in(path: Path) -> RecoverySheet:
    """The recovery sheet in a file; raises NotASheet, NoSuchFile, UnreadableFile."""
    return read_sheet(read_file(path).decode(errors="replace"))


def lines_of(revoked: Revoked, *, lost: bool) -> Iterator[str]:
    """What its person reads: no more than is so."""
    name = revoked.name
    if revoked.shut is Shut.DONE:
        yield f"{name} is revoked: no passphrase opens its vault any more, unless it had an offline"
        yield "window."
    else:
        yield f"{name} is off your list, and people are told as soon as their relays answer."
        yield from _NOT_DONE[revoked.shut]
    yield from _WINDOW
    if lost:
        yield from _to_do(LOST)


def _to_do(every: tuple[ToDo, ...]) -> Iterator[str]:
    yield ""
    yield "What else to do:"
    for place, one in enumerate(every, 1):
        yield f"{place}. {one.what} {one.why}"


def _as_json(every: tuple[ToDo, ...]) -> list[dict[str, str]]:
    return [{"what": one.what, "why": one.why} for one in every]
