"""Recalls: what they report about each copy, how they are repeated, and what remains afterwards."""

from typing import Any

import pytest

from entrenous.base.errors import (
    EntrenousError,
    NoSuchEnvelope,
    NoSuchMailbox,
    RelayUnreachable,
    TakenBack,
    TooMany,
    WrongToken,
)
from entrenous.base.identifiers import MessageId
from entrenous.base.limits import LETTERS_WAITING_MAX
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, RecallResult
from entrenous.device.vault_tables import EARLY_RECALL, UNCONFIRMED_RECALL
from entrenous.send.conversations import participants_of_message
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import inbox_message_names
from entrenous.send.letter.arrivals import apply_recall
from entrenous.send.letter.letter_nouns import RecallNote
from entrenous.send.message.draft import (
    CannotOpenOwnMessage,
    CannotRecallReceivedMessage,
    RecallIncomplete,
    RefusedForSome,
    WaitsInOutbox,
)
from entrenous.send.open import open_message
from entrenous.send.people.block import block_contact
from entrenous.send.people.keep_contacts import forget_contact, mark_keys_compared
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from entrenous.send.status import query_sent_messages
from entrenous.wire.relay_nouns import EnvelopeState, EnvelopeStatus
from tests.send.send_device import OTHER_RELAY_URL, RELAY_URL, SMALL_PICTURE, Network, Person
from tests.send.test_guard import draft, guard_reasons
from tests.village.households import catch_up
from tests.village.malicious_relay import HonestCall, changed_answer_trick, error_trick

pytestmark = pytest.mark.slow

# The answer of a relay that has deleted the record of a copy.
FORGOTTEN_BY_RELAY = error_trick(NoSuchEnvelope())


def test_a_copy_forgotten_by_its_relay_is_not_reported_unopened(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    ben.open_newest()
    friends.clock.advance(days=93)
    with ana.courier.replace_calls(withdraw=FORGOTTEN_BY_RELAY):
        assert recall_message(name, ana.device) == (RecallResult("ben", opened=None, asked=True),)


@pytest.mark.parametrize("already_recalled", [False, True])
def test_a_recalled_copy_known_as_opened_stays_opened(
    friends: Network, *, already_recalled: bool
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    ben.open_newest()
    if already_recalled:
        recall_message(name, ana.device)
    else:
        query_sent_messages(ana.device)
    with ana.courier.replace_calls(envelope_status=FORGOTTEN_BY_RELAY, withdraw=FORGOTTEN_BY_RELAY):
        assert query_sent_messages(ana.device)[0].copies[0].state_in_words == (
            "opened, then taken back" if already_recalled else "opened"
        )
        assert recall_message(name, ana.device) == (RecallResult("ben", opened=True, asked=True),)


@pytest.mark.parametrize(("call", "asked"), [("post", True), ("upload_blob", False)])
def test_a_copy_that_never_arrived_is_reported_unopened(
    friends: Network, call: str, *, asked: bool
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    unreachable = error_trick(RelayUnreachable(host="x"))
    with ana.courier.replace_calls(**{call: unreachable}), pytest.raises(WaitsInOutbox):
        ana.send(SMALL_PICTURE, ben)
    (sent,) = query_sent_messages(ana.device)
    # If the unanswered post still arrives, the relay refuses the copy.
    assert recall_message(sent.message.name, ana.device) == (
        RecallResult("ben", opened=False, asked=asked),
    )


@pytest.mark.parametrize("days", [29, 30])
def test_a_copy_is_reported_unopened_until_its_relay_may_have_forgotten_it(
    friends: Network, days: int
) -> None:
    """The sender got no answer, and does not know whether the copy arrived."""
    ana, ben = friends["ana"], friends["ben"]
    with (
        ana.courier.replace_calls(post=error_trick(RelayUnreachable(host="x"))),
        pytest.raises(WaitsInOutbox),
    ):
        ana.send(SMALL_PICTURE, ben)
    (sent,) = query_sent_messages(ana.device)
    friends.clock.advance(days=days)
    (recall,) = recall_message(sent.message.name, ana.device)
    assert recall.opened is (False if days < 30 else None)


def test_a_copy_that_arrives_after_its_recall_never_opens(friends: Network) -> None:
    """The copy is in transit during the recall; the relay does not know the copy yet."""
    ana, ben = friends["ana"], friends["ben"]
    delayed: list[tuple[HonestCall, tuple[Any, ...]]] = []

    def delay(honest: HonestCall, *arguments: Any) -> None:
        delayed.append((honest, arguments))
        raise RelayUnreachable(host="x")

    with ana.courier.replace_calls(post=delay), pytest.raises(WaitsInOutbox):
        ana.send(SMALL_PICTURE, ben)
    (sent,) = query_sent_messages(ana.device)
    recall_message(sent.message.name, ana.device)
    for honest, arguments in delayed:
        with pytest.raises(TakenBack):
            honest(*arguments)
    fetch_messages(ben.device)
    assert inbox_message_names(ben.device) == set()


@pytest.mark.parametrize("minutes", [0, 50, 70])
def test_a_copy_that_arrives_within_an_hour_of_its_recall_is_recalled_at_the_relay(
    friends: Network, minutes: int
) -> None:
    """The relay did not refuse the copy in advance. The sender's fetches repeat the recall for an
    hour, so that even a program that ignores recall notes cannot open the copy.
    """
    ana, ben = friends["ana"], friends["ben"]
    delayed: list[tuple[HonestCall, tuple[Any, ...]]] = []

    def delay(honest: HonestCall, *arguments: Any) -> None:
        delayed.append((honest, arguments))
        raise RelayUnreachable(host="x")

    with ana.courier.replace_calls(post=delay), pytest.raises(WaitsInOutbox):
        ana.send(SMALL_PICTURE, ben)
    (sent,) = query_sent_messages(ana.device)
    with ana.courier.replace_calls(withdraw=FORGOTTEN_BY_RELAY):
        assert recall_message(sent.message.name, ana.device)[0].opened is None
        friends.clock.advance(minutes=minutes)
        fetch_messages(ana.device)  # the copy has not arrived yet
    (honest, arguments), *_ = delayed
    honest(*arguments)
    fetch_messages(ana.device)
    (copy,) = COPY_DELIVERY_TABLE.all(ana.device.vault)
    status = ana.courier.envelope_status(RELAY_URL, copy.envelope, copy.withdraw_token)
    assert (
        (status.state is EnvelopeState.TAKEN_BACK) is copy.is_confirmed_by_relay is (minutes < 60)
    )


def test_a_copy_that_its_relay_falsely_called_refused_never_opens(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]

    def refuse_after_accepting(honest: HonestCall, *arguments: Any) -> None:
        honest(*arguments)
        raise WrongToken

    with ana.courier.replace_calls(post=refuse_after_accepting), pytest.raises(RefusedForSome):
        ana.send(SMALL_PICTURE, ben)
    (sent,) = query_sent_messages(ana.device)
    with ana.courier.replace_calls(withdraw=error_trick(WrongToken())):
        recall_message(sent.message.name, ana.device)
    with pytest.raises(TakenBack):
        ben.open_newest()


def test_a_copy_that_never_left_is_recalled_without_its_relay(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    unreachable = error_trick(RelayUnreachable(host="x"))
    with ana.courier.replace_calls(upload_blob=unreachable, post=unreachable, withdraw=unreachable):
        with pytest.raises(WaitsInOutbox):
            ana.send(SMALL_PICTURE, ben)
        (sent,) = query_sent_messages(ana.device)
        assert recall_message(sent.message.name, ana.device) == (RecallResult("ben", opened=False),)
        assert query_sent_messages(ana.device)[0].copies[0].state_in_words == "taken back"
    assert ben.received_count() == 0


def test_a_recall_reports_an_unreachable_relay(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    unreachable = error_trick(RelayUnreachable(host="x"))
    with (
        ana.courier.replace_calls(withdraw=unreachable),
        pytest.raises(RecallIncomplete, match=r"ben may still\s+be able"),
    ):
        recall_message(name, ana.device)
    assert query_sent_messages(ana.device)[0].copies[0].state_in_words == "waiting"
    assert recall_message(name, ana.device) == (RecallResult("ben", opened=False, asked=True),)


@pytest.mark.threat("lying-relay")
def test_a_recall_is_repeated_at_an_unreachable_relay(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    unreachable = error_trick(RelayUnreachable(host="x"))
    with ana.courier.replace_calls(withdraw=unreachable):
        with pytest.raises(RecallIncomplete):
            recall_message(name, ana.device)
        fetch_messages(ana.device)  # the relay is still unreachable
        assert ana.device.vault.keys(UNCONFIRMED_RECALL)
    fetch_messages(ana.device)
    assert query_sent_messages(ana.device)[0].copies[0].state_in_words == "taken back"
    assert not ana.device.vault.keys(UNCONFIRMED_RECALL)
    assert ben.received_count() == 0


@pytest.mark.threat("lying-relay")
def test_a_recall_is_repeated_while_our_own_relay_does_not_answer() -> None:
    network = Network()
    ana, eve = network.set_up_person("ana"), network.set_up_person("eve", OTHER_RELAY_URL)
    ana.add_contact(eve)
    catch_up(eve, ana, eve, ana)
    name = ana.send(SMALL_PICTURE, eve).name
    network.disconnect(OTHER_RELAY_URL)
    with pytest.raises(RecallIncomplete):
        recall_message(name, ana.device)
    network.reconnect(OTHER_RELAY_URL)
    network.disconnect(RELAY_URL)
    with pytest.raises(RelayUnreachable):
        fetch_messages(ana.device)
    assert not ana.device.vault.keys(UNCONFIRMED_RECALL)
    assert eve.received_count() == 0


def test_a_recall_is_not_repeated_once_the_relay_must_have_forgotten_it(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    with ana.courier.replace_calls(withdraw=error_trick(RelayUnreachable(host="x"))):
        with pytest.raises(RecallIncomplete):
            recall_message(name, ana.device)
        friends.clock.advance(days=60)
        fetch_messages(ana.device)
        friends.clock.advance(hours=1)  # until then, Ana's clock counts as implausible
        fetch_messages(ana.device)
    assert not ana.device.vault.keys(UNCONFIRMED_RECALL)


def send_without_acknowledgement(ana: Person) -> str:
    """Send a message whose acknowledgement by the relay is lost; return its name."""

    def lose_answer(honest: HonestCall, *arguments: Any) -> None:
        honest(*arguments)
        raise RelayUnreachable(host="x")

    with ana.courier.replace_calls(post=lose_answer), pytest.raises(WaitsInOutbox):
        send_message(draft(ana, "ben", confirmed=("ben",)), ana.device)
    return [*ana.device.ledger.messages()][-1].name


@pytest.mark.threat("lying-relay")
@pytest.mark.parametrize("remove_contact", [block_contact, forget_contact])
def test_a_recalled_copy_that_may_have_left_is_not_reported_unopened(
    friends: Network, remove_contact: Any
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = send_without_acknowledgement(ana)
    remove_contact("ben", ana.device)
    fetch_messages(ben.device)
    open_message(name, ben.device)
    unreachable = error_trick(RelayUnreachable(host="x"))
    with ana.courier.replace_calls(withdraw=unreachable), pytest.raises(RecallIncomplete):
        recall_message(name, ana.device)
    assert query_sent_messages(ana.device)[0].copies[0].state_in_words == "opened"
    assert recall_message(name, ana.device)[0].opened


def test_status_asks_about_a_copy_that_may_have_left(friends: Network) -> None:
    ana = friends["ana"]
    name = send_without_acknowledgement(ana)
    unreachable = error_trick(RelayUnreachable(host="x"))
    with ana.courier.replace_calls(withdraw=unreachable), pytest.raises(RecallIncomplete):
        recall_message(name, ana.device)
    with ana.courier.replace_calls(envelope_status=FORGOTTEN_BY_RELAY):
        assert query_sent_messages(ana.device)[0].copies[0].state_in_words == "not confirmed yet"
    assert query_sent_messages(ana.device)[0].copies[0].state_in_words == "waiting"


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("state", ["WAITING", "DELIVERED", "LOST"])
def test_an_opened_copy_stays_opened_after_its_relay_is_restored(
    friends: Network, state: str, *, signed: bool
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    if signed:
        mark_keys_compared("ana", ben.device)
    name = ana.send(SMALL_PICTURE, ben).name
    ben.open_newest()
    friends.clock.advance(minutes=16)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    if not signed:
        query_sent_messages(ana.device)
    earlier = changed_answer_trick(lambda _: EnvelopeStatus(EnvelopeState[state], 0))
    with ana.courier.replace_calls(envelope_status=earlier, withdraw=earlier):
        assert query_sent_messages(ana.device)[0].copies[0].state_in_words == "opened"
        (outcome,) = recall_message(name, ana.device)
    assert outcome.opened


def test_recalled_message_that_never_left_does_not_count_as_first(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    unreachable = error_trick(RelayUnreachable(host="x"))
    before = guard_reasons(ana, "ben")
    with (
        ana.courier.replace_calls(upload_blob=unreachable, post=unreachable),
        pytest.raises(WaitsInOutbox),
    ):
        send_message(draft(ana, "ben", confirmed=("ben",)), ana.device)
    (message,) = ana.device.ledger.messages()
    assert guard_reasons(ana, "ben") != before
    recall_message(message.name, ana.device)
    assert guard_reasons(ana, "ben") == before
    assert ben.received_count() == 0


@pytest.mark.parametrize("opened", [False, True])
def test_recipients_of_a_recalled_message_are_in_its_conversation_if_they_opened_it(
    friends: Network, *, opened: bool
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    if opened:
        ben.open_newest()
    recall_message(name, ana.device)
    assert participants_of_message(name, ana.device).people == ({ben.id} if opened else set())


def test_recall_notes_of_messages_that_never_arrive_are_limited_and_deleted(
    friends: Network,
) -> None:
    ana, ben = friends["ana"], friends["ben"]

    def recall_unknown_message(number: int) -> None:
        apply_recall(RecallNote(MessageId(number.to_bytes(16))), ana.id, ben.device)

    for number in range(LETTERS_WAITING_MAX + 5):
        recall_unknown_message(number)
        friends.clock.advance(seconds=1)
    kept = ben.device.vault.keys(EARLY_RECALL)
    assert len(kept) == LETTERS_WAITING_MAX
    assert kept[-1].endswith(MessageId((LETTERS_WAITING_MAX + 4).to_bytes(16)).hex())
    friends.clock.advance(days=32)
    fetch_messages(ben.device)
    friends.clock.advance(hours=1)  # until then, Ben's clock counts as implausible
    recall_unknown_message(0)
    assert len(ben.device.vault.keys(EARLY_RECALL)) == 1
    block_contact("ana", ben.device)
    recall_unknown_message(1)
    assert len(ben.device.vault.keys(EARLY_RECALL)) == 1


def test_recall_does_not_claim_to_ask_a_device_that_cannot_be_written_to(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    names = [ana.send(SMALL_PICTURE, ben).name for _ in range(2)]
    with ana.courier.replace_calls(post=error_trick(WrongToken())):
        assert not recall_message(names[0], ana.device)[0].asked
    forget_contact("ben", ana.device)
    assert not recall_message(names[1], ana.device)[0].asked


def test_a_waiting_recall_note_counts_as_asked(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    with ana.courier.replace_calls(post=error_trick(TooMany(retry_after_s=9))):
        assert recall_message(name, ana.device)[0].asked


def test_a_refused_copy_can_be_recalled(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    with (
        ana.courier.replace_calls(post=error_trick(NoSuchMailbox())),
        pytest.raises(RefusedForSome),
    ):
        ana.send(SMALL_PICTURE, ben)
    (sent,) = query_sent_messages(ana.device)
    assert recall_message(sent.message.name, ana.device) == (
        RecallResult("ben", opened=False, asked=True),
    )
    assert query_sent_messages(ana.device)[0].copies[0].state_in_words == "taken back"


@pytest.mark.parametrize("error", [TooMany(retry_after_s=9), WrongToken()], ids=type)
def test_a_status_refusal_leaves_the_last_known_status(
    friends: Network, error: EntrenousError
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SMALL_PICTURE, ben)
    before = query_sent_messages(ana.device)
    with ana.courier.replace_calls(envelope_status=error_trick(error)):
        (sent,) = query_sent_messages(ana.device)
    assert (sent.copies, sent.problems) == (before[0].copies, (error,))


def test_listing_sent_messages_posts_nothing(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    friends.disconnect(RELAY_URL)
    with pytest.raises(WaitsInOutbox):
        ana.send(SMALL_PICTURE, ben)
    friends.reconnect(RELAY_URL)

    def refuse_to_post(_: HonestCall, *__: Any) -> None:
        raise AssertionError("a status query must not post")

    with ana.courier.replace_calls(post=refuse_to_post, upload_blob=refuse_to_post):
        assert query_sent_messages(ana.device)[0].copies[0].state_in_words == "not sent yet"


def test_a_received_message_cannot_be_recalled_and_a_sent_one_cannot_be_opened(
    friends: Network,
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    assert ben.received_count() == 1
    with pytest.raises(CannotRecallReceivedMessage):
        recall_message(name, ben.device)
    with pytest.raises(CannotOpenOwnMessage):
        open_message(name, ana.device)
