"""Tests of people with several devices: linking, revocation, copies, send tokens, sync notes."""

from datetime import UTC, datetime

import pytest

from entrenous.base.identity import Trust
from entrenous.crypto.hashing import sha256
from entrenous.device.identities import contacts
from entrenous.send.devices.link_new_device import (
    confirm_on_new_device,
    poll_new_device,
    start_on_new_device,
)
from entrenous.send.devices.link_old_device import (
    confirm_on_old_device,
    poll_old_device,
    start_on_old_device,
)
from entrenous.send.devices.linked_devices import own_linked_devices
from entrenous.send.devices.own_devices import revoke_device
from entrenous.send.flush import flush_outbox
from entrenous.send.formats.sync_format import (
    SharedBlock,
    SharedContact,
    SharedForgottenContact,
    SharedRecord,
    write_sync_note,
)
from entrenous.send.inbox import received_messages
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.letter.write import (
    addressee_of,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.message.states import InboxState
from entrenous.send.people.block import rename_contact
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.status import query_sent_messages
from tests.send.send_device import OTHER_RELAY_URL, SMALL_PICTURE, Network, Person, cached_network
from tests.village.households import (
    add_blank_device,
    add_linked_device,
    can_all_write,
    catch_up,
    link_devices,
    owner_and_device_ids,
)

pytestmark = pytest.mark.slow


@pytest.fixture
@cached_network
def network() -> Network:
    """Return Ana with a laptop ("ana") and a phone, and her contact Ben at another relay."""
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben", OTHER_RELAY_URL)
    ana.add_contact(ben)
    phone = add_linked_device(network, ana, "phone", "phone")
    catch_up(ben, phone, ana, ben, phone, ana)
    return network


def received_no_undecryptable_letters(*people: Person) -> bool:
    return [take_undecryptable_count(one.device) for one in people] == [0] * len(people)


def test_linked_devices_share_contacts_and_know_each_other(network: Network) -> None:
    phone, ana, ben = network["phone"], network["ana"], network["ben"]
    known = contact_named("ben", phone.device)
    assert (known.person.id, known.compared) == (ben.id, True)
    assert [one.name for one in own_linked_devices(phone.device)] == ["device 1"]
    assert [one.name for one in own_linked_devices(ana.device)] == ["phone"]
    assert len(contact_named("ana", ben.device).person.devices) == 2
    assert [one.name for one in contacts(ana.device)] == ["ben"]
    assert received_no_undecryptable_letters(ana, phone, ben)


def test_each_device_receives_its_own_copy(network: Network) -> None:
    phone, ana, ben = network["phone"], network["ana"], network["ben"]
    assert ben.send(SMALL_PICTURE, ana).devices == {"ana": 2}
    copies = [one.open_newest().files[0].data for one in (ana, phone)]
    assert copies[0] != copies[1]
    (message,) = ben.device.ledger.messages()
    noted = {copy.device: copy.sha256 for copy in message.pictures[0].copies}
    assert set(noted.values()) == {sha256(data) for data in copies}


def test_each_device_sends_under_its_owners_name(network: Network) -> None:
    phone, ana, ben = network["phone"], network["ana"], network["ben"]
    phone.send(SMALL_PICTURE, ben)
    ana.send(SMALL_PICTURE, ben)
    assert ben.received_count() == 2
    assert {one.sender_name for one in received_messages(ben.device)} == {"ana"}
    assert {one.state for one in received_messages(ben.device)} == {InboxState.WAITING}
    assert received_no_undecryptable_letters(ana, phone, ben)


def test_message_reaches_the_device_that_is_not_revoked(network: Network) -> None:
    """Ben has revoked his phone, but Ana's device does not know this when it sends."""
    ana, ben = network["ana"], network["ben"]
    phone = add_linked_device(network, ben, "phone", "phone")
    catch_up(ana, phone, ben, ana)
    revoke_device("phone", lost=False, sheet=None, device=ben.device)
    assert ana.send(SMALL_PICTURE, ben).devices == {"ben": 1}
    (sent,) = query_sent_messages(ana.device)
    assert sorted(copy.state_in_words for copy in sent.copies) == ["refused", "waiting"]
    assert ben.received_count() == 1


def test_devices_linked_by_different_devices_exchange_tokens(network: Network) -> None:
    """The watch links a tablet before the watch has all tokens; later the watch is revoked."""
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    watch = add_linked_device(network, phone, "watch", "watch")
    tablet = add_blank_device(network, "tablet")
    link_devices(watch.device, tablet.device, "tablet")
    for _ in range(3):
        catch_up(watch, tablet, phone, ben, ana)
    assert can_all_write(ana, tablet, watch, phone)
    revoke_device("watch", lost=True, sheet=None, device=ana.device)
    catch_up(ben, tablet, ana, ben)
    ben.send(SMALL_PICTURE, ana)
    assert tablet.received_count() == 1
    assert received_no_undecryptable_letters(ana, tablet, phone, ben)


def test_devices_exchange_tokens_although_the_linking_device_is_lost(network: Network) -> None:
    """The linking device, a watch, is revoked before the tablet has completed the linking."""
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    watch = add_linked_device(network, phone, "watch", "watch")
    for _ in range(3):
        catch_up(ana, phone, watch, ben)
    tablet = add_blank_device(network, "tablet")
    old_side = start_on_old_device(None, watch.device)
    new_side = start_on_new_device(old_side.code, "tablet", tablet.device)
    old_side = poll_old_device(old_side, watch.device)
    new_side = poll_new_device(new_side, tablet.device)
    old_side = poll_old_device(old_side, watch.device)
    new_side = confirm_on_new_device(new_side)
    confirm_on_old_device(old_side, watch.device)
    catch_up(ana)
    revoke_device("watch", lost=True, sheet=None, device=ana.device)
    catch_up(ana)
    poll_new_device(new_side, tablet.device)
    for _ in range(12):
        catch_up(tablet, phone, ana, ben)
        network.clock.advance(days=1)
    assert can_all_write(ana, phone, tablet)


@pytest.mark.threat("stolen-device")
@pytest.mark.parametrize("note_class", [SharedContact, SharedForgottenContact, SharedBlock])
def test_sync_note_about_its_own_sender_cuts_off_no_other_device(
    network: Network, note_class: type
) -> None:
    """A stolen watch sends a note with the latest possible date; then the watch is revoked."""
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    watch, more = (
        add_linked_device(network, ana, "watch", "watch"),
        add_linked_device(network, ana, "more", "more"),
    )
    for _ in range(3):
        catch_up(phone, watch, more, ana)
    at = datetime.max.replace(microsecond=0, tzinfo=UTC)
    note: SharedRecord = {
        SharedContact: SharedContact(ana.id, at, "x", trust=Trust.COMPARED, since=at, card=b""),
        SharedForgottenContact: SharedForgottenContact(ana.id, at),
        SharedBlock: SharedBlock(ana.id, at, blocked=True),
    }[note_class]
    for to in (ana, phone):
        found = addressee_of(*owner_and_device_ids(to), watch.device)
        assert found is not None
        seal_and_queue_letter(
            write_sync_note(note), found, outer_parts_without_content(watch.device), watch.device
        )
    flush_outbox(watch.device)
    catch_up(ana, phone, ana, phone)
    revoke_device("watch", lost=True, sheet=None, device=ana.device)
    for _ in range(3):
        catch_up(ana, phone, more, ben)
    assert can_all_write(ana, phone, more)
    assert all(can_all_write(one, ben) for one in (ana, phone, more))


def test_contact_note_with_the_latest_possible_date_does_not_block_a_rename(
    network: Network,
) -> None:
    """The phone sends a note dated in the year 9999, as if the clock of the phone were wrong."""
    ana, phone = network["ana"], network["phone"]
    at = datetime.max.replace(microsecond=0, tzinfo=UTC)
    ben = contact_named("ben", phone.device)
    note = SharedContact(ben.person.id, at, "benny", trust=Trust.COMPARED, since=at, card=b"")
    found = addressee_of(*owner_and_device_ids(ana), phone.device)
    assert found is not None
    seal_and_queue_letter(
        write_sync_note(note), found, outer_parts_without_content(phone.device), phone.device
    )
    flush_outbox(phone.device)
    catch_up(ana)
    rename_contact("benny", "ben", ana.device)
    catch_up(ana, phone, ana)
    assert contact_named("ben", ana.device).name == "ben"
