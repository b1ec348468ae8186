"""Tests of prekeys and receipts without a valid ML-DSA-65 signature, and of outdated prekeys.

The attacker can forge Ed25519 signatures, as with a quantum computer: the attacker's device has all
keys and ratchets of Ben's device, except for the ML-DSA-65 key.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from entrenous.base.copies import ReceiptEvent
from entrenous.base.identity import BadPrekey, BadSignature
from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.device.vault_tables import OWED_RECEIPT, OWN_RECORDS, RECEIPT
from entrenous.send.devices.move_device import move_all_devices
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.letter.prekeys import publish_prekeys
from entrenous.send.letter.receipts import OWED_RECEIPT_TABLE, queue_due_receipts
from entrenous.send.people.contact_history import last_heard_at, update_last_heard_from_prekey
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_named, mark_keys_compared
from entrenous.wire.relay_nouns import PrekeyBundle, Prekeys
from tests.deterministic import SeededRandomSource
from tests.in_memory.vault import MemoryVault
from tests.send.send_device import OTHER_RELAY_URL, Network, Person, cached_network
from tests.send.send_text import send_text
from tests.village.households import add_linked_device
from tests.village.malicious_relay import HonestCall, MaliciousCourier

pytestmark = pytest.mark.slow

REFUSAL_ERRORS = (BadSignature, BadPrekey)


@pytest.fixture
@cached_network
def network() -> Network:
    """Return Ana and Ben, who use the same relay and are not contacts of each other."""
    network = Network()
    for name in ("ana", "ben"):
        network.set_up_person(name)
    return network


def forger_of(person: Person, network: Network) -> Device:
    """Return a copy of a device that has the device's classical keys, but another ML-DSA-65 key."""
    vault = MemoryVault()
    vault._tables = {name: dict(records) for name, records in person.vault._tables.items()}
    vault.put(OWN_RECORDS, "signing-seed", b"a seed of the thief's own, of 32"[:32])
    courier = MaliciousCourier(network.honest)
    return replace(
        person.device, vault=vault, courier=courier, random_source=SeededRandomSource("thief")
    )


def publish_and_return_prekeys(device: Device, *, reaches_relay: bool = True) -> Prekeys:
    """Let a device publish prekeys, and return them.

    The relay receives the prekeys only if ``reaches_relay``.
    """
    published = list[Prekeys]()

    def record(honest: HonestCall, *arguments: Any) -> Any:
        published.append(arguments[-1])
        return honest(*arguments) if reaches_relay else 50

    courier = device.courier
    assert isinstance(courier, MaliciousCourier)
    with courier.replace_calls(publish_prekeys=record):
        publish_prekeys(device)
    return published[-1]


@contextmanager
def replace_claimed_prekeys(
    person: Person, change: Callable[[PrekeyBundle], PrekeyBundle]
) -> Iterator[None]:
    """Let the relay apply ``change`` to the answers to ``person``'s claims of prekeys."""

    def trick(honest: HonestCall, *arguments: Any) -> PrekeyBundle:
        return change(honest(*arguments))

    with person.courier.replace_calls(claim_prekeys=trick):
        yield


def check_prekeys_are_refused(
    person: Person, link: str, change: Callable[[PrekeyBundle], PrekeyBundle]
) -> None:
    """Check that ``person`` refuses the changed prekeys and adds no contact."""
    with replace_claimed_prekeys(person, change), pytest.raises(REFUSAL_ERRORS):
        add_person(link, "ben", person.device)
    assert contacts(person.device) == ()


SWAPPED_FIELD_SETS = [
    ("one_time",),
    ("fallback",),
    ("xwing",),
    ("one_time", "xwing"),
    ("fallback", "xwing"),
    ("one_time", "fallback", "xwing"),
]


def swap_keys(honest: PrekeyBundle, other: Prekeys, key_names: tuple[str, ...]) -> PrekeyBundle:
    """Return the bundle ``honest`` with the keys ``key_names`` of ``other``.

    If the fallback key is replaced and the one-time key is not, the bundle has no one-time key.
    """
    fields = {name: getattr(other, name) for name in key_names}
    fields["one_time"] = other.one_time[0] if "one_time" in key_names else honest.one_time
    if "fallback" in key_names and "one_time" not in key_names:
        fields["one_time"] = None
    return replace(honest, **fields)


@pytest.mark.threat("quantum-forger")
@pytest.mark.parametrize("key_names", SWAPPED_FIELD_SETS, ids="+".join)
def test_prekeys_signed_without_the_owners_mldsa_key_are_refused(
    network: Network, key_names: tuple[str, ...]
) -> None:
    ana, ben = network["ana"], network["ben"]
    forged, link = (
        publish_and_return_prekeys(forger_of(ben, network), reaches_relay=False),
        make_invite_link(ben.device),
    )
    check_prekeys_are_refused(ana, link, lambda honest: swap_keys(honest, forged, key_names))
    add_person(link, "ben", ana.device)
    fetch_messages(ben.device)
    assert len(contacts(ben.device)) == 1


@pytest.mark.threat("quantum-forger")
@pytest.mark.parametrize("key_names", SWAPPED_FIELD_SETS[:3], ids="+".join)
def test_prekeys_of_an_earlier_batch_are_refused(
    network: Network, key_names: tuple[str, ...]
) -> None:
    """All keys are genuine, but some are of an earlier batch."""
    ana, ben = network["ana"], network["ben"]
    earlier, link = publish_and_return_prekeys(ben.device), make_invite_link(ben.device)
    publish_prekeys(ben.device)
    check_prekeys_are_refused(ana, link, lambda honest: swap_keys(honest, earlier, key_names))
    add_person(link, "ben", ana.device)


@pytest.mark.threat("quantum-forger")
@pytest.mark.parametrize("key_names", SWAPPED_FIELD_SETS, ids="+".join)
def test_prekeys_of_another_device_of_the_same_person_are_refused(
    network: Network, key_names: tuple[str, ...]
) -> None:
    ana, ben = network["ana"], network["ben"]
    phones = publish_and_return_prekeys(add_linked_device(network, ben, "phone").device)
    link = make_invite_link(ben.device)
    check_prekeys_are_refused(ana, link, lambda honest: swap_keys(honest, phones, key_names))


@pytest.mark.threat("quantum-forger")
def test_prekeys_of_the_former_mailbox_are_refused(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    earlier = publish_and_return_prekeys(ben.device)
    move_all_devices(OTHER_RELAY_URL, None, ben.device)
    flush_outbox(ben.device)
    link = make_invite_link(ben.device)
    check_prekeys_are_refused(
        ana, link, lambda honest: swap_keys(honest, earlier, SWAPPED_FIELD_SETS[-1])
    )
    add_person(link, "ben", ana.device)


@pytest.mark.threat("quantum-forger")
def test_forged_prekey_does_not_make_a_silent_device_look_active(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    ana.add_contact(ben)
    fetch_messages(ana.device)
    contact = contact_named("ben", ana.device)
    (key,) = contact.person.devices
    before = last_heard_at(contact, key, ana.device)
    network.clock.advance(days=30)
    forged = publish_and_return_prekeys(forger_of(ben, network), reaches_relay=False)
    with replace_claimed_prekeys(
        ana, lambda honest: swap_keys(honest, forged, SWAPPED_FIELD_SETS[-1])
    ):
        update_last_heard_from_prekey(contact, key, ana.device)
    assert ana.courier.calls["claim_prekeys"] > 1
    assert last_heard_at(contact, key, ana.device) == before


@pytest.mark.threat("quantum-forger")
def test_an_opened_receipt_signed_without_the_owners_mldsa_key_is_refused(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    ana.add_contact(ben)
    mark_keys_compared("ana", ben.device)
    send_text(ana, "ben")
    fetch_messages(ben.device)
    thief = forger_of(ben, network)
    (key,) = thief.vault.keys(OWED_RECEIPT)
    owed = OWED_RECEIPT_TABLE.load(key, thief.vault)
    assert owed is not None
    OWED_RECEIPT_TABLE.store(replace(owed, event=ReceiptEvent.OPENED), key, thief.vault)
    network.clock.advance(minutes=16)
    queue_due_receipts(thief)
    flush_outbox(thief)
    fetch_messages(ana.device)
    assert take_undecryptable_count(ana.device) == 1
    assert ana.device.vault.keys(RECEIPT) == ()
