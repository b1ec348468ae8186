"""Tests that no recovery sheet is written while a close token or a lock is being replaced."""

import pytest

from entrenous.base.errors import NoSuchMailbox, WrongToken
from entrenous.base.secret import Secret
from entrenous.device.identities import clear_next_relay_lock
from entrenous.device.recovery_sheet import CloseTokenNotReplacedYet, LockNotMovedYet
from entrenous.send.devices.move_device import move_all_devices
from entrenous.send.devices.own_devices import make_recovery_sheet, revoke_device
from entrenous.send.fetch import fetch_messages
from tests.send.send_device import OTHER_RELAY_URL, RELAY_URL, Network, Person
from tests.village.households import add_linked_device

RELAY_SHARE = Secret(bytes(64))


@pytest.fixture
def ana() -> Person:
    return Network().set_up_person("ana")


@pytest.mark.threat("stolen-device")
def test_sheet_written_after_a_revocation_revokes_its_own_device() -> None:
    """No sheet is written until the relay has the new close token. The token on the sheet then
    closes the mailbox of the device that wrote the sheet.
    """
    network = Network()
    ana = network.set_up_person("ana")
    add_linked_device(network, ana, "phone", "phone")
    network.disconnect(RELAY_URL)
    revoke_device("phone", lost=True, sheet=None, device=ana.device)
    with pytest.raises(CloseTokenNotReplacedYet):
        make_recovery_sheet(RELAY_SHARE, None, ana.device)
    network.reconnect(RELAY_URL)
    fetch_messages(ana.device)
    sheet = make_recovery_sheet(RELAY_SHARE, None, ana.device)
    fetch_messages(ana.device)
    ana.device.courier.close_mailbox(sheet.relay_url, sheet.mailbox, sheet.close)
    with pytest.raises((NoSuchMailbox, WrongToken)):
        fetch_messages(ana.device)


def test_no_sheet_is_written_until_the_lock_has_moved(ana: Person) -> None:
    move_all_devices(OTHER_RELAY_URL, None, ana.device)
    with pytest.raises(LockNotMovedYet):
        make_recovery_sheet(RELAY_SHARE, None, ana.device)
    clear_next_relay_lock(ana.device)
    assert make_recovery_sheet(RELAY_SHARE, None, ana.device).relay_url == OTHER_RELAY_URL
