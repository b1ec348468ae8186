"""``entrenous law ...``: which law reaches what happened, and by when somebody must act."""

import typer

from entrenous.respond.commands.deadline import deadline
from entrenous.respond.commands.routes import routes


def join(app: typer.Typer) -> None:
    law = typer.Typer(help="Legal routes: facts with a source, not advice.", no_args_is_help=True)
    law.command("routes")(routes)
    law.command("deadline")(deadline)
    law.callback()(lambda: None)
    app.add_typer(law, name="law")
