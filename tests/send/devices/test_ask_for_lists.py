"""Tests of asking relays for the newer device lists that letters name."""

from dataclasses import replace

import pytest

from entrenous.base.identity import DeviceListHead
from entrenous.device.identities import contacts, own_device
from entrenous.send.devices.ask_for_lists import record_named_list_if_unknown
from entrenous.send.devices.own_key_bundle import seal_key_bundle
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.people.block import block_contact, unblock_contact
from entrenous.send.people.contact_history import take_contact_changes
from entrenous.send.people.invite import queue_hellos
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.people.people_nouns import DEVICE_LIST_TO_FETCH_TABLE
from entrenous.wire.key_bundle import read_key_bundle, write_key_bundle
from tests.send.send_device import OTHER_RELAY_URL, SMALL_PICTURE, Network, Person, cached_network
from tests.send.signed_lists import issue_key_bundle
from tests.village.households import add_linked_device
from tests.village.malicious_relay import changed_answer_trick

pytestmark = pytest.mark.slow


@pytest.fixture
@cached_network
def network() -> Network:
    """Three people who are contacts of each other: Ana at one relay, Ben and Cleo at another."""
    network = Network()
    ana, ben, cleo = (
        network.set_up_person("ana"),
        network.set_up_person("ben", OTHER_RELAY_URL),
        network.set_up_person("cleo", OTHER_RELAY_URL),
    )
    for one, other in ((ana, ben), (ana, cleo), (ben, cleo)):
        one.add_contact(other)
    return network


def publish_bundle(person: Person, bundle: bytes) -> None:
    """Publish this key bundle at the person's own mailbox."""
    me = own_device(person.device)
    sealed = seal_key_bundle(bundle, me.person.id, me.home.mailbox)
    person.device.courier.publish_key_bundle(
        me.home.relay_url, me.home.mailbox, me.home.owner, sealed
    )


def failed_query_count(owner: Person, asker: Person) -> int:
    """Return how many times ``asker`` has failed to get the device list of ``owner``."""
    waiting = DEVICE_LIST_TO_FETCH_TABLE.load(owner.id.hex(), asker.device.vault)
    return 0 if waiting is None else waiting.tries


@pytest.mark.threat("server-adds-device")
@pytest.mark.parametrize("bundle_owner", ["cleo", "ana"])
def test_another_persons_key_bundle_freezes_no_contact(network: Network, bundle_owner: str) -> None:
    """Ben names a newer list of his own, and publishes another person's key bundle instead."""
    ana, ben = network["ana"], network["ben"]
    issue_key_bundle(ben)
    publish_bundle(ben, own_device(network[bundle_owner].device).card)
    ben.send(SMALL_PICTURE, ana)
    take_contact_changes(ana.device)
    known = contacts(ana.device)
    fetch_messages(ana.device)
    assert take_contact_changes(ana.device) == ()
    assert contacts(ana.device) == known
    assert failed_query_count(ben, ana) == 1


@pytest.mark.threat("server-adds-device")
def test_key_bundle_of_another_identity_stops_no_fetch(network: Network) -> None:
    """Ben's mailbox serves Mallory's key bundle.

    The device lists in this bundle have higher epochs than the list of Ben that Ana knows, so they
    do not contradict Ben's list.
    """
    ana, ben, other = (
        network["ana"],
        network["ben"],
        network.set_up_person("mallory", OTHER_RELAY_URL),
    )
    for _ in range(4):
        issue_key_bundle(other)
    bundle = read_key_bundle(own_device(other.device).card)
    publish_bundle(ben, write_key_bundle(replace(bundle, lists=bundle.lists[3:])))
    record_named_list_if_unknown(ben.id, DeviceListHead(2, bytes(32)), ana.device, own=True)
    for _ in range(2):
        fetch_messages(ana.device)
        network.clock.advance(hours=9)
    assert contact_named("ben", ana.device).person.id == ben.id
    assert failed_query_count(ben, ana) == 2


def test_blocked_persons_relay_is_queried_only_after_unblocking(network: Network) -> None:
    """Cleo's message to Ana and Ben names Ben's newer list.

    A request for this list would show that Ana's device has received Cleo's message.
    """
    ana, ben, cleo = network["ana"], network["ben"], network["cleo"]
    fetch_messages(ana.device)
    block_contact("ben", ana.device)
    issue_key_bundle(ben)
    publish_bundle(ben, own_device(ben.device).card)
    queue_hellos(contact_named("cleo", ben.device), None, ben.device)
    flush_outbox(ben.device)
    fetch_messages(cleo.device)
    cleo.send(SMALL_PICTURE, ana, ben)
    before = ana.courier.calls["key_bundle"]
    for _ in range(2):
        fetch_messages(ana.device)
        network.clock.advance(hours=9)
    assert ana.courier.calls["key_bundle"] == before
    unblock_contact("ben", ana.device)
    fetch_messages(ana.device)
    assert contact_named("ben", ana.device).person.epoch == 2


@pytest.mark.threat("server-adds-device")
def test_foreign_key_bundle_at_own_mailbox_is_no_contradiction(
    network: Network,
) -> None:
    """The relay serves the key bundle of Ana's contact Ben at Ana's own mailbox."""
    ana, ben = network["ana"], network["ben"]
    phone = add_linked_device(network, ana, "phone", "phone")
    take_contact_changes(ana.device)
    me = own_device(phone.device)
    record_named_list_if_unknown(
        ana.id, DeviceListHead(me.person.epoch + 1, bytes(32)), ana.device, own=True
    )
    forged = seal_key_bundle(own_device(ben.device).card, ana.id, me.home.mailbox)
    with ana.courier.replace_calls(key_bundle=changed_answer_trick(lambda _: forged)):
        fetch_messages(ana.device)
    assert take_contact_changes(ana.device) == ()
    assert failed_query_count(ana, ana) == 1
