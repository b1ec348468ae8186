"""Names of messages: new ones are new, and a stranger's is used only if it is a name."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenous.model.ids import MessageName
from entrenous.model.names import FIRST, SECOND
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.message.naming import free_message_name, new_name
from tests.send.room import SMALL, Room


def test_a_new_name_is_nobodys_not_even_a_received_ones(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    sent = ana.sends(SMALL, ben).name
    fetch_messages(ben.device)

    class Same:
        def token(self, size: int) -> bytes:
            return bytes([FIRST.index(first), SECOND.index(second), int(number) - 1])[:size]

    number, first, second = sent.split("-")
    for one in (ana, ben):
        name = new_name(replace(one.device, dice=Same()))
        assert name == f"{int(number) + 1}-{first}-{second}"


def test_a_received_message_keeps_its_name_unless_it_is_taken(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    assert free_message_name(MessageName("7-lunar-otter"), ben.device) == "7-lunar-otter"
    posted = ana.sends(SMALL, ben)
    fetch_messages(ben.device)
    assert received_messages(ben.device)[0].name == posted.name
    number, words = posted.name.split("-", 1)
    assert free_message_name(posted.name, ben.device) == f"{int(number) + 1}-{words}"


@pytest.mark.parametrize(
    "wanted",
    [
        "../../../etc/passwd",
        "1-a/b-c",
        "--help",
        "-1-lunar-otter",
        "0-lunar-otter",
        "7-lunar",
        "7-lunar-otter\n",
        "7-Lunar-Otter",
        "\uff19-lunar-otter",
        "9" * 5000 + "-lunar-otter",
        ".",
        "con",
        "7-lunar-otter-1",
    ],
)
def test_a_strangers_odd_name_is_not_used(room: Room, wanted: str) -> None:
    name = free_message_name(MessageName(wanted), room["ben"].device)
    number, first, second = name.split("-")
    assert number.isdigit()
    assert (first in FIRST, second in SECOND) == (True, True)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=64))
def test_no_name_leads_out_of_a_folder(room: Room, wanted: str) -> None:
    name = free_message_name(MessageName(wanted), room["ben"].device)
    assert set(name) <= set("0123456789abcdefghijklmnopqrstuvwxyz-")
    assert name[0].isdigit()
