"""An archive restores the data of a device after the device was revoked and linked again."""

import pytest

from entrenous.send.devices.own_devices import revoke_device
from entrenous.send.inbox import received_messages
from entrenous.send.open import open_message
from tests.archive.archives_in_memory import export_tar, import_tar
from tests.send.send_device import SMALL_PICTURE, Network, network_of_three
from tests.village.households import add_linked_device, catch_up


@pytest.fixture
def network() -> Network:
    """Return Ana and Ben at one relay, and Cleo at another."""
    return network_of_three()


@pytest.mark.slow
def test_earlier_archive_restores_a_device_linked_again(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    phone = add_linked_device(network, ana, "phone", "phone")
    catch_up(ben, phone, ben)
    ben.send(SMALL_PICTURE, ana)
    opened = phone.open_newest().files
    name = phone.send(SMALL_PICTURE, ben).name
    tar = export_tar(phone.device)
    revoke_device("phone", lost=False, sheet=None, device=ana.device)
    again = add_linked_device(network, ana, "phone again", "phone")
    import_tar(tar, again.device)
    (kept,) = received_messages(again.device)
    assert open_message(kept.name, again.device).files == opened
    assert again.device.ledger.message_named(name).name == name
