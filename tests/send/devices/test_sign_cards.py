"""Tests of padding published key bundles, and of reading padded and unpadded ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import MailboxId, PersonId
from entrenous.base.limits import (
    ENCRYPTED_KEY_BUNDLE_BYTES_MAX,
    PADDED_KEY_BUNDLE_SIZES_BYTES,
    PLAIN_KEY_BUNDLE_BYTES_MAX,
)
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import seal_file, unseal_file
from entrenous.device.identities import contacts, own_device
from entrenous.send.devices.own_key_bundle import open_key_bundle, seal_key_bundle
from entrenous.send.people.people_nouns import InviteKeysDiffer
from entrenous.wire.key_bundle import read_key_bundle
from tests.send.send_device import RELAY_URL, Network
from tests.village.households import add_linked_device
from tests.village.malicious_relay import changed_answer_trick

PERSON, MAILBOX = PersonId(bytes(range(32))), MailboxId(bytes(16))
BUNDLE_KEY = Secret(PERSON)


def padded_size(bundle: bytes) -> int:
    """Return the length of the padded plaintext in bytes.

    The published bytes do not show it, because encryption (age) adds a part of random length.
    """
    return len(unseal_file(BUNDLE_KEY, seal_key_bundle(bundle, PERSON, MAILBOX), MAILBOX))


@given(st.integers(0, PLAIN_KEY_BUNDLE_BYTES_MAX))
def test_published_bundle_is_padded_and_read_back(size: int) -> None:
    bundle = b"\xa7" + bytes(size - 1) if size else b""
    published = seal_key_bundle(bundle, PERSON, MAILBOX)
    assert open_key_bundle(published, PERSON, MAILBOX) == bundle
    assert padded_size(bundle) in PADDED_KEY_BUNDLE_SIZES_BYTES
    assert len(published) <= ENCRYPTED_KEY_BUNDLE_BYTES_MAX


@pytest.mark.threat("hostile-network")
def test_bundle_size_reveals_neither_the_name_nor_a_second_device(network: Network) -> None:
    people = [
        network.set_up_person(name) for name in ("Al", "Maximiliane von und zu Ravensburg", "caro")
    ]
    add_linked_device(network, people[-1], "phone", "phone")
    bundles = [own_device(one.device).card for one in people]
    assert len({len(bundle) for bundle in bundles}) == 3
    assert [len(read_key_bundle(bundle).certificates) for bundle in bundles] == [1, 1, 2]
    assert {padded_size(bundle) for bundle in bundles} == {PADDED_KEY_BUNDLE_SIZES_BYTES[0]}


def test_unpadded_bundle_is_still_read(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    me = own_device(ben.device)
    before = seal_file(Secret(me.person.id), me.card, me.home.mailbox)
    with ana.courier.replace_calls(key_bundle=changed_answer_trick(lambda _: before)):
        ana.add_contact(ben)
    (contact,) = contacts(ana.device)
    assert (contact.person.id, contact.person.relay_url) == (ben.id, RELAY_URL)


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        b"\0\0",
        (5).to_bytes(4, "big") + b"\xa7card",
        ((5).to_bytes(4, "big") + b"\xa7card!").ljust(PADDED_KEY_BUNDLE_SIZES_BYTES[0], b"\0"),
        (PADDED_KEY_BUNDLE_SIZES_BYTES[0])
        .to_bytes(4, "big")
        .ljust(PADDED_KEY_BUNDLE_SIZES_BYTES[0], b"\0"),
        ((5).to_bytes(4, "big") + b"\xa7card").ljust(PADDED_KEY_BUNDLE_SIZES_BYTES[0] + 1, b"\0"),
    ],
    ids=[
        "nothing",
        "half a length",
        "no padding",
        "a character too many",
        "too long",
        "another size",
    ],
)
def test_wrongly_padded_bundle_is_refused(plaintext: bytes) -> None:
    with pytest.raises(InviteKeysDiffer):
        open_key_bundle(seal_file(BUNDLE_KEY, plaintext, MAILBOX), PERSON, MAILBOX)
