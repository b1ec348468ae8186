"""Tests of received messages: listing, opening, expiry, recall, removal and refused content."""

from dataclasses import replace
from typing import Any

import pytest

from entrenous.base.errors import (
    Expired,
    NoSuchBlob,
    NoSuchEnvelope,
    RelayUnreachable,
    TakenBack,
    UsedUp,
)
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.device.device import Vault
from entrenous.device.relay_lock_client import moment_or_earlier_day
from entrenous.device.sent_messages import UnknownMessage
from entrenous.device.vault_tables import UNREPORTED_OPENING, inbox_key
from entrenous.send import open as opening
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.inbox import (
    ENDED_STATES,
    find_received_message,
    received_messages,
    remove_received_message,
    store_message_state,
)
from entrenous.send.letter.arrivals import apply_recall
from entrenous.send.letter.letter_nouns import BadContent, Manifest, RecallNote
from entrenous.send.message import make
from entrenous.send.message.draft import RecallIncomplete, WaitsInOutbox
from entrenous.send.message.states import (
    INBOX_TABLE,
    InboxState,
    MessageNotAtRelay,
    MessageRemovedHere,
    ReceivedMessage,
)
from entrenous.send.open import open_message
from entrenous.send.people.contact_history import latest_messages_sent_to
from entrenous.send.recall import recall_message
from entrenous.send.status import query_sent_messages
from tests.carry.relays import download_bytes
from tests.send.send_device import OTHER_RELAY_URL, RELAY_URL, SMALL_PICTURE, Network, Person
from tests.send.send_text import send_text
from tests.village.malicious_relay import HonestCall, error_trick

pytestmark = pytest.mark.slow


@pytest.fixture
def ben(friends: Network) -> Person:
    """Ben, with one opened message from Ana."""
    friends["ana"].send(SMALL_PICTURE, friends["ben"], days=2)
    friends["ben"].open_newest()
    return friends["ben"]


def newest_message(person: Person) -> ReceivedMessage:
    return received_messages(person.device)[-1]


@pytest.mark.parametrize("state", ENDED_STATES)
def test_an_ended_message_has_no_keys_and_no_files(ben: Person, state: InboxState) -> None:
    opened = newest_message(ben)
    assert len(opened.kept) == 2  # the frame and the picture
    assert set(opened.kept) <= set(ben.vault._files)
    store_message_state(opened, state, ben.device)
    ended = newest_message(ben)
    assert (ended.state, ended.manifest, ended.attempt, ended.kept) == (state, None, None, ())
    assert not set(opened.kept) & set(ben.vault._files)
    for table in ben.vault._tables.values():
        for record in table.values():
            assert opened.manifest.secret.reveal() not in record  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (InboxState.TAKEN_BACK, TakenBack),
        (InboxState.EXPIRED, Expired),
        (InboxState.USED_UP, UsedUp),
    ],
)
def test_an_ended_message_does_not_open_and_no_relay_is_asked(
    ben: Person, state: InboxState, error: type[Exception]
) -> None:
    store_message_state(newest_message(ben), state, ben.device)
    before = ben.courier.calls.copy()
    with pytest.raises(error):
        open_message(newest_message(ben).name, ben.device)
    assert ben.courier.calls == before


def test_an_opened_message_expires_without_its_relay(friends: Network, ben: Person) -> None:
    opened, name = newest_message(ben), newest_message(ben).name
    friends.disconnect(RELAY_URL)
    friends.clock.advance(days=1, hours=23)
    assert open_message(name, ben.device).files
    friends.clock.advance(hours=1)
    with pytest.raises(Expired, match="27 November 2026"):
        open_message(name, ben.device)
    assert not set(opened.kept) & set(ben.vault._files)
    assert newest_message(ben).state is InboxState.EXPIRED


def test_a_fetch_deletes_an_expired_message_that_nobody_lists(
    friends: Network, ben: Person
) -> None:
    opened = newest_message(ben)
    friends.clock.advance(days=2)
    fetch_messages(ben.device)
    kept = INBOX_TABLE.load(*inbox_key_and_vault(opened, ben))
    assert kept is not None
    assert (kept.state, kept.key, kept.text) == (InboxState.EXPIRED, None, None)
    assert not set(opened.kept) & set(ben.vault._files)


def test_an_unreachable_relay_does_not_prevent_deletion_after_expiry(
    friends: Network, ben: Person
) -> None:
    opened = newest_message(ben)
    friends.clock.advance(days=2)
    friends.disconnect(RELAY_URL)
    with pytest.raises(RelayUnreachable):
        fetch_messages(ben.device)
    assert not set(opened.kept) & set(ben.vault._files)


def test_messages_are_listed_oldest_first_and_found_by_name(friends: Network, ben: Person) -> None:
    friends.clock.advance(hours=1)
    second = friends["ana"].send(SMALL_PICTURE, ben).name
    fetch_messages(ben.device)
    assert [one.sent_at for one in received_messages(ben.device)] == sorted(
        one.sent_at for one in received_messages(ben.device)
    )
    assert find_received_message(second, ben.device) == newest_message(ben)
    for unknown in ("", second.upper(), "1-no-such"):
        with pytest.raises(UnknownMessage):
            find_received_message(unknown, ben.device)


def test_messages_of_one_second_keep_their_order_on_both_sides(friends: Network) -> None:
    """Records are keyed by random ids, so eight of them are almost never in order by chance."""
    ana, ben = friends["ana"], friends["ben"]
    sent = list[str]()
    for number in range(8):
        friends.clock.advance(milliseconds=30)
        sent.append(send_text(ana, "ben", text=str(number)).name)
    fetch_messages(ben.device)
    received = received_messages(ben.device)
    assert len({one.sent_at for one in received}) == 1
    assert [one.name for one in received] == sent
    assert [one.name for one in ana.device.ledger.messages()] == sent
    assert [one.message.name for one in query_sent_messages(ana.device)] == sent
    sent_records = latest_messages_sent_to(ben.id, ana.device)
    newest_ids = [one.id for one in ana.device.ledger.messages()][-len(sent_records) :]
    assert [record.message for record in sent_records] == newest_ids


def test_a_recall_by_another_person_changes_nothing(friends: Network, ben: Person) -> None:
    """Caro's program sends a recall note about Ana's message."""
    caro = friends.set_up_person("caro")
    caro.add_contact(ben)
    opened = newest_message(ben)
    apply_recall(RecallNote(opened.id), caro.id, ben.device)
    assert newest_message(ben) == opened
    apply_recall(RecallNote(opened.id), opened.sender, ben.device)
    assert newest_message(ben).state is InboxState.TAKEN_BACK


def test_a_reused_message_id_does_not_replace_another_senders_message(
    friends: Network, ben: Person
) -> None:
    """Every recipient knows a message's id, and could send a message with that id."""
    first = newest_message(ben)
    waiting = replace(first, state=InboxState.WAITING)
    other = replace(waiting, sender=friends["ben"].id, name="9-quiet-heron")
    store_message_state(other, InboxState.WAITING, ben.device)
    assert {one.name for one in received_messages(ben.device)} == {first.name, "9-quiet-heron"}


def test_completed_opening_is_reported_once_the_relay_answers(friends: Network) -> None:
    """The relay does not answer the first report that the opening is complete."""
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben, opens=1)
    fetch_messages(ben.device)
    manifest = newest_message(ben).manifest
    with ben.courier.replace_calls(finish_opening=error_trick(RelayUnreachable(host="x"))):
        assert ben.open_newest().files
    assert manifest is not None
    token, blob = manifest.fetch_token, manifest.blobs[0].id
    assert download_bytes(ben.device.courier, RELAY_URL, blob, token)
    fetch_messages(ben.device)
    assert list(ben.device.vault.items(UNREPORTED_OPENING)) == []
    with pytest.raises(NoSuchBlob):
        download_bytes(ben.device.courier, RELAY_URL, blob, token)


def test_a_message_lost_by_its_relay_waits_until_it_expires(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    lost = error_trick(NoSuchEnvelope())
    for _ in range(2):
        with (
            ben.courier.replace_calls(open_share=lost),
            pytest.raises(MessageNotAtRelay, match="Try again"),
        ):
            ben.open_newest()
        assert newest_message(ben).state is InboxState.WAITING
    waiting = newest_message(ben)
    INBOX_TABLE.store(replace(waiting, expires_at=None), *inbox_key_and_vault(waiting, ben))
    friends.clock.advance(days=31)
    with ben.courier.replace_calls(open_share=lost), pytest.raises(Expired):
        open_message(newest_message(ben).name, ben.device)
    assert newest_message(ben).state is InboxState.EXPIRED


def inbox_key_and_vault(received: ReceivedMessage, person: Person) -> tuple[str, Vault]:
    return inbox_key(received.sender, received.id), person.device.vault


def test_a_message_lost_by_its_relay_opens_once_posted_again(
    friends: Network,
) -> None:
    """Ben's device has already read the letter; the repeated post has the same envelope."""
    ana, ben = friends["ana"], friends["ben"]
    rows = friends.relays[RELAY_URL].mail._transaction  # type: ignore[attr-defined]
    on_disk: dict[Any, dict[Any, Any]] = {}

    def lose_answer(honest: HonestCall, *arguments: Any) -> Any:
        on_disk.update({kind: dict(stored) for kind, stored in rows._rows.items()})
        honest(*arguments)
        raise RelayUnreachable(host="x")

    with ana.courier.replace_calls(post=lose_answer), pytest.raises(WaitsInOutbox):
        ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    assert newest_message(ben).state is InboxState.WAITING
    rows._rows = on_disk
    with pytest.raises(MessageNotAtRelay):
        ben.open_newest()
    flush_outbox(ana.device)
    assert query_sent_messages(ana.device)[0].copies[0].is_confirmed_by_relay
    assert fetch_messages(ben.device).letters_received == 0  # Ben's device read the letter before
    assert ben.open_newest().files


def test_recall_reaches_every_relay_that_answers(network: Network) -> None:
    ana, ben, caro = network["ana"], network["ben"], network.set_up_person("caro", OTHER_RELAY_URL)
    for other in (ben, caro):
        ana.add_contact(other)
    posted = ana.send(SMALL_PICTURE, caro, ben)
    for one in (ben, caro):
        fetch_messages(one.device)
    network.disconnect(OTHER_RELAY_URL)
    with pytest.raises(RecallIncomplete):
        recall_message(posted.name, ana.device)
    with pytest.raises(TakenBack):
        ben.open_newest()
    network.reconnect(OTHER_RELAY_URL)
    recall_message(posted.name, ana.device)
    with pytest.raises(TakenBack):
        caro.open_newest()
    assert {copy.state.value for copy in query_sent_messages(ana.device)[0].copies} == {
        "taken back"
    }


@pytest.mark.parametrize("server_url", [OTHER_RELAY_URL, "https://tracker.example"])
def test_a_message_with_files_at_another_server_is_refused(
    friends: Network, monkeypatch: pytest.MonkeyPatch, server_url: str
) -> None:
    """By naming another server, a sender could learn where and when the message is opened."""
    ana, ben = friends["ana"], friends["ben"]
    real = make._make_manifest

    def with_other_relay(*arguments: Any) -> Manifest:
        return replace(real(*arguments), relay_url=server_url)

    monkeypatch.setattr(make, "_make_manifest", with_other_relay)
    ana.send(SMALL_PICTURE, ben)
    assert ben.received_count() == 0
    monkeypatch.undo()
    ana.send(SMALL_PICTURE, ben)
    assert ben.received_count() == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda blobs: blobs[:1], BadContent),
        (lambda blobs: (*blobs, blobs[1]), BadContent),
        (lambda blobs: blobs[::-1], DecryptionFailed),
    ],
    ids=["one missing", "one twice", "in another order"],
)
def test_a_messages_files_must_match_its_frame(
    friends: Network, change: Any, error: type[Exception]
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    received = newest_message(ben)
    assert received.manifest is not None
    other = replace(received.manifest, blobs=change(received.manifest.blobs))
    store_message_state(replace(received, manifest=other), InboxState.WAITING, ben.device)
    with pytest.raises(error):
        open_message(received.name, ben.device)


def test_unknown_time_is_written_as_an_earlier_day() -> None:
    assert moment_or_earlier_day(None) == "an earlier day"


def test_oversized_frame_is_refused() -> None:
    buffer = opening._FrameBuffer()
    buffer.write(bytes(256 * 1024))
    with pytest.raises(BadContent):
        buffer.write(b"x")


@pytest.mark.parametrize("opened", [False, True])
def test_a_recipient_can_remove_a_message(friends: Network, *, opened: bool) -> None:
    """Keys and files are deleted. Nobody is notified. The sender can still recall the message."""
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    fetch_messages(ben.device)
    if opened:
        open_message(name, ben.device)
    posts = ben.courier.calls["post"]
    removed = remove_received_message(name, ben.device)
    assert (removed.state, removed.key, removed.manifest) == (InboxState.REMOVED, None, None)
    assert ben.vault._files == {}
    with pytest.raises(MessageRemovedHere):
        open_message(name, ben.device)
    assert remove_received_message(name, ben.device) == removed
    fetch_messages(ben.device)
    assert ben.courier.calls["post"] == posts
    assert recall_message(name, ana.device)[0].opened is opened
    fetch_messages(ben.device)
    assert newest_message(ben).state is InboxState.TAKEN_BACK
    with pytest.raises(UnknownMessage):
        remove_received_message("7-no-message", ben.device)
