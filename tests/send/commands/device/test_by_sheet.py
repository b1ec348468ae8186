"""Tests of revoking with a recovery sheet, and of moving a device that the relay does not know."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from entrenous.base.environment import SystemClock
from entrenous.carry.http.relay_app import relay_app
from entrenous.send.devices.own_devices import REVOKED_BY_SHEET_CHECKLIST
from entrenous.send.formats.identity_formats import read_sheet, write_sheet
from entrenous.terminal.session import EXIT_STATUS_BY_FAMILY, EXIT_USAGE_ERROR
from tests.carry.relays import disk_relay, serve_app
from tests.deterministic import SettableClock
from tests.send.commands.device.conftest import RelayCommandLine

pytestmark = pytest.mark.real


@pytest.mark.threat("stolen-device")
def test_recovery_sheet_alone_revokes_the_only_device(cli: RelayCommandLine) -> None:
    cli.run("ben", "setup", "--name", "Ben", "--relay", cli.url)
    link = json.loads(cli.run("ana", "invite", "--json"))["link"]
    cli.run("ben", "person", "add", link, "--as", "ana")
    for who in ("ana", "ben"):
        cli.run(who, "inbox")
    cli.run("ben", "send", "--text", "at six", "--to", "ana", "--confirm", "ana")
    output = cli.run_elsewhere(*cli.revoke_by_sheet_command)
    assert "is revoked: no passphrase opens its vault any more" in output
    assert "168 hours" in output
    assert "People are NOT told" in output
    assert all(one.what in output and one.why in output for one in REVOKED_BY_SHEET_CHECKLIST)
    for _ in range(2):
        assert "can no longer be unlocked" in cli.run(
            "ana", "inbox", status=EXIT_STATUS_BY_FAMILY["refused"]
        )
    again = json.loads(cli.run_elsewhere(*cli.revoke_by_sheet_command, "--json"))
    assert (again["shut"], again["people_told"]) == (True, False)
    assert len(again["to_do"]) == len(REVOKED_BY_SHEET_CHECKLIST)
    (message,) = json.loads(cli.run("ben", "sent", "--json"))["messages"]
    assert [copy["state"] for copy in message["copies"]] == ["device revoked"]
    refused = cli.run(
        *("ben", "send", "--text", "there?", "--to", "ana", "--confirm", "ana"),
        status=EXIT_STATUS_BY_FAMILY["refused"],
    )
    assert "for ana. " in refused


def test_revoking_by_name_without_a_device_explains_what_to_type(cli: RelayCommandLine) -> None:
    named = ("device", "revoke", "device 1", *cli.revoke_by_sheet_command[2:])
    refused = cli.run_elsewhere(*named, status=EXIT_STATUS_BY_FAMILY["not-found"])
    assert "entrenous device revoke --lost --recovery FILE" in refused
    for words in ((), ("--lost",), cli.revoke_by_sheet_command[3:]):
        assert "--recovery" in cli.run_elsewhere(
            "device", "revoke", *words, status=EXIT_USAGE_ERROR
        )
    cli.run("ana", "inbox")


def test_revocation_fails_while_the_relay_is_unreachable(cli: RelayCommandLine) -> None:
    cli.relay_stack.close()
    silent = cli.run_elsewhere(
        *cli.revoke_by_sheet_command, status=EXIT_STATUS_BY_FAMILY["unreachable"]
    )
    assert "It is not confirmed yet that the lost device is revoked." in silent


def test_unknown_mailbox_is_not_reported_as_revoked(cli: RelayCommandLine) -> None:
    """The relay may have forgotten the device after 30 days, or may use a wrong database."""
    (cli.folder / "other").mkdir()
    sheet = read_sheet(cli.sheet_path.read_text())
    with (
        disk_relay(cli.folder / "other", SettableClock()) as other,
        serve_app(relay_app(other)) as url,
    ):
        cli.sheet_path.write_text(write_sheet(replace(sheet, relay_url=url)))
        output = cli.run_elsewhere(
            *cli.revoke_by_sheet_command, status=EXIT_STATUS_BY_FAMILY["not-found"]
        )
        assert "nothing was revoked." in output
        assert "more than 30 days ago, it stays locked" in output


@pytest.mark.threat("database-changed")
def test_device_unknown_to_its_relay_can_move_with_its_sheet(
    cli: RelayCommandLine,
) -> None:
    with closing(sqlite3.connect(cli.folder / "relay" / "mail.db")) as database:
        for table in ("stored_mailbox", "stored_lock", "stored_key_bundle"):
            database.execute(f"DELETE FROM {table}")
        database.commit()
    output = cli.run("ana", "inbox", status=EXIT_STATUS_BY_FAMILY["unreachable"])
    assert "does not know this device" in output
    assert "can no longer be unlocked" not in output
    (cli.folder / "other").mkdir()
    with (
        disk_relay(cli.folder / "other", SettableClock(SystemClock().now())) as other,
        serve_app(relay_app(other)) as url,
    ):
        cli.run("ana", "device", "move", "--relay", url, "--recovery", str(cli.sheet_path))
        cli.run("ana", "inbox")


def test_device_is_not_revoked_with_its_own_sheet(cli: RelayCommandLine) -> None:
    assert "so it is not lost" in cli.run(
        "ana", *cli.revoke_by_sheet_command, status=EXIT_STATUS_BY_FAMILY["refused"]
    )
    cli.run("ana", "inbox")


def test_outdated_sheet_revokes_nothing(cli: RelayCommandLine) -> None:
    cli.replace_close_token("ana")
    assert "is not revoked" in cli.run_elsewhere(
        *cli.revoke_by_sheet_command, status=EXIT_STATUS_BY_FAMILY["unproven"]
    )
    cli.run("ana", "inbox")


def test_help_explains_how_to_revoke_with_a_sheet(cli: RelayCommandLine) -> None:
    for command in ("recovery", "revoke"):
        output = cli.run_elsewhere("device", command, "--help")
        assert "entrenous device revoke --lost --recovery FILE" in output
