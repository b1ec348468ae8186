"""No message is lost by wrong clocks or implausible dates, and messages still expire in time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from entrenous.base.errors import NoSuchBlob, NoSuchEnvelope
from entrenous.base.identifiers import MessageId, MessageName
from entrenous.base.secret import Secret
from entrenous.send.commands.message_list import messages_as_json
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.inbox import received_messages
from entrenous.send.letter.letter_nouns import PersonDeviceListHead
from entrenous.send.letter.sessions import ensure_sessions
from entrenous.send.letter.write import addressees, seal_and_queue_letter
from entrenous.send.message.draft import MessagePolicy
from entrenous.send.message.make import SendingContext, seal_content
from entrenous.send.message.states import ImplausibleClock, InboxState, MessageNotAtRelay
from entrenous.send.open import open_message, stored_file, stored_frame
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.timeline import timeline_page
from tests.send.send_device import SMALL_PICTURE, Network, Person
from tests.send.send_text import send_text
from tests.village.malicious_relay import error_trick

pytestmark = pytest.mark.slow

LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)


@pytest.mark.parametrize("opened", [False, True])
def test_one_wrong_clock_reading_deletes_nothing(friends: Network, *, opened: bool) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    fetch_messages(ben.device)
    if opened:
        open_message(name, ben.device)
    right = friends.clock.moment
    friends.clock.moment = right + timedelta(days=400)
    fetch_messages(ben.device)
    assert [one.state for one in received_messages(ben.device)] == [
        InboxState.OPENED if opened else InboxState.WAITING
    ]
    if opened:
        with pytest.raises(ImplausibleClock, match="Check the date"):
            open_message(name, ben.device)
    friends.clock.moment = right
    fetch_messages(ben.device)
    assert open_message(name, ben.device).files


def test_the_clock_is_trusted_an_hour_after_a_month_of_absence(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    fetch_messages(ben.device)
    open_message(name, ben.device)
    friends.clock.advance(days=40)
    for minutes in (0, 30, 29):
        friends.clock.advance(minutes=minutes)
        fetch_messages(ben.device)
        assert received_messages(ben.device)[0].state is InboxState.OPENED
    friends.clock.advance(minutes=1)
    fetch_messages(ben.device)
    (ended,) = received_messages(ben.device)
    assert (ended.state, ended.key, ended.kept) == (InboxState.EXPIRED, None, ())


def test_a_message_expired_only_by_a_doubtful_clock_is_not_shown(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = send_text(ana, "ben", text="private words").name
    fetch_messages(ben.device)
    open_message(name, ben.device)
    right = friends.clock.moment
    assert _listed_texts(ana, ben) == ["private words", "private words"]
    friends.clock.advance(days=40)
    fetch_messages(ben.device)
    assert received_messages(ben.device)[0].text == "private words"  # nothing is deleted yet
    assert _listed_texts(ana, ben) == [None, None]
    assert not timeline_page(ana.id, ben.device, 0, 9).entries[0].can_show
    for read_stored in (stored_frame, partial(stored_file, number=1)):
        with pytest.raises(ImplausibleClock, match="Check the date"):
            read_stored(name, device=ben.device)
    friends.clock.moment = right
    fetch_messages(ben.device)
    assert _listed_texts(ana, ben) == ["private words", "private words"]
    assert stored_frame(name, ben.device).text == "private words"


def _listed_texts(ana: Person, ben: Person) -> list[object]:
    """Return the text of Ben's only message from Ana in their conversation and in the inbox."""
    (entry,) = timeline_page(ana.id, ben.device, 0, 9).entries
    (listed,) = messages_as_json(received_messages(ben.device), ben.device)
    return [entry.text, listed["text"]]


def test_messages_expire_after_a_clock_that_was_ahead_from_the_start_is_set_back(
    friends: Network,
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    fetch_messages(ben.device)
    friends.clock.advance(days=-10)
    ana.send(SMALL_PICTURE, ben)
    for _ in range(4):
        fetch_messages(ben.device)
        friends.clock.advance(days=10)
    fetch_messages(ben.device)
    assert received_messages(ben.device)[0].state is InboxState.EXPIRED


@pytest.mark.parametrize("expires_at", [None, LAST_DAY])
def test_a_message_dated_in_the_far_future_expires_normally(
    friends: Network, expires_at: datetime | None
) -> None:
    """A modified program sends a message that is dated on the last representable day."""
    ana, ben = friends["ana"], friends["ben"]
    contact = contact_named("ben", ana.device)
    (to,) = ensure_sessions(addressees(contact, ana.device), ana.device)
    sending = SendingContext(
        MessageId(bytes(16)),
        MessageName("7-lunar-otter"),
        LAST_DAY,
        MessagePolicy(friends.clock.now() + timedelta(hours=1)),
        ((ben.id, to.key.device),),
        (PersonDeviceListHead(ben.id, contact.person.epoch, contact.person.head),),
        Secret(bytes(32)),
    )
    sealed = seal_content((), "hello", to, sending, ana.device)
    with ana.device.vault.transaction():
        seal_and_queue_letter(
            replace(sealed.manifest, expires_at=expires_at), to, sealed.outer, ana.device
        )
    flush_outbox(ana.device)
    fetch_messages(ben.device)
    (one,) = received_messages(ben.device)
    assert one.sent_at <= friends.clock.now()
    assert one.expires_at is not None
    assert one.expires_at - friends.clock.now() <= timedelta(days=31)
    friends.clock.advance(days=20)
    fetch_messages(ben.device)
    with ben.courier.replace_calls(
        open_share=error_trick(NoSuchEnvelope()), blob=error_trick(NoSuchBlob())
    ):
        with pytest.raises(MessageNotAtRelay):
            open_message(one.name, ben.device)
        friends.clock.advance(days=20)
        fetch_messages(ben.device)
        assert received_messages(ben.device)[0].state is InboxState.EXPIRED
