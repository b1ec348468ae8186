"""``entrenous setup``."""

from typing import Annotated

import typer

from entrenous.faces.cli.device.opened import device_of, new_device, session_of
from entrenous.faces.cli.output import put_json, say
from entrenous.send.devices.renew import renew
from entrenous.send.setup import set_up


def join(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("setup")(setup)


def setup(
    context: typer.Context,
    name: Annotated[str, typer.Option(metavar="NAME", help="What people shall see as your name.")],
    relay: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of your relay, https://...")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="No relay: this device only marks and traces.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Of an earlier version's device: new keys; the ledger stays."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Make a device: its keys, and an encrypted vault that only your passphrase opens."""
    if offline == (relay is not None):
        raise typer.BadParameter("give either --relay URL or --offline")
    with device_of(context) if again else new_device(context) as device:
        identity = (renew if again else set_up)(name, relay, device)
    home = session_of(context).settings.home
    if as_json:
        put_json({"schema": "entrenous/setup/1", "name": identity.name, "home": str(home)})
        return
    say(f"This is now {identity.name}'s device; its vault is in {home}.")
    say("next: entrenous mark PHOTO --to NAME --out DIR" if offline else "next: entrenous invite")
