"""A relay that can forge Ed25519 signatures, as with a quantum computer, can hand out or post
nothing that passes for signed by a device.

The thief has everything that Ben's device has, including the Ed25519 and Curve25519 keys and every
ratchet, but another ML-DSA-65 key.
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
from tests.send.room_text import send_text
from tests.send.send_device import OTHER_RELAY_URL, Network, Person, cached_network
from tests.village.households import add_linked_device
from tests.village.malicious_relay import HonestCall, MaliciousCourier

pytestmark = pytest.mark.slow

REFUSED = (BadSignature, BadPrekey)


@pytest.fixture
@cached_network
def network() -> Network:
    """Return Ana and Ben at one relay, who are not contacts."""
    network = Network()
    for name in ("ana", "ben"):
        network.set_up_person(name)
    return network


def thief_of(who: Person, network: Network) -> Device:
    """Return a copy of a device with another ML-DSA-65 key: its classical keys were computed."""
    vault = MemoryVault()
    vault._tables = {name: dict(records) for name, records in who.vault._tables.items()}
    vault.put(OWN_RECORDS, "signing-seed", b"a seed of the thief's own, of 32"[:32])
    courier = MaliciousCourier(network.honest)
    return replace(
        who.device, vault=vault, courier=courier, random_source=SeededRandomSource("thief")
    )


def publish(device: Device, *, reaches: bool = True) -> Prekeys:
    """Let a device publish prekeys, and return them; the relay gets them only if ``reaches``."""
    sets = list[Prekeys]()

    def record(honest: HonestCall, *arguments: Any) -> Any:
        sets.append(arguments[-1])
        return honest(*arguments) if reaches else 50

    courier = device.courier
    assert isinstance(courier, MaliciousCourier)
    with courier.replace_calls(publish_prekeys=record):
        publish_prekeys(device)
    return sets[-1]


@contextmanager
def changing_prekeys(who: Person, bundle: Callable[[PrekeyBundle], PrekeyBundle]) -> Iterator[None]:
    """Let the relay change the answer to every claim of prekeys with ``bundle``."""

    def trick(honest: HonestCall, *arguments: Any) -> PrekeyBundle:
        return bundle(honest(*arguments))

    with who.courier.replace_calls(claim_prekeys=trick):
        yield


def refuses(who: Person, link: str, bundle: Callable[[PrekeyBundle], PrekeyBundle]) -> bool:
    """Check that ``who`` refuses the prekeys, and return whether no contact was added."""
    with changing_prekeys(who, bundle), pytest.raises(REFUSED):
        add_person(link, "ben", who.device)
    return contacts(who.device) == ()


SWAPS = [
    ("one_time",),
    ("fallback",),
    ("xwing",),
    ("one_time", "xwing"),
    ("fallback", "xwing"),
    ("one_time", "fallback", "xwing"),
]


def with_keys_of(true: PrekeyBundle, other: Prekeys, names: tuple[str, ...]) -> PrekeyBundle:
    """Return the honest answer with these keys of another set.

    If the fallback key is swapped and the one-time key is not, the one-time key is left out.
    """
    fields = {name: getattr(other, name) for name in names}
    fields["one_time"] = other.one_time[0] if "one_time" in names else true.one_time
    if "fallback" in names and "one_time" not in names:
        fields["one_time"] = None
    return replace(true, **fields)


@pytest.mark.threat("quantum-forger")
@pytest.mark.parametrize("names", SWAPS, ids="+".join)
def test_a_prekey_that_is_signed_without_mldsa_is_refused(
    network: Network, names: tuple[str, ...]
) -> None:
    ana, ben = network["ana"], network["ben"]
    forged, link = publish(thief_of(ben, network), reaches=False), make_invite_link(ben.device)
    assert refuses(ana, link, lambda true: with_keys_of(true, forged, names))
    add_person(link, "ben", ana.device)
    fetch_messages(ben.device)
    assert len(contacts(ben.device)) == 1


@pytest.mark.threat("quantum-forger")
@pytest.mark.parametrize("names", SWAPS[:3], ids="+".join)
def test_a_prekey_of_another_batch_is_refused(network: Network, names: tuple[str, ...]) -> None:
    """All keys are genuine: the relay kept an earlier batch."""
    ana, ben = network["ana"], network["ben"]
    earlier, link = publish(ben.device), make_invite_link(ben.device)
    publish_prekeys(ben.device)
    assert refuses(ana, link, lambda true: with_keys_of(true, earlier, names))
    add_person(link, "ben", ana.device)


@pytest.mark.threat("quantum-forger")
@pytest.mark.parametrize("names", SWAPS, ids="+".join)
def test_a_prekey_of_another_device_of_hers_is_refused(
    network: Network, names: tuple[str, ...]
) -> None:
    ana, ben = network["ana"], network["ben"]
    phones = publish(add_linked_device(network, ben, "phone").device)
    link = make_invite_link(ben.device)
    assert refuses(ana, link, lambda true: with_keys_of(true, phones, names))


@pytest.mark.threat("quantum-forger")
def test_a_batch_of_the_mailbox_before_a_move_is_refused(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    earlier = publish(ben.device)
    move_all_devices(OTHER_RELAY_URL, None, ben.device)
    flush_outbox(ben.device)
    link = make_invite_link(ben.device)
    assert refuses(ana, link, lambda true: with_keys_of(true, earlier, SWAPS[-1]))
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
    forged = publish(thief_of(ben, network), reaches=False)
    with changing_prekeys(ana, lambda true: with_keys_of(true, forged, SWAPS[-1])):
        update_last_heard_from_prekey(contact, key, ana.device)
    assert ana.courier.calls["claim_prekeys"] > 1
    assert last_heard_at(contact, key, ana.device) == before


@pytest.mark.threat("quantum-forger")
def test_an_opened_receipt_that_is_signed_without_mldsa_is_refused(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    ana.add_contact(ben)
    mark_keys_compared("ana", ben.device)
    send_text(ana, "ben")
    fetch_messages(ben.device)
    thief = thief_of(ben, network)
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
