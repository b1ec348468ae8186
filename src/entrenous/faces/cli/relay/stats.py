"""``entrenous relay stats``."""

import asyncio
from dataclasses import asdict

import typer

from entrenous.carry.stats import stats_of
from entrenous.faces.cli.output import put_json, say, when
from entrenous.faces.cli.relay.settings import AsJson, DataFolder, SettingsFile, settings_of
from entrenous.model.relay_settings import MEGABYTE
from entrenous.wiring.relay import open_present_relay


def join(relay: typer.Typer) -> None:
    """Add this module's command to ``entrenous relay``."""
    relay.command("stats")(stats)


def stats(settings: SettingsFile = None, data: DataFolder = None, as_json: AsJson = False) -> None:
    """Say how much a relay holds, in numbers without names; it may be running."""
    wanted = settings_of(settings, data)
    with open_present_relay(wanted.data, wanted.database, wanted.blobs) as relay:
        held = asyncio.run(stats_of(relay))
    restored = when(held.restored_at) if held.restored_at else None
    swept = when(held.swept_at) if held.swept_at else None
    if as_json:
        told = {**asdict(held), "restored_at": restored, "swept_at": swept}
        put_json({"schema": "entrenous/relay-stats/1", **told})
        return
    say(f"{held.mailboxes:,} mailboxes, {held.locks:,} locks of devices, {held.tokens:,} tokens")
    say(f"{held.letters:,} letters wait, {held.shares:,} shares are held")
    say(f"{held.blobs:,} blobs, {held.blob_bytes // MEGABYTE:,} MB; {held.uploads:,} on their way")
    if held.free_bytes is not None:
        say(f"{held.free_bytes // MEGABYTE:,} MB are free")
    if swept:
        say(f"what was due by {swept} has ended")
    if restored:
        say(f"restored from a backup at {restored}")
