"""Messages after ten wrong passphrases locked a device, with the right sheet or another one."""

import json

import pytest

from entrenous.terminal.session import EXIT_STATUS_BY_FAMILY
from tests.send.commands.device.conftest import Town

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("socket_enabled")]

REFUSED, UNPROVEN = EXIT_STATUS_BY_FAMILY["refused"], EXIT_STATUS_BY_FAMILY["unproven"]


def guess(town: Town, who: str, times: int = 10) -> str:
    """Try wrong passphrases on this person's device, and return the last output."""
    output = ""
    with town.monkeypatch.context() as patch:
        for number in range(times):
            patch.setenv("ENTRENOUS_PASSPHRASE", f"guess number {number}")
            output = town.types(who, "sent", status=REFUSED)
    return output


def unlock_command(town: Town, who: str = "ana", sheet: str = "sheet.txt") -> tuple[str, ...]:
    return (who, "device", "unlock", "--recovery", str(town.folder / sheet))


def set_up_bens_device(town: Town) -> None:
    """Set up Ben's device, whose recovery sheet does not match Ana's folder."""
    town.types("ben", "setup", "--name", "Ben", "--relay", town.url)
    town.types("ben", "device", "recovery", "--out", str(town.folder / "bens.txt"))


def test_lockout_message_explains_what_to_do(town: Town) -> None:
    output = guess(town, "ana")
    assert "entrenous device unlock --recovery FILE" in output
    assert "If you did not make those tries" in output


@pytest.mark.threat("stolen-device")
def test_guesses_that_locked_a_device_are_reported_at_the_next_unlock(town: Town) -> None:
    guess(town, "ana")
    unlocked = town.types(*unlock_command(town))
    assert f"ten more tries for the device in {town.folder / 'ana'}" in unlocked
    assert "passphrase change" in unlocked
    guess(town, "ana", 2)
    listed = town.types("ana", "sent")
    assert "its recovery sheet allowed ten more tries. Before that, up to ten" in listed
    assert "2 tries at this device's passphrase failed after that" in listed
    assert "If that was not you" in listed
    assert "tries" not in town.types("ana", "sent")


def test_another_devices_sheet_unlocks_nothing(town: Town) -> None:
    set_up_bens_device(town)
    guess(town, "ana")
    for shut in (False, True):
        if shut:
            town.types_elsewhere(
                "device", "revoke", "--lost", "--recovery", str(town.folder / "bens.txt")
            )
        output = town.types(*unlock_command(town, sheet="bens.txt"), status=REFUSED)
        assert f"does not match the device in {town.folder / 'ana'}" in output
    assert town.types(*unlock_command(town))
    assert town.types("ana", "inbox")


def test_the_relay_is_not_asked_about_another_device(town: Town) -> None:
    set_up_bens_device(town)
    guess(town, "ben")
    town.types(*unlock_command(town, sheet="bens.txt"), status=REFUSED)
    assert "ten wrong passphrases" in guess(town, "ben", 1)


def test_replaced_sheet_unlocks_nothing(town: Town) -> None:
    """The close token was replaced when another device of hers was lost."""
    town.replaces_close_token("ana")
    guess(town, "ana")
    output = town.types(*unlock_command(town), status=UNPROVEN)
    assert "After the sheet was written, another device" in output
    assert "invite" not in output


def test_sheet_without_a_local_device_unlocks_its_own_or_reports_it_gone(town: Town) -> None:
    guess(town, "ana")
    freed = town.types_elsewhere(*unlock_command(town)[1:])
    assert "for the device that this sheet was written on" in freed
    assert json.loads(town.types_elsewhere(*unlock_command(town)[1:], "--json"))["here"] is False
    town.types("ana", "inbox")
    town.types_elsewhere(*town.revoke_by_sheet)
    gone = town.types_elsewhere(*unlock_command(town)[1:], status=REFUSED)
    assert "no longer knows the device for which the sheet was made" in gone
    shut = town.types(*unlock_command(town), status=REFUSED)
    assert "This device's vault can no longer be unlocked" in shut
