"""Tests of the guard: when it asks, what answers it accepts, and what it stops."""

from dataclasses import replace
from datetime import timedelta

import pytest

from entrenous.base.errors import RelayUnreachable
from entrenous.base.identifiers import RecipientId
from entrenous.base.identity import Trust
from entrenous.device.vault_tables import OWN_RECORDS, SENT_RECORD
from entrenous.send.conversations import participants_of_message
from entrenous.send.fetch import fetch_messages
from entrenous.send.guard import inspect_draft
from entrenous.send.message.draft import (
    ConfirmedNameNotRecipient,
    Draft,
    MessagePolicy,
    UnansweredWarnings,
    WaitsInOutbox,
)
from entrenous.send.people.block import block_contact, rename_contact
from entrenous.send.people.contact_history import forget_sent_records_of_message
from entrenous.send.people.keep_contacts import contact_named, mark_keys_compared, store_contact
from entrenous.send.people.people_nouns import ContactIsBlocked, UnknownPerson
from entrenous.send.send import send_message
from tests.send.send_device import SMALL_PICTURE, Network, Person
from tests.village.malicious_relay import error_trick

pytestmark = pytest.mark.slow


def draft(sender: Person, *to: str, confirmed: tuple[str, ...] = ()) -> Draft:
    policy = MessagePolicy(sender.device.clock.now() + timedelta(days=1))
    names = tuple(RecipientId(name) for name in to)
    return Draft((SMALL_PICTURE,), names, policy, confirmed=frozenset(confirmed))


def guard_reasons(sender: Person, *to: str) -> dict[str, str]:
    return {str(d.who): d.why for d in inspect_draft(draft(sender, *to), sender.device).warnings}


def test_the_guard_asks_about_a_first_message_only(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    assert guard_reasons(ana, "ben") == {"ben": "this is the first message to ben"}
    ana.send(SMALL_PICTURE, ben)
    assert guard_reasons(ana, "ben") == {}
    inspect_draft(draft(ana, "ben"), ana.device).require_answers()


KNOWN_BY_LINK_REASON = (
    "you know ana by link only, and somebody who read or changed that link on its way may be in "
    "ana's place"
)


@pytest.mark.threat("link-in-other-hands")
def test_the_guard_asks_before_the_first_picture_to_a_person_known_by_link(
    friends: Network,
) -> None:
    """The guard does not ask before texts, and they do not count as a first picture.

    It asks again after the trust in the contact's keys has become ``UNKNOWN``, and once more after
    the trust has become ``BY_LINK``.
    """
    ana, ben = friends["ana"], friends["ben"]
    text = replace(draft(ben, "ana", confirmed=("ana",)), files=(), text="Hello")
    for _ in range(7):
        send_message(text, ben.device)
        assert inspect_draft(text, ben.device).warnings == ()
        friends.clock.advance(seconds=1)
    assert guard_reasons(ben, "ana") == {"ana": KNOWN_BY_LINK_REASON}
    ben.send(SMALL_PICTURE, ana)
    assert guard_reasons(ben, "ana") == {}
    for _ in range(7):
        friends.clock.advance(seconds=1)
        send_message(text, ben.device)
    assert guard_reasons(ben, "ana") == {}, "later texts do not make the guard ask again"
    known = contact_named("ana", ben.device)
    for trust in (Trust.UNKNOWN, Trust.BY_LINK):
        friends.clock.advance(seconds=1)
        store_contact(replace(known, trust=trust), ben.device)
        assert "ana" in guard_reasons(ben, "ana")
        ben.send(SMALL_PICTURE, ana)


def test_the_guard_does_not_ask_about_compared_keys(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    mark_keys_compared("ana", ben.device)
    assert guard_reasons(ben, "ana") == {"ana": "this is the first message to ana"}
    ben.send(SMALL_PICTURE, ana)
    assert guard_reasons(ben, "ana") == {}


def add_contact_called(name: str, network: Network) -> None:
    """Add a new person whom Ana calls ``name``."""
    one = network.set_up_person(f"{len(network.people)}")
    network["ana"].add_contact(one)
    contact = contact_named(one.name, network["ana"].device)
    store_contact(replace(contact, name=name), network["ana"].device)


@pytest.mark.threat("wrong-recipient")
@pytest.mark.parametrize(
    "alike",
    [
        *["bet", "bne", "BEN2", "be\u200cnn", "\uff42\uff45\uff4d", "benjamin"],
        *["\u0412\u0435\u043d", "b3n", "B\u0435n"],
    ],
)
def test_the_guard_asks_about_a_name_similar_to_another(friends: Network, alike: str) -> None:
    """Earlier messages to Ben make no difference: Ana may now have typed his name by mistake."""
    ana = friends["ana"]
    for _ in range(3):
        ana.send(SMALL_PICTURE, friends["ben"])
    add_contact_called(alike, friends)
    (warning,) = inspect_draft(draft(ana, "ben"), ana.device).warnings
    assert warning.why.startswith(f"ben is easily mistaken for {alike} (")
    rename_contact(alike, "Wilhelmina", ana.device)
    assert guard_reasons(ana, "ben") == {}


@pytest.mark.threat("wrong-recipient")
def test_the_guard_asks_about_a_name_in_two_alphabets(friends: Network) -> None:
    ana = friends["ana"]
    sent = ana.send(SMALL_PICTURE, friends["ben"])
    store_contact(replace(contact_named("ben", ana.device), name="Z\u043e\u0435"), ana.device)
    (warning,) = inspect_draft(draft(ana, "Z\u043e\u0435"), ana.device).warnings
    assert warning.why.startswith("Z\u043e\u0435 is written in letters of two alphabets (")
    within = participants_of_message(sent.name, ana.device)
    assert (
        inspect_draft(replace(draft(ana, "Z\u043e\u0435"), within=within), ana.device).warnings
        == ()
    )


def test_similar_names_are_not_asked_about_within_a_conversation(friends: Network) -> None:
    ana = friends["ana"]
    sent = ana.send(SMALL_PICTURE, friends["ben"])
    add_contact_called("bet", friends)
    within = participants_of_message(sent.name, ana.device)
    assert inspect_draft(replace(draft(ana, "ben"), within=within), ana.device).warnings == ()
    (warning,) = inspect_draft(replace(draft(ana, "bet"), within=within), ana.device).warnings
    assert "easily mistaken for ben" in warning.why
    assert f"bet is not in the conversation of {sent.name}" in warning.why


@pytest.mark.threat("link-in-other-hands")
def test_the_guard_asks_about_unknown_keys_each_time(friends: Network) -> None:
    ben, ana = friends["ben"], friends["ana"]
    store_contact(replace(contact_named("ana", ben.device), trust=Trust.UNKNOWN), ben.device)
    for _ in range(5):
        assert "ana's keys are unknown" in guard_reasons(ben, "ana")["ana"]
        ben.send(SMALL_PICTURE, ana)
    mark_keys_compared("ana", ben.device)
    assert guard_reasons(ben, "ana") == {}


def test_a_unique_first_name_answers_a_warning(friends: Network) -> None:
    ana = friends["ana"]
    rename_contact("ben", "Ben Okri", ana.device)
    (warning,) = inspect_draft(draft(ana, "Ben Okri"), ana.device).warnings
    assert (warning.who, warning.answer) == ("Ben Okri", "Ben")
    for typed in ("ben", "BEN OKRI"):
        inspect_draft(draft(ana, "Ben Okri", confirmed=(typed,)), ana.device).require_answers()
    add_contact_called("Ben Adam", friends)
    with pytest.raises(ConfirmedNameNotRecipient):
        inspect_draft(draft(ana, "Ben Okri", confirmed=("Ben",)), ana.device).require_answers()
    with pytest.raises(UnansweredWarnings, match="--confirm 'Ben Okri'"):
        inspect_draft(draft(ana, "Ben Okri"), ana.device).require_answers()


def test_after_a_cancelled_message_the_next_one_counts_as_first(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    with ana.courier.replace_calls(post=error_trick(RelayUnreachable(host="x"))):
        with pytest.raises(WaitsInOutbox):
            ana.send(SMALL_PICTURE, ben)
        (message,) = ana.device.ledger.messages()
        assert guard_reasons(ana, "ben") == {}
        with ana.device.vault.transaction():
            forget_sent_records_of_message(message.id, ana.device)
    assert "first message" in guard_reasons(ana, "ben")["ben"]


def test_messages_in_the_ledger_without_a_record_count_as_sent(friends: Network) -> None:
    ana = friends["ana"]
    ana.send(SMALL_PICTURE, friends["ben"])
    for table, key in ((SENT_RECORD, key) for key in ana.device.vault.keys(SENT_RECORD)):
        ana.device.vault.drop(table, key)
    ana.device.vault.drop(OWN_RECORDS, "talks-indexed")
    assert guard_reasons(ana, "ben") == {}


def test_nothing_is_sent_to_a_blocked_person(friends: Network) -> None:
    ana = friends["ana"]
    block_contact("ben", ana.device)
    with pytest.raises(ContactIsBlocked, match="ben"):
        send_message(draft(ana, "ben", confirmed=("ben",)), ana.device)


def test_every_reason_is_given_and_only_unusual_recipients_are_asked_about(
    friends: Network,
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    caro = friends.set_up_person("caro")
    caro.add_contact(ana)
    add_contact_called("cara", friends)
    why = guard_reasons(ana, "ben", "caro")
    assert list(why) == ["caro"]
    for reason in ("know caro by link only", "first message to caro", "easily mistaken for cara"):
        assert reason in why["caro"]
    with pytest.raises(UnansweredWarnings) as raised:
        send_message(draft(ana, "ben", "caro"), ana.device)
    assert "--confirm caro" in str(raised.value)
    assert "--confirm ben" not in str(raised.value)


@pytest.mark.threat("wrong-recipient")
def test_only_the_recipients_name_answers_a_warning(friends: Network) -> None:
    ana = friends["ana"]
    for typed in ("bem", "be n", "yes", "y", ""):
        with pytest.raises(ConfirmedNameNotRecipient):
            inspect_draft(draft(ana, "ben", confirmed=(typed,)), ana.device).require_answers()
    for same in ("ben", "Ben", "BEN", "b\u200den"):
        inspect_draft(draft(ana, "ben", confirmed=(same,)), ana.device).require_answers()


def test_one_persons_name_does_not_answer_for_another(friends: Network) -> None:
    ana = friends["ana"]
    ana.add_contact(friends.set_up_person("caro"))
    with pytest.raises(UnansweredWarnings, match="confirm caro"):
        inspect_draft(draft(ana, "ben", "caro", confirmed=("ben",)), ana.device).require_answers()
    with pytest.raises(ConfirmedNameNotRecipient, match="goes to ben"):
        inspect_draft(draft(ana, "ben", confirmed=("ben", "caro")), ana.device).require_answers()


def test_a_message_stopped_by_the_guard_stores_nothing(friends: Network) -> None:
    ana = friends["ana"]
    before = dict(ana.vault._files)
    with pytest.raises(UnansweredWarnings):
        send_message(draft(ana, "ben"), ana.device)
    assert list(ana.device.ledger.messages()) == []
    assert ana.vault._files == before
    assert fetch_messages(friends["ben"].device).letters_received == 0


def test_an_unknown_recipient_raises_instead_of_a_warning(friends: Network) -> None:
    with pytest.raises(UnknownPerson, match="ben"):
        inspect_draft(draft(friends["ana"], "zoe"), friends["ana"].device)
