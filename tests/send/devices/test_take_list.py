"""Tests of accepting and refusing a contact's new key bundle, and of frozen contacts."""

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
from tests.send.send_device import SMALL_PICTURE, Network, Person
from tests.send.signed_lists import (
    NOON,
    changed_device_list,
    identity_of,
    issue_key_bundle,
    next_device_list,
)
from tests.village.households import add_linked_device, catch_up

pytestmark = pytest.mark.slow

REMOTE_RELAY_URL = "https://far.test"


def newest_bundle(person: Person) -> KeyBundle:
    return read_key_bundle(own_device(person.device).card)


def sign_single_list(signer: Person, statement: DeviceListStatement, bundle: KeyBundle) -> bytes:
    """Sign a key bundle that contains only this list, with the master key of ``signer``."""
    master = identity_of(signer).master
    assert master is not None
    return write_key_bundle(sign_bundle(master, (statement,), bundle.certificates))


def test_forked_list_is_refused_without_its_history(friends: Network) -> None:
    """A thief with the master key signs lists that contain the revoked device again."""
    ana, ben = friends["ana"], friends["ben"]
    phone = add_linked_device(friends, ana, "phone", "phone")
    catch_up(ben, ana, phone, ben, ana)
    stolen = newest_bundle(phone)
    revoke_device("phone", lost=True, sheet=None, device=ana.device)
    catch_up(ana, ben, ana, ben)
    known = contact_named("ana", ben.device)
    epoch = known.person.epoch + 1
    for fields, error in (
        ({"epoch": epoch, "previous": bytes(32)}, ForkedDeviceList),
        ({"epoch": epoch, "previous": known.person.head}, BadSignature),
        ({"epoch": epoch + 7}, BadSignature),
    ):
        bundle = sign_single_list(phone, changed_device_list(stolen.newest, **fields), stolen)
        with pytest.raises(error):
            accept_contact_bundle(known, bundle, ben.device)
    assert contact_named("ana", ben.device) == known


@pytest.mark.threat("stolen-device")
def test_listed_device_id_cannot_be_given_to_another_device(friends: Network) -> None:
    """An attacker with Ben's master key lists another device under the ID of Ben's device."""
    ana, ben = friends["ana"], friends["ben"]
    known, bundle = contact_named("ben", ana.device), newest_bundle(ben)
    (listed,), master = bundle.newest.said.devices, identity_of(ben).master
    assert master is not None
    theirs = certify_device(master, new_device_signer(bytes(32)), listed.device, NOON)
    place = ListedDevice(listed.device, certificate_hash(theirs), MailboxId(bytes(16)))
    following = next_device_list(bundle.newest, devices=(place,))
    later = changed_device_list(following, epoch=following.said.epoch + 7, previous=bytes(32))
    for lists in ((*bundle.lists, following), (following,), (later,)):
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
    bundle = newest_bundle(ana)
    for epoch, previous in ((known.person.epoch + 1, known.person.head), (99, bytes(32))):
        old = changed_device_list(
            bundle.newest, epoch=epoch, previous=previous, speaks=ProtocolRange(1, 1)
        )
        with pytest.raises(BadSignature):
            accept_contact_bundle(known, sign_single_list(ana, old, bundle), ben.device)


def test_direct_successor_list_needs_no_history(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    known = contact_named("ana", ben.device)
    store_contact(replace(known, trust=Trust.COMPARED), ben.device)
    issue_key_bundle(ana)
    bundle = newest_bundle(ana)
    taken = accept_contact_bundle(
        replace(known, trust=Trust.COMPARED),
        sign_single_list(ana, bundle.newest, bundle),
        ben.device,
    )
    assert taken.compared
    assert taken.person.epoch == known.person.epoch + 1


def test_list_with_a_local_relay_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ben uses a remote relay, so no contact can have a relay on Ben's machine."""
    monkeypatch.setattr("tests.send.send_device.RELAY_URL", REMOTE_RELAY_URL)
    network = Network()
    ana, ben = (
        network.set_up_person("ana", REMOTE_RELAY_URL),
        network.set_up_person("ben", REMOTE_RELAY_URL),
    )
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
    assert contact_named("ana", ben.device).person.relay_url == REMOTE_RELAY_URL


def test_another_persons_key_bundle_is_refused(friends: Network) -> None:
    ben = friends["ben"]
    known = contact_named("ana", ben.device)
    for one in (known, replace(known, forked=True)):
        with pytest.raises(BadSignature, match="key bundle"):
            accept_contact_bundle(one, own_device(ben.device).card, ben.device)
    assert contact_named("ana", ben.device) == known


def test_frozen_contact_is_not_updated_and_gets_no_letters(friends: Network) -> None:
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
