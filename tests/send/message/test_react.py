"""Tests of reactions: who receives them, and which are refused, ignored or delayed."""

import pytest

from entrenous.base.identifiers import MessageId
from entrenous.device.sent_messages import UnknownMessage
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages, reference_to_message
from entrenous.send.letter.letter_nouns import BadReaction, NobodyToReactTo, Reaction
from entrenous.send.message.react import accept_reaction, react, reactions_to
from entrenous.send.people.keep_contacts import forget_contact
from tests.send.send_device import RELAY_URL, SMALL_PICTURE, Network, Person

pytestmark = pytest.mark.slow


@pytest.fixture
def three_people(three_people: Network) -> Network:
    """Ana has sent a picture to Ben and Caro, who are not contacts of each other."""
    three_people["ana"].send(SMALL_PICTURE, three_people["ben"], three_people["caro"])
    for person in three_people.people.values():
        fetch_messages(person.device)
    return three_people


def newest_message_name(person: Person) -> str:
    return received_messages(person.device)[-1].name


def reactions_on(person: Person, name: str) -> list[tuple[bytes, str | None]]:
    reference = reference_to_message(name, person.device)
    reactions = reactions_to(reference.sender, reference.message, person.device)
    return [(one.by, one.reaction.text) for one in reactions]


def test_the_sender_sees_a_reaction_and_its_withdrawal(three_people: Network) -> None:
    ana, ben = three_people["ana"], three_people["ben"]
    name = newest_message_name(ben)
    assert react(name, "\u2764\ufe0f", ben.device).to == ("ana",)
    fetch_messages(ana.device)
    assert reactions_on(ana, name) == reactions_on(ben, name) == [(ben.id, "\u2764\ufe0f")]
    react(name, "\U0001f44d", ben.device)
    fetch_messages(ana.device)
    assert reactions_on(ana, name) == [(ben.id, "\U0001f44d")]
    react(name, None, ben.device)
    fetch_messages(ana.device)
    assert reactions_on(ana, name) == reactions_on(ben, name) == []


def test_a_senders_own_reaction_reaches_all_recipients(three_people: Network) -> None:
    ana = three_people["ana"]
    (message,) = ana.device.ledger.messages()
    assert react(message.name, "!", ana.device).to == ("ben", "caro")
    for name in ("ben", "caro"):
        fetch_messages(three_people[name].device)
        assert reactions_on(three_people[name], newest_message_name(three_people[name])) == [
            (ana.id, "!")
        ]


def test_reactions_by_non_recipients_or_to_unknown_messages_have_no_effect(
    three_people: Network,
) -> None:
    ana, ben = three_people["ana"], three_people["ben"]
    reference = reference_to_message(newest_message_name(ben), ben.device)
    dan = three_people.set_up_person("dan")
    ana.add_contact(dan)
    accept_reaction(Reaction(reference.sender, reference.message, "x"), dan.id, ana.device)
    accept_reaction(Reaction(ana.id, MessageId(bytes(16)), "x"), ben.id, ana.device)
    accept_reaction(Reaction(dan.id, reference.message, "x"), ben.id, ana.device)
    assert not list(ana.device.vault.items("reaction"))


@pytest.mark.parametrize("text", ["", "a" * 33, "\u202e", "\t", "\ud83d", "\u2764" * 11])
def test_a_reaction_that_is_empty_too_long_or_unprintable_is_refused(
    three_people: Network, text: str
) -> None:
    ben = three_people["ben"]
    with pytest.raises(BadReaction, match="Nothing was sent"):
        react(newest_message_name(ben), text, ben.device)


def test_a_reaction_to_an_unknown_message_or_without_readers_is_refused(
    three_people: Network,
) -> None:
    ben = three_people["ben"]
    with pytest.raises(UnknownMessage):
        react("9-other-name", "!", ben.device)
    forget_contact("ana", ben.device)
    with pytest.raises(NobodyToReactTo):
        react(newest_message_name(ben), "!", ben.device)


def test_a_reaction_waits_while_a_relay_is_unreachable(three_people: Network) -> None:
    ana, ben = three_people["ana"], three_people["ben"]
    three_people.disconnect(RELAY_URL)
    assert react(newest_message_name(ben), "!", ben.device).waits == ("ana",)
    three_people.reconnect(RELAY_URL)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    assert reactions_on(ana, newest_message_name(ben)) == [(ben.id, "!")]


#: Texts that are refused: they have a second line, a name, or blank or invisible characters.
MISLEADING_OR_BLANK_REACTIONS = (
    "!\n7-red-fox  from mum, waiting",
    "\U0001f44d cleo",
    "\u2800",
    "\u200b",
    "\u3164a",
    " ",
)


@pytest.mark.threat("terminal-writing")
@pytest.mark.parametrize("text", MISLEADING_OR_BLANK_REACTIONS, ids=ascii)
def test_a_misleading_or_blank_reaction_is_neither_sent_nor_accepted(
    friends: Network, text: str
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    fetch_messages(ben.device)
    with pytest.raises(BadReaction):
        react(name, text, ben.device)
    reference = reference_to_message(name, ana.device)
    accept_reaction(Reaction(reference.sender, reference.message, text), ben.id, ana.device)
    assert not reactions_to(reference.sender, reference.message, ana.device)
