"""A recovery sheet revokes a person's only device, which is lost, from any machine."""

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
from tests.carry.relays import disk_relay, served
from tests.deterministic import SettableClock
from tests.send.commands.device.conftest import Town

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("socket_enabled")]


@pytest.mark.threat("stolen-device")
def test_the_only_device_is_shut_by_its_sheet_alone(town: Town) -> None:
    town.types("ben", "setup", "--name", "Ben", "--relay", town.url)
    link = json.loads(town.types("ana", "invite", "--json"))["link"]
    town.types("ben", "person", "add", link, "--as", "ana")
    for who in ("ana", "ben"):
        town.types(who, "inbox")
    town.types("ben", "send", "--text", "at six", "--to", "ana", "--confirm", "ana")
    output = town.types_elsewhere(*town.revoke_by_sheet)
    assert "is revoked: no passphrase opens its vault any more" in output
    assert "168 hours" in output
    assert "People are NOT told" in output
    assert all(one.what in output and one.why in output for one in REVOKED_BY_SHEET_CHECKLIST)
    for _ in range(2):
        assert "can no longer be unlocked" in town.types(
            "ana", "inbox", status=EXIT_STATUS_BY_FAMILY["refused"]
        )
    again = json.loads(town.types_elsewhere(*town.revoke_by_sheet, "--json"))
    assert (again["shut"], again["people_told"]) == (True, False)
    assert len(again["to_do"]) == len(REVOKED_BY_SHEET_CHECKLIST)
    (message,) = json.loads(town.types("ben", "sent", "--json"))["messages"]
    assert [copy["state"] for copy in message["copies"]] == ["device revoked"]
    refused = town.types(
        *("ben", "send", "--text", "there?", "--to", "ana", "--confirm", "ana"),
        status=EXIT_STATUS_BY_FAMILY["refused"],
    )
    assert "for ana. " in refused


def test_revoking_by_name_without_a_device_explains_what_to_type(town: Town) -> None:
    named = ("device", "revoke", "device 1", *town.revoke_by_sheet[2:])
    refused = town.types_elsewhere(*named, status=EXIT_STATUS_BY_FAMILY["not-found"])
    assert "entrenous device revoke --lost --recovery FILE" in refused
    for words in ((), ("--lost",), town.revoke_by_sheet[3:]):
        assert "--recovery" in town.types_elsewhere(
            "device", "revoke", *words, status=EXIT_USAGE_ERROR
        )
    town.types("ana", "inbox")


def test_unreachable_relay_has_to_be_retried_by_the_user(town: Town) -> None:
    town.relay.close()
    silent = town.types_elsewhere(
        *town.revoke_by_sheet, status=EXIT_STATUS_BY_FAMILY["unreachable"]
    )
    assert "The lost device is not revoked yet." in silent


def test_unknown_mailbox_is_not_reported_as_shut(town: Town) -> None:
    """The device may have been revoked over 30 days ago, or the relay has another database."""
    (town.folder / "other").mkdir()
    sheet = read_sheet(town.sheet.read_text())
    with (
        disk_relay(town.folder / "other", SettableClock()) as other,
        served(relay_app(other)) as url,
    ):
        town.sheet.write_text(write_sheet(replace(sheet, relay_url=url)))
        output = town.types_elsewhere(
            *town.revoke_by_sheet, status=EXIT_STATUS_BY_FAMILY["not-found"]
        )
        assert "nothing was revoked." in output
        assert "more than 30 days ago, it stays locked" in output


@pytest.mark.threat("database-changed")
def test_device_unknown_to_its_relay_can_move_with_its_sheet(
    town: Town,
) -> None:
    with closing(sqlite3.connect(town.folder / "relay" / "mail.db")) as database:
        for table in ("stored_mailbox", "stored_lock", "stored_key_bundle"):
            database.execute(f"DELETE FROM {table}")
        database.commit()
    output = town.types("ana", "inbox", status=EXIT_STATUS_BY_FAMILY["unreachable"])
    assert "does not know this device" in output
    assert "can no longer be unlocked" not in output
    (town.folder / "other").mkdir()
    with (
        disk_relay(town.folder / "other", SettableClock(SystemClock().now())) as other,
        served(relay_app(other)) as url,
    ):
        town.types("ana", "device", "move", "--relay", url, "--recovery", str(town.sheet))
        town.types("ana", "inbox")


def test_own_sheet_does_not_shut_this_device_itself(town: Town) -> None:
    assert "so it is not lost" in town.types(
        "ana", *town.revoke_by_sheet, status=EXIT_STATUS_BY_FAMILY["refused"]
    )
    town.types("ana", "inbox")


def test_outdated_sheet_shuts_nothing_and_is_reported(town: Town) -> None:
    """The token was replaced because another device, now lost, may have known it."""
    town.replaces_close_token("ana")
    assert "is not revoked" in town.types_elsewhere(
        *town.revoke_by_sheet, status=EXIT_STATUS_BY_FAMILY["unproven"]
    )
    town.types("ana", "inbox")


def test_help_explains_what_a_sheet_shuts(town: Town) -> None:
    for command in ("recovery", "revoke"):
        output = town.types_elsewhere("device", command, "--help")
        assert "entrenous device revoke --lost --recovery FILE" in output
