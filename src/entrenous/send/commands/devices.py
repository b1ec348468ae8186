"""``entrenous device add``, ``list``, ``move`` and ``revoke``."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from entrenous.base.errors import Unreachable, quote_for_shell
from entrenous.base.language import day_in_words, plural, translated
from entrenous.device.commands import opened_device, unlocked_device_and_vault
from entrenous.device.device import Device
from entrenous.device.identities import has_relay, may_advance_ratchets, own_device
from entrenous.device.lock_errors import VaultNotFound
from entrenous.device.recovery_sheet import NoDeviceToRevokeFrom, revoke_by_sheet
from entrenous.device.relay_lock_client import lock_at_first_relay, lock_at_new_relay
from entrenous.device.store.vault_folder import UnlockedVault
from entrenous.send.commands import vault_lock
from entrenous.send.commands.catch_up import fetch_and_print_notices
from entrenous.send.commands.setup import link_on_old_device
from entrenous.send.commands.vault_lock import read_optional_sheet, read_sheet_file
from entrenous.send.devices.device_wording import (
    describe_joining_relay,
    describe_move,
    describe_revocation,
    describe_revocation_by_sheet,
    not_yet_revoked_in_words,
)
from entrenous.send.devices.move_device import MoveResult, cancel_move, move_all_devices
from entrenous.send.devices.own_devices import (
    LOST_DEVICE_CHECKLIST,
    REVOKED_BY_SHEET_CHECKLIST,
    ChecklistItem,
    DeviceOverview,
    RevocationState,
    device_overview,
    revoke_device,
)
from entrenous.send.set_up import join_relay, normalized_relay_address
from entrenous.terminal.output import key_fingerprint, print_json, print_line, rfc3339_utc
from entrenous.terminal.session import session_of
from entrenous.terminal.typed_input import JsonFlag, json_option

SheetOption = Annotated[
    Path | None, typer.Option("--recovery", metavar="FILE", help="Your recovery sheet.")
]


def add_commands(app: typer.Typer) -> None:
    device = vault_lock.device_command_group()
    device.command("add")(link_device)
    device.command("list")(list_devices)
    device.command("move")(move_to_relay)
    device.command("revoke")(revoke_linked_device)
    app.add_typer(device, name="device")


def link_device(
    context: typer.Context,
    sheet: SheetOption = None,
    qr: Annotated[bool, typer.Option("--qr", help="Also show the code as a QR code.")] = False,
    as_json: Annotated[bool, json_option("Print JSON objects, one on each line.")] = False,
) -> None:
    """Link another device of yours: show a code, wait for the device, and compare pictures.

    Both devices show seven pictures. Say yes on both devices only if the pictures are the same. The
    new device gets the people you know, and no earlier messages.
    """
    with opened_device(context) as device:
        fetch_and_print_notices(device)
        link_on_old_device(read_optional_sheet(sheet), device, qr=qr, as_json=as_json)


def list_devices(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List your devices, and what your relay or other people have not been told about them yet."""
    with opened_device(context) as device:
        fetch_and_print_notices(device)
        shown, person = device_overview(device), own_device(device).person.id
    if as_json:
        print_json({**_device_list_json(shown), "keys": person.hex()})
        return
    for line in _device_list_lines(shown):
        print_line(line)
    print_line(translated("Your keys: {person}.").format(person=key_fingerprint(person)))


def _device_list_lines(shown: DeviceOverview) -> Iterator[str]:
    for one in shown.devices:
        about = [translated("this one")] if one.this else []
        about.append(translated("since {day}").format(day=day_in_words(one.since)))
        about.extend([] if one.has_written else [translated("has not written to this one yet")])
        yield f"{one.name}  ({', '.join(about)})"
    yield (
        translated("Your master key is on this device.")
        if shown.master_here
        else translated("Your master key is on your recovery sheet.")
    )
    yield from not_yet_revoked_in_words(shown)
    if shown.moves_to is not None:
        begun = (
            translated(
                "A move to {relay} has begun; these are not ready: {names} (entrenous inbox there)."
                " Continue:"
            )
            if shown.not_ready
            else translated("A move to {relay} has begun; all are ready. Continue:")
        )
        yield begun.format(relay=shown.moves_to, names=", ".join(shown.not_ready))
        sheet = "" if shown.master_here else " --recovery FILE"
        yield f"entrenous device move --relay {quote_for_shell(shown.moves_to)}{sheet}"
    if shown.letters:
        yield plural(
            "{count} letter waits here until a relay answers.",
            "{count} letters wait here until a relay answers.",
            shown.letters,
        )


def _device_list_json(shown: DeviceOverview) -> dict[str, object]:
    return {
        "schema": "entrenous/devices/1",
        "devices": [
            {
                "name": one.name,
                "this": one.this,
                "since": rfc3339_utc(one.since),
                "heard": one.has_written,
            }
            for one in shown.devices
        ],
        "master_here": shown.master_here,
        "not_shut_yet": list(shown.to_close),
        "refused": list(shown.refused),
        "letters_waiting": shown.letters,
        "moves_to": shown.moves_to,
        "not_ready": list(shown.not_ready),
    }


def move_to_relay(
    context: typer.Context,
    relay: Annotated[str, typer.Option(metavar="URL", help="The relay to move to.")],
    sheet: SheetOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Move to another relay with all your devices: people are told, and write there from then on.

    Messages that arrive at the old relay are fetched for 30 more days. Your other devices move too:
    nothing changes until you have run entrenous inbox on each of them; then repeat this command.
    With the address of your current relay, it cancels a move that has begun. A device that was set
    up without a relay is connected to this one.

    If the old relay is gone for good, your recovery sheet unlocks this device without that relay.
    """
    paper = read_optional_sheet(sheet)
    with unlocked_device_and_vault(context, paper) as (device, unlocked):
        if not has_relay(device):
            _connect_device_to_relay(relay, unlocked, device, as_json=as_json)
            return
        if may_advance_ratchets(device):
            fetch_and_print_notices(device)
        if normalized_relay_address(relay) == own_device(device).home.relay_url:
            called_off = cancel_move(device)
            if called_off is not None:
                fetch_and_print_notices(device)
                _print_move_cancelled(relay, called_off, as_json=as_json)
                return
        moved = move_all_devices(relay, paper, device)
        with suppress(Unreachable):  # if the relay does not answer, the next command moves the lock
            lock_at_new_relay(unlocked, device)
        fetch_and_print_notices(device)
    if as_json:
        print_json(_move_as_json(moved))
        return
    for line in describe_move(moved):
        print_line(line)


def _connect_device_to_relay(
    relay: str, unlocked: UnlockedVault, device: Device, *, as_json: bool
) -> None:
    identity = join_relay(relay, device)
    with suppress(Unreachable):  # if the relay does not answer, the next command makes the lock
        lock_at_first_relay(unlocked, device)
    if as_json:
        print_json({"schema": "entrenous/joined/1", "relay": normalized_relay_address(relay)})
        return
    for line in describe_joining_relay(identity):
        print_line(line)


def _print_move_cancelled(relay_url: str, called_off: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"schema": "entrenous/stayed/1", "relay": relay_url, "called_off": called_off})
        return
    print_line(
        translated(
            "The move to {called_off} is cancelled. You are at {relay_url}, as before."
        ).format(called_off=called_off, relay_url=relay_url)
    )


def _move_as_json(moved: MoveResult) -> dict[str, object]:
    return {
        "schema": "entrenous/moved/1",
        "relay": moved.relay_url,
        "before": moved.before,
        "old_mailbox_until": rfc3339_utc(moved.until),
        "letters_waiting": moved.letters,
    }


def revoke_linked_device(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(help="Its name in entrenous device list; with --recovery, leave it out."),
    ] = None,
    lost: Annotated[
        bool, typer.Option("--lost", help="It was lost or stolen; also prints what else to do.")
    ] = False,
    sheet: SheetOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Revoke a device for good: no passphrase opens its vault any more.

    The relay deletes its part of the lock and the messages that wait for that device; people are
    told that it is no longer yours. Files that it has exported stay where they are. If you allowed
    it to open without its relay, it can be opened until that time is over.

    If you lost your only device, its recovery sheet revokes it from any machine, without NAME and
    without a passphrase: entrenous device revoke --lost --recovery FILE. People are not told then.
    """
    if name is None:
        if sheet is None or not lost:
            raise typer.BadParameter(
                translated(
                    "give the NAME of the device. If you have only the recovery sheet of a "
                    "lost device: --lost --recovery FILE"
                )
            )
        _revoke_by_sheet(context, sheet, as_json=as_json)
        return
    try:
        with opened_device(context) as device:
            fetch_and_print_notices(device)
            revoked = revoke_device(
                name, lost=lost, sheet=read_optional_sheet(sheet), device=device
            )
    except VaultNotFound as why:
        raise NoDeviceToRevokeFrom(home=why.facts["home"], name=name) from None
    if as_json:
        to_do = _checklist_json(LOST_DEVICE_CHECKLIST) if lost else []
        shut = {"shut": revoked.shut is RevocationState.DONE, "how": revoked.shut.value}
        print_json(
            {"schema": "entrenous/revoked/1", "device": revoked.name, **shut, "to_do": to_do}
        )
        return
    for line in (
        *describe_revocation(revoked),
        *(_checklist_lines(LOST_DEVICE_CHECKLIST) if lost else ()),
    ):
        print_line(line)


def _revoke_by_sheet(context: typer.Context, sheet: Path, *, as_json: bool) -> None:
    """Revoke the device that the sheet was written on; a vault on this machine is not affected."""
    revoke_by_sheet(session_of(context).settings, read_sheet_file(sheet))
    if as_json:
        result = {
            "shut": True,
            "people_told": False,
            "to_do": _checklist_json(REVOKED_BY_SHEET_CHECKLIST),
        }
        print_json({"schema": "entrenous/shut-by-sheet/1", **result})
        return
    for line in (*describe_revocation_by_sheet(), *_checklist_lines(REVOKED_BY_SHEET_CHECKLIST)):
        print_line(line)


def _checklist_lines(items: tuple[ChecklistItem, ...]) -> Iterator[str]:
    yield ""
    yield translated("What else to do:")
    for number, item in enumerate(items, 1):
        yield f"{number}. {translated(item.what)} {translated(item.why)}"


def _checklist_json(items: tuple[ChecklistItem, ...]) -> list[dict[str, str]]:
    return [{"what": item.what, "why": item.why} for item in items]
