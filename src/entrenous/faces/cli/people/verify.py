"""``entrenous person verify``."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.faces.cli.catch_up import catch_up
from entrenous.faces.cli.device.opened import device_of
from entrenous.faces.cli.output import hint, read_file, say, write_new
from entrenous.faces.cli.people.qr import qr_picture, qr_read, qr_text
from entrenous.model.compare import Comparing, ShortString, Stage
from entrenous.model.errors import as_typed
from entrenous.ports import Device
from entrenous.send.acquaintance.people import verify_contact
from entrenous.send.flush import flush
from entrenous.send.verify.face_to_face import code_for, read_code
from entrenous.send.verify.safety import safety_number
from entrenous.send.verify.sas import agree, compare_keys, disagree, string_with

_WAITING = {
    Stage.BEGUN: "Asked. On {name}'s device: entrenous person verify YOU --sas",
    Stage.ANSWERED: "Answered. As soon as {name}'s device has looked into its inbox, look again.",
}


def verify(
    context: typer.Context,
    name: str,
    same: Annotated[bool, typer.Option("--same", help="It is the same on both devices.")] = False,
    sas: Annotated[
        bool, typer.Option("--sas", help="Compare seven pictures or three numbers instead.")
    ] = False,
    differs: Annotated[
        bool, typer.Option("--differs", help="With --sas: it is not the same on both devices.")
    ] = False,
    qr: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Show a code to their device: a PNG file, or -."),
    ] = None,
    scan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A photo of the code on their screen, taken by you."),
    ] = None,
) -> None:
    """Make sure that nobody stands between you and somebody: compare what both devices show.

    Side by side or by voice; never by messages, which whoever stands in between could change. Face
    to face, each of you shows a code (--qr) and photographs the other's (--scan).
    """
    if differs and (same or not sas):
        raise typer.BadParameter("--differs goes with --sas alone")
    by_code = qr is not None or scan is not None
    if by_code and (same or sas):
        raise typer.BadParameter("--qr and --scan go without --same and --sas")
    with device_of(context) as device:
        if by_code:
            _by_code(name, device, qr, scan)
        elif sas:
            _by_signs(name, device, same=same, differs=differs)
        else:
            _by_number(name, device, same=same)


def _by_code(name: str, device: Device, qr: str | None, scan: Path | None) -> None:
    if scan is not None:
        contact = read_code(name, qr_read(read_file(scan)), device)
        say(f"Noted: {contact.name}'s keys are compared on this device.")
    if qr is None:
        return
    code = code_for(name, device)
    if qr == "-":
        say(qr_text(code))
    else:
        write_new(Path(qr), qr_picture(code))
    say(f"On {name}'s device: entrenous person verify YOU --scan PHOTO, of this code.")
    say(f"Then photograph the code there: entrenous person verify {as_typed(name)} --scan PHOTO")


def _by_number(name: str, device: Device, *, same: bool) -> None:
    say(safety_number(name, device))
    if same:
        verify_contact(name, device)
        say(f"Noted: {name}'s keys are compared.")
    else:
        say(f"Compare it with the number on {name}'s device, side by side or by voice.")
        say(f"If it is the same: entrenous person verify {as_typed(name)} --same")


def _by_signs(name: str, device: Device, *, same: bool, differs: bool) -> None:
    catch_up(device)
    if differs:
        disagree(name, device)
        say(f"Noted: {name}'s keys count as unknown. Somebody may stand between you.")
        say("Do not send them anything private before you met and found out.")
        return
    if same:
        _agree(name, device)
    else:
        _show(name, compare_keys(name, device), device)
    flush(device)


def _agree(name: str, device: Device) -> None:
    if agree(name, device).compared:
        say(f"Noted: {name}'s keys are compared.")
    else:
        say(f"Noted. {name}'s keys count as compared as soon as {name} has said so too.")


def _show(name: str, comparing: Comparing, device: Device) -> None:
    if comparing.stage in _WAITING:
        say(_WAITING[comparing.stage].format(name=name))
        say(f"Then here: entrenous person verify {as_typed(name)} --sas")
        return
    _put(string_with(name, device))
    hint(f"The same on {name}'s device: entrenous person verify {as_typed(name)} --sas --same")
    hint(f"Anything else: entrenous person verify {as_typed(name)} --sas --differs")


def _put(shown: ShortString) -> None:
    say("  ".join(f"{sign.emoji} {sign.name}" for sign in shown.signs))
    say("or in numbers: " + " ".join(map(str, shown.numbers)))
