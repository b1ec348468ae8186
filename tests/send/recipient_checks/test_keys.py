"""Tests that the guard asks about new devices, and about keys that no longer count as compared."""

from dataclasses import replace

import pytest

from entrenous.base.identifiers import DeviceId
from entrenous.base.identity import Trust
from entrenous.send.people.keep_contacts import contact_named, store_contact
from tests.send.send_device import SMALL_PICTURE, Network
from tests.send.test_guard import guard_reasons

pytestmark = pytest.mark.slow


def test_a_new_device_is_asked_about(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    known = contact_named("ben", ana.device)
    second = replace(known.person.devices[0], device=DeviceId(bytes(16)))
    person_with_second = replace(known.person, devices=(*known.person.devices, second))
    store_contact(replace(known, person=person_with_second), ana.device)
    assert guard_reasons(ana, "ben") == {
        "ben": "ben has a device that you have not sent anything to"
    }
    store_contact(known, ana.device)
    assert guard_reasons(ana, "ben") == {}, "a removed device is no reason to ask"


def test_keys_that_no_longer_count_as_compared_are_asked_about(friends: Network) -> None:
    ana = friends["ana"]
    ana.send(SMALL_PICTURE, friends["ben"])
    store_contact(replace(contact_named("ben", ana.device), trust=Trust.UNKNOWN), ana.device)
    assert "no longer count as compared" in guard_reasons(ana, "ben")["ben"]
    assert "keys are unknown" in guard_reasons(ana, "ben")["ben"]
