"""Batches of token changes: skipped tokens, long ranges, refusals by the relay, and expiry."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

import entrenous.carry.send_tokens as relay_send_tokens
from entrenous.base.errors import Expired, RelayUnreachable, TooManyRegistered, WrongToken
from entrenous.base.identifiers import PersonId
from entrenous.base.limits import TOKEN_RANGE_INDEXES_MAX, TOKEN_RANGE_SIZE, TOKEN_RANGE_SKIPPED_MAX
from entrenous.base.secret import Secret
from entrenous.crypto.key_derivation import derive_send_token
from entrenous.device.vault_tables import (
    HELD_TOKEN_RANGE,
    ISSUED_TOKEN_RANGE,
    TOKEN_CHANGE_BATCH,
    TOKEN_WITHDRAWAL,
)
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.message.draft import RefusedForSome
from entrenous.send.people.block import block_contact
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.tokens.distribute import maintain_issued_ranges
from entrenous.send.tokens.issue import note_token_used, queue_registration, send_token_changes
from entrenous.send.tokens.token_ranges import (
    HELD_TOKEN_RANGE_TABLE,
    ISSUED_TOKEN_RANGE_TABLE,
    TOKEN_WITHDRAWAL_TABLE,
    IssuedRange,
)
from entrenous.wire.relay_nouns import SendTokenChanges
from tests.send.send_device import Network, Person
from tests.send.send_text import send_text
from tests.village.malicious_relay import HonestCall, error_trick


def issued_range(person: Person) -> IssuedRange:
    """Return the only token range that a person has issued."""
    (token_range,) = ISSUED_TOKEN_RANGE_TABLE.all(person.device.vault)
    return token_range


def skip_to_last_token(person: Person) -> None:
    """Make a person's next letter use the last token of the range that the person received."""
    (key,) = person.device.vault.keys(HELD_TOKEN_RANGE)
    tokens = HELD_TOKEN_RANGE_TABLE.load(key, person.device.vault)
    assert tokens is not None
    HELD_TOKEN_RANGE_TABLE.store(replace(tokens, next=tokens.until - 1), key, person.device.vault)


def is_accepted(seed: Secret, index: int, owner: Person, network: Network) -> bool:
    """Return whether the relay still accepts a token."""
    try:
        network.honest.key_bundle(*owner.home[:2], derive_send_token(seed, index))
    except WrongToken:
        return False
    return True


def batch_recorder() -> tuple[list[SendTokenChanges], Any]:
    batches: list[SendTokenChanges] = []

    def record_batch(honest: HonestCall, *arguments: Any) -> Any:
        batches.append(arguments[-1])
        return honest(*arguments)

    return batches, record_batch


@pytest.mark.threat("tokens-used-up")
def test_skipping_tokens_does_not_increase_registrations(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    seed = issued_range(ben).seed
    batches, record_batch = batch_recorder()
    with ben.courier.replace_calls(change_tokens=record_batch):
        for _ in range(3):
            for _ in range(4):  # Ben issues more tokens at most once a day
                skip_to_last_token(ana)
                with suppress(RefusedForSome):
                    send_text(ana, "ben")
                fetch_messages(ben.device)
                fetch_messages(ana.device)
            friends.clock.advance(hours=25)
        assert len([batch for batch in batches if batch.add]) <= 3
    token_range = issued_range(ben)
    accepted_indexes = [
        index for index in range(token_range.until) if is_accepted(seed, index, ben, friends)
    ]
    assert (
        len(accepted_indexes)
        <= TOKEN_RANGE_SKIPPED_MAX + token_range.until - token_range.next_unused
    )
    assert set(token_range.skipped) <= set(accepted_indexes)
    assert len(token_range.skipped) == TOKEN_RANGE_SKIPPED_MAX


def test_only_unused_skipped_tokens_are_withdrawn(friends: Network) -> None:
    """A relay can link tokens that are withdrawn together, so none of them may have been used."""
    ana, ben = friends["ana"], friends["ben"]
    key = contact_named("ana", ben.device).person.devices[0].device
    (peer_id,) = ben.device.vault.keys(ISSUED_TOKEN_RANGE)
    ISSUED_TOKEN_RANGE_TABLE.store(
        replace(issued_range(ben), handed_out=400, until=400), peer_id, ben.device.vault
    )
    for index in (3, 5, 1, 200, 150, 2**63, -1):
        note_token_used(ana.id, key, index, ben.device)
    assert issued_range(ben).next_unused == 201
    assert issued_range(ben).skipped == tuple(index for index in range(136, 200) if index != 150)
    assert issued_range(ben).used_count == 5
    dropped = {index for one in withdrawn_ranges(ben) for index in range(one[0], one[1])}
    assert dropped == {0, 2, 4, *range(6, 136)}


def withdrawn_ranges(person: Person) -> list[tuple[int, int]]:
    return [(one.first, one.until) for one in TOKEN_WITHDRAWAL_TABLE.all(person.device.vault)]


def test_a_token_range_of_the_maximum_length_is_replaced(friends: Network) -> None:
    ben = friends["ben"]
    (peer_id,) = ben.device.vault.keys(ISSUED_TOKEN_RANGE)
    before, limit = issued_range(ben), TOKEN_RANGE_INDEXES_MAX
    used = replace(before, next_unused=limit, handed_out=limit, until=limit)
    ISSUED_TOKEN_RANGE_TABLE.store(used, peer_id, ben.device.vault)
    maintain_issued_ranges(ben.device)
    assert issued_range(ben).seed != before.seed
    assert issued_range(ben).first == limit


@pytest.mark.slow
@pytest.mark.threat("tokens-used-up")
def test_a_blocked_persons_tokens_are_withdrawn_though_registration_is_full(
    friends: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    fetch_messages(ben.device)
    seed = issued_range(ben).seed
    # A low limit, which this test reaches.
    monkeypatch.setattr(relay_send_tokens, "TOKENS_PER_MAILBOX_MAX", 100)
    for _ in range(TOKEN_RANGE_SIZE - 1):
        send_text(ana, "ben")
    problems = fetch_messages(ben.device).problems
    assert [type(problem) for problem in problems] == [TooManyRegistered]
    assert len(ben.device.vault.keys(TOKEN_CHANGE_BATCH)) == 1
    assert is_accepted(seed, TOKEN_RANGE_SIZE - 1, ben, friends)
    block_contact("ana", ben.device)
    flush_outbox(ben.device)
    assert ben.device.vault.keys(TOKEN_WITHDRAWAL) == ()
    assert ben.device.vault.keys(TOKEN_CHANGE_BATCH) == ()
    until = 2 * TOKEN_RANGE_SIZE + 1
    assert not any(is_accepted(seed, index, ben, friends) for index in range(until))
    flush_outbox(ben.device)
    assert not any(is_accepted(seed, index, ben, friends) for index in range(until))


def test_a_refused_batch_is_split_and_resent_with_the_same_padding(
    friends: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two batches that differ only in padding would reveal the padding."""
    ben, caro = friends["ben"], friends.set_up_person("caro")
    caro.add_contact(ben)
    fetch_messages(ben.device)
    batches, record_batch = batch_recorder()
    block_contact("ana", ben.device)
    queue_registration(range_issued_to(caro, ben), range(5000, 5010), caro.id, ben.device)
    monkeypatch.setattr(relay_send_tokens, "TOKENS_PER_MAILBOX_MAX", 1)
    with ben.courier.replace_calls(change_tokens=record_batch), pytest.raises(TooManyRegistered):
        send_token_changes(ben.device)
    combined, dropped, added = batches
    assert combined.drop == dropped.drop != ()
    assert dropped.add == ()
    assert combined.add == added.add != ()
    assert added.drop == ()
    monkeypatch.undo()
    with ben.courier.replace_calls(change_tokens=record_batch):
        send_token_changes(ben.device)
    assert batches[3].add == added.add
    assert ben.device.vault.keys(TOKEN_CHANGE_BATCH) == ()


def range_issued_to(person: Person, issuer: Person) -> IssuedRange:
    (key,) = issuer.device.vault.keys(ISSUED_TOKEN_RANGE, PersonId(person.id).hex())
    token_range = ISSUED_TOKEN_RANGE_TABLE.load(key, issuer.device.vault)
    assert token_range is not None
    return token_range


@pytest.mark.slow
def test_a_delayed_batch_is_sent_with_a_later_expiry(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    with ben.courier.replace_calls(change_tokens=error_trick(RelayUnreachable(host="x"))):
        for _ in range(TOKEN_RANGE_SIZE - 1):
            send_text(ana, "ben")
        for _ in range(2):
            problems = fetch_messages(ben.device).problems
            assert {type(problem) for problem in problems} == {RelayUnreachable}
    friends.clock.advance(days=130)
    problems = fetch_messages(ben.device).problems
    assert Expired not in {type(problem) for problem in problems}
    assert ben.device.vault.keys(TOKEN_CHANGE_BATCH) == ()
    caro = friends.set_up_person("caro")
    caro.add_contact(ben)
    for person in (ben, caro):
        fetch_messages(person.device)
    send_text(ben, "caro")
    assert caro.received_count() == 1


def test_all_batches_of_a_day_expire_at_the_same_midnight(friends: Network) -> None:
    ben = friends["ben"]
    batches, record_batch = batch_recorder()
    with ben.courier.replace_calls(change_tokens=record_batch):
        for hour in (1, 5):
            queue_registration(
                issued_range(ben),
                range(hour * 1000, hour * 1000 + 1),
                PersonId(bytes(32)),
                ben.device,
            )
            friends.clock.advance(hours=hour, seconds=7)
            send_token_changes(ben.device)
    assert len(batches) == 2
    (expires_at,) = {batch.expires_at for batch in batches}
    assert (expires_at.hour, expires_at.minute, expires_at.second) == (0, 0, 0)
