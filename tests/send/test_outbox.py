"""Tests of the outbox: the order of items, refusals, errors of relays, and repeated posts."""

from typing import Any

import pytest

from entrenous.base.errors import (
    DamagedBlob,
    DiskFailed,
    EntrenousError,
    IdInUse,
    NotARelay,
    NotUnderstood,
    ProtocolTooOld,
    RelayFull,
    RelayUnreachable,
    TooLarge,
    TooMany,
    WrongToken,
)
from entrenous.base.limits import UNREFERENCED_BLOB_HOURS
from entrenous.device.identities import own_device
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, SendState
from entrenous.device.vault_tables import OUTBOX, TOKEN_REGISTRATION
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import FlushResult, flush_outbox
from entrenous.send.message.draft import CopyRefused, RefusedForSome, WaitsInOutbox
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.recall import recall_message
from entrenous.send.status import query_sent_messages
from entrenous.terminal.output import join_wrapped_lines
from entrenous.wire.relay_nouns import Envelope, EnvelopeState
from tests.send.send_device import (
    OTHER_RELAY_URL,
    RELAY_URL,
    SMALL_PICTURE,
    Network,
    Person,
    cached_network,
)
from tests.send.send_text import send_text
from tests.village.malicious_relay import HonestCall, Trick, error_trick

RETRYABLE_ERRORS = [
    RelayUnreachable(host="x"),
    NotARelay(host="x"),
    RelayFull(),
    DiskFailed(),
    TooMany(retry_after_s=9),
    ProtocolTooOld(floor=2, newest=2, ours=1),
    NotUnderstood(),
    DamagedBlob(),
]
PERMANENT_ERRORS = [WrongToken(), IdInUse(), TooLarge(limit_bytes=1)]


def error_name(error: EntrenousError) -> str:
    return type(error).__name__


def record_count(person: Person, table: str = OUTBOX) -> int:
    return len(list(person.device.vault.items(table)))


@pytest.fixture
@cached_network
def people_at_two_relays() -> Network:
    """Ana and Ben at one relay, Caro at another; Ben and Caro are contacts of Ana."""
    network = Network()
    for name, url in {"ana": RELAY_URL, "ben": RELAY_URL, "caro": OTHER_RELAY_URL}.items():
        network.set_up_person(name, url)
    for name in ("ben", "caro"):
        network["ana"].add_contact(network[name])
    return network


@pytest.mark.parametrize("error", PERMANENT_ERRORS, ids=error_name)
def test_a_refused_item_never_blocks_later_ones(
    three_people: Network, error: EntrenousError
) -> None:
    ana, ben, caro = (three_people[name] for name in ("ana", "ben", "caro"))
    with ana.courier.replace_calls(post=error_trick(error, times=1)), pytest.raises(RefusedForSome):
        ana.send(SMALL_PICTURE, ben, caro)
    assert (ben.received_count(), caro.received_count()) == (0, 1)
    assert record_count(ana) == 0
    assert flush_outbox(ana.device) == FlushResult(0, {}, ())  # the refusal is reported only once
    ana.send(SMALL_PICTURE, ben)
    assert ben.received_count() == 1


def send_states(person: Person) -> list[SendState]:
    return sorted(copy.departure for copy in COPY_DELIVERY_TABLE.all(person.device.vault))


def test_a_partly_refused_message_reports_the_state_of_each_copy(three_people: Network) -> None:
    """The relay refuses Ben's copy and accepts Caro's."""
    ana, ben, caro = (three_people[name] for name in ("ana", "ben", "caro"))
    with (
        ana.courier.replace_calls(post=error_trick(WrongToken(), times=1)),
        pytest.raises(RefusedForSome) as raised,
    ):
        ana.send(SMALL_PICTURE, ben, caro)
    (sent,) = query_sent_messages(ana.device)
    text = join_wrapped_lines(str(raised.value))
    assert f"Message {sent.message.name} cannot be sent to ben." in text
    assert "Already on its way to: caro." in text
    assert "Still waiting on this device for: nobody." in text
    assert join_wrapped_lines(str(WrongToken())) in text
    assert {copy.to: copy.state_in_words for copy in sent.copies} == {
        "ben": "refused",
        "caro": "waiting",
    }
    assert list(ana.vault._files.values()) == [SMALL_PICTURE]  # nothing of the refused copy is kept
    recall_message(sent.message.name, ana.device)
    (sent,) = query_sent_messages(ana.device)
    assert [copy.state_in_words for copy in sent.copies] == ["taken back"] * 2
    assert three_people["caro"].received_count() == 0


def test_a_later_refusal_names_the_message_and_the_person(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    friends.disconnect(RELAY_URL)
    with pytest.raises(WaitsInOutbox):
        ana.send(SMALL_PICTURE, ben)
    friends.reconnect(RELAY_URL)
    (sent,) = query_sent_messages(ana.device)
    with ana.courier.replace_calls(post=error_trick(WrongToken())):
        (problem,) = fetch_messages(ana.device).problems
    assert isinstance(problem, CopyRefused)
    assert f"{sent.message.name} for ben" in str(problem).replace("\n", " ")
    assert send_states(ana) == [SendState.REFUSED]


@pytest.mark.slow
@pytest.mark.parametrize("error", RETRYABLE_ERRORS, ids=error_name)
def test_an_error_of_one_relay_does_not_affect_messages_at_another(
    people_at_two_relays: Network, error: EntrenousError
) -> None:
    """Uploads to Caro's relay fail; later items for Ben leave, and fetching continues."""
    ana, ben, caro = (people_at_two_relays[name] for name in ("ana", "ben", "caro"))
    with ana.courier.replace_calls(upload_blob=error_trick_at(OTHER_RELAY_URL, error)):
        with pytest.raises(WaitsInOutbox):
            ana.send(SMALL_PICTURE, caro)
        assert ana.send(SMALL_PICTURE, ben).devices == {"ben": 1}
        ben.send(SMALL_PICTURE, ana)
        fetched = fetch_messages(ana.device)
    assert fetched.letters_received > 0
    assert {type(problem) for problem in fetched.problems} == {type(error)}
    assert (ana.received_count(), ben.received_count(), caro.received_count()) == (1, 1, 1)


def error_trick_at(url: str, error: EntrenousError) -> Trick:
    def fail_at_url(honest: HonestCall, called_url: str, *arguments: Any) -> Any:
        if called_url == url:
            raise error
        return honest(called_url, *arguments)

    return fail_at_url


@pytest.mark.slow
@pytest.mark.parametrize("error", [NotUnderstood(), DamagedBlob()], ids=error_name)
def test_a_post_that_fails_for_one_mailbox_delays_only_that_mailbox(
    three_people: Network, error: EntrenousError
) -> None:
    """While the first letter to Ben fails, the second is not posted, to keep their order."""
    ana, ben, caro = (three_people[name] for name in ("ana", "ben", "caro"))
    mailbox, tried = own_device(ben.device).home.mailbox, list[bytes]()

    def fail_for_ben(honest: HonestCall, url: str, token: object, envelope: Envelope) -> None:
        if envelope.mailbox == mailbox:
            tried.append(envelope.id)
            raise error
        honest(url, token, envelope)

    with ana.courier.replace_calls(post=fail_for_ben):
        for _ in range(2):
            with pytest.raises(WaitsInOutbox):
                ana.send(SMALL_PICTURE, ben)
        ana.send(SMALL_PICTURE, caro)
    assert len(tried) == 3
    assert len(set(tried)) == 1
    assert (caro.received_count(), record_count(ana)) == (1, 2)
    assert flush_outbox(ana.device).posted_count == 2
    assert ben.received_count() == 2


def test_copy_whose_post_got_no_answer_is_recorded_as_tried(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]

    def lose_answer(honest: HonestCall, *arguments: Any) -> None:
        honest(*arguments)
        raise RelayUnreachable(host="x")

    with ana.courier.replace_calls(post=lose_answer), pytest.raises(WaitsInOutbox):
        ana.send(SMALL_PICTURE, ben)
    assert send_states(ana) == [SendState.TRIED]


def test_a_repeated_post_of_an_opened_message_is_not_refused(friends: Network) -> None:
    """The message's blobs and token are used up; a refusal would make the sender send again."""
    ana, ben = friends["ana"], friends["ben"]

    def lose_answer(honest: HonestCall, *arguments: Any) -> None:
        honest(*arguments)
        raise RelayUnreachable(host="x")

    with ana.courier.replace_calls(post=lose_answer), pytest.raises(WaitsInOutbox):
        send_text(ana, "ben", opens=1)
    assert ben.open_newest().caption == "hello"
    uploads = ana.courier.calls["upload_blob"]
    assert flush_outbox(ana.device).problems == ()
    assert send_states(ana) == [SendState.ACKNOWLEDGED]
    assert ana.courier.calls["upload_blob"] == uploads


@pytest.mark.parametrize("answered", [False, True])
def test_blobs_that_the_relay_dropped_are_uploaded_again(
    friends: Network, *, answered: bool
) -> None:
    """The sender's machine slept after the upload; the post then reaches the relay, or is lost."""
    ana, ben = friends["ana"], friends["ben"]
    has_slept = list[bool]()

    def sleep_before_post(post: HonestCall, *arguments: Any) -> None:
        if not has_slept:
            has_slept.append(True)
            friends.clock.advance(hours=UNREFERENCED_BLOB_HOURS + 1)
            if not answered:
                raise RelayUnreachable(host="x")
        post(*arguments)

    with ana.courier.replace_calls(post=sleep_before_post):
        if answered:
            send_text(ana, "ben")
        else:
            with pytest.raises(WaitsInOutbox):
                send_text(ana, "ben")
    assert flush_outbox(ana.device).problems == ()
    assert ben.open_newest().caption == "hello"


@pytest.mark.threat("relay-killed")
@pytest.mark.parametrize("error", RETRYABLE_ERRORS, ids=error_name)
@pytest.mark.parametrize("call", ["post", "upload_blob"])
def test_items_that_cannot_leave_now_stay_in_the_outbox(
    friends: Network, error: EntrenousError, call: str
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    for _ in range(2):
        with ana.courier.replace_calls(**{call: error_trick(error)}), pytest.raises(WaitsInOutbox):
            ana.send(SMALL_PICTURE, ben)
    assert ben.received_count() == 0
    assert flush_outbox(ana.device).posted_count == 2
    assert ben.received_count() == 2
    assert ben.open_newest().files


@pytest.mark.slow
def test_an_unresponsive_relay_delays_nothing_for_other_relays(
    people_at_two_relays: Network,
) -> None:
    ana, ben, caro = (people_at_two_relays[name] for name in ("ana", "ben", "caro"))
    people_at_two_relays.disconnect(OTHER_RELAY_URL)
    with pytest.raises(WaitsInOutbox, match="7002"):
        ana.send(SMALL_PICTURE, caro, ben)
    assert ben.received_count() == 1
    # Caro's copy still waits. This message is only for Ben, so nothing is raised.
    ana.send(SMALL_PICTURE, ben)
    assert ben.received_count() == 2
    ben.send(SMALL_PICTURE, ana)
    assert ana.received_count() == 1
    people_at_two_relays.reconnect(OTHER_RELAY_URL)
    fetch_messages(ana.device)
    assert caro.received_count() == 1
    assert record_count(ana) == 0


def test_our_own_unresponsive_relay_delays_nothing_for_other_relays(
    people_at_two_relays: Network,
) -> None:
    ana, caro = people_at_two_relays["ana"], people_at_two_relays["caro"]
    people_at_two_relays.disconnect(RELAY_URL)
    ana.send(SMALL_PICTURE, caro)
    assert caro.received_count() == 1


def test_nothing_overtakes_an_item_that_is_still_waiting(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    friends.disconnect(RELAY_URL)
    with pytest.raises(WaitsInOutbox):
        ana.send(SMALL_PICTURE, ben)
    friends.reconnect(RELAY_URL)
    with (
        ana.courier.replace_calls(upload_blob=error_trick(RelayFull(), times=1)),
        pytest.raises(WaitsInOutbox),
    ):
        ana.send(SMALL_PICTURE, ben)
    assert (record_count(ana), ben.received_count()) == (2, 0)
    assert flush_outbox(ana.device).posted_count == 2


@pytest.mark.slow
def test_a_hello_waits_for_its_token_registration_and_delays_only_that_contact(
    three_people: Network,
) -> None:
    ana, ben, dan = three_people["ana"], three_people["ben"], three_people.set_up_person("dan")
    refuse_as_full = error_trick(RelayFull())
    with ana.courier.replace_calls(change_tokens=refuse_as_full):
        with pytest.raises(RelayFull):
            add_person(make_invite_link(dan.device), "dan", ana.device)
        ana.send(SMALL_PICTURE, ben)
        with pytest.raises(WaitsInOutbox):
            ana.send(SMALL_PICTURE, dan)
        assert ben.received_count() == 1
        # The picture waits behind the hello, the letter that introduces Ana to Dan.
        assert fetch_messages(dan.device).letters_received == 0
    assert (record_count(ana), record_count(ana, TOKEN_REGISTRATION) > 0) == (2, True)
    fetch_messages(ana.device)
    assert dan.received_count() == 1
    dan.send(SMALL_PICTURE, ana)
    assert ana.received_count() == 1


@pytest.mark.slow
def test_items_leave_in_the_order_of_sealing(three_people: Network) -> None:
    ana, ben, caro = (three_people[name] for name in ("ana", "ben", "caro"))
    three_people.disconnect(RELAY_URL)
    for to in (ben, caro, ben, ben):
        with pytest.raises(WaitsInOutbox):
            ana.send(SMALL_PICTURE, to)
    three_people.reconnect(RELAY_URL)
    posted_mailboxes: list[bytes] = []

    def record_mailbox(honest: HonestCall, url: str, token: object, envelope: object) -> None:
        posted_mailboxes.append(envelope.mailbox)  # type: ignore[attr-defined]
        honest(url, token, envelope)

    with ana.courier.replace_calls(post=record_mailbox):
        assert flush_outbox(ana.device).posted_count == 4
    assert posted_mailboxes[0] == posted_mailboxes[2] == posted_mailboxes[3] != posted_mailboxes[1]


def test_sealed_files_are_deleted_once_the_relay_has_them(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    friends.disconnect(RELAY_URL)
    with pytest.raises(WaitsInOutbox):
        ana.send(SMALL_PICTURE, ben)
    # The original, the sealed copy, and a sealed file with the text and the list of files.
    assert len(ana.vault._files) == 3
    friends.reconnect(RELAY_URL)
    flush_outbox(ana.device)
    assert list(ana.vault._files.values()) == [SMALL_PICTURE]


def test_a_waiting_message_that_is_recalled_never_leaves(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    unreachable = error_trick(RelayUnreachable(host="x"))
    with ana.courier.replace_calls(post=unreachable), pytest.raises(WaitsInOutbox):
        ana.send(SMALL_PICTURE, ben)
    name = next(ana.device.ledger.messages()).name
    recall_message(name, ana.device)
    assert flush_outbox(ana.device).posted_count == 0
    assert ben.received_count() == 0
    assert list(ana.vault._files.values()) == [SMALL_PICTURE]
    (copy,) = query_sent_messages(ana.device)[0].copies
    assert (copy.state, copy.state_in_words) == (EnvelopeState.TAKEN_BACK, "taken back")
