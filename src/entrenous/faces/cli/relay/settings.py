"""``--settings FILE``, ``--data DIR`` and ``--listen HOST:PORT``: what a relay command is about."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from entrenous.adapters.relay_settings import read_relay_settings
from entrenous.faces.cli.listen import host_and_port
from entrenous.model.relay_settings import RelaySettings

SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help="The relay's TOML file; see relay init."),
]
DataFolder = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder for the database and the blobs."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def settings_of(file: Path | None, data: Path | None, listen: str | None = None) -> RelaySettings:
    """The settings in a file, with what the command line says in their place.

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
        host_and_port(listen)
        settings = replace(settings, listen=listen)
    return settings
