"""Tests of letters that name an unknown device list, and of unproven claims about such lists."""

from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from entrenous.base.errors import RelayUnreachable, WrongToken
from entrenous.base.identity import DeviceListHead
from entrenous.base.limits import AWAITING_DEVICE_LIST_DAYS_MAX
from entrenous.crypto.nouns import NotForThisMailbox
from entrenous.device.identities import own_device
from entrenous.device.vault_tables import LETTER_AWAITING_DEVICE_LIST, OUTBOX, peer_key
from entrenous.send.devices.ask_for_lists import fetch_named_lists, record_named_list_if_unknown
from entrenous.send.devices.own_devices import revoke_device
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.letter.letter_nouns import PersonDeviceListHead
from entrenous.send.message.states import InboxState
from entrenous.send.people.contact_history import take_contact_changes
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.people.people_nouns import DeviceListContradiction
from entrenous.send.recall import recall_message
from entrenous.send.tokens.token_ranges import HELD_TOKEN_RANGE_TABLE
from tests.send.send_device import (
    OTHER_RELAY_URL,
    SMALL_PICTURE,
    Network,
    Person,
    cached_network,
    network_of_three,
)
from tests.village.households import (
    add_blank_device,
    add_linked_device,
    catch_up,
    link_devices,
    owner_and_device_ids,
    tokens_for_peer,
)
from tests.village.malicious_relay import error_trick

pytestmark = pytest.mark.slow


@pytest.fixture
@cached_network
def network() -> Network:
    """Ana's laptop has revoked her tablet, and has no token left for her phone. Ben knows Ana's new
    device list, and the phone first learns of that list from a letter of Ben's.
    """
    network = network_of_three()
    ana, ben = network["ana"], network["ben"]
    phone = add_linked_device(network, ana, "phone", "phone")
    tablet = add_linked_device(network, ana, "tablet", "tablet")
    catch_up(ben, phone, tablet, ana, ben, phone, tablet, ana)
    tokens = tokens_for_peer(ana, phone)
    HELD_TOKEN_RANGE_TABLE.store(
        replace(tokens, next=tokens.until), peer_key(*owner_and_device_ids(phone)), ana.device.vault
    )
    revoke_device("tablet", lost=False, sheet=None, device=ana.device)
    assert ana.device.vault.keys(OUTBOX)
    catch_up(ben)
    return network


def make_lists_unavailable(person: Person) -> AbstractContextManager[None]:
    return person.courier.replace_calls(key_bundle=error_trick(RelayUnreachable(host="relay")))


def kept_letter_count(person: Person) -> int:
    return len(person.device.vault.keys(LETTER_AWAITING_DEVICE_LIST))


def test_letter_opens_once_a_relay_shows_the_awaited_list(network: Network) -> None:
    ben, phone = network["ben"], network["phone"]
    name = ben.send(SMALL_PICTURE, network["ana"]).name
    assert phone.received_count() == 1
    assert phone.open_newest().files
    assert (kept_letter_count(phone), take_undecryptable_count(phone.device)) == (0, 0)
    assert ben.device.ledger.message_named(name)


def test_letter_is_kept_while_no_relay_shows_the_awaited_list(network: Network) -> None:
    ben, phone = network["ben"], network["phone"]
    ben.send(SMALL_PICTURE, network["ana"])
    ben.send(SMALL_PICTURE, network["ana"])
    with make_lists_unavailable(phone):
        assert phone.received_count() == 0
        assert phone.received_count() == 0
    assert (kept_letter_count(phone), take_undecryptable_count(phone.device)) == (3, 0)
    network.clock.advance(days=1)
    assert phone.received_count() == 2
    first, second = received_messages(phone.device)
    assert first.sent_at <= second.sent_at
    assert (kept_letter_count(phone), take_undecryptable_count(phone.device)) == (0, 0)


def test_message_recalled_while_awaiting_a_list_does_not_open(network: Network) -> None:
    ben, phone = network["ben"], network["phone"]
    name = ben.send(SMALL_PICTURE, network["ana"]).name
    with make_lists_unavailable(phone):
        fetch_messages(phone.device)
        recall_message(name, ben.device)
        fetch_messages(phone.device)
    network.clock.advance(days=1)
    fetch_messages(phone.device)
    (received,) = received_messages(phone.device)
    assert received.state is InboxState.TAKEN_BACK


def test_letter_awaiting_a_list_for_a_week_counts_as_undecryptable(network: Network) -> None:
    ben, phone = network["ben"], network["phone"]
    ben.send(SMALL_PICTURE, network["ana"])
    with make_lists_unavailable(phone):
        fetch_messages(phone.device)
        network.clock.advance(days=AWAITING_DEVICE_LIST_DAYS_MAX + 1)
        fetch_messages(phone.device)
    assert (kept_letter_count(phone), take_undecryptable_count(phone.device)) == (0, 2)
    fetch_messages(phone.device)
    assert phone.received_count() == 0


@pytest.mark.parametrize("limit_name", ["_KEPT_LETTERS_MAX", "_KEPT_LETTERS_PER_SENDER_MAX"])
def test_letters_awaiting_lists_are_limited_in_number(
    network: Network, monkeypatch: pytest.MonkeyPatch, limit_name: str
) -> None:
    monkeypatch.setattr(f"entrenous.send.letter.arrivals.{limit_name}", 1)
    ben, phone = network["ben"], network["phone"]
    ben.send(SMALL_PICTURE, network["ana"])
    ben.send(SMALL_PICTURE, network["ana"])
    with make_lists_unavailable(phone):
        fetch_messages(phone.device)
    assert (kept_letter_count(phone), take_undecryptable_count(phone.device)) == (1, 2)


def test_limit_of_awaiting_letters_is_per_sender(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.send.letter.arrivals._KEPT_LETTERS_PER_SENDER_MAX", 1)
    ben, cleo, phone = network["ben"], network["cleo"], network["phone"]
    fetch_messages(cleo.device)
    ben.send(SMALL_PICTURE, network["ana"])
    with make_lists_unavailable(phone):
        fetch_messages(phone.device)
        assert kept_letter_count(phone) == 2  # one letter from Ben and one from Cleo


def test_letter_from_an_unknown_device_opens_after_its_list_arrives() -> None:
    """Ben's relay is unreachable while Ana links a new device."""
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben", OTHER_RELAY_URL)
    ana.add_contact(ben)
    catch_up(ben, ana, ben)
    network.disconnect(OTHER_RELAY_URL)
    new = add_blank_device(network, "new")
    link_devices(ana.device, new.device, "new")
    for _ in range(3):
        catch_up(new, ana)
    network.reconnect(OTHER_RELAY_URL)
    assert new.send(SMALL_PICTURE, ben).devices == {"ben": 1}
    with make_lists_unavailable(ben):
        assert ben.received_count() == 0
        assert kept_letter_count(ben) == 1
    catch_up(ana, ben)
    assert ben.received_count() == 1
    assert (kept_letter_count(ben), take_undecryptable_count(ben.device)) == (0, 0)


def test_unproven_device_list_claims_have_no_effect(network: Network) -> None:
    """An unproven claim says that Ben has a later list. The relay does not show his key bundle."""
    ben, phone = network["ben"], network["phone"]
    known = contact_named("ben", phone.device).person
    claimed_head = DeviceListHead(known.epoch + 7, bytes(32))
    record_named_list_if_unknown(
        known.id, claimed_head, phone.device, own=False, authenticated=False
    )
    with phone.courier.replace_calls(key_bundle=error_trick(WrongToken())):
        for _ in range(5):
            fetch_named_lists(phone.device)
            network.clock.advance(days=1)
    assert take_contact_changes(phone.device) == ()
    assert ben.received_count() == 0


@pytest.mark.parametrize(("author", "is_reported"), [("ben", True), ("ana", False)])
def test_missing_own_list_is_reported_only_if_an_authenticated_contact_named_it(
    network: Network, monkeypatch: pytest.MonkeyPatch, author: str, *, is_reported: bool
) -> None:
    """A letter that claims to come from an unknown device of Ana's is not authenticated."""
    ana, ben = network["ana"], network["ben"]
    catch_up(ana, ben)
    take_contact_changes(ana.device)
    us = own_device(ana.device).person

    def refuse_letter(*_: object) -> None:
        lacks = PersonDeviceListHead(us.id, us.epoch + 7, bytes(32))
        raise NotForThisMailbox(what="it names an unknown list", lacks=lacks, by=network[author].id)

    ben.send(SMALL_PICTURE, ana)
    monkeypatch.setattr("entrenous.send.fetch.read_letter", refuse_letter)
    for _ in range(5):
        fetch_messages(ana.device)
        network.clock.advance(days=1)
    reported = [one.lists for one in take_contact_changes(ana.device) if one.lists]
    assert reported == ([DeviceListContradiction.SPLIT] if is_reported else [])
