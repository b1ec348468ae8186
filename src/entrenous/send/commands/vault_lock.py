"""``entrenous device offline``, ``recovery`` and ``unlock``, and ``entrenous passphrase change``:
the lock of this device's vault.
"""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from entrenous.base.language import translated
from entrenous.base.limits import OFFLINE_UNLOCK_HOURS_MAX, UNLOCK_TRIES_MAX
from entrenous.device.commands import ask_replacement_passphrase, unlocked_device_and_vault
from entrenous.device.lock_errors import DeviceWithoutRelay
from entrenous.device.recovery_sheet import RecoverySheet, allow_more_tries
from entrenous.device.relay_lock_client import (
    allow_offline_unlock,
    change_passphrase,
    forbid_offline_unlock,
)
from entrenous.send.commands.catch_up import fetch_and_print_notices
from entrenous.send.devices.device_wording import (
    ADVICE_AFTER_WRONG_PASSPHRASES,
    are_older_copies_locked_out,
    describe_passphrase_change,
)
from entrenous.send.devices.own_devices import delete_master_key, make_recovery_sheet
from entrenous.send.formats.identity_formats import read_sheet, write_sheet
from entrenous.terminal.output import print_json, print_line, rfc3339_utc
from entrenous.terminal.output_files import read_file, write_new
from entrenous.terminal.session import session_of
from entrenous.terminal.typed_input import JsonFlag


def read_optional_sheet(path: Path | None) -> RecoverySheet | None:
    """Read the recovery sheet in a file, if one was given; raises NotARecoverySheet, NoSuchFile,
    UnreadableFile.
    """
    return None if path is None else read_sheet_file(path)


def read_sheet_file(path: Path) -> RecoverySheet:
    """Read a recovery sheet; raises NotARecoverySheet, NoSuchFile, UnreadableFile."""
    return read_sheet(read_file(path).decode(errors="replace"))


def device_command_group() -> typer.Typer:
    """Return the group ``entrenous device`` with the commands of the lock; devices.py adds more."""
    device = typer.Typer(help="Your devices and their locks.", no_args_is_help=True)
    device.command("offline")(allow_offline_opening)
    device.command("recovery")(move_master_key_to_sheet)
    device.command("unlock")(allow_ten_more_tries)
    return device


def add_commands(app: typer.Typer) -> None:
    passphrase = typer.Typer(help="What opens this device's vault.", no_args_is_help=True)
    passphrase.command("change")(choose_new_passphrase)
    app.add_typer(passphrase, name="passphrase")


def allow_offline_opening(
    context: typer.Context,
    hours: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=OFFLINE_UNLOCK_HOURS_MAX, help="Number of hours."),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="End offline opening now.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Let this device open without its relay for some hours.

    Anybody who copies its folder during that time can try passphrases on the copy without limit,
    even later. Sending and fetching still wait for the relay.
    """
    if off == (hours is not None):
        raise typer.BadParameter(translated("give either --hours N or --off"))
    with unlocked_device_and_vault(context) as (device, unlocked):
        until = allow_offline_unlock(unlocked, hours, device.clock) if hours else None
        if until is None:
            forbid_offline_unlock(unlocked)
    if as_json:
        print_json(
            {"schema": "entrenous/offline/1", "until": rfc3339_utc(until) if until else None}
        )
    elif until:
        print_line(
            translated("Until {until} this device opens without its relay.").format(
                until=rfc3339_utc(until)
            )
        )
    else:
        print_line(translated("This device opens only with its relay."))


def move_master_key_to_sheet(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the sheet.")],
    old: Annotated[
        Path | None, typer.Option("--recovery", metavar="FILE", help="Your recovery sheet.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write your recovery sheet, and take the master key off this device.

    Print it and keep it apart from your devices. With it you allow more tries after ten wrong
    passphrases, and revoke this device if it is lost, from any machine: entrenous device revoke
    --lost --recovery FILE. Anybody who has it can pose as you.
    """
    earlier = read_sheet_file(old) if old else None
    with unlocked_device_and_vault(context) as (device, unlocked):
        # Without a relay, make_recovery_sheet below reports the error.
        with suppress(DeviceWithoutRelay):
            fetch_and_print_notices(
                device
            )  # may fetch the news that a device was lost, which changes the sheet
        sheet = make_recovery_sheet(unlocked.part.output, earlier, device)
        write_new(out, write_sheet(sheet).encode())
        delete_master_key(device)
    if as_json:
        print_json({"schema": "entrenous/recovery/1", "file": str(out)})
        return
    print_line(translated("wrote {out}").format(out=out))
    print_line(
        translated("Print it, then delete the file. Your master key is no longer on this device.")
    )


def allow_ten_more_tries(
    context: typer.Context,
    sheet: Annotated[Path, typer.Option("--recovery", metavar="FILE", help="Your recovery sheet.")],
    as_json: JsonFlag = False,
) -> None:
    """Allow ten more tries, after ten wrong passphrases locked this device.

    If ENTRENOUS_HOME has a device, the sheet must be one that was written on it. If it has none,
    the sheet unlocks the device that it was written on, wherever that is.
    """
    settings = session_of(context).settings
    here = allow_more_tries(settings, read_sheet_file(sheet))
    if as_json:
        print_json({"schema": "entrenous/unlock/1", "tries": UNLOCK_TRIES_MAX, "here": here})
        return
    print_line(
        translated("The relay allows ten more tries for the device in {home}.").format(
            home=settings.home
        )
        if here
        else translated(
            "The relay allows ten more tries for the device that this sheet was written on."
        )
    )
    print_line(translated(ADVICE_AFTER_WRONG_PASSPHRASES))


def choose_new_passphrase(
    context: typer.Context,
    descriptor: Annotated[
        int | None,
        typer.Option(
            "--new-passphrase-fd", metavar="N", help="Read the new one from this file descriptor."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Choose a new passphrase, and end offline opening.

    The old passphrase no longer opens this folder. With a relay, no passphrase opens an older copy
    of the folder, such as one in a backup. Without one (setup --offline) such a copy still opens
    with the old passphrase.
    """
    with unlocked_device_and_vault(context) as (device, unlocked):
        words = ask_replacement_passphrase(descriptor, "--new-passphrase-fd")
        changed = change_passphrase(unlocked, words, device)
    if as_json:
        sheet = changed.terms.lock is not None
        said = {
            "copies_shut": are_older_copies_locked_out(unlocked, changed),
            "new_sheet_needed": sheet,
        }
        print_json({"schema": "entrenous/passphrase/1", **said})
        return
    for line in describe_passphrase_change(unlocked, changed):
        print_line(line)
