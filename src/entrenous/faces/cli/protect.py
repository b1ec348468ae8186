"""``entrenous protect`` and ``entrenous unprotect``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from entrenous.craft.wire.record import pack, unpack
from entrenous.faces.cli.device import device_of
from entrenous.faces.cli.output import hint, put_json, read_file, say
from entrenous.model.bank import NoSuchClaim, Protection
from entrenous.model.ids import ClaimId
from entrenous.ports import Device
from entrenous.stop.protect import protect_picture
from entrenous.stop.withdraw import unprotect as withdraw
from entrenous.wiring.outside import bank_client

DRAWER = "protection"
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
    as_json: Json = False,
) -> None:
    """Ask a platform to stop a picture; only its fingerprints leave this device.

    By going on you say that everybody in the picture was 18 or older; if not, use --under-18.
    """
    if listed:
        _list(context, as_json=as_json)
        return
    if file is None or gate is None:
        raise typer.BadParameter("give a picture and --gate URL")
    data = read_file(file)
    hint(BETRAYS)
    adult = not under_18 and _adults()
    with device_of(context) as device, bank_client(gate) as client:
        protection = protect_picture(
            device.read_picture(data),
            adult=adult,
            parts=parts,
            gate=client,
            dice=device.dice,
            clock=device.clock,
        )
        device.vault.put(DRAWER, protection.claim, pack(protection))
    _tell(protection, as_json=as_json)
    if not as_json:
        say(f"take it back at any time: entrenous unprotect {protection.claim}")


def unprotect(context: typer.Context, claim: str, as_json: Json = False) -> None:
    """Withdraw a registration; it acts at once."""
    with device_of(context) as device:
        record = device.vault.get(DRAWER, claim)
        if record is None:
            raise NoSuchClaim(claim=ClaimId(claim))
        protection = unpack(Protection, record)
        with bank_client(protection.gate_url) as client:
            protection = withdraw(protection, client)
        device.vault.put(DRAWER, claim, pack(protection))
    _tell(protection, as_json=as_json)


def _list(context: typer.Context, *, as_json: bool) -> None:
    with device_of(context) as device:
        known = _protections(device)
    if as_json:
        put_json({"schema": "entrenous/claims/1", "claims": [_shown(one) for one in known]})
        return
    for one in known:
        say(f"{one.claim}  {one.state}  at {one.gate_url}")
    if not known:
        say("Nothing registered yet.")


def _protections(device: Device) -> list[Protection]:
    return [unpack(Protection, record) for _, record in device.vault.items(DRAWER)]


def _shown(one: Protection) -> dict[str, object]:
    return {"claim": one.claim, "kind": one.kind, "state": one.state.value, "gate": one.gate_url}


def _tell(protection: Protection, *, as_json: bool) -> None:
    if as_json:
        put_json({"schema": "entrenous/claim/1", **_shown(protection)})
    else:
        say(f"claim {protection.claim} at {protection.gate_url}: {protection.state}")


def _adults() -> bool:
    if not sys.stdin.isatty():
        return True
    return typer.confirm("Was everybody in the picture 18 or older when it was taken?")
