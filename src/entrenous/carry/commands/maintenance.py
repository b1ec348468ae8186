"""``entrenous relay check``, ``stats``, ``backup``, ``restore`` and ``restored``."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from entrenous.carry.backup import back_up_relay, delete_untrusted_after_restore, restore_relay
from entrenous.carry.check_setup import check_relay, collect_stats
from entrenous.carry.commands.settings_file import DataFolder, JsonFlag, SettingsFile, settings_of
from entrenous.carry.open_relay import open_existing_relay
from entrenous.carry.relay_settings import MEGABYTE, BackupNeedsLocalStorage, RelaySettings
from entrenous.terminal.output import print_json, print_line, rfc3339_utc
from entrenous.terminal.session import EXIT_NO, EXIT_YES


def add_commands(relay: typer.Typer) -> None:
    relay.command("stats")(stats)
    relay.command("check")(check)
    relay.command("backup")(backup)
    relay.command("restore")(restore)
    relay.command("restored")(restored)


def check(
    settings: SettingsFile = None,
    data: DataFolder = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="The address to check, instead of the one in the settings."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check settings, folder, disk, database, clock, TLS and address; the relay may be running.

    Exit status 1 means that something has to be fixed; 3, 4 or 7, that the settings cannot be used.
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


def stats(
    settings: SettingsFile = None, data: DataFolder = None, as_json: JsonFlag = False
) -> None:
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
        print_line(f"the last clean-up with a trusted clock began in the hour from {swept}")
    if restored:
        print_line(f"restored from a backup at {restored}")


WithShares = Annotated[
    bool,
    typer.Option(
        "--with-shares",
        help="Keep shares: what was taken back or used up after the backup can be opened again.",
    ),
]


def backup(
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new or empty folder to write to.")],
    settings: SettingsFile = None,
    data: DataFolder = None,
    as_json: JsonFlag = False,
) -> None:
    """Save a snapshot of a relay, which may be running."""
    saved = back_up_relay(_require_local_relay(settings_of(settings, data)), out)
    total = sum(blob.size for blob in saved.blobs)
    if as_json:
        document = {"blobs": len(saved.blobs), "blob_bytes": total, "missing": len(saved.missing)}
        made_at = rfc3339_utc(saved.made_at)
        print_json({"schema": "entrenous/relay-backup/1", "made_at": made_at, **document})
        return
    print_line(
        f"The relay is saved in {out}: {len(saved.blobs):,} blobs, {total // MEGABYTE:,} MB."
    )
    print_line("It is as secret as the relay itself, and keeps what is later deleted there.")


def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="The folder of a backup.")],
    settings: SettingsFile = None,
    data: DataFolder = None,
    with_shares: WithShares = False,
    as_json: JsonFlag = False,
) -> None:
    """Restore a backup into a new or empty folder. Messages that could still be opened are lost.

    A share (the relay's half of a message's key) in a backup may have been taken back or used up
    since. So all shares are left out, and their messages have to be sent again; `entrenous sent`
    tells the senders.
    """
    into = _require_local_relay(settings_of(settings, data))
    done = restore_relay(source, into, with_shares=with_shares)
    if as_json:
        made_at = rfc3339_utc(done.backup.made_at)
        document = {"made_at": made_at, "lost": done.lost, "damaged": done.damaged}
        print_json({"schema": "entrenous/relay-restore/1", **document, "with_shares": with_shares})
        return
    print_line(f"The relay of {rfc3339_utc(done.backup.made_at)} is in {into}.")
    _print_lost_copies(done.lost)
    if done.damaged:
        print_line(
            f"  {done.damaged:,} blobs in the backup were missing or altered; they are left out."
        )
    _print_advice_after_restore()


def restored(
    settings: SettingsFile = None,
    data: DataFolder = None,
    with_shares: WithShares = False,
    as_json: JsonFlag = False,
) -> None:
    """Tell a relay, before it starts, that its PostgreSQL, bucket or folder was restored by other
    tools. Messages that could still be opened are lost, as after `relay restore`.
    """
    lost, missing = delete_untrusted_after_restore(
        settings_of(settings, data), with_shares=with_shares
    )
    if as_json:
        document = {"lost": lost, "missing": missing, "with_shares": with_shares}
        print_json({"schema": "entrenous/relay-restored/1", **document})
        return
    print_line("The relay knows that it was restored, and may be started.")
    _print_lost_copies(lost)
    if missing:
        print_line(f"  {missing:,} blobs are missing; the copies that need them are lost too.")
    _print_advice_after_restore()


def _print_lost_copies(lost: int) -> None:
    print_line(
        f"  {lost:,} copies that could still be opened are lost; `entrenous sent` shows which."
    )


def _print_advice_after_restore() -> None:
    print_line(
        "  Tell your people to open Entrenous: within six hours of use their devices repeat what"
    )
    print_line(
        "  they have ended since the backup, such as taking copies back and revoking devices."
    )
    print_line("  Until then the lock of a lost device answers again.")


def _require_local_relay(wanted: RelaySettings) -> Path:
    """Return the folder that contains the relay's database and blobs.

    Raises BackupNeedsLocalStorage if either is stored elsewhere.
    """
    if wanted.database is not None or wanted.blobs is not None:
        raise BackupNeedsLocalStorage
    return wanted.data
