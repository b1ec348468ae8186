"""``entrenous relay init``, and the options of all relay commands: ``--settings``, ``--data``,
``--json``.
"""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from entrenous.base.errors import quote_for_shell
from entrenous.carry.relay_settings import RelaySettings, read_relay_settings
from entrenous.terminal.output import print_json, print_line
from entrenous.terminal.output_files import write_new
from entrenous.terminal.typed_input import parse_host_and_port

SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help="The relay's TOML file; see relay init."),
]
DataFolder = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder for the database and the blobs."),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def settings_of(file: Path | None, data: Path | None, listen: str | None = None) -> RelaySettings:
    """Return the file's settings, overridden by the command line.

    Raises:
        NoSettingsFile, UnreadableSettings, UnknownRelaySetting, BadRelaySetting.
        typer.BadParameter: neither a file nor a folder was given.
    """
    if file is None and data is None:
        raise typer.BadParameter("give --settings FILE or --data DIR")
    settings = read_relay_settings(file) if file else RelaySettings(data or Path())
    if data is not None:
        settings = replace(settings, data=data)
    if listen is not None:
        parse_host_and_port(listen)
        settings = replace(settings, listen=listen)
    return settings


def add_commands(relay: typer.Typer) -> None:
    relay.command("init")(init)


def init(
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="File to write the settings to; never overwrites a file."
        ),
    ] = Path("relay.toml"),
    as_json: JsonFlag = False,
) -> None:
    """Write a relay's default settings, each with an explanation."""
    write_new(out, default_settings())
    if as_json:
        print_json({"schema": "entrenous/relay-init/1", "settings": str(out)})
        return
    print_line(f"The settings are in {out}. Every line begins with #: it runs as it is.")
    print_line(f"next: entrenous relay check --settings {quote_for_shell(out)}")


def default_settings() -> bytes:
    return (files("entrenous.carry.commands") / "default.toml").read_bytes()
