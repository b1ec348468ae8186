"""Tests of blocking and unblocking people, and of what is still sent to blocked people."""

from contextlib import suppress

import pytest

from entrenous.base.errors import DiskFailed, EntrenousError
from entrenous.device.identities import contacts
from entrenous.device.vault_tables import DEVICE_TO_GREET, ISSUED_TOKEN_RANGE, OUTBOX
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.inbox import received_messages
from entrenous.send.letter.relay_tasks import has_tokens_to_withdraw
from entrenous.send.message.draft import RefusedForSome
from entrenous.send.message.states import InboxState
from entrenous.send.people.block import block_contact, unblock_contact
from entrenous.send.people.compare_keys import begin_or_answer_comparison, comparison_with
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_named, forget_contact
from entrenous.send.people.people_nouns import ContactIsBlocked
from entrenous.send.recall import recall_message
from tests.send.send_device import OTHER_RELAY_URL, SMALL_PICTURE, Network
from tests.village.households import add_linked_device, catch_up
from tests.village.malicious_relay import error_trick


@pytest.mark.threat("receipt-probing")
def test_messages_in_transit_have_no_effect_after_blocking(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    begin_or_answer_comparison("ben", ana.device)
    flush_outbox(ana.device)
    assert block_contact("ANA", ben.device).name == "ana"
    assert fetch_messages(ben.device).letters_received == 2
    assert received_messages(ben.device) == ()
    assert comparison_with(ana.id, ben.device) is None


def test_blocking_stops_messages_and_unblocking_allows_them(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    block_contact("ana", ben.device)
    assert flush_outbox(ben.device).problems == ()
    assert not has_tokens_to_withdraw(ben.device)
    with pytest.raises(RefusedForSome):
        ana.send(SMALL_PICTURE, ben)
    assert not unblock_contact("ana", ben.device).blocked
    flush_outbox(ben.device)
    fetch_messages(ana.device)
    ana.send(SMALL_PICTURE, ben)
    assert ben.received_count() == 1


def test_invite_link_does_not_admit_a_blocked_person(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    link = make_invite_link(ben.device)
    block_contact("ana", ben.device)
    flush_outbox(ben.device)
    forget_contact("ben", ana.device)
    add_person(link, "ben", ana.device)
    fetch_messages(ben.device)
    assert [(one.name, one.blocked) for one in contacts(ben.device)] == [("ana", True)]
    assert fetch_messages(ana.device).letters_received == 0, "a blocked person is not notified"


def test_blocked_persons_recall_is_applied(friends: Network) -> None:
    """Blocking a sender does not preserve a message that the sender recalls."""
    ana, ben = friends["ana"], friends["ben"]
    sent = ana.send(SMALL_PICTURE, ben)
    ben.received_count()
    recall_message(sent.name, ana.device)
    block_contact("ana", ben.device)
    fetch_messages(ben.device)
    (received,) = received_messages(ben.device)
    assert received.state is InboxState.TAKEN_BACK


def test_blocked_person_cannot_be_compared_and_their_link_unblocks(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    block_contact("ben", ana.device)
    with pytest.raises(ContactIsBlocked):
        begin_or_answer_comparison("ben", ana.device)
    assert not add_person(make_invite_link(ben.device), "ben", ana.device).blocked


def test_unblocking_an_unblocked_person_changes_nothing(friends: Network) -> None:
    ana = friends["ana"]
    before = contact_named("ben", ana.device)
    assert unblock_contact("ben", ana.device) == before
    assert flush_outbox(ana.device).posted_count == 0


def test_only_queued_recalls_go_to_a_blocked_person(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    sent = ana.send(SMALL_PICTURE, ben)
    ben.received_count()
    with ana.courier.replace_calls(post=error_trick(DiskFailed())):
        with suppress(EntrenousError):
            ana.send(SMALL_PICTURE, ben)
        recall_message(sent.name, ana.device)
        block_contact("ben", ana.device)
    flush_outbox(ana.device)
    assert ana.device.vault.keys(OUTBOX) == ()
    assert ben.received_count() == 1
    (received,) = received_messages(ben.device)
    assert received.state is InboxState.TAKEN_BACK


def test_blocked_person_is_not_greeted(network: Network) -> None:
    """One device of Ana blocks Eve before Ana's new device has greeted Eve."""
    ana, eve = network["ana"], network.set_up_person("eve", OTHER_RELAY_URL)
    ana.add_contact(eve)
    catch_up(eve, ana, eve, ana)
    network.disconnect(OTHER_RELAY_URL)  # Eve runs this relay and can keep it unreachable
    phone = add_linked_device(network, ana, "phone", "phone")
    catch_up(ana, phone, ana, phone)
    assert phone.device.vault.keys(DEVICE_TO_GREET)
    network.clock.advance(seconds=2)
    block_contact("eve", ana.device)
    catch_up(ana, phone, ana, phone)
    assert contact_named("eve", phone.device).blocked
    network.reconnect(OTHER_RELAY_URL)
    catch_up(phone, eve)
    assert phone.device.vault.keys(ISSUED_TOKEN_RANGE, eve.id.hex()) == ()
    assert len(contact_named("ana", eve.device).person.devices) == 1
