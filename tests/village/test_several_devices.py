"""People with two and three devices: everything reaches each of them, and none that is revoked."""

import pytest

from entrenous.craft.crypto.hashing import sha256
from entrenous.model.received import InboxState
from entrenous.send.acquaintance.people import contact_named, contacts
from entrenous.send.devices.revoke import revoke_device
from entrenous.send.devices.siblings import siblings
from entrenous.send.inbox import received_messages
from entrenous.send.letter.aside import take_from_aside
from entrenous.send.status import sent_messages
from tests.send.move.test_late import in_touch
from tests.send.room import SMALL, THERE, Person, Room
from tests.village.households import bare, catch_up, link, links


@pytest.fixture
def home() -> Room:
    """Ana with a laptop ("ana") and a phone, Ben with one device at another relay; acquainted."""
    room = Room()
    ana, ben = room.settles("ana"), room.settles("ben", THERE)
    ana.adds(ben)
    phone = links(room, ana, "phone", "phone")
    catch_up(ben, phone, ana, ben, phone, ana)
    return room


def nothing_unread(*people: Person) -> bool:
    return [take_from_aside(one.device) for one in people] == [0] * len(people)


def test_a_linked_device_knows_who_the_first_one_knows(home: Room) -> None:
    phone, ana, ben = home["phone"], home["ana"], home["ben"]
    known = contact_named("ben", phone.device)
    assert (known.person.id, known.verified) == (ben.id, True)
    assert [one.name for one in siblings(phone.device)] == ["device 1"]
    assert [one.name for one in siblings(ana.device)] == ["phone"]
    assert len(contact_named("ana", ben.device).person.devices) == 2
    assert [one.name for one in contacts(ana.device)] == ["ben"]
    assert nothing_unread(ana, phone, ben)


def test_both_devices_receive_each_its_own_copy(home: Room) -> None:
    phone, ana, ben = home["phone"], home["ana"], home["ben"]
    assert ben.sends(SMALL, ana).devices == {"ana": 2}
    copies = [one.opens_newest().files[0].data for one in (ana, phone)]
    assert copies[0] != copies[1]
    (message,) = ben.device.ledger.messages()
    noted = {copy.device: copy.sha256 for copy in message.pictures[0].copies}
    assert set(noted.values()) == {sha256(data) for data in copies}


def test_each_device_writes_under_its_persons_name(home: Room) -> None:
    phone, ana, ben = home["phone"], home["ana"], home["ben"]
    phone.sends(SMALL, ben)
    ana.sends(SMALL, ben)
    assert ben.received() == 2
    assert {one.sender_name for one in received_messages(ben.device)} == {"ana"}
    assert {one.state for one in received_messages(ben.device)} == {InboxState.WAITING}
    assert nothing_unread(ana, phone, ben)


def test_one_device_that_takes_nothing_more_is_no_refusal(home: Room) -> None:
    """Ben's phone was revoked a minute ago, and Ana has not heard of it: his laptop has hers."""
    ana, ben = home["ana"], home["ben"]
    phone = links(home, ben, "phone", "phone")
    catch_up(ana, phone, ben, ana)
    revoke_device("phone", lost=False, sheet=None, device=ben.device)
    assert ana.sends(SMALL, ben).devices == {"ben": 1}
    (sent,) = sent_messages(ana.device)
    assert sorted(copy.fate for copy in sent.copies) == ["refused", "waiting"]
    assert ben.received() == 1


def test_devices_that_never_met_are_brought_together(home: Room) -> None:
    """The phone links a tablet before the laptop has told it how to write to it, and is lost."""
    ana, phone, ben = home["ana"], home["phone"], home["ben"]
    watch = links(home, phone, "watch", "watch")
    tablet = bare(home, "tablet")
    link(watch.device, tablet.device, "tablet")
    for _ in range(3):
        catch_up(watch, tablet, phone, ben, ana)
    assert in_touch(ana, tablet, watch, phone)
    revoke_device("watch", lost=True, sheet=None, device=ana.device)
    catch_up(ben, tablet, ana, ben)
    ben.sends(SMALL, ana)
    assert tablet.received() == 1
    assert nothing_unread(ana, tablet, phone, ben)
