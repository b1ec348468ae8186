"""``entrenous setup``."""

from typing import Annotated

import typer

from entrenous.faces.cli.device.link import link_here
from entrenous.faces.cli.device.opened import device_to_link, new_device, session_of
from entrenous.faces.cli.output import put_json, say
from entrenous.faces.cli.typed_in import SAFER, line_typed
from entrenous.send.devices.siblings import own_name
from entrenous.send.setup import set_up


def join(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("setup")(setup)


def setup(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What people shall see as your name.")
    ] = None,
    relay: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of your relay, https://...")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="No relay: this device only marks and traces.")
    ] = False,
    link: Annotated[
        str | None,
        typer.Option(
            metavar="-|CODE",
            help=f"{SAFER} The code of your other device; this one becomes one more of yours.",
        ),
    ] = None,
    called: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="With --link: what you call this device."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Make a device: its keys, and an encrypted vault that only your passphrase opens.

    With --link it becomes one of yours; the code comes from your other device: entrenous device add
    """
    if link is not None:
        if name is not None or relay is not None or offline:
            raise typer.BadParameter("--link goes without --name, --relay and --offline")
        _link(context, link, called, as_json=as_json)
        return
    if name is None:
        raise typer.BadParameter("give --name NAME, or --link -")
    if offline == (relay is not None):
        raise typer.BadParameter("give either --relay URL or --offline")
    with new_device(context) as device:
        identity = set_up(name, relay, device)
    home = session_of(context).settings.home
    if as_json:
        put_json({"schema": "entrenous/setup/1", "name": identity.name, "home": str(home)})
        return
    say(f"This is now {identity.name}'s device; its vault is in {home}.")
    say("next: entrenous mark PHOTO --to NAME --out DIR" if offline else "next: entrenous invite")
    if not offline:
        say("A forgotten passphrase is for good, unless you have a recovery sheet on paper:")
        say("entrenous device recovery --out FILE")


def _link(context: typer.Context, code: str, called: str | None, *, as_json: bool) -> None:
    with device_to_link(context) as (device, lock):
        code = line_typed(code, "Code of your other device", context)
        link_here(code, called, device, lock, as_json=as_json)
        name = own_name(device)
    home = session_of(context).settings.home
    if as_json:
        put_json({"schema": "entrenous/setup/1", "device": name, "home": str(home)})
        return
    say(f"Its vault is in {home}.")
    say("next: entrenous person list")
