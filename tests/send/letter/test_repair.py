"""Tests of session repair, of waiting for letters, and of repeating requests to restored relays."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from entrenous.base.errors import RelayUnreachable, WrongToken
from entrenous.crypto.hashing import token_hash
from entrenous.crypto.key_derivation import derive_send_token
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, CopyDelivery
from entrenous.device.vault_tables import (
    ISSUED_TOKEN_RANGE,
    PEER,
    TOKEN_WITHDRAWAL,
)
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.letter.letter_nouns import PEER_TABLE
from entrenous.send.letter.relay_tasks import wait_for_letter
from entrenous.send.letter.sessions import repair_sessions
from entrenous.send.people.block import block_contact
from entrenous.send.people.keep_contacts import forget_contact
from entrenous.send.people.people_nouns import ContactIsBlocked
from entrenous.send.recall import recall_message
from entrenous.send.tokens.token_ranges import (
    HELD_TOKEN_RANGE_TABLE,
    ISSUED_TOKEN_RANGE_TABLE,
    IssuedRange,
)
from entrenous.wire.relay_nouns import EnvelopeState, ProtocolVersions, SendTokenChanges
from tests.send.send_device import Network, Person
from tests.send.send_text import send_text
from tests.village.malicious_relay import HonestCall, changed_answer_trick, error_trick


def delete_sessions(person: Person) -> None:
    """Delete all sessions of a person's device."""
    for key in person.device.vault.keys(PEER):
        (peer,) = PEER_TABLE.all(person.device.vault)
        PEER_TABLE.store(replace(peer, sessions=peer.sessions[:0]), key, person.device.vault)


def test_after_a_session_repair_both_sides_read_letters_again(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    send_text(ana, "ben")
    fetch_messages(ben.device)
    delete_sessions(ben)
    send_text(ana, "ben")
    fetch_messages(ben.device)
    assert take_undecryptable_count(ben.device) == 1
    repair_sessions("ana", ben.device)
    flush_outbox(ben.device)
    fetch_messages(ana.device)
    send_text(ana, "ben")
    send_text(ben, "ana")
    assert (ana.received_count(), ben.received_count()) == (1, 2)
    assert (take_undecryptable_count(ana.device), take_undecryptable_count(ben.device)) == (0, 0)


def test_a_session_repair_loses_no_letter_in_transit(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    send_text(ben, "ana")
    send_text(ana, "ben")
    repair_sessions("ben", ana.device)
    flush_outbox(ana.device)
    assert (ana.received_count(), ben.received_count()) == (1, 1)
    send_text(ben, "ana")
    send_text(ana, "ben")
    assert (ana.received_count(), ben.received_count()) == (2, 2)


@pytest.mark.parametrize("lost", [False, True])
def test_a_late_letter_does_not_undo_a_session_repair(friends: Network, *, lost: bool) -> None:
    """A letter of the old session arrives after the repair, perhaps because the other side lost
    that session.
    """
    ana, ben = friends["ana"], friends["ben"]
    send_text(ana, "ben")
    send_text(ana, "ben")
    without_first = changed_answer_trick(lambda page: page[1:])
    with ben.courier.replace_calls(waiting_envelopes=without_first):
        fetch_messages(ben.device)
    if lost:
        delete_sessions(ana)
    repair_sessions("ana", ben.device)
    assert ben.received_count() == 2  # the late letter arrives
    flush_outbox(ben.device)
    send_text(ben, "ana")
    assert ana.received_count() == 1
    assert take_undecryptable_count(ana.device) == 0


def test_a_session_repair_without_prekeys_changes_nothing(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    unreachable = error_trick(RelayUnreachable(host="x"))
    with ana.courier.replace_calls(claim_prekeys=unreachable), pytest.raises(RelayUnreachable):
        repair_sessions("ben", ana.device)
    send_text(ana, "ben")
    assert ben.received_count() == 1
    block_contact("ben", ana.device)
    with pytest.raises(ContactIsBlocked):
        repair_sessions("ben", ana.device)


@pytest.mark.threat("notification-content")
def test_waiting_for_letters_reveals_only_that_one_has_arrived(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    fetch_messages(ben.device)
    assert not wait_for_letter(45, ben.device)
    assert ben.courier.calls["wait_for_letter"] == 3
    answers = []

    def record_answer(honest: HonestCall, *arguments: Any) -> Any:
        answers.append(honest(*arguments))
        return answers[-1]

    for text in ("a", "b" * 9000):
        send_text(ana, "ben", text=text)
        with ben.courier.replace_calls(wait_for_letter=record_answer):
            assert wait_for_letter(45, ben.device)
    assert answers == [True, True]


def restored_status_trick(at: datetime) -> Any:
    return lambda _honest, _url: (ProtocolVersions(2, 2), at)


def test_recalls_are_repeated_once_to_a_restored_relay(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = send_text(ana, "ben").name
    recall_message(name, ana.device)
    (copy,) = COPY_DELIVERY_TABLE.all(ana.device.vault)
    withdrawn_envelopes: list[bytes] = []

    def record_envelope(honest: HonestCall, url: str, envelope: bytes, token: Any) -> Any:
        withdrawn_envelopes.append(envelope)
        return honest(url, envelope, token)

    friends.clock.advance(days=1)
    at = friends.clock.now()
    for _ in range(3):
        friends.clock.advance(hours=7)
        with ana.courier.replace_calls(status=restored_status_trick(at), withdraw=record_envelope):
            fetch_messages(ana.device)
        assert withdrawn_envelopes == [copy.envelope]
    assert ben.courier.envelope_status(*_status_arguments(copy)).state is EnvelopeState.TAKEN_BACK


def _status_arguments(copy: CopyDelivery) -> tuple[Any, ...]:
    return copy.relay_url, copy.envelope, copy.withdraw_token


def test_token_changes_are_repeated_to_a_restored_relay(friends: Network) -> None:
    """The backup has Caro's tokens, which were withdrawn later, and lacks Ana's valid tokens."""
    ana, ben, caro = friends["ana"], friends["ben"], friends.set_up_person("caro")
    caro.add_contact(ben)
    (caros_tokens,) = HELD_TOKEN_RANGE_TABLE.all(caro.device.vault)
    ranges = dict(_issued_ranges(ben))
    forget_contact("caro", ben.device)
    fetch_messages(ben.device)
    url, mailbox, _ = ben.home
    for token_range in ranges.values():  # put Ben's relay into the state of the backup
        _register_or_withdraw(
            friends, ben, token_range, registered=token_range.seed == caros_tokens.seed
        )
    with pytest.raises(WrongToken):
        friends.honest.key_bundle(url, mailbox, _next_token(ranges, ana))
    friends.clock.advance(days=1)
    with ben.courier.replace_calls(status=restored_status_trick(friends.clock.now())):
        fetch_messages(ben.device)
    flush_outbox(ben.device)
    assert ben.device.vault.keys(TOKEN_WITHDRAWAL) == ()
    friends.honest.key_bundle(url, mailbox, _next_token(ranges, ana))
    assert caros_tokens.seed is not None
    with pytest.raises(WrongToken):
        friends.honest.key_bundle(
            url, mailbox, derive_send_token(caros_tokens.seed, caros_tokens.next)
        )
    send_text(ana, "ben")
    assert ben.received_count() == 1


def _issued_ranges(person: Person) -> list[tuple[str, IssuedRange]]:
    keys = person.device.vault.keys(ISSUED_TOKEN_RANGE)
    return list(zip(keys, ISSUED_TOKEN_RANGE_TABLE.all(person.device.vault), strict=True))


def _next_token(ranges: dict[str, IssuedRange], person: Person) -> Any:
    key = next(key for key in ranges if key.startswith(person.id.hex()))
    return derive_send_token(ranges[key].seed, ranges[key].next_unused)


def _register_or_withdraw(
    network: Network, person: Person, token_range: IssuedRange, *, registered: bool
) -> None:
    """Register a range's tokens at the relay, or withdraw them."""
    hashes = tuple(
        token_hash(derive_send_token(token_range.seed, at))
        for at in range(token_range.first, token_range.until)
    )
    until = network.clock.now() + timedelta(days=90)
    batch = (
        SendTokenChanges(hashes, (), until) if registered else SendTokenChanges((), hashes, until)
    )
    network.honest.change_tokens(*person.home, batch)
