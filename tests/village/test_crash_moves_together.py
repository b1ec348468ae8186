"""Test that two devices of one person complete a move together although one crashes.

All crashes happen to the same people, one after the other.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pytest

from entrenous.device.device import Device
from entrenous.device.identities import clear_next_relay_lock
from entrenous.device.vault_tables import (
    DEVICE_TO_GREET,
    OUTBOX,
    PREPARED_MAILBOX,
    TOKEN_REGISTRATION,
)
from entrenous.send.devices.move_device import move_all_devices
from entrenous.send.devices.next_mailbox import WaitsForDevices
from entrenous.send.fetch import fetch_messages
from entrenous.send.letter.arrivals import take_undecryptable_count
from tests.send.send_device import (
    OTHER_RELAY_URL,
    RELAY_URL,
    SMALL_PICTURE,
    Network,
    Person,
    cached_network,
    network_of_three,
)
from tests.village.crashes import run_until_crash
from tests.village.households import add_linked_device, catch_up
from tests.village.test_crash import count_crashes_until_success
from tests.village.test_crash_move import has_current_device_list

pytestmark = pytest.mark.slow


@dataclass
class MovingPeople:
    """Ana has two devices. Ben and Cleo, who write to her, are at different relays."""

    ana: Person
    phone: Person
    ben: Person
    cleo: Person

    @property
    def target(self) -> str:
        """The URL of the relay to which Ana moves next."""
        return OTHER_RELAY_URL if self.ana.home[0] == RELAY_URL else RELAY_URL

    def complete_move(self, target: str) -> None:
        """Let the devices complete the move to ``target``, and check the result.

        Both of Ana's devices must be at ``target``, and her contacts must know her current list.
        """
        for _ in range(2):
            if self.ana.home[0] != target:
                start_move(self.ana.device, target)
            catch_up(self.phone, self.ana, self.phone)
        for one in (self.ana, self.phone):
            clear_next_relay_lock(one.device)
        catch_up(self.ana, self.ben, self.cleo, self.phone, self.ana, self.ben, self.cleo)
        assert [one.home[0] for one in (self.ana, self.phone)] == [target, target]
        assert [has_current_device_list(one, self.ana) for one in (self.ben, self.cleo)] == [
            True,
            True,
        ]

    def check_messages_arrive(self) -> None:
        """Check that messages to Ana reach both of her devices, and that no task is pending."""
        own, others = (self.ana, self.phone), (self.ben, self.cleo)
        before = [one.received_count() for one in own]
        for one in others:
            one.send(SMALL_PICTURE, self.ana)
        assert [one.received_count() for one in own] == [count + 2 for count in before]
        tables = (OUTBOX, TOKEN_REGISTRATION, DEVICE_TO_GREET, PREPARED_MAILBOX)
        assert [one.device.vault.keys(name) for one in own for name in tables] == [()] * 8
        assert [take_undecryptable_count(one.device) for one in (*own, *others)] == [0] * 4


def start_move(device: Device, target: str) -> None:
    with suppress(WaitsForDevices):
        move_all_devices(target, None, device)


@pytest.fixture
@cached_network
def network() -> Network:
    network = network_of_three()
    ana, ben, cleo = (network[name] for name in ("ana", "ben", "cleo"))
    catch_up(ben, cleo, ana, add_linked_device(network, ana, "phone", "phone"), ben, cleo)
    return network


@pytest.mark.parametrize(
    ("crashing_name", "crash_point_step"),
    [
        *(("ana", 13), ("phone", 25)),
        *(pytest.param(*one, marks=pytest.mark.nightly) for one in (("ana", 7), ("phone", 13))),
    ],
)
def test_crash_of_one_device_does_not_stop_the_move_of_both(
    network: Network, crashing_name: str, crash_point_step: int
) -> None:
    """One device crashes alternately while the move is prepared and while the move is signed."""
    people = MovingPeople(*(network[name] for name in ("ana", "phone", "ben", "cleo")))

    def try_with_crash(turn: int) -> bool:
        is_signing, target = turn % 2 == 1, people.target
        if is_signing or crashing_name == "phone":
            start_move(people.ana.device, target)
        if is_signing:
            catch_up(people.phone, people.ana)
        if is_signing and crashing_name == "phone":
            start_move(people.ana.device, target)
        step = partial(start_move, target=target) if crashing_name == "ana" else fetch_messages
        has_finished = run_until_crash(
            step, network[crashing_name].device, 1 + crash_point_step * (turn // 2), ()
        )
        people.complete_move(target)
        people.check_messages_arrive()
        network.clock.advance(seconds=1)
        return has_finished and is_signing

    assert count_crashes_until_success(try_with_crash) > 4
