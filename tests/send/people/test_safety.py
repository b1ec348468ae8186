"""Tests of the safety number of two people, and of when there is none."""

import re
from dataclasses import replace

import pytest

from entrenous.device.identities import contacts
from entrenous.device.lock_errors import DeviceWithoutRelay
from entrenous.send.people.compare_keys import safety_number
from entrenous.send.people.people_nouns import UnknownPerson
from entrenous.send.set_up import set_up
from tests.in_memory.vault import MemoryVault
from tests.send.send_device import Network

pytestmark = pytest.mark.slow


def test_both_sides_see_the_same_sixty_digits(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    number = safety_number("ben", ana.device)
    assert number == safety_number("ana", ben.device)
    assert re.fullmatch(r"(\d{5} ){11}\d{5}", number)
    assert number == safety_number("BEN", ana.device)


def test_every_pair_has_its_own_safety_number(friends: Network) -> None:
    ana, caro = friends["ana"], friends.set_up_person("caro")
    caro.add_contact(ana)
    caro.add_contact(friends["ben"])
    numbers = {
        safety_number(name, one.device)
        for one in friends.people.values()
        for name in (contact.name for contact in contacts(one.device))
    }
    assert len(numbers) == 3
    groups = [group for number in numbers for group in number.split()]
    assert len(set(groups)) > 30  # by chance, a few of the 36 groups may be equal


def test_no_safety_number_with_an_unknown_person(network: Network) -> None:
    with pytest.raises(UnknownPerson):
        safety_number("ben", network["ana"].device)


def test_no_safety_number_on_a_device_without_a_relay(network: Network) -> None:
    device = replace(network["ana"].device, vault=MemoryVault())
    set_up("ana", None, device)
    with pytest.raises(DeviceWithoutRelay):
        safety_number("ben", device)
