"""Tests of a device locked by ten wrong passphrases, and of unlocking with a recovery sheet."""

import json

import pytest

from entrenous.terminal.session import EXIT_STATUS_BY_FAMILY
from tests.send.commands.device.conftest import RelayCommandLine

pytestmark = pytest.mark.real

REFUSED, UNPROVEN = EXIT_STATUS_BY_FAMILY["refused"], EXIT_STATUS_BY_FAMILY["unproven"]


def try_wrong_passphrases(cli: RelayCommandLine, person: str, times: int = 10) -> str:
    """Try wrong passphrases on this person's device, and return the last output."""
    output = ""
    with cli.monkeypatch.context() as patch:
        for number in range(times):
            patch.setenv("ENTRENOUS_PASSPHRASE", f"guess number {number}")
            output = cli.run(person, "sent", status=REFUSED)
    return output


def unlock_command(
    cli: RelayCommandLine, person: str = "ana", sheet: str = "sheet.txt"
) -> tuple[str, ...]:
    return (person, "device", "unlock", "--recovery", str(cli.folder / sheet))


def set_up_bens_device(cli: RelayCommandLine) -> None:
    """Set up Ben's device, and write the recovery sheet ``bens.txt`` for it."""
    cli.run("ben", "setup", "--name", "Ben", "--relay", cli.url)
    cli.run("ben", "device", "recovery", "--out", str(cli.folder / "bens.txt"))


def test_setup_does_not_promise_that_a_sheet_replaces_a_passphrase(cli: RelayCommandLine) -> None:
    output = cli.run("ben", "setup", "--name", "Ben", "--relay", cli.url)
    assert "Nobody can replace a forgotten passphrase. With a recovery sheet on" in output


def test_lockout_message_explains_what_to_do(cli: RelayCommandLine) -> None:
    output = try_wrong_passphrases(cli, "ana")
    assert "entrenous device unlock --recovery FILE" in output
    assert "If you did not make those tries" in output


@pytest.mark.threat("stolen-device")
def test_guesses_that_locked_a_device_are_reported_at_the_next_unlock(
    cli: RelayCommandLine,
) -> None:
    try_wrong_passphrases(cli, "ana")
    unlocked = cli.run(*unlock_command(cli))
    assert f"ten more tries for the device in {cli.folder / 'ana'}" in unlocked
    assert "passphrase change" in unlocked
    try_wrong_passphrases(cli, "ana", 2)
    listed = cli.run("ana", "sent")
    assert "its recovery sheet allowed ten more tries. Before that, up to ten" in listed
    assert "2 tries at this device's passphrase failed after that" in listed
    assert "If that was not you" in listed
    assert "tries" not in cli.run("ana", "sent")


def test_sheet_of_another_device_unlocks_nothing(cli: RelayCommandLine) -> None:
    set_up_bens_device(cli)
    try_wrong_passphrases(cli, "ana")
    for is_bens_device_revoked in (False, True):
        if is_bens_device_revoked:
            cli.run_elsewhere(
                "device", "revoke", "--lost", "--recovery", str(cli.folder / "bens.txt")
            )
        output = cli.run(*unlock_command(cli, sheet="bens.txt"), status=REFUSED)
        assert f"does not match the device in {cli.folder / 'ana'}" in output
    assert cli.run(*unlock_command(cli))
    assert cli.run("ana", "inbox")


def test_sheet_that_does_not_match_the_folder_unlocks_no_device(cli: RelayCommandLine) -> None:
    set_up_bens_device(cli)
    try_wrong_passphrases(cli, "ben")
    cli.run(*unlock_command(cli, sheet="bens.txt"), status=REFUSED)
    assert "ten wrong passphrases" in try_wrong_passphrases(cli, "ben", 1)


def test_sheet_with_an_outdated_token_unlocks_nothing(cli: RelayCommandLine) -> None:
    cli.replace_close_token("ana")
    try_wrong_passphrases(cli, "ana")
    output = cli.run(*unlock_command(cli), status=UNPROVEN)
    assert "After the sheet was written, another device" in output
    assert "invite" not in output


def test_sheet_on_another_machine_unlocks_its_device_until_a_revocation(
    cli: RelayCommandLine,
) -> None:
    try_wrong_passphrases(cli, "ana")
    freed = cli.run_elsewhere(*unlock_command(cli)[1:])
    assert "for the device that this sheet was written on" in freed
    assert json.loads(cli.run_elsewhere(*unlock_command(cli)[1:], "--json"))["here"] is False
    cli.run("ana", "inbox")
    cli.run_elsewhere(*cli.revoke_by_sheet_command)
    refused = cli.run_elsewhere(*unlock_command(cli)[1:], status=REFUSED)
    assert "no longer knows the device for which the sheet was made" in refused
    shut = cli.run(*unlock_command(cli), status=REFUSED)
    assert "This device's vault can no longer be unlocked" in shut
