"""Tests of ranges of send tokens: using, registering, extending, replacing and lending tokens."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from entrenous.base.errors import RelayUnreachable, WrongToken
from entrenous.base.identifiers import PersonId
from entrenous.base.limits import (
    TOKEN_RANGE_FIRST_INDEX_MAX,
    TOKEN_RANGE_SIZE,
    TOKEN_RANGE_UNUSED_MAX,
    TOKENS_LEFT_MIN,
)
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import token_hash
from entrenous.crypto.key_derivation import derive_send_token
from entrenous.device.identities import own_device
from entrenous.device.vault_tables import (
    HELD_TOKEN_RANGE,
    ISSUED_TOKEN_RANGE,
    RETIRED_TOKEN_RANGE,
    TOKEN_CHANGE_BATCH,
)
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.inbox import received_messages
from entrenous.send.letter.letter_nouns import KeyBundleNote, TokenRangeNote
from entrenous.send.letter.write import (
    addressees,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.message.draft import WaitsInOutbox
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_named, forget_contact
from entrenous.send.tokens.issue import note_token_used, queue_registration, send_token_changes
from entrenous.send.tokens.token_ranges import (
    HELD_TOKEN_RANGE_TABLE,
    ISSUED_TOKEN_RANGE_TABLE,
    HeldTokens,
    IssuedRange,
)
from entrenous.send.tokens.use import lend_tokens, next_token_for, receive_lent_tokens
from entrenous.wire.relay_nouns import SendTokenChanges
from tests.send.send_device import Network, Person
from tests.send.send_text import send_text
from tests.send.signed_lists import issue_key_bundle
from tests.village.households import catch_up
from tests.village.malicious_relay import HonestCall, error_trick

pytestmark = pytest.mark.slow


def issued_range(person: Person) -> IssuedRange:
    """Return the only token range that a person has issued."""
    (token_range,) = ISSUED_TOKEN_RANGE_TABLE.all(person.device.vault)
    return token_range


def held_tokens(person: Person) -> HeldTokens:
    """Return the only range of tokens that a person has received."""
    (token_range,) = HELD_TOKEN_RANGE_TABLE.all(person.device.vault)
    return token_range


def token_recorder() -> tuple[list[Secret], Any]:
    """Return a list, and a replacement of ``post`` that adds each letter's token to the list."""
    tokens: list[Secret] = []

    def record(honest: HonestCall, url: str, token: Secret, envelope: Any) -> Any:
        tokens.append(token)
        return honest(url, token, envelope)

    return tokens, record


def batch_recorder() -> tuple[list[SendTokenChanges], Any]:
    batches: list[SendTokenChanges] = []

    def record(honest: HonestCall, *arguments: Any) -> Any:
        batches.append(arguments[-1])
        return honest(*arguments)

    return batches, record


def test_each_letter_uses_the_next_token_and_names_its_index(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    tokens, record = token_recorder()
    with ana.courier.replace_calls(post=record):
        for _ in range(3):
            send_text(ana, "ben")
    seed = held_tokens(ana).seed
    assert seed is not None
    assert tokens == [derive_send_token(seed, index) for index in range(3)]
    assert (held_tokens(ana).next, issued_range(ben).next_unused) == (3, 0)
    fetch_messages(ben.device)
    assert issued_range(ben).next_unused == 3
    for token in tokens:
        with pytest.raises(WrongToken):  # a used token is no longer valid
            friends.honest.key_bundle(*ben.home[:2], token)


def test_ranges_are_extended_before_they_run_out(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    batches, record = batch_recorder()
    with ben.courier.replace_calls(change_tokens=record):
        for _ in range(3):
            for _ in range(TOKEN_RANGE_SIZE - 1):
                send_text(ana, "ben")
            fetch_messages(ben.device)
            fetch_messages(ana.device)
    assert len(received_messages(ben.device)) == 3 * (TOKEN_RANGE_SIZE - 1)
    assert len(batches) == 3
    assert {len(batch.add) for batch in batches} == {128}  # padded, to hide the number of people
    assert issued_range(ben).handed_out - issued_range(ben).next_unused >= TOKENS_LEFT_MIN


def test_a_sender_without_tokens_waits_until_the_recipient_fetches(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    for _ in range(TOKEN_RANGE_SIZE):
        send_text(ana, "ben")
    for _ in range(2):
        with pytest.raises(WaitsInOutbox, match="is sent when this device fetches"):
            send_text(ana, "ben")
    fetch_messages(ben.device)
    assert len(received_messages(ben.device)) == TOKEN_RANGE_SIZE
    fetch_messages(ana.device)
    assert flush_outbox(ana.device).stayed == {}
    fetch_messages(ben.device)
    assert len(received_messages(ben.device)) == TOKEN_RANGE_SIZE + 2


def test_a_replaced_token_range_stays_valid_and_expires_within_eight_days(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    before = held_tokens(ana)
    assert before.seed is not None
    friends.clock.advance(days=91)
    fetch_messages(ben.device)
    friends.honest.key_bundle(*ben.home[:2], token=derive_send_token(before.seed, before.next))
    fetch_messages(ana.device)
    fetch_messages(ben.device)
    after = held_tokens(ana)
    assert after.seed != before.seed
    assert after.next >= before.until  # an index belongs to one range only
    friends.clock.advance(days=8)
    fetch_messages(ben.device)
    fetch_messages(ben.device)
    assert ben.device.vault.keys(RETIRED_TOKEN_RANGE) == ()
    for index in range(before.until):
        with pytest.raises(WrongToken):
            friends.honest.key_bundle(*ben.home[:2], derive_send_token(before.seed, index))
    send_text(ana, "ben")
    assert ben.received_count() == 1


@pytest.mark.parametrize("clock_error", [timedelta(), timedelta(days=400)])
def test_an_item_with_an_expired_token_leaves_with_a_token_of_the_new_range(
    friends: Network, clock_error: timedelta
) -> None:
    """With the larger ``clock_error``, the clock of Ana's device was 400 days ahead when the device
    recorded the new range.
    """
    ana, ben = friends["ana"], friends["ben"]
    unreachable = error_trick(RelayUnreachable(host="x"))
    with ana.courier.replace_calls(post=unreachable), pytest.raises(WaitsInOutbox):
        send_text(ana, "ben")
    friends.clock.advance(days=91)
    # The letter itself expired long ago; only the token that it uses matters here.
    fetch_messages(ben.device)
    with ana.courier.replace_calls(post=unreachable):
        fetch_messages(ana.device)
    now = held_tokens(ana)
    assert now.old is not None
    record_with_error = replace(
        now, old=replace(now.old, lapses_at=now.old.lapses_at + clock_error)
    )
    HELD_TOKEN_RANGE_TABLE.store(
        record_with_error, ana.device.vault.keys(HELD_TOKEN_RANGE)[0], ana.device.vault
    )
    friends.clock.advance(days=8)
    fetch_messages(ben.device)
    tokens, record = token_recorder()
    with ana.courier.replace_calls(post=record):
        flush_outbox(ana.device)
    seed = held_tokens(ana).seed
    assert seed is not None
    assert tokens[0] in [derive_send_token(seed, index) for index in range(held_tokens(ana).until)]


@pytest.mark.threat("forgotten-writes-on")
def test_a_new_invite_gives_a_forgotten_person_valid_tokens(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    forget_contact("ana", ben.device)
    flush_outbox(ben.device)
    add_person(make_invite_link(ben.device), "ben", ana.device)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    send_text(ana, "ben")
    send_text(ben, "ana")
    assert (ana.received_count(), ben.received_count()) == (1, 1)


def test_an_unacknowledged_batch_is_sent_again_unchanged(network: Network) -> None:
    """Two batches that differ only in padding would reveal the padding."""
    ana, ben = network["ana"], network["ben"]
    batches: list[SendTokenChanges] = []

    def lose_answer(honest: HonestCall, *arguments: Any) -> Any:
        batches.append(arguments[-1])
        honest(*arguments)
        raise RelayUnreachable(host="x")

    link = make_invite_link(ben.device)
    with ana.courier.replace_calls(change_tokens=lose_answer):
        for _ in range(2):
            with pytest.raises(RelayUnreachable):
                add_person(link, "ben", ana.device)
    fetch_messages(ana.device)
    assert batches[0] == batches[1]
    assert ana.device.vault.keys(TOKEN_CHANGE_BATCH) == ()
    assert fetch_messages(ben.device).letters_received >= 1


def test_a_first_range_is_registered_together_with_tokens_for_others(friends: Network) -> None:
    ben, caro = friends["ben"], friends.set_up_person("caro")
    before = issued_range(ben)
    batches, record = batch_recorder()
    with ben.courier.replace_calls(change_tokens=record):
        caro.add_contact(ben)
    (batch,) = batches
    assert len(batch.add) == 128
    assert list(batch.add) == sorted(batch.add)  # sorted, so that the order reveals nothing
    next_hashes = [
        token_hash(derive_send_token(before.seed, before.until + place)) for place in range(4)
    ]
    assert set(next_hashes) <= set(batch.add)
    ranges = ISSUED_TOKEN_RANGE_TABLE.all(ben.device.vault)
    (first_range,) = (one for one in ranges if one.seed != before.seed)
    first_hashes = [
        token_hash(derive_send_token(first_range.seed, index))
        for index in range(first_range.first, first_range.until)
    ]
    assert set(first_hashes) <= set(batch.add)


def test_tokens_registered_in_advance_are_limited(friends: Network) -> None:
    ben = friends["ben"]
    (peer_id,) = ben.device.vault.keys(ISSUED_TOKEN_RANGE)
    for number in range(60):
        queue_registration(
            issued_range(ben), range(10_000, 10_001), PersonId(bytes([number] * 32)), ben.device
        )
        send_token_changes(ben.device)
    assert issued_range(ben).until - issued_range(ben).next_unused == TOKEN_RANGE_UNUSED_MAX
    assert peer_id in ben.device.vault.keys(ISSUED_TOKEN_RANGE)


def test_only_issued_indexes_count_as_used_in_any_order(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    key = contact_named("ana", ben.device).person.devices[0].device
    for index in (None, TOKEN_RANGE_SIZE, 2**63, -1):
        note_token_used(ana.id, key, index, ben.device)
    assert issued_range(ben).next_unused == 0
    note_token_used(ana.id, key, 5, ben.device)
    note_token_used(ana.id, key, 3, ben.device)  # used out of order
    assert issued_range(ben).next_unused == 6


def test_a_lent_token_is_used_by_its_borrower_and_not_by_its_lender(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    contact = contact_named("ben", ana.device)
    key = contact.person.devices[0].device
    lent = lend_tokens(contact.person.id, key, 2, ana.device)
    assert [one.index for one in lent] == [0, 1]
    assert next_token_for(contact, key, ana.device) != lent[0].token
    borrower = friends.set_up_person("ana's other")
    receive_lent_tokens(contact.person.id, key, lent, borrower.device)
    assert next_token_for(contact, key, borrower.device) == lent[0].token
    friends.honest.key_bundle(*ben.home[:2], lent[1].token)


def test_no_range_begins_at_an_index_that_cannot_be_encoded(friends: Network) -> None:
    """Eve issues Ana a range with the highest first index, and then sends three new key bundles.
    Ana's next token index must stay encodable.
    """
    ana, eve = friends["ana"], friends["ben"]
    catch_up(eve, ana, eve)
    (to,) = addressees(contact_named("ana", eve.device), eve.device)
    highest_range = TokenRangeNote(Secret(b"s" * 32), TOKEN_RANGE_FIRST_INDEX_MAX)
    seal_and_queue_letter(highest_range, to, outer_parts_without_content(eve.device), eve.device)
    for _ in range(3):
        issue_key_bundle(eve)
        bundle_note = KeyBundleNote(own_device(eve.device).card)
        seal_and_queue_letter(bundle_note, to, outer_parts_without_content(eve.device), eve.device)
        flush_outbox(eve.device)
        fetch_messages(ana.device)
    assert (
        TOKEN_RANGE_FIRST_INDEX_MAX
        < held_tokens(ana).next
        < TOKEN_RANGE_FIRST_INDEX_MAX + TOKEN_RANGE_SIZE
    )
