"""``entrenous gate ...``: a platform's upload gate."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.adapters.http_server import serve
from entrenous.faces.cli.device.opened import session_of
from entrenous.faces.cli.listen import host_and_port
from entrenous.faces.cli.output import put_json, say
from entrenous.faces.cli.stop import attempt, audit, bank, exchange, hooks, index, partner
from entrenous.wiring.platform import GateTokens, open_platform


def join(app: typer.Typer) -> None:
    """Add this module's commands."""
    gate = typer.Typer(help="A platform's gate: refuse a picture unseen.", no_args_is_help=True)
    gate.command("run")(run)
    for part in (attempt, bank, index, partner, audit, hooks, exchange):
        part.join(gate)
    app.add_typer(gate, name="gate")


def run(
    context: typer.Context,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the database.")],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Host and port; port 0 takes a free one.")
    ] = ("127.0.0.1:7802"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line once it serves.")] = False,
) -> None:
    """Run a gate: uploads that fit a registered fingerprint are held or refused."""
    host, port = host_and_port(listen)
    with open_platform(data) as (platform, tokens):

        def announce(url: str) -> None:
            if as_json:
                put_json(_announced(url, tokens))
            else:
                say(f"The gate serves at {url}. Stop it with Ctrl-C.")
                say(f"  Its tokens are in {data}: operator.token, uploader.token.")

        serve(session_of(context).apps["gate"](platform, tokens), host, port, announce)


def _announced(url: str, tokens: GateTokens) -> dict[str, object]:
    return {
        "schema": "entrenous/gate/1",
        "url": url,
        "operator_token": tokens.operator.reveal().decode(),
        "uploader_token": tokens.uploader.reveal().decode(),
    }
