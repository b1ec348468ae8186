"""``entrenous relay check``."""

from typing import Annotated

import typer

from entrenous.faces.cli.exits import NO, YES
from entrenous.faces.cli.output import put_json, say
from entrenous.faces.cli.relay.settings import AsJson, DataFolder, SettingsFile, settings_of
from entrenous.wiring.relay_check import check_relay


def join(relay: typer.Typer) -> None:
    """Add this module's command to ``entrenous relay``."""
    relay.command("check")(check)


def check(
    settings: SettingsFile = None,
    data: DataFolder = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Instead of what is set.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at settings, folder, disk, database, clock, TLS and address; the relay may be running.

    Exit status 1 says that something has to be put right.
    """
    findings = check_relay(settings_of(settings, data, listen))
    fine = all(finding.ok for finding in findings)
    if as_json:
        told = [{"part": one.part, "ok": one.ok, "words": one.words} for one in findings]
        put_json({"schema": "entrenous/relay-check/1", "ok": fine, "findings": told})
    else:
        for one in findings:
            say(f"{'ok ' if one.ok else 'no '} {one.part}: {one.words}")
    raise typer.Exit(YES if fine else NO)
