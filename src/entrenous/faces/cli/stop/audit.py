"""``entrenous gate audit ...``: does the gate's log hold?"""

from typing import Annotated

import typer

from entrenous.faces.cli.output import put_json, say
from entrenous.faces.cli.stop.bank import AsJson, Data
from entrenous.model.audit import Head
from entrenous.stop.audit import verify_log
from entrenous.wiring.platform import open_existing


def join(gate: typer.Typer) -> None:
    """Add this module's commands below ``gate``."""
    audit = typer.Typer(help="The log of every change.", no_args_is_help=True)
    audit.command("verify")(verify)
    audit.callback()(lambda: None)
    gate.add_typer(audit, name="audit")


def verify(
    data: Data,
    head: Annotated[
        str | None,
        typer.Option(metavar="HEAD", help="As it was printed earlier: it must still be there."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read the log from its start: a row that was changed, dropped or moved is found."""
    noted = None if head is None else Head.read(head)
    with open_existing(data) as (platform, _):
        found = verify_log(platform.bank, noted)
    if as_json:
        put_json({"schema": "entrenous/audit/1", "rows": found.number, "head": str(found)})
        return
    say(f"The log holds; it has {found.number} rows. Note its head elsewhere:")
    say(f"  {found}")
