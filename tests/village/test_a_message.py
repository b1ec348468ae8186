"""Tests of simulated devices: guard, sending, opening, recall, expiry, view-once messages."""

from datetime import timedelta

import pytest

from entrenous.base.errors import Expired, TakenBack, UsedUp
from entrenous.base.identifiers import RecipientId
from entrenous.device.sent_messages import UnknownMessage
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages, store_message_state
from entrenous.send.message.draft import Draft, MessagePolicy, UnansweredWarnings
from entrenous.send.message.states import InboxState
from entrenous.send.open import open_message
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from entrenous.send.status import query_sent_messages
from entrenous.wire.relay_nouns import EnvelopeState
from tests.village.world import Participant, SingleRelayNetwork, photo

pytestmark = pytest.mark.slow


@pytest.fixture
def network() -> SingleRelayNetwork:
    network = SingleRelayNetwork()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben")
    ana.add_contact(ben)
    return network


def newest_name(person: Participant) -> str:
    """Fetch messages, and return the name of the newest received message."""
    fetch_messages(person.device)
    return received_messages(person.device)[-1].name


def sent_copy_state(person: Participant) -> EnvelopeState:
    return query_sent_messages(person.device)[-1].copies[0].state


def test_recipient_opens_a_copy_that_differs_from_the_original(network: SingleRelayNetwork) -> None:
    ana, ben = network.people["ana"], network.people["ben"]
    original = photo()
    posted = ana.send(original, ben)
    content = open_message(newest_name(ben), ben.device)
    assert posted.devices == {"ben": 1}
    assert [file.media_type for file in content.files] == ["image/jpeg"]
    assert content.files[0].data != original
    assert sent_copy_state(ana) is EnvelopeState.OPENED


def test_two_people_get_different_copies(network: SingleRelayNetwork) -> None:
    ana, ben, caro = network.people["ana"], network.people["ben"], network.set_up_person("caro")
    ana.add_contact(caro)
    ana.send(photo(), ben, caro)
    copies = [
        open_message(newest_name(person), person.device).files[0].data for person in (ben, caro)
    ]
    assert copies[0] != copies[1]


def test_added_person_can_write_back(network: SingleRelayNetwork) -> None:
    ana, ben = network.people["ana"], network.people["ben"]
    ben.send(photo("chelsea"), ana)
    assert open_message(newest_name(ana), ana.device).files


def test_opened_message_opens_again_later(network: SingleRelayNetwork) -> None:
    ana, ben = network.people["ana"], network.people["ben"]
    ana.send(photo(), ben)
    name = newest_name(ben)
    first = open_message(name, ben.device)
    network.clock.advance(days=1)
    assert open_message(name, ben.device) == first


def test_message_taken_back_before_opening_never_opens(network: SingleRelayNetwork) -> None:
    ana, ben = network.people["ana"], network.people["ben"]
    posted = ana.send(photo(), ben)
    name = newest_name(ben)
    recalls = recall_message(posted.name, ana.device)
    assert [recall.opened for recall in recalls] == [False]
    for _ in range(2):
        with pytest.raises(TakenBack):
            open_message(name, ben.device)
    received = received_messages(ben.device)[-1]
    assert received.state is InboxState.TAKEN_BACK
    assert received.manifest is None
    assert sent_copy_state(ana) is EnvelopeState.TAKEN_BACK


def test_fetch_applies_the_recall_of_an_unopened_message(network: SingleRelayNetwork) -> None:
    ana, ben = network.people["ana"], network.people["ben"]
    posted = ana.send(photo(), ben)
    fetch_messages(ben.device)
    recall_message(posted.name, ana.device)
    fetch_messages(ben.device)
    assert received_messages(ben.device)[-1].state is InboxState.TAKEN_BACK


def test_recall_after_opening_deletes_the_message(network: SingleRelayNetwork) -> None:
    ana, ben = network.people["ana"], network.people["ben"]
    posted = ana.send(photo(), ben)
    name = newest_name(ben)
    open_message(name, ben.device)
    kept = received_messages(ben.device)[-1].kept
    recalls = recall_message(posted.name, ana.device)
    assert [recall.opened for recall in recalls] == [True]
    fetch_messages(ben.device)
    with pytest.raises(TakenBack):
        open_message(name, ben.device)
    assert kept
    assert not set(kept) & set(ben.vault._files)


@pytest.mark.threat("others-rights")
def test_another_person_cannot_take_a_message_back(network: SingleRelayNetwork) -> None:
    ana, ben, caro = network.people["ana"], network.people["ben"], network.set_up_person("caro")
    caro.add_contact(ben)
    posted = ana.send(photo(), ben)
    with pytest.raises(UnknownMessage):
        recall_message(posted.name, caro.device)
    assert open_message(newest_name(ben), ben.device).files


def test_unopened_message_expires(network: SingleRelayNetwork) -> None:
    ana, ben = network.people["ana"], network.people["ben"]
    ana.send(photo(), ben, days=2)
    name = newest_name(ben)
    network.clock.advance(days=3)
    with pytest.raises(Expired):
        open_message(name, ben.device)
    assert received_messages(ben.device)[-1].manifest is None


@pytest.mark.threat("backups-revive")
@pytest.mark.threat("view-once-bypass")
def test_key_of_a_view_once_message_is_released_once(network: SingleRelayNetwork) -> None:
    ana, ben = network.people["ana"], network.people["ben"]
    ana.send(photo(), ben, opens=1)
    name = newest_name(ben)
    before = received_messages(ben.device)[-1]
    open_message(name, ben.device)
    # Restore the state before the opening, as a backup would.
    store_message_state(before, InboxState.WAITING, ben.device)
    with pytest.raises(UsedUp):
        open_message(name, ben.device)


@pytest.mark.threat("wrong-recipient")
def test_the_guard_stops_a_first_message_and_asks_for_confirmation(
    network: SingleRelayNetwork,
) -> None:
    ana = network.people["ana"]
    policy = MessagePolicy(ana.device.clock.now() + timedelta(days=1))
    draft = Draft((photo(),), (RecipientId("ben"),), policy)
    with pytest.raises(UnansweredWarnings) as refused:
        send_message(draft, ana.device)
    assert "--confirm ben" in str(refused.value)
    assert list(ana.device.ledger.messages()) == []


def test_guard_does_not_warn_about_a_later_message_to_the_same_person(
    network: SingleRelayNetwork,
) -> None:
    ana, ben = network.people["ana"], network.people["ben"]
    ana.send(photo(), ben)
    policy = MessagePolicy(ana.device.clock.now() + timedelta(days=1))
    draft = Draft((photo("chelsea"),), (RecipientId("ben"),), policy)
    assert send_message(draft, ana.device).devices == {"ben": 1}
