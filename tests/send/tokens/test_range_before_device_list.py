"""A token range issued under an unknown device list waits until the list arrives."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from entrenous.base.errors import RelayUnreachable
from entrenous.base.secret import Secret
from entrenous.device.vault_tables import ANNOUNCED_TOKEN_RANGE
from entrenous.send.devices.move_device import move_all_devices
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.letter.letter_nouns import TokenRangeNote
from entrenous.send.letter.write import (
    addressee_of,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.tokens.issue import issue_range
from entrenous.wire.relay_nouns import Envelope
from tests.send.send_device import (
    OTHER_RELAY_URL,
    SMALL_PICTURE,
    Network,
    Person,
    cached_network,
    network_of_three,
)
from tests.village.households import (
    add_linked_device,
    can_all_write,
    catch_up,
    owner_and_device_ids,
    prepare_move,
    tokens_for_peer,
)
from tests.village.malicious_relay import HonestCall, error_trick


@pytest.fixture
@cached_network
def network() -> Network:
    """Ana, who has a laptop and a phone, and Ben are at the same relay."""
    network = network_of_three()
    phone = add_linked_device(network, network["ana"], "phone", "phone")
    catch_up(network["ben"], network["ana"], phone, network["ben"])
    return network


@contextmanager
def hold_back_letters(person: Person) -> Iterator[list[tuple[str, Secret, Envelope]]]:
    """Collect a person's letters instead of delivering them; yield the list of letters."""
    kept: list[tuple[str, Secret, Envelope]] = []

    def keep_letter(_: HonestCall, *posted: object) -> None:
        url, token, envelope = posted
        assert isinstance(url, str)
        assert isinstance(token, Secret)
        assert isinstance(envelope, Envelope)
        kept.append((url, token, envelope))

    with person.courier.replace_calls(post=keep_letter):
        yield kept


def send_new_range(issuer: Person, receiver: Person) -> Secret:
    """Send a new token range in a separate letter; return the range's seed."""
    addressee = addressee_of(*owner_and_device_ids(receiver), issuer.device)
    assert addressee is not None
    with issuer.device.vault.transaction():
        token_range = issue_range(addressee.contact.person, addressee.key.device, issuer.device)
        seal_and_queue_letter(
            TokenRangeNote(token_range.seed, token_range.first),
            addressee,
            outer_parts_without_content(issuer.device),
            issuer.device,
        )
    flush_outbox(issuer.device)
    return token_range.seed


@pytest.mark.slow
def test_a_range_from_a_moved_device_waits_for_the_new_device_list(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    before = tokens_for_peer(ana, ben)
    with hold_back_letters(ben) as held_back:
        move_all_devices(OTHER_RELAY_URL, None, ben.device)
    seed = send_new_range(ben, ana)
    with ana.courier.replace_calls(key_bundle=error_trick(RelayUnreachable(host="relay"))):
        fetch_messages(ana.device)
    assert tokens_for_peer(ana, ben).seed == before.seed
    for posted in held_back:
        ben.device.courier.post(*posted)
    fetch_messages(ana.device)
    assert (tokens_for_peer(ana, ben).seed, tokens_for_peer(ana, ben).place) == (seed, None)
    assert ana.device.vault.keys(ANNOUNCED_TOKEN_RANGE) == ()
    ana.send(SMALL_PICTURE, ben)
    assert ben.received_count() == 1


@pytest.mark.slow
def test_a_range_from_an_own_moved_device_waits_for_the_new_device_list(network: Network) -> None:
    ana, phone = network["ana"], network["phone"]
    before = tokens_for_peer(phone, ana)
    prepare_move(ana, phone)
    with hold_back_letters(ana) as held_back:
        move_all_devices(OTHER_RELAY_URL, None, ana.device)
    send_new_range(ana, phone)
    fetch_messages(phone.device)
    assert tokens_for_peer(phone, ana).seed == before.seed
    for posted in held_back:
        ana.device.courier.post(*posted)
    for _ in range(3):
        catch_up(phone, ana)
    assert phone.home[0] == OTHER_RELAY_URL
    assert can_all_write(ana, phone)
