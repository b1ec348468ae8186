"""``entrenous gate proxy``: ask a gate in front of another server; and what hooks are told."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from entrenous.adapters.gate_client.setting import HookSetting, read_setting
from entrenous.adapters.http_server import serve
from entrenous.adapters.server_log import start_hooks_log
from entrenous.faces.cli.device.opened import session_of
from entrenous.faces.cli.listen import host_and_port
from entrenous.faces.cli.output import put_json, say

Gate = Annotated[str, typer.Option(metavar="URL", help="Address of the gate.")]
Token = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The gate's operator.token; else ENTRENOUS_GATE_TOKEN."),
]
Media = Annotated[
    str, typer.Option(metavar="hold|pass", help="Video, sound, pictures it can't read.")
]
Shadow = Annotated[bool, typer.Option("--shadow", help="Ask and log; always let through.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def join(gate: typer.Typer) -> None:
    """Add this module's command to the group ``entrenous gate``."""
    gate.command("proxy")(proxy)


def proxy(
    context: typer.Context,
    upstream: Annotated[str, typer.Option(metavar="URL", help="The server behind.")],
    gate: Gate,
    token_file: Token = None,
    paths: Annotated[
        str, typer.Option(metavar="PATH,PATH", help="Where uploads come; / is everywhere.")
    ] = "/",
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Host and port; port 0 takes a free one.")
    ] = "127.0.0.1:7803",
    on_hold: Annotated[
        str, typer.Option(metavar="publish|header", help="What becomes of a held upload.")
    ] = "publish",
    other_media: Media = "hold",
    appeal_url: Annotated[
        str, typer.Option(metavar="URL", help="Where people ask for a look at what was refused.")
    ] = "",
    budget: Annotated[
        float, typer.Option(metavar="SECONDS", help="No answer within it: the upload is held.")
    ] = 5.0,
    account_header: Annotated[
        str,
        typer.Option(metavar="NAME", help="Header in which your web server says who is signed in."),
    ] = "",
    shadow: Shadow = False,
    as_json: Json = False,
) -> None:
    """Serve another server's address and ask the gate about each upload that comes to it.

    Each decision is a line on standard error, without anything of the upload.
    """
    given = {"appeal_url": appeal_url, "budget_s": budget, "shadow": shadow}
    setting = setting_of(gate, token_file, other_media=other_media, **given)
    start_hooks_log(sys.stderr)
    where = [path.strip() for path in paths.split(",") if path.strip()]
    app = session_of(context).apps["gate proxy"](upstream, setting, where, on_hold, account_header)

    def announce(url: str) -> None:
        if as_json:
            put_json({"schema": "entrenous/gate-proxy/1", "url": url})
        else:
            say(f"Uploads to {upstream} are checked at {url}. Stop it with Ctrl-C.")

    serve(app, *host_and_port(listen), announce)


def setting_of(gate: str, token_file: Path | None, **more: object) -> HookSetting:
    """What the options say; raises BadSetting."""
    token = {} if token_file is None else {"token_file": token_file}
    return read_setting({"gate": gate, **token, **more})
