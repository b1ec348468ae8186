"""Tests of crashes while a device is linked or revoked, and of the devices afterwards.

The device crashes before or after a request or a commit. Each crash needs a new linked device;
``make nightly`` tests more crash points.
"""

from collections.abc import Callable

import pytest

from entrenous.base.errors import NoSuchMailbox, WrongToken
from entrenous.device.device import Device
from entrenous.device.identities import OLM_ACCOUNT_RECORD, own_device
from entrenous.device.vault_tables import OWN_RECORDS
from entrenous.send.devices.link_new_device import (
    NewDeviceLinkInProgress,
    confirm_on_new_device,
    poll_new_device,
    start_on_new_device,
)
from entrenous.send.devices.link_old_device import (
    OldDeviceLinkInProgress,
    confirm_on_old_device,
    poll_old_device,
    start_on_old_device,
)
from entrenous.send.devices.link_steps import LinkState
from entrenous.send.devices.own_devices import device_overview, revoke_device
from entrenous.send.fetch import fetch_messages
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.people.keep_contacts import contact_named
from tests.send.send_device import SMALL_PICTURE, Network, Person, cached_network
from tests.sizes import size
from tests.village.crashes import run_until_crash
from tests.village.households import add_blank_device, catch_up, link_devices
from tests.village.test_crash import count_crashes_until_success

pytestmark = pytest.mark.slow

#: Distances between tested crash points. Crash points before and after requests alternate, so
#: odd distances reach both kinds.
OLD_DEVICE_STEP, NEW_DEVICE_STEP, REVOKING_STEP = size(5, 1), size(9, 3), size(7, 3)


@pytest.fixture
@cached_network
def network() -> Network:
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben")
    ana.add_contact(ben)
    return network


def link_up_to_comparison(
    old: Device, new: Device, name: str
) -> tuple[OldDeviceLinkInProgress, NewDeviceLinkInProgress]:
    """Begin to link two devices. The new device confirms the comparison. The old device has not
    confirmed the comparison yet.
    """
    old_side = start_on_old_device(None, old)
    new_side = start_on_new_device(old_side.code, name, new)
    old_side = poll_old_device(old_side, old)
    new_side = poll_new_device(new_side, new)
    return poll_old_device(old_side, old), confirm_on_new_device(new_side)


def device_count(person: Person) -> int:
    return len(own_device(person.device).person.devices)


def is_stopped_by_crash(work: Callable[[Device], object], person: Person, crash_point: int) -> bool:
    return not run_until_crash(work, person.device, crash_point, changes=())


def received_no_undecryptable_letters(*people: Person) -> bool:
    return [take_undecryptable_count(one.device) for one in people] == [0] * len(people)


def test_crash_of_the_old_device_while_linking_links_the_new_device_or_nothing(
    network: Network,
) -> None:
    ana, ben = network["ana"], network["ben"]

    def try_with_crash(turn: int) -> bool:
        crash_point = OLD_DEVICE_STEP * turn
        name = f"phone {crash_point}"
        new = add_blank_device(network, name)
        old_side, new_side = link_up_to_comparison(ana.device, new.device, name)
        has_crashed = is_stopped_by_crash(
            lambda device: confirm_on_old_device(old_side, device), ana, crash_point
        )
        fetch_messages(ana.device)  # the next command sends the letters in the outbox
        if device_count(ana) == 1:
            assert has_crashed
            return False
        assert poll_new_device(new_side, new.device).state is LinkState.LINKED, (
            f"crash point {crash_point}"
        )
        catch_up(new, ana, new, ben, new, ana)
        assert device_count(new) == device_count(ana) == 2, f"crash point {crash_point}"
        if turn % size(2, 5) == 0:
            assert ben.send(SMALL_PICTURE, ana).devices == {"ana": 2}, f"crash point {crash_point}"
            assert new.open_newest().files
            assert ana.open_newest().files
        revoke_device(name, lost=False, sheet=None, device=ana.device)
        catch_up(ben, ana)
        assert received_no_undecryptable_letters(ana, ben, new)
        return not has_crashed

    assert count_crashes_until_success(try_with_crash) > size(3, 20)


def test_new_device_that_crashes_while_linking_works_or_can_be_revoked(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]

    def try_with_crash(turn: int) -> bool:
        crash_point = NEW_DEVICE_STEP * turn
        name = f"phone {crash_point}"
        new = add_blank_device(network, name)
        old_side, new_side = link_up_to_comparison(ana.device, new.device, name)
        confirm_on_old_device(old_side, ana.device)

        def finish_linking(device: Device) -> None:
            poll_new_device(new_side, device)
            fetch_messages(device)

        has_crashed = is_stopped_by_crash(finish_linking, new, crash_point)
        if new.device.vault.get(OWN_RECORDS, OLM_ACCOUNT_RECORD) is None:
            assert has_crashed  # the new device has no keys, but Ana's device list names it
            assert name in [one.name for one in device_overview(ana.device).devices]
        else:
            catch_up(new, ana, new, ben, new, ana)
            assert device_count(new) == device_count(ana) == 2, f"crash point {crash_point}"
            if turn % size(2, 5) == 0:
                assert ben.send(SMALL_PICTURE, ana).devices == {"ana": 2}, (
                    f"crash point {crash_point}"
                )
                assert new.open_newest().files
            assert received_no_undecryptable_letters(new)
        revoke_device(name, lost=False, sheet=None, device=ana.device)
        catch_up(ben, ana)
        assert received_no_undecryptable_letters(ana, ben)
        return not has_crashed

    assert count_crashes_until_success(try_with_crash) > size(3, 10)


@pytest.mark.threat("stolen-device")
def test_revocation_is_completed_or_can_be_repeated_after_a_crash(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]

    def try_with_crash(turn: int) -> bool:
        crash_point = REVOKING_STEP * turn
        name = f"phone {crash_point}"
        new = add_blank_device(network, name)
        link_devices(ana.device, new.device, name)
        catch_up(new, ana, ben, new, ana, ben)
        has_crashed = is_stopped_by_crash(
            lambda device: revoke_device(name, lost=True, sheet=None, device=device),
            ana,
            crash_point,
        )
        fetch_messages(ana.device)
        if device_count(ana) == 2:
            assert has_crashed
            revoke_device(name, lost=True, sheet=None, device=ana.device)
        with pytest.raises((NoSuchMailbox, WrongToken)):
            fetch_messages(new.device)
        assert device_overview(ana.device).to_close == (), f"crash point {crash_point}"
        catch_up(ben, ana)
        known = contact_named("ana", ben.device).person
        assert (known.epoch, known.head) == (
            own_device(ana.device).person.epoch,
            own_device(ana.device).person.head,
        )
        if turn % size(2, 5) == 0:
            assert ben.send(SMALL_PICTURE, ana).devices == {"ana": 1}, f"crash point {crash_point}"
            assert ana.open_newest().files
        assert received_no_undecryptable_letters(ana, ben)
        return not has_crashed

    assert count_crashes_until_success(try_with_crash) > size(2, 8)
