"""Tests of the timeline of messages with one person, and of the list of people with messages."""

import pytest

from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.open import open_message
from entrenous.send.recall import recall_message
from entrenous.send.timeline import correspondents, hide_sent_message, timeline_page
from tests.send.send_device import SMALL_PICTURE, Network, network_of_three

pytestmark = pytest.mark.slow


@pytest.fixture
def network() -> Network:
    return network_of_three()


def test_a_page_has_the_newest_messages_and_counts_the_older_ones(network: Network) -> None:
    ana, ben = network["ana"], network["ben"]
    names = []
    for _ in range(5):
        network.clock.advance(minutes=1)
        names.append(ana.send(SMALL_PICTURE, ben).name)
    page = timeline_page(ben.id, ana.device, 0, 2)
    assert [one.name for one in page.entries] == names[3:]
    assert page.older == 3
    older = timeline_page(ben.id, ana.device, 2, 40)
    assert [one.name for one in older.entries] == names[:3]
    assert older.older == 0


def test_people_are_listed_by_their_newest_message_with_waiting_counts(network: Network) -> None:
    ana, ben, cleo = network["ana"], network["ben"], network["cleo"]
    ana.send(SMALL_PICTURE, ben)
    network.clock.advance(minutes=1)
    cleo.send(SMALL_PICTURE, ana)
    fetch_messages(ana.device)
    assert [(one.person, one.waiting) for one in correspondents(ana.device)] == [
        (cleo.id, 1),
        (ben.id, 0),
    ]
    open_message(received_messages(ana.device)[0].name, ana.device)
    assert correspondents(ana.device)[0].waiting == 0


def test_expired_message_no_longer_counts_as_waiting(network: Network) -> None:
    ana, cleo = network["ana"], network["cleo"]
    cleo.send(SMALL_PICTURE, ana, days=1)
    fetch_messages(ana.device)
    network.clock.advance(days=2)
    assert correspondents(ana.device)[0].waiting == 0
    assert timeline_page(cleo.id, ana.device, 0, 1).entries[0].state == "expired"


def test_other_recipients_and_a_recall_are_shown(network: Network) -> None:
    ana, ben, cleo = network["ana"], network["ben"], network["cleo"]
    name = ana.send(SMALL_PICTURE, ben, cleo).name
    entry = timeline_page(ben.id, ana.device, 0, 1).entries[0]
    assert (entry.also, entry.marked, entry.mine) == (("cleo",), True, True)
    recall_message(name, ana.device)
    assert timeline_page(ben.id, ana.device, 0, 1).entries[0].state == "taken back"


def test_hiding_a_sent_message_keeps_it_in_the_ledger(network: Network) -> None:
    ana, ben, cleo = network["ana"], network["ben"], network["cleo"]
    name = ana.send(SMALL_PICTURE, ben, cleo).name
    hide_sent_message(name, ben.id, ana.device)
    assert timeline_page(ben.id, ana.device, 0, 9).entries == ()
    assert len(timeline_page(cleo.id, ana.device, 0, 9).entries) == 1
    assert ana.device.ledger.message_named(name).name == name
