"""``entrenous relay check`` and ``relay stats``."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from entrenous.carry.check_setup import check_relay, collect_stats
from entrenous.carry.commands.settings_file import AsJson, DataFolder, SettingsFile, settings_of
from entrenous.carry.open_relay import open_present_relay
from entrenous.carry.relay_settings import MEGABYTE
from entrenous.terminal.output import print_json, print_line, rfc3339_utc
from entrenous.terminal.session import NO, YES


def join(relay: typer.Typer) -> None:
    relay.command("stats")(stats)
    relay.command("check")(check)


def check(
    settings: SettingsFile = None,
    data: DataFolder = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Instead of what is set.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, folder, disk, database, clock, TLS and address; the relay may be running.

    Exit status 1 means that something has to be fixed.
    """
    findings = check_relay(settings_of(settings, data, listen))
    fine = all(finding.ok for finding in findings)
    if as_json:
        told = [{"part": one.part, "ok": one.ok, "words": one.words} for one in findings]
        print_json({"schema": "entrenous/relay-check/1", "ok": fine, "findings": told})
    else:
        for one in findings:
            print_line(f"{'ok ' if one.ok else 'no '} {one.part}: {one.words}")
    raise typer.Exit(YES if fine else NO)


def stats(settings: SettingsFile = None, data: DataFolder = None, as_json: AsJson = False) -> None:
    """Show how much a relay holds, in numbers without names; it may be running."""
    wanted = settings_of(settings, data)
    with open_present_relay(wanted.data, wanted.database, wanted.blobs) as relay:
        held = asyncio.run(collect_stats(relay))
    restored = rfc3339_utc(held.restored_at) if held.restored_at else None
    swept = rfc3339_utc(held.swept_at) if held.swept_at else None
    if as_json:
        told = {**asdict(held), "restored_at": restored, "swept_at": swept}
        print_json({"schema": "entrenous/relay-stats/1", **told})
        return
    print_line(
        f"{held.mailboxes:,} mailboxes, {held.locks:,} locks of devices, {held.tokens:,} tokens"
    )
    print_line(f"{held.letters:,} letters wait, {held.shares:,} shares are held")
    print_line(
        f"{held.blobs:,} blobs, {held.blob_bytes // MEGABYTE:,} MB; {held.uploads:,} on their way"
    )
    if held.free_bytes is not None:
        print_line(f"{held.free_bytes // MEGABYTE:,} MB are free")
    if swept:
        print_line(f"everything due by {swept} was deleted")
    if restored:
        print_line(f"restored from a backup at {restored}")
