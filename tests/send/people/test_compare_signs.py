"""Tests of comparing emoji: order of steps, attacks, invalid or unexpected steps, and expiry."""

from dataclasses import replace

import pytest

from entrenous.crypto.short_auth_string import ShortAuthString, x25519_public_key
from entrenous.device.identities import store_identity
from entrenous.device.vault_tables import CONTACT
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.letter.letter_nouns import ComparisonStep
from entrenous.send.letter.sessions import ensure_session
from entrenous.send.letter.write import (
    addressees,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.people.block import rename_contact
from entrenous.send.people.compare_keys import (
    auth_string_with,
    begin_or_answer_comparison,
    comparison_with,
    confirm_match,
    record_mismatch,
    store_comparison,
)
from entrenous.send.people.keep_contacts import contact_named, store_contact
from entrenous.send.people.people_nouns import (
    ComparisonNotReady,
    ComparisonNotShown,
    ComparisonStage,
    NothingToCompare,
)
from tests.send.send_device import Network, Person
from tests.send.signed_lists import identity_of
from tests.village.households import add_linked_device

pytestmark = pytest.mark.slow


def fetch_all(*people: Person) -> None:
    for one in people:
        fetch_messages(one.device)


def take_next_step(person: Person, name: str) -> ComparisonStage:
    """Take a person's next step of a comparison with a contact; return the stage reached."""
    comparison = begin_or_answer_comparison(name, person.device)
    flush_outbox(person.device)
    return comparison.stage


def run_comparison(
    ana: Person, ben: Person, name_of_second: str = "ben", name_of_first: str = "ana"
) -> None:
    """Take the steps of a comparison on both devices until both can show the emoji."""
    assert take_next_step(ana, name_of_second) is ComparisonStage.BEGUN
    fetch_all(ben)
    assert take_next_step(ben, name_of_first) is ComparisonStage.ANSWERED
    fetch_all(ana, ben)
    assert (
        take_next_step(ana, name_of_second)
        is take_next_step(ben, name_of_first)
        is ComparisonStage.READY
    )


def are_keys_compared(person: Person, name: str) -> bool:
    return contact_named(name, person.device).compared


def test_keys_count_as_compared_once_both_agree(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    assert not are_keys_compared(ben, "ana")
    run_comparison(ana, ben)
    assert auth_string_with("ben", ana.device) == auth_string_with("ana", ben.device)
    assert not confirm_match("ana", ben.device).compared, "one side alone says nothing yet"
    flush_outbox(ben.device)
    fetch_all(ana)
    assert confirm_match("ben", ana.device).compared
    flush_outbox(ana.device)
    fetch_all(ben)
    assert are_keys_compared(ben, "ana")
    with pytest.raises(NothingToCompare):
        auth_string_with("ana", ben.device)


def test_nothing_can_be_compared_before_both_keys_are_known(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    for operation in (auth_string_with, confirm_match):
        with pytest.raises(NothingToCompare):
            operation("ben", ana.device)
    assert take_next_step(ana, "ben") is ComparisonStage.BEGUN
    fetch_all(ben)
    assert take_next_step(ben, "ana") is ComparisonStage.ANSWERED
    for operation in (auth_string_with, confirm_match):
        with pytest.raises(ComparisonNotReady):
            operation("ana", ben.device)


@pytest.mark.threat("identity-misbinding")
def test_nobody_confirms_signs_that_their_device_has_not_shown(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    run_comparison(ana, ben)
    for one, name in ((ana, "ben"), (ben, "ana")):
        with pytest.raises(ComparisonNotShown, match=f"entrenous person verify {name} --sas"):
            confirm_match(name, one.device)
    auth_string_with("ben", ana.device)
    confirm_match("ben", ana.device)
    flush_outbox(ana.device)
    fetch_all(ben)
    with pytest.raises(ComparisonNotShown):
        confirm_match("ana", ben.device)
    assert not are_keys_compared(ben, "ana")


@pytest.mark.threat("receipt-probing")
def test_receiving_a_request_sends_no_answer(friends: Network) -> None:
    """A reply would reveal when Ben fetches his messages."""
    ana, ben = friends["ana"], friends["ben"]
    take_next_step(ana, "ben")
    fetch_all(ben)
    assert fetch_messages(ana.device).letters_received == 0


@pytest.mark.threat("identity-misbinding")
def test_attacker_in_the_middle_is_detected(network: Network) -> None:
    """Ana knows Mallory as "ben", and Ben knows Mallory as "ana". Mallory compares with both."""
    ana, ben, mallory = network["ana"], network["ben"], network.set_up_person("mallory")
    for one, name in ((ana, "ben"), (ben, "ana")):
        one.add_contact(mallory)
        rename_contact("mallory", name, one.device)
    run_comparison(ana, mallory)
    shown = [auth_string_with("ben", ana.device)]
    run_comparison(ben, mallory, name_of_second="ana", name_of_first="ben")
    shown.append(auth_string_with("ana", ben.device))
    assert shown[0].named_emoji != shown[1].named_emoji
    assert shown[0].numbers != shown[1].numbers
    assert not record_mismatch("ben", ana.device).compared
    with pytest.raises(NothingToCompare):
        confirm_match("ben", ana.device)


def send_step(person: Person, name: str, step: ComparisonStep) -> None:
    """Send a contact a comparison step that the test has made."""
    (to,) = addressees(contact_named(name, person.device), person.device)
    ensure_session(to, person.device)
    seal_and_queue_letter(step, to, outer_parts_without_content(person.device), person.device)
    flush_outbox(person.device)


def test_key_that_breaks_its_commitment_ends_the_comparison(friends: Network) -> None:
    """Without the commitment, the initiator could try keys until the emoji match."""
    ana, ben = friends["ana"], friends["ben"]
    take_next_step(ana, "ben")
    fetch_all(ben)
    take_next_step(ben, "ana")
    begun = comparison_with(ben.id, ana.device)
    assert begun is not None
    send_step(ana, "ben", ComparisonStep(begun.transaction, 3, b"k" * 32))
    fetch_all(ben)
    assert comparison_with(ana.id, ben.device) is None


@pytest.mark.threat("identity-misbinding")
def test_device_list_named_with_the_key_does_not_change_the_emoji(friends: Network) -> None:
    """After committing to a key, the initiator must not be able to make the emoji match by
    choosing a device list.
    """
    ana, ben = friends["ana"], friends["ben"]
    take_next_step(ana, "ben")
    fetch_all(ben)
    take_next_step(ben, "ana")
    begun, answered = comparison_with(ben.id, ana.device), comparison_with(ana.id, ben.device)
    assert begun is not None
    assert answered is not None
    identity = identity_of(ana)
    assert identity.person is not None
    shown = set[ShortAuthString]()
    for head in (b"h" * 32, b"i" * 32):
        another = replace(identity.person, epoch=identity.person.epoch + 1, head=head)
        store_identity(replace(identity, person=another), ana.device)
        send_step(
            ana, "ben", ComparisonStep(begun.transaction, 3, x25519_public_key(begun.private))
        )
        fetch_all(ben)
        shown.add(auth_string_with("ana", ben.device))
        store_comparison(ana.id, answered, ben.device)
    store_identity(identity, ana.device)
    fetch_all(ana)
    assert shown == {auth_string_with("ben", ana.device)}


def test_both_strings_are_equal_though_a_device_was_linked_during_the_comparison(
    friends: Network,
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    take_next_step(ana, "ben")
    add_linked_device(friends, ana, "phone")
    fetch_all(ben)
    take_next_step(ben, "ana")
    fetch_all(ana, ben)
    assert auth_string_with("ben", ana.device) == auth_string_with("ana", ben.device)


@pytest.mark.parametrize("key", [bytes(32), b"short"])
def test_invalid_key_ends_the_comparison(friends: Network, key: bytes) -> None:
    ana, ben = friends["ana"], friends["ben"]
    take_next_step(ana, "ben")
    begun = comparison_with(ben.id, ana.device)
    assert begun is not None
    send_step(ben, "ana", ComparisonStep(begun.transaction, 2, key))
    fetch_all(ana)
    assert comparison_with(ben.id, ana.device) is None


def test_wrong_confirmation_ends_the_comparison(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    run_comparison(ana, ben)
    begun = comparison_with(ben.id, ana.device)
    assert begun is not None
    send_step(ana, "ben", ComparisonStep(begun.transaction, 4, bytes(32)))
    fetch_all(ben)
    assert comparison_with(ana.id, ben.device) is None
    assert not are_keys_compared(ben, "ana")


def test_out_of_order_or_unrelated_steps_are_ignored(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    run_comparison(ana, ben)
    before = comparison_with(ana.id, ben.device)
    assert before is not None
    for step in (2, 3):
        send_step(ana, "ben", ComparisonStep(before.transaction, step, b"k" * 32))
    for step in (1, 2, 3, 4):
        send_step(ana, "ben", ComparisonStep(bytes(16), step, b"k" * 32))
    fetch_all(ben)
    assert comparison_with(ana.id, ben.device) == before


def test_simultaneous_comparisons_become_one(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    assert take_next_step(ana, "ben") is take_next_step(ben, "ana") is ComparisonStage.BEGUN
    fetch_all(ana, ben)
    assert {take_next_step(ana, "ben"), take_next_step(ben, "ana")} == {
        ComparisonStage.BEGUN,
        ComparisonStage.ANSWERED,
    }
    fetch_all(ana, ben)
    fetch_all(ana, ben)
    shown: list[ShortAuthString] = [
        auth_string_with("ben", ana.device),
        auth_string_with("ana", ben.device),
    ]
    assert shown[0] == shown[1]


def test_comparison_expires_after_a_day(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    run_comparison(ana, ben)
    first = auth_string_with("ben", ana.device)
    friends.clock.advance(hours=25)
    with pytest.raises(NothingToCompare):
        auth_string_with("ben", ana.device)
    run_comparison(ana, ben)
    assert auth_string_with("ben", ana.device) != first


def test_stranger_cannot_begin_a_comparison(friends: Network) -> None:
    ana, caro = friends["ana"], friends.set_up_person("caro")
    caro.add_contact(ana)
    contact = contact_named("caro", ana.device)
    take_next_step(caro, "ana")
    ana.device.vault.drop(CONTACT, contact.person.id.hex())
    fetch_all(ana)
    store_contact(contact, ana.device)
    assert comparison_with(caro.id, ana.device) is None
