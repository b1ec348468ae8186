"""Contacts: their names, how they are found, and what remains after one is forgotten."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import RelayUnreachable, WrongToken
from entrenous.base.identifiers import PersonId
from entrenous.base.identity import Trust
from entrenous.crypto.hashing import sha256
from entrenous.crypto.key_derivation import derive_send_token
from entrenous.device.identities import CONTACT_TABLE, comparable_name, contacts
from entrenous.device.vault_tables import (
    OWN_XWING_KEY,
    PEER,
)
from entrenous.send.devices.linked_devices import free_device_name
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import FlushResult, flush_outbox
from entrenous.send.letter.letter_nouns import PEER_TABLE
from entrenous.send.letter.relay_tasks import has_tokens_to_withdraw
from entrenous.send.message.draft import RefusedForSome, WaitsInOutbox
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import (
    contact_by_id,
    contact_named,
    forget_contact,
    free_contact_name,
    mark_keys_compared,
    store_contact,
)
from entrenous.send.people.people_nouns import NameTaken, UnknownPerson
from entrenous.send.people.similar_names import are_names_similar
from entrenous.send.send import send_message
from entrenous.send.status import query_sent_messages
from entrenous.send.tokens.token_ranges import HELD_TOKEN_RANGE_TABLE, HeldTokens
from entrenous.wire.text import append_number, is_name
from tests.send.send_device import RELAY_URL, SMALL_PICTURE, Network, Person
from tests.send.test_guard import draft
from tests.village.malicious_relay import error_trick

pytestmark = pytest.mark.slow


def test_people_are_found_by_name_ignoring_case_and_by_id(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    for name in ("ben", "BEN", "Ben"):
        assert contact_named(name, ana.device).person.id == ben.id
    assert contact_by_id(ben.id, ana.device) == contact_named("ben", ana.device)
    assert contact_by_id(bytes(32), ana.device) is None
    with pytest.raises(UnknownPerson, match="ben"):
        contact_named("ben2", ana.device)
    with pytest.raises(UnknownPerson, match="nobody yet"):
        contact_named("ben", friends.set_up_person("caro").device)


def test_mistyped_name_lists_similar_names_first(friends: Network) -> None:
    """The error does not list all names, because errors end up in logs and screenshots."""
    ana = friends["ana"].device
    ben = contact_named("ben", ana)
    for name in ("Ada", "Dora", "Emil", "Ben Okri", "Fanny", "Gil"):
        store_contact(
            replace(ben, name=name, person=replace(ben.person, id=PersonId(sha256(name.encode())))),
            ana,
        )
    with pytest.raises(UnknownPerson) as refused:
        contact_named("Ben Ocri", ana)
    assert "to: Ben Okri, " in " ".join(str(refused.value).split())
    assert " and 2 more (all of them: entrenous person list)" in str(refused.value)


@pytest.mark.parametrize("name", ["zoé", "ZOE\u0301", "zo\u200dé"])
def test_spellings_of_one_name_mean_one_person(friends: Network, name: str) -> None:
    ana, caro = friends["ana"], friends.set_up_person("caro")
    ana.add_contact(caro)
    store_contact(replace(contact_named("ben", ana.device), name="zoé"), ana.device)
    assert contact_named(name, ana.device).person.id == friends["ben"].id
    with pytest.raises(NameTaken):
        store_contact(replace(contact_named("caro", ana.device), name=name), ana.device)
    assert free_contact_name(name, ana.device) == f"{name} 2"


def test_free_name_is_the_wanted_one_if_possible(friends: Network) -> None:
    ana = friends["ana"]
    assert free_contact_name("caro", ana.device) == "caro"
    assert free_contact_name("-ben", ana.device) == "ben 2", "a command would take it for an option"
    assert free_contact_name("Ben", ana.device) == "Ben 2"
    store_contact(replace(contact_named("ben", ana.device), name="ben 2"), ana.device)
    assert free_contact_name("Ben", ana.device) == "Ben"


@given(st.text("ab é\u200d", min_size=1, max_size=64).filter(is_name), st.integers(2, 10**6))
def test_numbered_name_is_a_valid_name(name: str, number: int) -> None:
    assert is_name(append_number(name, number))
    assert append_number(name, number).endswith(f" {number}")
    assert name.startswith(append_number(name, number).removesuffix(f" {number}"))


def test_free_names_are_never_too_long(friends: Network) -> None:
    ana, longest = friends["ana"], "b" * 64
    store_contact(replace(contact_named("ben", ana.device), name=longest), ana.device)
    assert free_contact_name(longest, ana.device) == "b" * 62 + " 2"
    assert free_device_name(longest, [longest]) == "b" * 62 + " 2"


def test_a_contacts_current_name_counts_as_free_for_that_contact(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    assert free_contact_name("Ben", ana.device, ben.id) == "Ben"


def test_contact_with_an_unchanged_name_is_stored_despite_a_duplicate(friends: Network) -> None:
    """Otherwise, letters of a person with a duplicate name could not be processed."""
    ana, caro = friends["ana"], friends.set_up_person("caro")
    ana.add_contact(caro)
    known = contact_named("caro", ana.device)
    CONTACT_TABLE.store(replace(known, name="ben"), caro.id.hex(), ana.device.vault)
    store_contact(replace(known, name="ben", trust=Trust.UNKNOWN), ana.device)
    assert [one.name for one in contacts(ana.device)] == ["ben", "ben"]


def test_strangers_name_replaces_nobody(friends: Network) -> None:
    """A stranger named "ben" adds Ana, who already has a contact "ben"."""
    ana, ben = friends["ana"], friends["ben"]
    other_ben = friends.set_up_person("ben")
    other_ben.add_contact(ana)
    assert [(one.name, one.compared) for one in contacts(ana.device)] == [
        ("ben", True),
        ("ben 2", False),
    ]
    assert contact_named("ben", ana.device).person.id == ben.id


def test_comparing_changes_only_that_persons_trust(friends: Network) -> None:
    ben = friends["ben"]
    friends.set_up_person("caro").add_contact(ben)
    mark_keys_compared("ana", ben.device)
    assert {one.name: one.compared for one in contacts(ben.device)} == {"ana": True, "caro": False}


def test_forgetting_leaves_no_key_and_no_session(friends: Network) -> None:
    ana = friends["ana"]
    ((peer_id, _),) = ana.device.vault.items(PEER)
    peer = PEER_TABLE.load(peer_id, ana.device.vault)
    assert peer is not None
    assert (len(peer.sessions), len(peer.mine)) == (1, 1)
    assert forget_contact("BEN", ana.device).name == "ben"
    assert contacts(ana.device) == ()
    remaining = PEER_TABLE.load(peer_id, ana.device.vault)
    assert remaining is not None
    assert (remaining.sessions, remaining.mine, remaining.sent) == ((), (), peer.sent)
    assert ana.device.vault.get(OWN_XWING_KEY, peer.mine[0].hex()) is None
    with pytest.raises(UnknownPerson):
        forget_contact("ben", ana.device)


def held_tokens(person: Person) -> HeldTokens:
    """Return the only range of send tokens that a person has received."""
    (tokens,) = HELD_TOKEN_RANGE_TABLE.all(person.device.vault)
    return tokens


@pytest.mark.threat("forgotten-writes-on")
def test_forgotten_person_cannot_write_however_often_greeted(
    friends: Network,
) -> None:
    """Ben gives Ana two sets of tokens, and then forgets her. Only Caro's tokens remain valid."""
    ana, ben, caro = friends["ana"], friends["ben"], friends.set_up_person("caro")
    caro.add_contact(ben)
    first = held_tokens(ana)
    ana.add_contact(ben)
    second = held_tokens(ana)
    assert first.seed is not None
    assert second.seed is not None
    assert first.seed != second.seed
    forget_contact("ana", ben.device)
    assert flush_outbox(ben.device).problems == ()
    url, mailbox, _ = ben.home
    for seed, until in ((first.seed, first.until), (second.seed, second.until)):
        for index in range(until):
            with pytest.raises(WrongToken):
                friends.honest.key_bundle(url, mailbox, derive_send_token(seed, index))
    with pytest.raises(RefusedForSome):
        ana.send(SMALL_PICTURE, ben)
    caro.send(SMALL_PICTURE, ben)
    assert ben.received_count() == 1


def test_forgetting_withdraws_tokens_once_the_relay_is_reachable(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    friends.disconnect(RELAY_URL)
    forget_contact("ana", ben.device)
    assert flush_outbox(ben.device).problems
    assert has_tokens_to_withdraw(ben.device)
    friends.reconnect(RELAY_URL)
    flush_outbox(ben.device)
    assert not has_tokens_to_withdraw(ben.device)
    with pytest.raises(RefusedForSome):
        ana.send(SMALL_PICTURE, ben)


def test_pending_tokens_are_not_given_to_a_forgotten_person(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    unreachable = error_trick(RelayUnreachable(host="x"))
    with (
        ana.courier.replace_calls(post=unreachable, change_tokens=unreachable),
        pytest.raises(RelayUnreachable),
    ):
        add_person(make_invite_link(ben.device), "ben", ana.device)
    forget_contact("ben", ana.device)
    assert flush_outbox(ana.device) == FlushResult(0, {}, ())
    assert fetch_messages(ben.device).letters_received == 0


@given(st.text(max_size=20))
def test_name_normalization_is_idempotent(name: str) -> None:
    assert comparable_name(comparable_name(name)) == comparable_name(name)


@pytest.mark.threat("wrong-recipient")
def test_messages_for_a_forgotten_person_do_not_leave(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    with pytest.raises(WaitsInOutbox):
        send_message(replace(draft(ana, "ben", confirmed=("ben",)), undo_s=10), ana.device)
    forget_contact("ben", ana.device)
    friends.clock.advance(seconds=11)
    fetch_messages(ana.device)
    assert ben.received_count() == 0
    assert query_sent_messages(ana.device)[0].copies[0].state_in_words == "refused"


INVISIBLE_CHARACTERS = ["͏", "ᅟ", "᠋", "឴", "⠀", "ㅤ", "️", "󠄁"]


@pytest.mark.threat("wrong-recipient")
@pytest.mark.parametrize("invisible", INVISIBLE_CHARACTERS, ids=ascii)
def test_invisible_characters_do_not_make_another_name(friends: Network, invisible: str) -> None:
    ana = friends["ana"]
    impostor = friends.set_up_person(f"b{invisible}e{invisible}n")
    impostor.add_contact(ana)
    fetch_messages(ana.device)
    (other,) = [one.name for one in contacts(ana.device) if one.name != "ben"]
    assert comparable_name(other) == "ben 2"
    assert are_names_similar("ben", impostor.name)


def test_invisible_name_becomes_nameless(friends: Network) -> None:
    friends.set_up_person("\u3164").add_contact(friends["ana"])
    fetch_messages(friends["ana"].device)
    assert "nameless" in [one.name for one in contacts(friends["ana"].device)]
