"""The participants of a conversation, and the guard's questions about claimed participants."""

from dataclasses import replace
from datetime import timedelta

import pytest

from entrenous.base.identifiers import MessageId, MessageName
from entrenous.base.secret import Secret
from entrenous.device.identities import own_device
from entrenous.device.sent_messages import UnknownMessage
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.conversations import contact_names_among, participants_of_message
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.guard import inspect_draft
from entrenous.send.inbox import received_messages
from entrenous.send.letter.letter_nouns import PersonDeviceListHead
from entrenous.send.letter.sessions import ensure_sessions
from entrenous.send.letter.write import addressees, seal_and_queue_letter
from entrenous.send.message.draft import Draft, MessagePolicy, UnansweredWarnings
from entrenous.send.message.make import SendingContext, seal_content
from entrenous.send.people.circle_members import create_or_extend_circle
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from tests.send.send_device import SMALL_PICTURE, Network, Person, cached_network
from tests.send.send_text import send_text
from tests.send.test_guard import draft

pytestmark = pytest.mark.slow


def test_a_conversation_is_everybody_else_who_has_the_message(friends: Network) -> None:
    ana, ben, caro = friends["ana"], friends["ben"], friends.set_up_person("caro")
    ana.add_contact(caro)
    sent = ana.send(SMALL_PICTURE, ben, caro)
    assert participants_of_message(sent.name, ana.device).people == {ben.id, caro.id}
    assert contact_names_among(participants_of_message(sent.name, ana.device), ana.device) == [
        "ben",
        "caro",
    ]
    fetch_messages(ben.device)
    (received,) = received_messages(ben.device)
    conversation = participants_of_message(received.name, ben.device)
    assert conversation.people == {ana.id, caro.id}
    assert contact_names_among(conversation, ben.device) == ["ana"], "Ben does not know Caro"


def test_the_conversation_of_a_recalled_message_is_its_sender(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    sent = ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    recall_message(sent.name, ana.device)
    fetch_messages(ben.device)
    (received,) = received_messages(ben.device)
    assert participants_of_message(received.name, ben.device).people == {ana.id}


def test_an_unknown_message_has_no_conversation(friends: Network) -> None:
    with pytest.raises(UnknownMessage):
        participants_of_message("7-lunar-otter", friends["ana"].device)


def send_with_false_recipients(sender: Person, reader: Person, *others: Person) -> str:
    """Send ``reader`` a message that falsely names others as recipients.

    Return the name of the message.
    """
    contact = contact_named(reader.name, sender.device)
    (to,) = ensure_sessions(addressees(contact, sender.device), sender.device)
    people = [contact.person, *(own_device(one.device).person for one in others)]
    heads = [PersonDeviceListHead(one.id, one.epoch, one.head) for one in people]
    sending = SendingContext(
        MessageId(sender.device.random_source.token(16)),
        MessageName("7-lunar-otter"),
        now_in_whole_seconds(sender.device),
        MessagePolicy(sender.device.clock.now() + timedelta(days=1)),
        tuple(sorted((one.id, one.devices[0].device) for one in people)),
        tuple(sorted(heads, key=lambda head: head.person)),
        Secret(bytes(32)),
    )
    sealed = seal_content((), "How do I look?", to, sending, sender.device)
    with sender.device.vault.transaction():
        seal_and_queue_letter(sealed.manifest, to, sealed.outer, sender.device)
    flush_outbox(sender.device)
    fetch_messages(reader.device)
    return received_messages(reader.device)[-1].name


def reply_draft(sender: Person, name: str) -> Draft:
    """Return a draft reply from ``sender`` to all participants whom ``sender`` has as contacts."""
    participants = participants_of_message(name, sender.device)
    return replace(
        draft(sender, *contact_names_among(participants, sender.device)), within=participants
    )


@pytest.fixture
@cached_network
def three_people() -> Network:
    """Ana, who has written to her boss and to Cleo."""
    network = Network()
    ana, boss, cleo = (network.set_up_person(name) for name in ("ana", "boss", "cleo"))
    for one in (boss, cleo):
        ana.add_contact(one)
        for _ in range(3):
            send_text(ana, one.name)
        one.received_count()
    return network


@pytest.mark.threat("wrong-recipient")
def test_the_guard_asks_about_recipients_claimed_by_a_sender(three_people: Network) -> None:
    ana, boss, cleo = three_people["ana"], three_people["boss"], three_people["cleo"]
    name = send_with_false_recipients(cleo, ana, boss)
    before = boss.received_count()
    (warning,) = inspect_draft(reply_draft(ana, name), ana.device).warnings
    assert (warning.who, warning.answer) == ("boss", "boss")
    assert (
        warning.why == f"this message also goes to boss: according to cleo, {name} went there too"
    )
    with pytest.raises(UnansweredWarnings):
        send_message(reply_draft(ana, name), ana.device)
    assert boss.received_count() == before
    to_cleo = replace(draft(ana, "cleo"), within=participants_of_message(name, ana.device))
    assert not inspect_draft(to_cleo, ana.device).warnings


@pytest.mark.slow
@pytest.mark.threat("wrong-recipient")
def test_the_guard_asks_once_about_many_claimed_recipients(three_people: Network) -> None:
    ana, cleo = three_people["ana"], three_people["cleo"]
    others = [three_people.set_up_person(f"friend {number}") for number in range(7)]
    for one in others:
        ana.add_contact(one)
        for _ in range(3):
            send_text(ana, one.name)
    name = send_with_false_recipients(cleo, ana, *others)
    (warning,) = [
        one
        for one in inspect_draft(reply_draft(ana, name), ana.device).warnings
        if "according to cleo" in one.why
    ]
    assert (
        "friend 0, friend 1, friend 2, friend 3, friend 4 and 2 more: according to cleo"
        in warning.why
    )
    once = replace(reply_draft(ana, name), confirmed=frozenset({warning.answer}))
    inspect_draft(once, ana.device).require_answers()


def test_the_guard_does_not_ask_about_claimed_recipients_in_one_circle(
    three_people: Network,
) -> None:
    ana, boss, cleo = three_people["ana"], three_people["boss"], three_people["cleo"]
    name = send_with_false_recipients(cleo, ana, boss)
    create_or_extend_circle("office", ["boss", "cleo"], ana.device)
    assert not inspect_draft(reply_draft(ana, name), ana.device).warnings


def test_the_guard_does_not_ask_about_claimed_recipients_again(three_people: Network) -> None:
    ana, boss, cleo = three_people["ana"], three_people["boss"], three_people["cleo"]
    first = reply_draft(ana, send_with_false_recipients(cleo, ana, boss))
    send_message(replace(first, confirmed=frozenset({"boss"})), ana.device)
    assert not inspect_draft(
        reply_draft(ana, send_with_false_recipients(cleo, ana, boss)), ana.device
    ).warnings


def test_the_guard_does_not_warn_about_recipients_of_our_own_message(three_people: Network) -> None:
    ana, boss, cleo = three_people["ana"], three_people["boss"], three_people["cleo"]
    sent = ana.send(SMALL_PICTURE, boss, cleo)
    assert participants_of_message(sent.name, ana.device).claimed_by is None
    assert not inspect_draft(reply_draft(ana, sent.name), ana.device).warnings
