"""``entrenous device add`` and ``entrenous device list``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.faces.cli.catch_up import catch_up
from entrenous.faces.cli.device import lock
from entrenous.faces.cli.device.link import show_code
from entrenous.faces.cli.device.move import move
from entrenous.faces.cli.device.opened import device_of
from entrenous.faces.cli.device.revoke import revoke, sheet_in
from entrenous.faces.cli.output import keys_in_words, put_json, say, when
from entrenous.model.errors import as_typed
from entrenous.send.devices.lists.overview import Overview, overview
from entrenous.send.devices.self import who_am_i

_NOT_YET: Final = "Not shut yet: {name}. Your relay is asked again by every command."
_NOT_TAKEN: Final = (
    "NOT shut: {name}. Your relay does not take what this device knows to shut it with; another "
    "device of yours, or a recovery sheet that was written on it, may know better."
)
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def join(app: typer.Typer) -> None:
    """Add this module's commands, and those of the lock."""
    device = lock.commands()
    device.command("add")(add)
    device.command("list")(list_devices)
    device.command("move")(move)
    device.command("revoke")(revoke)
    app.add_typer(device, name="device")


def add(
    context: typer.Context,
    sheet: Annotated[
        Path | None, typer.Option("--recovery", metavar="FILE", help="Your recovery sheet.")
    ] = None,
    qr: Annotated[bool, typer.Option("--qr", help="The code as a QR code too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Link a further device of yours: shows a code, waits for the other one, and compares.

    Both devices show seven pictures. Only if they are the same on both, say yes on both. The new
    device gets the people you know, and no messages of before.
    """
    with device_of(context) as device:
        catch_up(device)
        show_code(sheet_in(sheet), device, qr=qr, as_json=as_json)


def list_devices(context: typer.Context, as_json: Json = False) -> None:
    """Your devices, and what your relay or other people have yet to hear about them."""
    with device_of(context) as device:
        catch_up(device)
        shown, person = overview(device), who_am_i(device).person.id
    if as_json:
        put_json({**_as_json(shown), "keys": person.hex()})
        return
    for line in _lines(shown):
        say(line)
    say(f"Your keys: {keys_in_words(person)}.")


def _lines(shown: Overview) -> Iterator[str]:
    for one in shown.devices:
        about = ["this one"] if one.this else []
        about.append(f"since {one.since:%d %B %Y}")
        about.extend([] if one.heard else ["has not written to this one yet"])
        yield f"{one.name}  ({', '.join(about)})"
    where = "on this device" if shown.master_here else "on your recovery sheet"
    yield f"Your master key is {where}."
    for name in shown.to_close:
        yield (_NOT_TAKEN if name in shown.refused else _NOT_YET).format(name=name)
    if shown.moves_to is not None:
        late = ", ".join(shown.not_ready)
        wait = f"these are not ready: {late} (entrenous inbox there)" if late else "all are ready"
        yield f"A move to {shown.moves_to} is begun; {wait}. Go on:"
        yield f"entrenous device move --relay {as_typed(shown.moves_to)}"
    if shown.letters:
        letters = "1 letter waits" if shown.letters == 1 else f"{shown.letters} letters wait"
        yield f"{letters} here until a relay answers."


def _as_json(shown: Overview) -> dict[str, object]:
    return {
        "schema": "entrenous/devices/1",
        "devices": [
            {"name": one.name, "this": one.this, "since": when(one.since), "heard": one.heard}
            for one in shown.devices
        ],
        "master_here": shown.master_here,
        "not_shut_yet": list(shown.to_close),
        "refused": list(shown.refused),
        "letters_waiting": shown.letters,
        "moves_to": shown.moves_to,
        "not_ready": list(shown.not_ready),
    }
