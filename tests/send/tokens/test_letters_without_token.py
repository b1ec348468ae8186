"""Tests of letters without a valid send token: waiting, lent tokens, refusal and expiry."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from entrenous.base.identifiers import ID_BYTES, MessageId
from entrenous.base.secret import Secret
from entrenous.device.identities import NO_SEND_TOKEN, own_device
from entrenous.device.vault_tables import OUTBOX, peer_key
from entrenous.send import flush as flushing
from entrenous.send.devices.device_lists import accept_contact_bundle
from entrenous.send.devices.move_device import move_all_devices
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.letter.letter_nouns import RecallNote
from entrenous.send.letter.write import (
    addressee_of,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.message.draft import RefusedForSome, WaitsInOutbox
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.tokens.token_ranges import HELD_TOKEN_RANGE_TABLE, HeldTokens
from entrenous.send.tokens.use import lend_tokens, receive_lent_tokens
from entrenous.terminal.output import join_wrapped_lines
from tests.deterministic import SettableClock
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
    can_all_write,
    catch_up,
    link_devices,
    owner_and_device_ids,
    tokens_for_peer,
)
from tests.village.malicious_relay import HonestCall

pytestmark = pytest.mark.slow


@pytest.fixture
@cached_network
def network() -> Network:
    """Return ``network_of_three()``, in which Ana also has a linked tablet."""
    network = network_of_three()
    tablet = add_linked_device(network, network["ana"], "tablet", "tablet")
    catch_up(network["ben"], tablet, network["ben"])
    return network


def drop_tokens(writer: Person, recipient: Person) -> HeldTokens:
    """Delete the tokens that a writer has for another device, and return them."""
    removed_tokens = tokens_for_peer(writer, recipient)
    HELD_TOKEN_RANGE_TABLE.store(
        HeldTokens(), peer_key(*owner_and_device_ids(recipient)), writer.device.vault
    )
    return removed_tokens


def give_tokens(writer: Person, recipient: Person, tokens: HeldTokens) -> None:
    HELD_TOKEN_RANGE_TABLE.store(
        tokens, peer_key(*owner_and_device_ids(recipient)), writer.device.vault
    )


def lend_tokens_to(lender: Person, recipient: Person, owner: Person, count: int = 2) -> None:
    receive_lent_tokens(
        *owner_and_device_ids(owner),
        lend_tokens(*owner_and_device_ids(owner), count, lender.device),
        recipient.device,
    )


def queue_small_letter(writer: Person, recipient: Person) -> None:
    """Put a letter without files into the outbox."""
    addressee = addressee_of(*owner_and_device_ids(recipient), writer.device)
    assert addressee is not None
    note = RecallNote(MessageId(writer.device.random_source.token(ID_BYTES)))
    seal_and_queue_letter(
        note, addressee, outer_parts_without_content(writer.device), writer.device
    )


def outbox_size(person: Person) -> int:
    return len(person.device.vault.keys(OUTBOX))


def record_posts(posts: list[tuple[str, Secret]]) -> Any:
    """Return a trick that records the relay and the token of each posted letter."""

    def record_post(honest: HonestCall, url: str, token: Secret, envelope: Any) -> Any:
        posts.append((url, token))
        return honest(url, token, envelope)

    return record_post


def test_a_message_waits_until_there_is_a_token(network: Network) -> None:
    tablet, ben = network["tablet"], network["ben"]
    removed_tokens = drop_tokens(tablet, ben)
    with pytest.raises(WaitsInOutbox):
        tablet.send(SMALL_PICTURE, ben)
    assert ben.received_count() == 0
    give_tokens(tablet, ben, removed_tokens)
    fetch_messages(tablet.device)
    assert ben.received_count() == 1
    assert tokens_for_peer(tablet, ben).next == removed_tokens.next + 1


def test_a_message_without_a_token_waits_while_the_clock_is_ahead(network: Network) -> None:
    tablet, ben = network["tablet"], network["ben"]
    removed_tokens = drop_tokens(tablet, ben)
    with pytest.raises(WaitsInOutbox):
        tablet.send(SMALL_PICTURE, ben)
    flush_outbox(
        replace(tablet.device, clock=SettableClock(network.clock.moment + timedelta(days=400)))
    )
    give_tokens(tablet, ben, removed_tokens)
    fetch_messages(tablet.device)
    assert ben.received_count() == 1


def test_a_waiting_message_leaves_with_a_lent_token(network: Network) -> None:
    tablet, ben = network["tablet"], network["ben"]
    drop_tokens(tablet, ben)
    with pytest.raises(WaitsInOutbox):
        tablet.send(SMALL_PICTURE, ben)
    lend_tokens_to(network["ana"], tablet, ben)
    fetch_messages(tablet.device)
    assert ben.received_count() == 1
    assert len(tokens_for_peer(tablet, ben).lent) == 1


def test_a_new_invite_is_not_delayed_by_a_message_without_a_token(network: Network) -> None:
    tablet, ben = network["tablet"], network["ben"]
    drop_tokens(tablet, ben)
    with pytest.raises(WaitsInOutbox):
        tablet.send(SMALL_PICTURE, ben)
    add_person(make_invite_link(ben.device), "ben", tablet.device)
    catch_up(ben, tablet, ben)
    assert outbox_size(tablet) == 0
    assert ben.received_count() == 1


def test_the_last_lent_token_is_reserved_for_the_hello() -> None:
    """Ben's relay is unreachable when the new device learns of Ben, and the device sends messages
    as soon as the relay is back.
    """
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben", OTHER_RELAY_URL)
    ana.add_contact(ben)
    catch_up(ben, ana, ben)
    new = add_blank_device(network, "new")
    link_devices(ana.device, new.device, "new")
    network.disconnect(OTHER_RELAY_URL)
    for _ in range(3):
        catch_up(new, ana)
    network.reconnect(OTHER_RELAY_URL)
    for _ in range(3):
        with suppress(WaitsInOutbox):
            new.send(SMALL_PICTURE, ben)
    for _ in range(3):
        catch_up(ben, new, ana)
    assert ben.received_count() == 3
    assert outbox_size(new) == 0
    assert can_all_write(new, ben)


@pytest.mark.parametrize("count", [64, 70])
def test_waiting_messages_do_not_use_up_a_range(network: Network, count: int) -> None:
    """A letter that was written without a token names no index. The issuer therefore cannot count
    the token that the letter uses later.
    """
    tablet, ben = network["tablet"], network["ben"]
    removed_tokens = drop_tokens(tablet, ben)
    for _ in range(count):
        queue_small_letter(tablet, ben)
    flush_outbox(tablet.device)
    give_tokens(tablet, ben, removed_tokens)
    fetch_messages(tablet.device)
    assert outbox_size(tablet) > 0
    queue_small_letter(tablet, ben)
    for _ in range(3):
        catch_up(tablet, ben, tablet)
        network.clock.advance(days=1)
    assert outbox_size(tablet) == 0


def test_a_waiting_message_goes_to_the_mailbox_of_the_lent_token(network: Network) -> None:
    """Ben has moved, and his old relay must not see a token of his new relay."""
    ana, tablet, ben = network["ana"], network["tablet"], network["ben"]
    drop_tokens(tablet, ben)
    with pytest.raises(WaitsInOutbox):
        tablet.send(SMALL_PICTURE, ben)
    queue_small_letter(tablet, ben)
    move_all_devices(OTHER_RELAY_URL, None, ben.device)
    catch_up(ana, ben, ana)
    accept_contact_bundle(
        contact_named("ben", tablet.device), own_device(ben.device).card, tablet.device
    )
    lend_tokens_to(ana, tablet, ben)
    posts: list[tuple[str, Secret]] = []
    with tablet.courier.replace_calls(post=record_posts(posts)):
        flush_outbox(tablet.device)
    assert {url for url, _ in posts} == {OTHER_RELAY_URL}
    assert outbox_size(tablet) == 0  # the message with files for the old mailbox was dropped


def test_a_refused_lent_token_loses_no_message(network: Network) -> None:
    """The relay refuses the lent token. This may happen after the lending device was lost."""
    ana, tablet, ben = network["ana"], network["tablet"], network["ben"]
    removed_tokens = drop_tokens(tablet, ben)
    lend_tokens_to(ana, tablet, ben)
    invalid = tuple(
        replace(one, token=Secret(bytes(range(32)))) for one in tokens_for_peer(tablet, ben).lent
    )
    give_tokens(tablet, ben, HeldTokens(lent=invalid))
    with pytest.raises(WaitsInOutbox):
        tablet.send(SMALL_PICTURE, ben)
    give_tokens(tablet, ben, removed_tokens)
    fetch_messages(tablet.device)
    assert ben.received_count() == 1


def test_a_message_refused_with_a_token_that_was_not_lent_is_dropped(network: Network) -> None:
    tablet, ben = network["tablet"], network["ben"]
    invalid = replace(tokens_for_peer(tablet, ben), seed=Secret(bytes(range(32))))
    give_tokens(tablet, ben, invalid)
    with pytest.raises(RefusedForSome):
        tablet.send(SMALL_PICTURE, ben)
    assert outbox_size(tablet) == 0


def test_an_expired_message_without_a_token_does_not_wait(network: Network) -> None:
    tablet, ben = network["tablet"], network["ben"]
    drop_tokens(tablet, ben)
    with pytest.raises(WaitsInOutbox):
        tablet.send(SMALL_PICTURE, ben, days=2)
    network.clock.advance(days=3)
    flush_outbox(tablet.device)
    assert outbox_size(tablet) == 0


def test_expiry_of_a_letter_without_a_token_is_reported(network: Network) -> None:
    tablet, ben = network["tablet"], network["ben"]
    drop_tokens(tablet, ben)
    queue_small_letter(tablet, ben)
    network.clock.advance(days=30)
    (problem,) = flush_outbox(tablet.device).problems
    assert "waited on this device until it expired" in join_wrapped_lines(str(problem))
    assert outbox_size(tablet) == 0


def test_one_wrong_clock_reading_expires_no_waiting_letter(network: Network) -> None:
    """The clock is 400 days ahead during one fetch, while the letter waits for a token."""
    tablet, ben = network["tablet"], network["ben"]
    fetch_messages(tablet.device)
    removed_tokens = drop_tokens(tablet, ben)
    queue_small_letter(tablet, ben)
    (key,) = tablet.device.vault.keys(OUTBOX)
    right = network.clock.moment
    network.clock.advance(days=400)
    fetch_messages(tablet.device)
    network.clock.moment = right
    assert key in tablet.device.vault.keys(OUTBOX)
    give_tokens(tablet, ben, removed_tokens)
    flush_outbox(tablet.device)
    assert key not in tablet.device.vault.keys(OUTBOX)


def test_a_crash_loses_no_token(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    tablet, ben = network["tablet"], network["ben"]
    drop_tokens(tablet, ben)
    with pytest.raises(WaitsInOutbox):
        tablet.send(SMALL_PICTURE, ben)
    lend_tokens_to(network["ana"], tablet, ben, count=1)

    def crash(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(flushing, "store_outbox_item", crash)
        with pytest.raises(MemoryError):
            flush_outbox(tablet.device)
    flush_outbox(tablet.device)
    assert ben.received_count() == 1


@pytest.mark.threat("metadata")
def test_a_devices_token_is_not_used_at_another_device() -> None:
    """Ben has tokens for Ana's first device, and none for her new device."""
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben", OTHER_RELAY_URL)
    ana.add_contact(ben)
    catch_up(ben, ana, ben)
    new = add_linked_device(network, ana, "new", "new")
    catch_up(ben, new, ana, ben)
    drop_tokens(ben, new)
    posts: list[tuple[str, Secret]] = []
    with ben.courier.replace_calls(post=record_posts(posts)), pytest.raises(WaitsInOutbox):
        ben.send(SMALL_PICTURE, ana)
    assert len(posts) == 1
    assert posts[0][1] != NO_SEND_TOKEN
    assert ana.received_count() == 1
