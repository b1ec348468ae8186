"""``entrenous relay check`` and ``relay stats``."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from entrenous.carry.check_setup import check_relay, collect_stats
from entrenous.carry.commands.settings_file import AsJson, DataFolder, SettingsFile, settings_of
from entrenous.carry.open_relay import open_existing_relay
from entrenous.carry.relay_settings import MEGABYTE
from entrenous.terminal.output import print_json, print_line, rfc3339_utc
from entrenous.terminal.session import EXIT_NO, EXIT_YES


def add_commands(relay: typer.Typer) -> None:
    relay.command("stats")(stats)
    relay.command("check")(check)


def check(
    settings: SettingsFile = None,
    data: DataFolder = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="The address to check, instead of the one in the settings."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, folder, disk, database, clock, TLS and address; the relay may be running.

    Exit status 1 means that something has to be fixed.
    """
    findings = check_relay(settings_of(settings, data, listen))
    all_ok = all(finding.ok for finding in findings)
    if as_json:
        document = [{"part": one.part, "ok": one.ok, "words": one.words} for one in findings]
        print_json({"schema": "entrenous/relay-check/1", "ok": all_ok, "findings": document})
    else:
        for one in findings:
            print_line(f"{'ok ' if one.ok else 'no '} {one.part}: {one.words}")
    raise typer.Exit(EXIT_YES if all_ok else EXIT_NO)


def stats(settings: SettingsFile = None, data: DataFolder = None, as_json: AsJson = False) -> None:
    """Show how much a relay stores, in numbers without names; it may be running."""
    relay_settings = settings_of(settings, data)
    with open_existing_relay(
        relay_settings.data, relay_settings.database, relay_settings.blobs
    ) as relay:
        counts = asyncio.run(collect_stats(relay))
    restored = rfc3339_utc(counts.restored_at) if counts.restored_at else None
    swept = rfc3339_utc(counts.swept_at) if counts.swept_at else None
    if as_json:
        document = {**asdict(counts), "restored_at": restored, "swept_at": swept}
        print_json({"schema": "entrenous/relay-stats/1", **document})
        return
    print_line(
        f"{counts.mailboxes:,} mailboxes, {counts.locks:,} locks of devices, "
        f"{counts.tokens:,} tokens"
    )
    print_line(f"{counts.letters:,} letters wait, {counts.shares:,} shares are held")
    print_line(
        f"{counts.blobs:,} blobs, {counts.blob_bytes // MEGABYTE:,} MB; "
        f"{counts.uploads:,} on their way"
    )
    if counts.free_bytes is not None:
        print_line(f"{counts.free_bytes // MEGABYTE:,} MB are free")
    if swept:
        print_line(f"everything due by {swept} was deleted")
    if restored:
        print_line(f"restored from a backup at {restored}")
