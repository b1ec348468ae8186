"""``entrenous relay backup``, ``relay restore`` and ``relay restored``."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.carry.backup import back_up_relay, mark_restored, restore_relay
from entrenous.carry.commands.settings_file import AsJson, DataFolder, SettingsFile, settings_of
from entrenous.carry.relay_settings import MEGABYTE, BackupNeedsLocalStorage, RelaySettings
from entrenous.terminal.output import print_json, print_line, rfc3339_utc

WithShares = Annotated[
    bool,
    typer.Option(
        "--with-shares",
        help="Keep shares: what was taken back or used up after the backup can be opened again.",
    ),
]


def add_commands(relay: typer.Typer) -> None:
    relay.command("backup")(backup)
    relay.command("restore")(restore)
    relay.command("restored")(restored)


def backup(
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new or empty folder to write to.")],
    settings: SettingsFile = None,
    data: DataFolder = None,
    as_json: AsJson = False,
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
    as_json: AsJson = False,
) -> None:
    """Restore a backup into a new or empty folder. Messages that nobody had opened are lost.

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
    _print_lost_blobs(done.lost)
    if done.damaged:
        print_line(
            f"  {done.damaged:,} blobs in the backup were missing or altered; they are left out."
        )
    _print_advice_after_restore()


def restored(
    settings: SettingsFile = None,
    data: DataFolder = None,
    with_shares: WithShares = False,
    as_json: AsJson = False,
) -> None:
    """Tell a relay, before it starts, that its PostgreSQL, bucket or folder was restored by other
    tools. Messages that nobody had opened are lost, as after `relay restore`.
    """
    lost, missing = mark_restored(settings_of(settings, data), with_shares=with_shares)
    if as_json:
        document = {"lost": lost, "missing": missing, "with_shares": with_shares}
        print_json({"schema": "entrenous/relay-restored/1", **document})
        return
    print_line("The relay knows that it was restored, and may be started.")
    _print_lost_blobs(lost)
    if missing:
        print_line(f"  {missing:,} blobs are missing; the copies that need them are lost too.")
    _print_advice_after_restore()


def _print_lost_blobs(lost: int) -> None:
    print_line(f"  {lost:,} copies that nobody had opened are lost; `entrenous sent` shows which.")


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
