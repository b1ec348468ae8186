"""``entrenous protect`` and ``entrenous unprotect``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from entrenous.faces.cli.device.opened import device_of
from entrenous.faces.cli.output import hint, in_one_go, put_json, read_file, say
from entrenous.model.claim import NoSuchClaim
from entrenous.model.errors import EntrenousError
from entrenous.model.protection import Protection
from entrenous.ports import Device
from entrenous.stop.protect import protect_picture
from entrenous.stop.protections import ask_again, protection_called, protections
from entrenous.stop.withdraw import unprotect as withdraw
from entrenous.wiring.outside import bank_client

BETRAYS = (
    "Only fingerprints leave this device, never the picture. A fingerprint betrays a little: "
    "somebody who has the picture can check that it is listed, and a likeness of it, not the "
    "picture, can be guessed. To find cut-outs as well, about 500 fingerprints of parts go along, "
    "which betray more; --whole-only leaves them out."
)
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def join(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("protect")(protect)
    app.command("unprotect")(unprotect)


def protect(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="The picture; it stays here.")] = None,
    gate: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the platform's gate.")
    ] = None,
    under_18: Annotated[
        bool, typer.Option("--under-18", help="Somebody in it was under 18: who helps then.")
    ] = False,
    parts: Annotated[
        bool, typer.Option("--parts/--whole-only", help="Also fingerprints of cut-outs.")
    ] = True,
    listed: Annotated[bool, typer.Option("--list", help="What you registered.")] = False,
    ask: Annotated[
        bool, typer.Option("--ask", help="With --list: ask each platform how it stands now.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask a platform to stop a picture; only its fingerprints leave this device.

    By going on you say that everybody in the picture was 18 or older; if not, use --under-18.
    """
    if listed:
        _list(context, ask=ask, as_json=as_json)
        return
    if file is None or gate is None:
        raise typer.BadParameter("give a picture and --gate URL")
    data = read_file(file)
    adult = not under_18 and _adults()
    if adult:
        hint(BETRAYS)
    with device_of(context) as device, bank_client(gate) as client:
        protection = protect_picture(
            device.read_picture(data),
            adult=adult,
            parts=parts,
            gate=client,
            device=device,
        )
    _tell(protection, as_json=as_json)
    if not as_json:
        say(f"take it back at any time: entrenous unprotect {protection.claim}")


def unprotect(context: typer.Context, claim: str, as_json: Json = False) -> None:
    """Withdraw a registration; it acts at once."""
    with device_of(context) as device:
        protection = protection_called(claim, device)
        with bank_client(protection.gate_url) as client:
            protection = withdraw(protection, client, device)
    _tell(protection, as_json=as_json)


def _list(context: typer.Context, *, ask: bool, as_json: bool) -> None:
    with device_of(context) as device:
        known = [_asked(one, device) if ask else one for one in protections(device)]
    if as_json:
        put_json({"schema": "entrenous/claims/1", "claims": [_shown(one) for one in known]})
        return
    for one in known:
        say(f"{one.claim}  {_state(one)}  at {one.gate_url}")
    if not known:
        say("Nothing registered yet.")


def _asked(one: Protection, device: Device) -> Protection:
    """How it stands now; a platform that does not say so leaves it as it was."""
    try:
        with bank_client(one.gate_url) as client:
            return ask_again(one, client, device)
    except NoSuchClaim:
        hint(f"{one.gate_url} has no claim {one.claim}.")
    except EntrenousError as error:
        hint(in_one_go(str(error)))
    return one


def _state(one: Protection) -> str:
    return "asked, no answer yet" if one.state is None else one.state.value


def _shown(one: Protection) -> dict[str, object]:
    state = "asked" if one.state is None else one.state.value
    return {"claim": one.claim, "kind": one.kind, "state": state, "gate": one.gate_url}


def _tell(protection: Protection, *, as_json: bool) -> None:
    if as_json:
        put_json({"schema": "entrenous/claim/1", **_shown(protection)})
    else:
        say(f"claim {protection.claim} at {protection.gate_url}: {_state(protection)}")


def _adults() -> bool:
    if not sys.stdin.isatty():
        return True
    question = "Was everybody in the picture 18 or older when it was taken?"
    return typer.confirm(question, err=True)  # standard output is for scripts
