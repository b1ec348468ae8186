"""A letter that is written to a newer list of ours than we know waits here until we know it."""

from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from entrenous.model.received import InboxState
from entrenous.model.relay_problem import RelayUnreachable
from entrenous.send.devices.revoke import revoke_device
from entrenous.send.drawers import LATE, OUTBOX, WINDOW_OUT, lay, peer_key
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.letter.aside import take_from_aside
from entrenous.send.recall import recall_message
from entrenous.spec import LATE_DAYS
from tests.send.move.test_late import held, ids
from tests.send.room import SMALL, Person, Room, town_of_three
from tests.village.households import catch_up, links
from tests.village.malicious_relay import failing


@pytest.fixture
def town() -> Room:
    """Ana's laptop revoked her tablet, and has no token left for her phone; Ben has heard of the
    new list, so the phone hears of it from him: first by the window that he gives it anew.
    """
    room = town_of_three()
    ana, ben = room["ana"], room["ben"]
    phone = links(room, ana, "phone", "phone")
    tablet = links(room, ana, "tablet", "tablet")
    catch_up(ben, phone, tablet, ana, ben, phone, tablet, ana)
    left = held(ana, phone)
    lay(replace(left, next=left.until), WINDOW_OUT, peer_key(*ids(phone)), ana.device.vault)
    revoke_device("tablet", lost=False, sheet=None, device=ana.device)
    assert ana.device.vault.keys(OUTBOX)
    catch_up(ben)
    return room


def shows_no_list(who: Person) -> AbstractContextManager[None]:
    return who.courier.playing(card=failing(RelayUnreachable(host="relay")))


def kept(who: Person) -> int:
    return len(who.device.vault.keys(LATE))


def test_it_opens_once_a_relay_has_shown_the_list(town: Room) -> None:
    ben, phone = town["ben"], town["phone"]
    name = ben.sends(SMALL, town["ana"]).name
    assert phone.received() == 1
    assert phone.opens_newest().files
    assert (kept(phone), take_from_aside(phone.device)) == (0, 0)
    assert ben.device.ledger.find(name)


def test_while_no_relay_shows_it_nothing_is_lost(town: Room) -> None:
    ben, phone = town["ben"], town["phone"]
    ben.sends(SMALL, town["ana"])
    ben.sends(SMALL, town["ana"])
    with shows_no_list(phone):
        assert phone.received() == 0
        assert phone.received() == 0
    assert (kept(phone), take_from_aside(phone.device)) == (3, 0)
    town.clock.wind(days=1)
    assert phone.received() == 2
    first, second = received_messages(phone.device)
    assert first.sent_at <= second.sent_at
    assert (kept(phone), take_from_aside(phone.device)) == (0, 0)


def test_what_is_taken_back_meanwhile_opens_no_more(town: Room) -> None:
    ben, phone = town["ben"], town["phone"]
    name = ben.sends(SMALL, town["ana"]).name
    with shows_no_list(phone):
        fetch_messages(phone.device)
        recall_message(name, ben.device)
        fetch_messages(phone.device)
    town.clock.wind(days=1)
    fetch_messages(phone.device)
    (received,) = received_messages(phone.device)
    assert received.state is InboxState.TAKEN_BACK


def test_after_a_week_it_counts_as_what_could_not_be_opened(town: Room) -> None:
    ben, phone = town["ben"], town["phone"]
    ben.sends(SMALL, town["ana"])
    with shows_no_list(phone):
        fetch_messages(phone.device)
        town.clock.wind(days=LATE_DAYS + 1)
        fetch_messages(phone.device)
    assert (kept(phone), take_from_aside(phone.device)) == (0, 2)
    fetch_messages(phone.device)
    assert phone.received() == 0


def test_nobody_fills_the_vault_by_naming_lists(
    town: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.send.letter.late._LATE_MAX", 1)
    ben, phone = town["ben"], town["phone"]
    ben.sends(SMALL, town["ana"])
    ben.sends(SMALL, town["ana"])
    with shows_no_list(phone):
        fetch_messages(phone.device)
    assert (kept(phone), take_from_aside(phone.device)) == (1, 2)
