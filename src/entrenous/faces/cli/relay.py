"""``entrenous relay run``."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.adapters.http_server import serve
from entrenous.faces.cli.device import session_of
from entrenous.faces.cli.listen import host_and_port
from entrenous.faces.cli.output import put_json, say
from entrenous.wiring.relay import open_relay


def join(app: typer.Typer) -> None:
    """Add this module's commands."""
    relay = typer.Typer(help="Carry sealed messages for others.", no_args_is_help=True)
    relay.command("run")(run)
    relay.callback()(lambda: None)
    app.add_typer(relay, name="relay")


def run(
    context: typer.Context,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the database and the blobs.")
    ],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Host and port; port 0 takes a free one.")
    ] = ("127.0.0.1:7801"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line once it serves.")] = False,
) -> None:
    """Run a relay: it carries sealed messages and can never read one."""
    host, port = host_and_port(listen)

    def announce(url: str) -> None:
        if as_json:
            put_json({"schema": "entrenous/relay/1", "url": url})
        else:
            say(f"The relay serves at {url}. Stop it with Ctrl-C.")

    with open_relay(data) as relay:
        serve(session_of(context).apps["relay"](relay), host, port, announce)
