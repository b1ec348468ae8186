"""``entrenous evidence export``: an item, and what proves its time to whoever gets it."""

import shlex
from functools import partial
from pathlib import Path
from ssl import DER_cert_to_PEM_cert
from typing import Annotated, BinaryIO, Final

import typer

from entrenous.faces.cli.all_or_none import AllOrNone
from entrenous.faces.cli.device.opened import device_of
from entrenous.faces.cli.output import put_json, say
from entrenous.faces.cli.typed_in import SAFER, line_typed
from entrenous.respond.take_out import TakenOut, take_out

# The first bytes of what people keep most, so that a file opens with a click.
_SUFFIXES: Final = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"%PDF": ".pdf"}


def export(
    context: typer.Context,
    name: str,
    item: Annotated[int, typer.Argument(help="Number of the item, as the case shows it.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write it to.")],
    purpose: Annotated[
        str,
        typer.Option(
            metavar="-|TEXT", help=f"{SAFER} What for; it is noted in the chain of custody."
        ),
    ] = "taken out of the vault",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Write an item out, exactly as it was kept, with its stamps and what else proves their time;
    that this was done is noted in the case.
    """
    written, purpose = AllOrNone(), line_typed(purpose, "What for", context)
    with device_of(context) as device, written.unless(lambda: False):
        take_out(name, item, purpose, device, partial(_write_out, written, out, name))
    place, *beside = written.places
    if as_json:
        shown = {"file": str(place), "beside": [str(one) for one in beside]}
        put_json({"schema": "entrenous/evidence-export/1", **shown})
        return
    say(f"wrote {place}")
    for one in beside:
        say(f"  and {one}")
    if not beside:
        say("It is not stamped, so nothing goes with it that proves a time.")
        return
    say("Whoever gets these can check the stamp, with the authority's certificate:")
    say(f"  {_openssl(beside)}")
    say("The hash that the stamped file has of this item is printed by:")
    say(f"  cat {shlex.join([str(beside[0]), str(place)])} | sha256sum")


def _write_out(written: AllOrNone, out: Path, name: str, taken: TakenOut) -> None:
    """The item first, then its salt, then each stamp's manifest, token and certificates."""
    item = f"{name}-item-{taken.item.number}"
    files = {item + _suffix(taken.data): taken.data}
    if taken.stamps:
        files[f"{item}.salt"] = taken.item.salt.reveal()
    for number, stamp in taken.stamps.items():
        files[f"{name}-stamp-{number}.json"] = stamp.manifest
        files[f"{name}-stamp-{number}.tsr"] = stamp.token
        files[f"{name}-stamp-{number}.pem"] = _pem(stamp.authorities)
    for file, data in files.items():
        written.want(out / file, len(data), partial(_fill, data))
    written.write()


def _fill(data: bytes, file: BinaryIO) -> None:
    file.write(data)


def _openssl(beside: list[Path]) -> str:
    """Checks the first stamp; see _write_out for the order of the files."""
    _, manifest, token, ca = map(str, beside[:4])
    return shlex.join(["openssl", "ts", "-verify", "-in", token, "-data", manifest, "-CAfile", ca])


def _pem(authorities: bytes) -> bytes:
    """As openssl wants them; a person may have given one certificate as DER."""
    if b"-----BEGIN" in authorities:
        return authorities
    return DER_cert_to_PEM_cert(authorities).encode()


def _suffix(data: bytes) -> str:
    return next((end for start, end in _SUFFIXES.items() if data.startswith(start)), ".bin")
