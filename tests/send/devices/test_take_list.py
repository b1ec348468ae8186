"""A published key bundle is checked against the known device lists of its person."""

from dataclasses import replace

import pytest

from entrenous.base.identifiers import MailboxId
from entrenous.base.identity import (
    BadSignature,
    DeviceListStatement,
    ForkedDeviceList,
    KeyBundle,
    ListedDevice,
    ProtocolRange,
    Trust,
)
from entrenous.crypto.identity_keys import new_device_signer
from entrenous.crypto.statements import certificate_hash
from entrenous.device.identities import AddressOnThisMachine, own_device
from entrenous.device.vault_tables import OUTBOX
from entrenous.send.devices.device_lists import accept_contact_bundle
from entrenous.send.devices.list_letters import queue_bundle_for_contacts
from entrenous.send.devices.own_devices import revoke_device
from entrenous.send.devices.own_key_bundle import certify_device, sign_bundle
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.inbox import received_messages
from entrenous.send.letter.letter_nouns import KeyBundleNote, NobodyToReactTo
from entrenous.send.letter.write import (
    addressees,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.message.react import react
from entrenous.send.people.keep_contacts import contact_named, store_contact
from entrenous.wire.key_bundle import read_key_bundle, write_key_bundle
from tests.send.cards import (
    NOON,
    changed_device_list,
    identity_of,
    issue_key_bundle,
    next_device_list,
)
from tests.send.send_device import SMALL_PICTURE, Network, Person
from tests.village.households import add_linked_device, catch_up

pytestmark = pytest.mark.slow

FAR = "https://far.test"


def newest(household: Person) -> KeyBundle:
    return read_key_bundle(own_device(household.device).card)


def signed(by: Person, statement: DeviceListStatement, card: KeyBundle) -> bytes:
    """Return a key bundle with only this list, signed with the person's master key."""
    master = identity_of(by).master
    assert master is not None
    return write_key_bundle(sign_bundle(master, (statement,), card.certificates))


def test_fork_is_found_without_its_history(friends: Network) -> None:
    """A thief with the master key signs lists that contain the revoked device again."""
    ana, ben = friends["ana"], friends["ben"]
    phone = add_linked_device(friends, ana, "phone", "phone")
    catch_up(ben, ana, phone, ben, ana)
    stolen = newest(phone)
    revoke_device("phone", lost=True, sheet=None, device=ana.device)
    catch_up(ana, ben, ana, ben)
    known = contact_named("ana", ben.device)
    epoch = known.person.epoch + 1
    for fields, error in (
        ({"epoch": epoch, "previous": bytes(32)}, ForkedDeviceList),
        ({"epoch": epoch, "previous": known.person.head}, BadSignature),
        ({"epoch": epoch + 7}, BadSignature),
    ):
        card = signed(phone, changed_device_list(stolen.newest, **fields), stolen)
        with pytest.raises(error):
            accept_contact_bundle(known, card, ben.device)
    assert contact_named("ana", ben.device) == known


@pytest.mark.threat("stolen-device")
def test_nobody_takes_the_place_of_a_listed_device(friends: Network) -> None:
    """An attacker with Ben's master key lists her device under his device's id. She sends all
    earlier lists, none of them, or a list of a much later epoch.
    """
    ana, ben = friends["ana"], friends["ben"]
    known, card = contact_named("ben", ana.device), newest(ben)
    (listed,), master = card.newest.said.devices, identity_of(ben).master
    assert master is not None
    theirs = certify_device(master, new_device_signer(bytes(32)), listed.device, NOON)
    place = ListedDevice(listed.device, certificate_hash(theirs), MailboxId(bytes(16)))
    following = next_device_list(card.newest, devices=(place,))
    later = changed_device_list(following, epoch=following.said.epoch + 7, previous=bytes(32))
    for lists in ((*card.lists, following), (following,), (later,)):
        with pytest.raises(BadSignature):
            accept_contact_bundle(
                known, write_key_bundle(sign_bundle(master, lists, (theirs,))), ana.device
            )
    assert contact_named("ben", ana.device) == known


def test_older_protocol_version_in_a_list_is_refused(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    issue_key_bundle(ana, speaks=ProtocolRange(3, 4))
    known = accept_contact_bundle(
        contact_named("ana", ben.device), own_device(ana.device).card, ben.device
    )
    card = newest(ana)
    for epoch, previous in ((known.person.epoch + 1, known.person.head), (99, bytes(32))):
        old = changed_device_list(
            card.newest, epoch=epoch, previous=previous, speaks=ProtocolRange(1, 1)
        )
        with pytest.raises(BadSignature):
            accept_contact_bundle(known, signed(ana, old, card), ben.device)


def test_direct_successor_list_needs_no_history(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    known = contact_named("ana", ben.device)
    store_contact(replace(known, trust=Trust.COMPARED), ben.device)
    issue_key_bundle(ana)
    card = newest(ana)
    taken = accept_contact_bundle(
        replace(known, trust=Trust.COMPARED), signed(ana, card.newest, card), ben.device
    )
    assert taken.compared
    assert taken.person.epoch == known.person.epoch + 1


def test_list_with_a_local_relay_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own relay is remote, so a contact's relay cannot be on this machine."""
    monkeypatch.setattr("tests.send.send_device.RELAY_URL", FAR)
    network = Network()
    ana, ben = network.set_up_person("ana", FAR), network.set_up_person("ben", FAR)
    ana.add_contact(ben)
    catch_up(ben, ana, ben)
    known = contact_named("ana", ben.device)
    issue_key_bundle(ana, relay_url="http://127.0.0.1:6379")
    with pytest.raises(AddressOnThisMachine):
        accept_contact_bundle(known, own_device(ana.device).card, ben.device)
    (to,) = addressees(contact_named("ben", ana.device), ana.device)
    seal_and_queue_letter(
        KeyBundleNote(own_device(ana.device).card),
        to,
        outer_parts_without_content(ana.device),
        ana.device,
    )
    flush_outbox(ana.device)
    fetch_messages(ben.device)
    assert contact_named("ana", ben.device).person.relay_url == FAR


def test_another_persons_key_bundle_is_refused(friends: Network) -> None:
    """This also holds for a frozen contact."""
    ben = friends["ben"]
    known = contact_named("ana", ben.device)
    for one in (known, replace(known, forked=True)):
        with pytest.raises(BadSignature, match="key bundle"):
            accept_contact_bundle(one, own_device(ben.device).card, ben.device)
    assert contact_named("ana", ben.device) == known


def test_only_comparison_letters_go_to_a_frozen_contact(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    catch_up(ben, ana, ben)
    frozen = replace(contact_named("ana", ben.device), forked=True, trust=Trust.UNKNOWN)
    store_contact(frozen, ben.device)
    issue_key_bundle(ana)
    assert accept_contact_bundle(frozen, own_device(ana.device).card, ben.device) == frozen
    (received,) = received_messages(ben.device)
    with pytest.raises(NobodyToReactTo):
        react(received.name, "+", ben.device)
    issue_key_bundle(ben)
    queue_bundle_for_contacts(ben.device)
    friends.clock.advance(days=100)  # all token ranges are due to be replaced
    fetch_messages(ben.device)
    assert ben.device.vault.keys(OUTBOX) == ()
