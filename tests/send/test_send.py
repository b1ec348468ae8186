"""Tests of interrupted messages, a refused copy, invalid drafts and the longest caption."""

from dataclasses import replace
from typing import Any

import pytest

from entrenous.base.errors import WrongToken
from entrenous.base.screen_text import CaptionTooLong, TextHasControlCharacters
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, SendState
from entrenous.device.vault_tables import COPY_DELIVERY, OUTBOX
from entrenous.send.fetch import fetch_messages
from entrenous.send.message.draft import (
    RefusedForSome,
    SendingUndone,
    StoppedWhileSending,
    TooManyFiles,
    WaitsInOutbox,
)
from entrenous.send.message.transfer_progress import TransferWatch
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from tests.send.send_device import RELAY_URL, SMALL_PICTURE, Network, Person
from tests.send.test_guard import draft
from tests.village.malicious_relay import HonestCall, error_trick


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def interrupt_after_answer(honest: HonestCall, *arguments: Any) -> None:
    honest(*arguments)
    raise KeyboardInterrupt


def has_stored_nothing(person: Person) -> bool:
    tables = [list(person.device.vault.items(table)) for table in (OUTBOX, COPY_DELIVERY)]
    return (
        not any(tables) and not list(person.device.ledger.messages()) and person.vault._files == {}
    )


@pytest.mark.slow
def test_a_message_interrupted_before_it_left_never_leaves(three_people: Network) -> None:
    ana, ben, caro = (three_people[name] for name in ("ana", "ben", "caro"))
    for trick in (interrupt, interrupt_after_answer):
        with ana.courier.replace_calls(upload_blob=trick), pytest.raises(SendingUndone):
            ana.send(SMALL_PICTURE, ben, caro)
        assert has_stored_nothing(ana)
    fetch_messages(ana.device)
    assert (ben.received_count(), caro.received_count()) == (0, 0)
    ana.send(SMALL_PICTURE, ben, caro)
    assert (ben.received_count(), caro.received_count()) == (1, 1)


def test_a_message_interrupted_while_sealing_leaves_nothing(three_people: Network) -> None:
    ana = three_people["ana"]
    with pytest.raises(SendingUndone):
        send_message(
            draft(ana, "ben", confirmed=("ben",)), ana.device, TransferWatch(step=interrupt)
        )
    assert list(ana.device.ledger.messages()) == []
    assert list(ana.device.vault.items(OUTBOX)) == []


@pytest.mark.parametrize("trick", [interrupt, interrupt_after_answer])
def test_an_interrupted_message_that_may_have_left_is_named(
    three_people: Network, trick: Any
) -> None:
    ana, ben, caro = (three_people[name] for name in ("ana", "ben", "caro"))
    with ana.courier.replace_calls(post=trick), pytest.raises(StoppedWhileSending) as raised:
        ana.send(SMALL_PICTURE, ben, caro)
    (message,) = ana.device.ledger.messages()
    assert f"entrenous recall {message.name}" in str(raised.value).replace("\n", " ")
    departures = [copy.departure for copy in COPY_DELIVERY_TABLE.all(ana.device.vault)]
    assert sorted(departures) == [SendState.TRIED, SendState.WAITING]
    recall_message(message.name, ana.device)
    for one in (ben, caro):
        fetch_messages(one.device)
    assert caro.received_count() == 0


@pytest.mark.slow
def test_interrupting_a_message_keeps_other_waiting_ones(three_people: Network) -> None:
    ana, ben = three_people["ana"], three_people["ben"]
    three_people.disconnect(RELAY_URL)
    with pytest.raises(WaitsInOutbox):
        ana.send(SMALL_PICTURE, ben)
    (first,) = ana.device.ledger.messages()
    with ana.courier.replace_calls(upload_blob=interrupt), pytest.raises(SendingUndone):
        ana.send(SMALL_PICTURE, ben)
    assert list(ana.device.ledger.messages()) == [first]
    three_people.reconnect(RELAY_URL)
    fetch_messages(ana.device)
    assert ben.received_count() == 1


def test_a_refused_copy_is_not_reported_as_on_its_way(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    with (
        ana.courier.replace_calls(post=error_trick(WrongToken())),
        pytest.raises(RefusedForSome) as raised,
    ):
        ana.send(SMALL_PICTURE, ben)
    assert "Already on its way to: nobody." in str(raised.value).replace("\n", " ")


@pytest.mark.threat("terminal-writing")
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"caption": "c" * 4097}, CaptionTooLong),
        ({"caption": "\x1b[2J"}, TextHasControlCharacters),
        ({"caption": "half a \ud83d"}, TextHasControlCharacters),
        ({"caption": "\u202egnp.exe"}, TextHasControlCharacters),
        ({"files": (SMALL_PICTURE,) * 65}, TooManyFiles),
    ],
)
def test_an_invalid_draft_cannot_be_made(
    friends: Network, fields: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match="Nothing was sent"):
        replace(draft(friends["ana"], "ben"), **fields)


def test_the_longest_caption_arrives(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    caption = "For you,\n" + "\u00e9" * 4087
    send_message(replace(draft(ana, "ben", confirmed=("ben",)), caption=caption), ana.device)
    assert ben.open_newest().caption == caption
