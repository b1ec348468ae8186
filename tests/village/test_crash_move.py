"""Test that a device that crashes in a move to another relay loses no message and no contact.

The device crashes before or after a request or a commit. All crashes happen in one network.
"""

import pytest

from entrenous.device.identities import clear_next_relay_lock, own_device
from entrenous.device.vault_tables import DEVICE_TO_GREET, OUTBOX, TOKEN_REGISTRATION
from entrenous.send.devices.move_device import move_all_devices
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.people.keep_contacts import contact_named
from tests.send.send_device import (
    OTHER_RELAY_URL,
    RELAY_URL,
    SMALL_PICTURE,
    Network,
    Person,
    network_of_three,
)
from tests.village.crashes import run_until_crash
from tests.village.households import catch_up
from tests.village.test_crash import count_crashes_until_success

pytestmark = pytest.mark.slow


@pytest.fixture
def network() -> Network:
    return network_of_three()


def has_current_device_list(person: Person, ana: Person) -> bool:
    known, now = contact_named("ana", person.device).person, own_device(ana.device).person
    return (known.epoch, known.head, known.relay_url) == (now.epoch, now.head, now.relay_url)


def test_crash_at_every_third_point_of_a_move_loses_no_message_and_no_contact(
    network: Network,
) -> None:
    ana, ben, cleo = (network[name] for name in ("ana", "ben", "cleo"))
    homes = set[bytes]()

    def try_with_crash(turn: int) -> bool:
        crash_point = 1 + 3 * turn
        target = OTHER_RELAY_URL if ana.home[0] == RELAY_URL else RELAY_URL
        homes.add(ana.home[1])
        has_finished = run_until_crash(
            lambda device: move_all_devices(target, None, device), ana.device, crash_point, ()
        )
        catch_up(ana)  # Ana's next command would fetch too
        if ana.home[0] != target:
            assert not has_finished
            assert ana.home[1] in homes
            move_all_devices(target, None, ana.device)
        clear_next_relay_lock(ana.device)
        assert ana.home[1] not in homes
        if turn % 3 == 1:
            ben.send(SMALL_PICTURE, ana)  # Ben does not know of the move yet
        catch_up(ana, ben, cleo, ana)
        assert [has_current_device_list(one, ana) for one in (ben, cleo)] == [True, True], (
            crash_point
        )
        if turn % 3 == 0:
            before = ana.received_count()
            for one in (ben, cleo):
                one.send(SMALL_PICTURE, ana)
            assert ana.received_count() == before + 2, f"crash point {crash_point}"
            assert ana.open_newest().files
        waiting = [
            ana.device.vault.keys(name) for name in (OUTBOX, TOKEN_REGISTRATION, DEVICE_TO_GREET)
        ]
        assert waiting == [(), (), ()], f"crash point {crash_point}"
        assert [take_undecryptable_count(one.device) for one in (ana, ben, cleo)] == [0, 0, 0], (
            crash_point
        )
        network.clock.advance(seconds=1)
        return has_finished

    assert count_crashes_until_success(try_with_crash) > 8
    assert len(homes) > 8
