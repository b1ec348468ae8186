"""Tests of adding a person as a contact again: who can write to whom, and with which tokens."""

from collections.abc import Callable
from typing import Any

import pytest

from entrenous.base.errors import WrongToken
from entrenous.base.limits import REPLACED_TOKEN_RANGES_MAX
from entrenous.device.identities import contacts
from entrenous.device.vault_tables import DEVICE_TO_GREET, RETIRED_TOKEN_RANGE, peer_key
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.letter.sessions import repair_sessions
from entrenous.send.people.block import rename_contact
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_named, forget_contact
from tests.send.send_device import OTHER_RELAY_URL, Network, Person, cached_network
from tests.send.send_text import send_text
from tests.village.households import (
    add_linked_device,
    can_all_write,
    catch_up,
    owner_and_device_ids,
    tokens_for_peer,
)
from tests.village.malicious_relay import HonestCall

pytestmark = pytest.mark.slow


@pytest.fixture
@cached_network
def network() -> Network:
    """Ana has a laptop ("ana") and a phone. Ben and both devices can write to each other."""
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben", OTHER_RELAY_URL)
    ana.add_contact(ben)
    add_linked_device(network, ana, "phone", "phone")
    fetch_rounds(network)
    assert can_all_write(ana, ben)
    assert can_all_write(network["phone"], ben)
    return network


def fetch_rounds(network: Network) -> None:
    for _ in range(3):
        network.clock.advance(minutes=1)
        catch_up(network["ana"], network["phone"], network["ben"])


def is_everybody_reachable(network: Network) -> bool:
    """Return whether Ben can exchange texts with both of Ana's devices."""
    ana, phone, ben = network["ana"], network["phone"], network["ben"]
    if not (can_all_write(ana, ben) and can_all_write(phone, ben)):
        return False
    before = [one.received_count() for one in (ana, phone, ben)]
    send_text(ben, "ana")
    for one in (ana, phone):
        send_text(one, "ben")
    received = [
        one.received_count() - had for one, had in zip((ana, phone, ben), before, strict=True)
    ]
    return received == [1, 1, 2]


def add_by_bens_invite(ana: Person, ben: Person) -> None:
    add_person(make_invite_link(ben.device), "ben", ana.device)


def add_by_anas_invite(ana: Person, ben: Person) -> None:
    add_person(make_invite_link(ana.device), "ana", ben.device)


AddContact = Callable[[Person, Person], None]


@pytest.mark.parametrize("add_contact", [add_by_bens_invite, add_by_anas_invite])
@pytest.mark.parametrize("anas_device", ["ana", "phone"])
@pytest.mark.parametrize("forgotten_by", ["ana", "ben", "nobody"])
def test_after_adding_again_ben_and_both_devices_reach_each_other(
    network: Network, forgotten_by: str, anas_device: str, add_contact: AddContact
) -> None:
    if forgotten_by == "ana":
        forget_contact("ben", network["ana"].device)
        fetch_rounds(network)
        assert contacts(network["phone"].device) == ()
    elif forgotten_by == "ben":
        forget_contact("ana", network["ben"].device)
        fetch_rounds(network)
    add_contact(network[anas_device], network["ben"])
    fetch_rounds(network)
    fetch_rounds(network)
    assert is_everybody_reachable(network)


def test_contact_forgotten_on_one_device_and_renamed_later_on_another_is_kept(
    network: Network,
) -> None:
    forget_contact("ben", network["ana"].device)
    network.clock.advance(hours=1)
    rename_contact("ben", "Benedict", network["phone"].device)
    fetch_rounds(network)
    fetch_rounds(network)
    assert contact_named("Benedict", network["ana"].device)
    assert can_all_write(network["ana"], network["ben"])
    assert can_all_write(network["phone"], network["ben"])


def test_phone_uses_no_refused_token_after_the_laptop_adds_ben_again(network: Network) -> None:
    """When the laptop adds Ben, he is still a contact, and the phone has valid tokens for him."""
    phone, ben = network["phone"], network["ben"]
    asked, refused = list[bool](), list[bool]()

    def record_request(honest: HonestCall, *arguments: Any) -> Any:
        asked.append(True)
        try:
            return honest(*arguments)
        except WrongToken:
            refused.append(True)
            raise

    add_by_bens_invite(network["ana"], ben)
    with phone.courier.replace_calls(claim_prekeys=record_request, post=record_request):
        fetch_rounds(network)
    assert (bool(asked), refused) == (True, [])
    assert tokens_for_peer(phone, ben).lent == ()
    assert phone.device.vault.keys(DEVICE_TO_GREET) == ()


@pytest.mark.threat("tokens-used-up")
def test_repeated_session_restarts_get_no_extra_tokens(network: Network) -> None:
    """A restart gets Ben new tokens, unless too many of his replaced ranges are still valid."""
    ana, ben = network["ana"], network["ben"]
    whose = peer_key(*owner_and_device_ids(ben))
    for _ in range(3 * REPLACED_TOKEN_RANGES_MAX):
        repair_sessions("ana", ben.device)
        flush_outbox(ben.device)
        network.clock.advance(minutes=1)
        fetch_messages(ana.device)
    assert len(ana.device.vault.keys(RETIRED_TOKEN_RANGE, whose)) == REPLACED_TOKEN_RANGES_MAX
    fetch_rounds(network)
    assert is_everybody_reachable(network)
