"""Tests of device lists that are forged, forked, withheld, falsely claimed or honestly changed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from entrenous.device.identities import own_device
from entrenous.device.vault_tables import DEVICE_LIST_TO_FETCH
from entrenous.send.devices.device_lists import unfrozen_contact_after_comparison
from entrenous.send.devices.own_devices import revoke_device
from entrenous.send.devices.own_key_bundle import seal_key_bundle
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.message.draft import WaitsInOutbox
from entrenous.send.people.contact_history import take_contact_changes
from entrenous.send.people.keep_contacts import contact_named, mark_keys_compared, store_contact
from entrenous.send.people.people_nouns import (
    DEVICE_LIST_FORK_TABLE,
    DEVICE_LIST_TO_FETCH_TABLE,
    ContradictoryLists,
    DeviceListContradiction,
)
from entrenous.send.send import send_message
from entrenous.send.status import query_sent_messages
from entrenous.wire.key_bundle import read_key_bundle, write_key_bundle
from tests.send.send_device import SMALL_PICTURE, Network, Person, cached_network
from tests.send.signed_lists import (
    certify_another_device,
    identity_of,
    issue_key_bundle,
    replace_identity,
)
from tests.send.test_guard import draft
from tests.village.households import add_blank_device, add_linked_device, catch_up, link_devices
from tests.village.malicious_relay import changed_answer_trick

pytestmark = pytest.mark.slow

Trick = Callable[..., Any]


@pytest.fixture
@cached_network
def network() -> Network:
    """Return Ana, Ben and Caro, who are contacts of each other."""
    network = Network()
    ana, ben, caro = (network.set_up_person(name) for name in ("ana", "ben", "caro"))
    for one, other in ((ana, ben), (ana, caro), (ben, caro)):
        one.add_contact(other)
    return network


def device_count(contact_name: str, observer: Person) -> int:
    return len(contact_named(contact_name, observer.device).person.devices)


def take_contradictions(person: Person) -> list[tuple[str, DeviceListContradiction | None]]:
    return [(one.name, one.lists) for one in take_contact_changes(person.device) if one.lists]


def key_bundle_trick(bundle: bytes, owner: Person) -> Trick:
    """Return a trick that answers with a key bundle, sealed for the mailbox of ``owner``."""
    me = own_device(owner.device)
    return changed_answer_trick(lambda _: seal_key_bundle(bundle, me.person.id, me.home.mailbox))


@pytest.mark.threat("server-adds-device")
def test_key_bundle_forged_or_swapped_by_the_relay_is_rejected(network: Network) -> None:
    """The relay shows a wrongly signed key bundle, and then that of another person."""
    ana, ben, thief = network["ana"], network["ben"], network.set_up_person("thief")
    before = identity_of(ana)
    issue_key_bundle(ana)
    mine = read_key_bundle(own_device(ana.device).card)
    others = read_key_bundle(own_device(thief.device).card)
    added = replace(mine, certificates=(*mine.certificates, *others.certificates))
    wrongly_signed = replace(mine, master=others.master, signature=others.signature)
    forged = [write_key_bundle(wrongly_signed), own_device(thief.device).card]
    with pytest.raises(ValueError, match="not what the specification allows"):
        write_key_bundle(added)  # the added certificate is not on the newest list
    ana.send(SMALL_PICTURE, ben)
    for bundle in forged:
        with ben.courier.replace_calls(key_bundle=key_bundle_trick(bundle, ana)):
            fetch_messages(ben.device)
        network.clock.advance(hours=9)
    assert (device_count("ana", ben), contact_named("ana", ben.device).person.epoch) == (1, 1)
    assert ben.send(SMALL_PICTURE, ana).devices == {"ana": 1}
    assert before.device == own_device(ana.device).key.device


def test_newer_list_named_by_a_letter_is_fetched(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    mark_keys_compared("ana", ben.device)
    issue_key_bundle(ana)
    me = own_device(ana.device)
    shown = seal_key_bundle(me.card, me.person.id, me.home.mailbox)
    ana.device.courier.publish_key_bundle(me.home.relay_url, me.home.mailbox, me.home.owner, shown)
    ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    assert contact_named("ana", ben.device).person.epoch == 2
    assert contact_named("ana", ben.device).compared
    assert not list(ben.device.vault.items(DEVICE_LIST_TO_FETCH))


@pytest.mark.threat("server-adds-device")
def test_withheld_list_is_reported_once_after_16_hours(network: Network) -> None:
    """The relay always shows the earlier list."""
    ana, ben = network["ana"], network["ben"]
    old = own_device(ana.device).card
    issue_key_bundle(ana)
    ana.send(SMALL_PICTURE, ben)
    reports = []
    with ben.courier.replace_calls(key_bundle=key_bundle_trick(old, ana)):
        for _ in range(6):
            fetch_messages(ben.device)
            reports.append(take_contradictions(ben))
            network.clock.advance(hours=4)
    assert reports == [[], [], [], [], [("ana", DeviceListContradiction.HELD_BACK)], []]
    assert contact_named("ana", ben.device).person.epoch == 1


@pytest.mark.threat("server-adds-device")
def test_two_device_lists_of_one_epoch_freeze_the_contact(network: Network) -> None:
    """Ben has accepted a list of Ana's. She has a different list of the same epoch."""
    ana, ben = network["ana"], network["ben"]
    fork_device_list(ana, ben)
    ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    assert take_contradictions(ben) == [("ana", DeviceListContradiction.FORKED)]
    frozen = contact_named("ana", ben.device)
    assert (frozen.forked, frozen.compared) == (True, False)
    with pytest.raises(ContradictoryLists):
        ben.send(SMALL_PICTURE, ana)
    kept = DEVICE_LIST_FORK_TABLE.load(ana.id.hex(), ben.device.vault)
    assert kept is not None
    assert kept.other.digest == own_device(ana.device).person.head
    assert read_key_bundle(kept.known).newest.said.epoch == 2
    fetch_messages(ben.device)
    assert take_contradictions(ben) == []


def fork_device_list(ana: Person, ben: Person) -> None:
    """Let Ben accept one list of Ana's, and give Ana a different list of the same epoch."""
    honest = identity_of(ana)
    issue_key_bundle(ana, further_devices=(certify_another_device(ana),))
    me = own_device(ana.device)
    shown = seal_key_bundle(me.card, me.person.id, me.home.mailbox)
    ana.device.courier.publish_key_bundle(me.home.relay_url, me.home.mailbox, me.home.owner, shown)
    ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    assert device_count("ana", ben) == 2
    take_contact_changes(ben.device)
    replace_identity(ana, honest)
    issue_key_bundle(ana, name="Ana")


@pytest.mark.threat("server-adds-device")
def test_split_view_of_two_people_is_detected_from_their_messages(
    network: Network,
) -> None:
    """Ben and Caro have different device lists of Ana. Caro's message to Ana and Ben names the list
    that Caro has.
    """
    ana, ben, caro = network["ana"], network["ben"], network["caro"]
    fork_device_list(ana, ben)
    me = own_device(ana.device)
    shown = seal_key_bundle(me.card, me.person.id, me.home.mailbox)
    ana.device.courier.publish_key_bundle(me.home.relay_url, me.home.mailbox, me.home.owner, shown)
    ana.send(SMALL_PICTURE, caro)
    fetch_messages(caro.device)
    assert contact_named("ana", caro.device).person.head == me.person.head
    assert take_contradictions(ben) == []
    caro.send(SMALL_PICTURE, ana, ben)
    assert ben.received_count() == 2
    assert take_contradictions(ben) == [("ana", DeviceListContradiction.FORKED)]
    assert contact_named("ana", ben.device).forked


@pytest.mark.threat("server-adds-device")
def test_unproven_claim_of_another_list_freezes_nobody(network: Network) -> None:
    """Caro names a list that Ana's relay does not show; Ben's device only reports a split view."""
    ana, ben, caro = network["ana"], network["ben"], network["caro"]
    known = contact_named("ana", caro.device)
    other = replace(known.person, head=b"f" * 32)
    store_contact(replace(known, person=other), caro.device)
    caro.send(SMALL_PICTURE, ana, ben)
    for _ in range(3):
        fetch_messages(ben.device)
        network.clock.advance(hours=9)
    assert take_contradictions(ben) == [("ana", DeviceListContradiction.SPLIT)]
    assert not contact_named("ana", ben.device).forked
    assert ben.send(SMALL_PICTURE, ana).devices == {"ana": 1}


def store_false_epoch(liar: Person, contact_name: str, epoch: int) -> None:
    """In the liar's vault, store a false device list of a contact. The list has this epoch."""
    known = contact_named(contact_name, liar.device)
    other = replace(known.person, epoch=epoch, head=b"f" * 32)
    store_contact(replace(known, person=other), liar.device)


@pytest.mark.threat("server-adds-device")
def test_claim_of_a_distant_epoch_does_not_block_the_real_list(network: Network) -> None:
    """Caro names a list of Ana's that does not exist.

    Ana's next message to Ben names Ana's real new list. Ben's device accepts this list as soon as
    Ana's relay shows it.
    """
    ana, ben, caro = network["ana"], network["ben"], network["caro"]
    store_false_epoch(caro, "ana", 2**40)
    caro.send(SMALL_PICTURE, ana, ben)
    for _ in range(3):
        fetch_messages(ben.device)
        network.clock.advance(hours=9)
    assert take_contradictions(ben) == [("ana", DeviceListContradiction.HELD_BACK)]
    old = own_device(ana.device).card
    issue_key_bundle(ana)
    ana.send(SMALL_PICTURE, ben)
    with ben.courier.replace_calls(key_bundle=key_bundle_trick(old, ana)):
        fetch_messages(ben.device)
    named = DEVICE_LIST_TO_FETCH_TABLE.load(ana.id.hex(), ben.device.vault)
    assert named is not None
    assert (named.head.epoch, named.own) == (2, True)
    network.clock.advance(hours=9)
    publish_key_bundle(ana)
    fetch_messages(ben.device)
    assert contact_named("ana", ben.device).person.epoch == 2
    assert DEVICE_LIST_TO_FETCH_TABLE.load(ana.id.hex(), ben.device.vault) is None


@pytest.mark.threat("server-adds-device")
def test_newer_list_is_accepted_after_a_false_claim(network: Network) -> None:
    ana, ben, caro = network["ana"], network["ben"], network["caro"]
    store_false_epoch(caro, "ana", 2**40)
    caro.send(SMALL_PICTURE, ana, ben)
    issue_key_bundle(ana)
    publish_key_bundle(ana)
    fetch_messages(ben.device)
    assert contact_named("ana", ben.device).person.epoch == 2
    named = DEVICE_LIST_TO_FETCH_TABLE.load(ana.id.hex(), ben.device.vault)
    assert named is not None
    assert (named.head.epoch, named.tries) == (2**40, 1)


@pytest.mark.threat("server-adds-device")
def test_claimed_newer_own_list_is_reported_as_a_split_view(network: Network) -> None:
    """Caro's message names a false list of Ana's, with a later epoch than Ana's real list."""
    ana, caro = network["ana"], network["caro"]
    store_false_epoch(caro, "ana", 2**40)
    caro.send(SMALL_PICTURE, ana)
    for _ in range(4):
        fetch_messages(ana.device)
        network.clock.advance(hours=9)
    assert take_contradictions(ana) == [("", DeviceListContradiction.SPLIT)]


def publish_key_bundle(ana: Person) -> None:
    """Publish Ana's newest key bundle at her relay."""
    me = own_device(ana.device)
    shown = seal_key_bundle(me.card, me.person.id, me.home.mailbox)
    ana.device.courier.publish_key_bundle(me.home.relay_url, me.home.mailbox, me.home.owner, shown)


@pytest.mark.threat("server-adds-device")
def test_own_list_that_this_device_did_not_sign_is_reported(network: Network) -> None:
    """Ben's message names a list of Ana's devices that Ana's own device does not know."""
    ana, ben = network["ana"], network["ben"]
    fork_device_list(ana, ben)
    ben.send(SMALL_PICTURE, ana)
    for _ in range(2):
        fetch_messages(ana.device)
    assert take_contradictions(ana) == [("", DeviceListContradiction.SPLIT)]


@pytest.mark.threat("server-adds-device")
def test_withheld_letters_only_delay_a_new_device_list(network: Network) -> None:
    """The relay withholds all letters from Ben for a while, and then delivers them."""
    ana, ben = network["ana"], network["ben"]
    with ben.courier.replace_calls(waiting_envelopes=lambda *_: []):
        add_linked_device(network, ana, "phone")
        catch_up(ben, ana, ben)
        assert device_count("ana", ben) == 1
    catch_up(ben, ana, network["phone"], ben)
    assert device_count("ana", ben) == 2
    assert ben.send(SMALL_PICTURE, ana).devices == {"ana": 2}
    assert take_contradictions(ben) == []
    for one in (ana, network["phone"]):
        assert one.open_newest().files


def test_listed_device_without_published_keys_does_not_block_sending(network: Network) -> None:
    """The new device is on the list, but never fetches messages and publishes no keys."""
    ana, ben = network["ana"], network["ben"]
    unpublished = add_blank_device(network, "unpublished")
    link_devices(ana.device, unpublished.device)
    catch_up(ana, ben)
    assert device_count("ana", ben) == 2
    assert ben.send(SMALL_PICTURE, ana).devices == {"ana": 1}
    assert ana.open_newest().files


def test_concurrent_list_changes_are_reported_as_a_fork(network: Network) -> None:
    """Two devices of Ana's revoke the same third device independently; both report the fork."""
    ana, phone = network["ana"], add_linked_device(network, network["ana"], "phone", "phone")
    watch = add_linked_device(network, ana, "watch", "watch")
    catch_up(phone, watch, ana, phone, watch)
    revoke_device("watch", lost=False, sheet=None, device=phone.device)
    revoke_device("watch", lost=True, sheet=None, device=ana.device)
    catch_up(ana, phone)
    assert (
        take_contradictions(ana)
        == take_contradictions(phone)
        == [("", DeviceListContradiction.FORKED)]
    )
    assert own_device(ana.device).person.epoch == own_device(phone.device).person.epoch == 4


@pytest.mark.threat("server-adds-device")
def test_queued_message_is_not_posted_until_the_contact_is_unfrozen(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    fork_device_list(ana, ben)
    with pytest.raises(WaitsInOutbox):
        send_message(replace(draft(ben, "ana", confirmed=("ana",)), undo_s=60), ben.device)
    before = ana.received_count()
    ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    assert contact_named("ana", ben.device).forked
    network.clock.advance(seconds=61)
    (why,) = flush_outbox(ben.device).stayed.values()
    assert isinstance(why, ContradictoryLists)
    assert ana.received_count() == before
    (sent,) = query_sent_messages(ben.device)
    assert [copy.state_in_words for copy in sent.copies] == ["not sent yet"]
    with ben.device.vault.transaction():
        store_contact(
            unfrozen_contact_after_comparison(contact_named("ana", ben.device), ben.device),
            ben.device,
        )
    assert not flush_outbox(ben.device).stayed
    (sent,) = query_sent_messages(ben.device)
    assert [copy.state_in_words for copy in sent.copies] == ["waiting"]
