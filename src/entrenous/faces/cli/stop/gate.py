"""``entrenous gate ...``: a platform's upload gate."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.adapters.http_server import serve
from entrenous.faces.cli.device.opened import session_of
from entrenous.faces.cli.listen import host_and_port
from entrenous.faces.cli.output import in_one_go, put_json, read_file, say
from entrenous.model.ids import BankName
from entrenous.stop.banks import import_hashes
from entrenous.wiring.platform import GateTokens, open_platform


def join(app: typer.Typer) -> None:
    """Add this module's commands."""
    gate = typer.Typer(help="A platform's gate: refuse a picture unseen.", no_args_is_help=True)
    gate.command("run")(run)
    bank = typer.Typer(help="The banks of fingerprints.", no_args_is_help=True)
    bank.command("import")(import_list)
    bank.callback()(lambda: None)
    gate.add_typer(bank, name="bank")
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


def import_list(
    file: Annotated[Path, typer.Argument(help="One hash a line, 64 hexadecimal digits.")],
    bank: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the bank; made if it is missing.")
    ],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the database.")],
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="You stand behind the list: fits are refused.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Bring a list of PDQ hashes into a bank; what is no hash is reported, the rest is kept."""
    text = read_file(file).decode("utf-8", errors="replace")
    with open_platform(data) as (platform, _):
        done = import_hashes(text, BankName(bank), platform, confirmed=confirmed)
    if as_json:
        refused = [{"line": line, "why": why} for line, why in done.refused]
        put_json({"schema": "entrenous/import/1", "accepted": done.accepted, "refused": refused})
        return
    say(f"{done.accepted} hashes are in bank {bank}.")
    for line, why in done.refused:
        say(f"  line {line} was left out: {in_one_go(why)}")
