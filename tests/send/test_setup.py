"""Setting up a device and joining a relay: interruptions, invalid names and invalid addresses."""

import pytest

from entrenous.device.device import Device
from entrenous.device.identities import BadRelayAddress, has_relay, own_device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.picture_reader import read_picture
from entrenous.send.people.invite import make_invite_link
from entrenous.send.people.people_nouns import BadName
from entrenous.send.set_up import finish_set_up, join_relay, set_up
from tests.deterministic import SeededRandomSource
from tests.in_memory.vault import MemoryVault
from tests.send.send_device import RELAY_URL, Network
from tests.village.malicious_relay import MaliciousCourier
from tests.village.world import Participant

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """Simulates a process that is killed."""


def kill(*_: object) -> None:
    raise Killed


def new_device(network: Network) -> tuple[Device, MaliciousCourier]:
    vault, courier = MemoryVault(), MaliciousCourier(network.honest)
    random_source = SeededRandomSource("caro")
    return Device(
        network.clock, random_source, vault, VaultLedger(vault), courier, read_picture
    ), courier


@pytest.mark.parametrize("call", ["create_mailbox", "publish_key_bundle", "publish_prekeys"])
def test_a_set_up_that_was_killed_is_finished_by_the_next_command(
    network: Network, call: str
) -> None:
    device, courier = new_device(network)
    with courier.replace_calls(**{call: kill}), pytest.raises(Killed):
        set_up("caro", RELAY_URL, device)
    make_invite_link(device)
    caro = Participant("caro", device, device.vault)  # type: ignore[arg-type]
    network["ana"].add_contact(caro)
    assert own_device(device).name == "caro"


def test_a_complete_set_up_is_not_repeated(network: Network) -> None:
    device, courier = new_device(network)
    set_up("caro", RELAY_URL, device)
    with courier.replace_calls(create_mailbox=kill, publish_key_bundle=kill, publish_prekeys=kill):
        finish_set_up(device)


@pytest.mark.parametrize("name", ["", " ana", "ana\n", "x" * 65])
def test_a_name_that_cannot_be_shown_is_refused(network: Network, name: str) -> None:
    with pytest.raises(BadName):
        set_up(name, RELAY_URL, new_device(network)[0])


@pytest.mark.parametrize("url", ["relay.example", "ftp://relay.example", "https://a@b", ""])
def test_an_invalid_relay_address_is_refused(network: Network, url: str) -> None:
    with pytest.raises(BadRelayAddress):
        set_up("caro", url, new_device(network)[0])


def test_a_device_without_a_relay_joins_one_later_and_stays_itself(network: Network) -> None:
    device, _ = new_device(network)
    before = set_up("caro", None, device)
    joined = join_relay(f"{RELAY_URL}/", device)
    assert (joined.name, joined.device) == ("caro", before.device)
    network["ana"].add_contact(Participant("caro", device, device.vault))  # type: ignore[arg-type]
    assert join_relay("https://elsewhere.example", device).home == joined.home


def test_joining_that_is_killed_before_the_mailbox_exists_leaves_no_relay(network: Network) -> None:
    device, courier = new_device(network)
    set_up("caro", None, device)
    with courier.replace_calls(create_mailbox=kill), pytest.raises(Killed):
        join_relay(RELAY_URL, device)
    assert not has_relay(device)


@pytest.mark.parametrize("call", ["publish_key_bundle", "publish_prekeys"])
def test_joining_that_was_killed_is_finished_by_the_next_command(
    network: Network, call: str
) -> None:
    device, courier = new_device(network)
    set_up("caro", None, device)
    with courier.replace_calls(**{call: kill}), pytest.raises(Killed):
        join_relay(RELAY_URL, device)
    network["ana"].add_contact(Participant("caro", device, device.vault))  # type: ignore[arg-type]
