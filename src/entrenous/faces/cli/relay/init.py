"""``entrenous relay init``."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from entrenous.faces.cli.output import put_json, say, write_new
from entrenous.faces.cli.relay.settings import AsJson
from entrenous.model.errors import as_typed


def join(relay: typer.Typer) -> None:
    """Add this module's command to ``entrenous relay``."""
    relay.command("init")(init)


def init(
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Where to write them; nothing is written over.")
    ] = Path("relay.toml"),
    as_json: AsJson = False,
) -> None:
    """Write a relay's default settings, in which every one is explained."""
    write_new(out, default_settings())
    if as_json:
        put_json({"schema": "entrenous/relay-init/1", "settings": str(out)})
        return
    say(f"The settings are in {out}. Every line begins with #: it runs as it is.")
    say(f"next: entrenous relay check --settings {as_typed(out)}")


def default_settings() -> bytes:
    """The default file."""
    return (files("entrenous.faces.cli.relay") / "default.toml").read_bytes()
