"""Who is in a conversation, by one of its messages."""

import pytest

from entrenous.model.message import UnknownMessage
from entrenous.send.doubts.within import conversation_of, names_in
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.recall import recall_message
from tests.send.room import SMALL, Room


def test_everybody_who_has_a_message_but_us(friends: Room) -> None:
    ana, ben, caro = friends["ana"], friends["ben"], friends.settles("caro")
    ana.adds(caro)
    sent = ana.sends(SMALL, ben, caro)
    assert conversation_of(sent.name, ana.device).people == {ben.id, caro.id}
    assert names_in(conversation_of(sent.name, ana.device), ana.device) == ["ben", "caro"]
    fetch_messages(ben.device)
    (received,) = received_messages(ben.device)
    conversation = conversation_of(received.name, ben.device)
    assert conversation.people == {ana.id, caro.id}
    assert names_in(conversation, ben.device) == ["ana"], "Ben does not know Caro"


def test_of_one_that_was_taken_back_its_sender_is_known(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    sent = ana.sends(SMALL, ben)
    fetch_messages(ben.device)
    recall_message(sent.name, ana.device)
    fetch_messages(ben.device)
    (received,) = received_messages(ben.device)
    assert conversation_of(received.name, ben.device).people == {ana.id}


def test_a_message_that_is_not_there_has_none(friends: Room) -> None:
    with pytest.raises(UnknownMessage):
        conversation_of("7-lunar-otter", friends["ana"].device)
