"""``entrenous relay ...``: carry sealed messages for others."""

import typer

from entrenous.faces.cli.relay.backup import backup, restore, restored
from entrenous.faces.cli.relay.check import check
from entrenous.faces.cli.relay.init import init
from entrenous.faces.cli.relay.run import run
from entrenous.faces.cli.relay.stats import stats


def join(app: typer.Typer) -> None:
    """Add this module's commands."""
    relay = typer.Typer(help="Carry sealed messages for others.", no_args_is_help=True)
    for command in (run, init, check, stats, backup, restore, restored):
        relay.command(command.__name__)(command)
    relay.callback()(lambda: None)
    app.add_typer(relay, name="relay")
