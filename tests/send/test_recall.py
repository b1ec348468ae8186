"""Taking back: what is said of a copy is what is known of it."""

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
from entrenous.device.sent_messages import Recall, SealedCopy
from entrenous.device.vault_tables import OVERTAKEN, RECALLED, SEALED, load_records
from entrenous.send.conversations import conversation_of
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import inbox_names
from entrenous.send.letter.arrivals import apply_recall
from entrenous.send.letter.letter_nouns import RecallNote
from entrenous.send.message.draft import (
    NotTakenBackYet,
    NotToAll,
    SentByYou,
    SentToYou,
    WaitsInOutbox,
)
from entrenous.send.open import open_message
from entrenous.send.people.block import block_contact
from entrenous.send.people.keep_contacts import forget_contact, verify_contact
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from entrenous.send.status import sent_messages
from entrenous.wire.relay_nouns import EnvelopeState, EnvelopeStatus
from tests.send.send_device import HERE, SMALL, Person, Room
from tests.send.test_guard import doubts, draft
from tests.village.malicious_relay import Honest, changed, failing

pytestmark = pytest.mark.slow

GONE = failing(NoSuchEnvelope())  # its tombstone's thirty days are over


def test_what_the_relay_has_forgotten_is_not_said_to_be_unopened(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.sends(SMALL, ben).name
    ben.opens_newest()
    friends.clock.wind(days=93)
    with ana.courier.playing(withdraw=GONE):
        assert recall_message(name, ana.device) == (Recall("ben", opened=None, asked=True),)


@pytest.mark.parametrize("again", [False, True])
def test_what_was_known_to_be_opened_stays_so(friends: Room, *, again: bool) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.sends(SMALL, ben).name
    ben.opens_newest()
    if again:
        recall_message(name, ana.device)
    else:
        sent_messages(ana.device)
    with ana.courier.playing(state=GONE, withdraw=GONE):
        assert sent_messages(ana.device)[0].copies[0].fate == (
            "opened, then taken back" if again else "opened"
        )
        assert recall_message(name, ana.device) == (Recall("ben", opened=True, asked=True),)


@pytest.mark.parametrize(("call", "asked"), [("post", True), ("bring_blob", False)])
def test_what_never_arrived_was_not_opened(friends: Room, call: str, *, asked: bool) -> None:
    ana, ben = friends["ana"], friends["ben"]
    lost = failing(RelayUnreachable(host="x"))
    with ana.courier.playing(**{call: lost}), pytest.raises(WaitsInOutbox):
        ana.sends(SMALL, ben)
    (sent,) = sent_messages(ana.device)
    # Should the post that had no answer come yet, its relay takes it in no more.
    assert recall_message(sent.message.name, ana.device) == (
        Recall("ben", opened=False, asked=asked),
    )


@pytest.mark.parametrize("days", [29, 30])
def test_what_a_relay_may_have_forgotten_is_not_said_to_be_unopened(
    friends: Room, days: int
) -> None:
    """Its sender heard no answer, and does not know that it came."""
    ana, ben = friends["ana"], friends["ben"]
    with (
        ana.courier.playing(post=failing(RelayUnreachable(host="x"))),
        pytest.raises(WaitsInOutbox),
    ):
        ana.sends(SMALL, ben)
    (sent,) = sent_messages(ana.device)
    friends.clock.wind(days=days)
    (recall,) = recall_message(sent.message.name, ana.device)
    assert recall.opened is (False if days < 30 else None)


def test_what_arrives_after_it_was_taken_back_never_opens(friends: Room) -> None:
    """It is still on its way to a relay that does not know it yet."""
    ana, ben = friends["ana"], friends["ben"]
    late: list[tuple[Honest, tuple[Any, ...]]] = []

    def slow(honest: Honest, *arguments: Any) -> None:
        late.append((honest, arguments))
        raise RelayUnreachable(host="x")

    with ana.courier.playing(post=slow), pytest.raises(WaitsInOutbox):
        ana.sends(SMALL, ben)
    (sent,) = sent_messages(ana.device)
    recall_message(sent.message.name, ana.device)
    for honest, arguments in late:
        with pytest.raises(TakenBack):
            honest(*arguments)
    fetch_messages(ben.device)
    assert inbox_names(ben.device) == set()


@pytest.mark.parametrize("minutes", [0, 50, 70])
def test_what_comes_after_it_was_taken_back_is_taken_back_there_too(
    friends: Room, minutes: int
) -> None:
    """At a relay that does not refuse it from the first: a program that ignores the note finds it
    closed after the sender's next look.
    """
    ana, ben = friends["ana"], friends["ben"]
    late: list[tuple[Honest, tuple[Any, ...]]] = []

    def slow(honest: Honest, *arguments: Any) -> None:
        late.append((honest, arguments))
        raise RelayUnreachable(host="x")

    with ana.courier.playing(post=slow), pytest.raises(WaitsInOutbox):
        ana.sends(SMALL, ben)
    (sent,) = sent_messages(ana.device)
    with ana.courier.playing(withdraw=GONE):
        assert recall_message(sent.message.name, ana.device)[0].opened is None
        friends.clock.wind(minutes=minutes)
        fetch_messages(ana.device)  # it has not come yet: it is asked about again, for an hour
    (honest, arguments), *_ = late
    honest(*arguments)
    fetch_messages(ana.device)
    (copy,) = load_records(SealedCopy, SEALED, ana.device.vault)
    status = ana.courier.state(HERE, copy.envelope, copy.withdraw_token)
    assert (status.state is EnvelopeState.TAKEN_BACK) is copy.acknowledged is (minutes < 60)


def test_what_a_relay_only_said_that_it_refused_never_opens(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]

    def liar(honest: Honest, *arguments: Any) -> None:
        honest(*arguments)
        raise WrongToken

    with ana.courier.playing(post=liar), pytest.raises(NotToAll):
        ana.sends(SMALL, ben)
    (sent,) = sent_messages(ana.device)
    with ana.courier.playing(withdraw=failing(WrongToken())):
        recall_message(sent.message.name, ana.device)
    with pytest.raises(TakenBack):
        ben.opens_newest()


def test_what_never_left_is_taken_back_without_its_relay(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    away = failing(RelayUnreachable(host="x"))
    with ana.courier.playing(bring_blob=away, post=away, withdraw=away):
        with pytest.raises(WaitsInOutbox):
            ana.sends(SMALL, ben)
        (sent,) = sent_messages(ana.device)
        assert recall_message(sent.message.name, ana.device) == (Recall("ben", opened=False),)
        assert sent_messages(ana.device)[0].copies[0].fate == "taken back"
    assert ben.received() == 0


def test_a_recall_that_a_relay_did_not_hear_says_so(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.sends(SMALL, ben).name
    away = failing(RelayUnreachable(host="x"))
    with ana.courier.playing(withdraw=away), pytest.raises(NotTakenBackYet, match="ben may still"):
        recall_message(name, ana.device)
    assert sent_messages(ana.device)[0].copies[0].fate == "waiting"
    assert recall_message(name, ana.device) == (Recall("ben", opened=False, asked=True),)


@pytest.mark.threat("lying-relay")
def test_a_recall_that_a_relay_did_not_hear_is_repeated(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.sends(SMALL, ben).name
    away = failing(RelayUnreachable(host="x"))
    with ana.courier.playing(withdraw=away):
        with pytest.raises(NotTakenBackYet):
            recall_message(name, ana.device)
        fetch_messages(ana.device)  # it is away still
        assert ana.device.vault.keys(OVERTAKEN)
    fetch_messages(ana.device)
    assert sent_messages(ana.device)[0].copies[0].fate == "taken back"
    assert not ana.device.vault.keys(OVERTAKEN)
    assert ben.received() == 0


def test_but_not_when_that_relay_can_know_nothing_of_it_any_more(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.sends(SMALL, ben).name
    with ana.courier.playing(withdraw=failing(RelayUnreachable(host="x"))):
        with pytest.raises(NotTakenBackYet):
            recall_message(name, ana.device)
        friends.clock.wind(days=60)
        fetch_messages(ana.device)
        friends.clock.wind(hours=1)  # until then her clock is odd
        fetch_messages(ana.device)
    assert not ana.device.vault.keys(OVERTAKEN)


def sent_unheard(ana: Person) -> str:
    """The relay takes it, and its answer is lost."""

    def lost(honest: Honest, *arguments: Any) -> None:
        honest(*arguments)
        raise RelayUnreachable(host="x")

    with ana.courier.playing(post=lost), pytest.raises(WaitsInOutbox):
        send_message(draft(ana, "ben", confirmed=("ben",)), ana.device)
    return [*ana.device.ledger.messages()][-1].name


@pytest.mark.threat("lying-relay")
@pytest.mark.parametrize("drop", [block_contact, forget_contact])
def test_what_may_have_left_is_not_said_to_be_unopened(friends: Room, drop: Any) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = sent_unheard(ana)
    drop("ben", ana.device)
    fetch_messages(ben.device)
    open_message(name, ben.device)
    away = failing(RelayUnreachable(host="x"))
    with ana.courier.playing(withdraw=away), pytest.raises(NotTakenBackYet):
        recall_message(name, ana.device)
    assert sent_messages(ana.device)[0].copies[0].fate == "opened"
    assert recall_message(name, ana.device)[0].opened


def test_of_what_may_have_left_and_waits_no_more_its_relay_is_asked(friends: Room) -> None:
    ana = friends["ana"]
    name = sent_unheard(ana)
    away = failing(RelayUnreachable(host="x"))
    with ana.courier.playing(withdraw=away), pytest.raises(NotTakenBackYet):
        recall_message(name, ana.device)
    with ana.courier.playing(state=GONE):
        assert sent_messages(ana.device)[0].copies[0].fate == "not confirmed yet"
    assert sent_messages(ana.device)[0].copies[0].fate == "waiting"


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("state", ["WAITING", "DELIVERED", "LOST"])
def test_what_was_opened_stays_so_though_its_relay_went_back(
    friends: Room, state: str, *, signed: bool
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    if signed:
        verify_contact("ana", ben.device)
    name = ana.sends(SMALL, ben).name
    ben.opens_newest()
    friends.clock.wind(minutes=16)
    fetch_messages(ben.device)
    fetch_messages(ana.device)
    if not signed:
        sent_messages(ana.device)
    earlier = changed(lambda _: EnvelopeStatus(EnvelopeState[state], 0))
    with ana.courier.playing(state=earlier, withdraw=earlier):
        assert sent_messages(ana.device)[0].copies[0].fate == "opened"
        (outcome,) = recall_message(name, ana.device)
    assert outcome.opened


def test_a_message_that_never_left_was_no_first_message(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    away = failing(RelayUnreachable(host="x"))
    before = doubts(ana, "ben")
    with ana.courier.playing(bring_blob=away, post=away), pytest.raises(WaitsInOutbox):
        send_message(draft(ana, "ben", confirmed=("ben",)), ana.device)
    (message,) = ana.device.ledger.messages()
    assert doubts(ana, "ben") != before
    recall_message(message.name, ana.device)
    assert doubts(ana, "ben") == before
    assert ben.received() == 0


@pytest.mark.parametrize("opened", [False, True])
def test_who_never_saw_it_is_in_no_conversation(friends: Room, *, opened: bool) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.sends(SMALL, ben).name
    if opened:
        ben.opens_newest()
    recall_message(name, ana.device)
    assert conversation_of(name, ana.device).people == ({ben.id} if opened else set())


def test_notes_of_messages_that_never_come_are_forgotten(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]

    def takes_back(number: int) -> None:
        apply_recall(RecallNote(MessageId(number.to_bytes(16))), ana.id, ben.device)

    for number in range(LETTERS_WAITING_MAX + 5):
        takes_back(number)
        friends.clock.wind(seconds=1)
    kept = ben.device.vault.keys(RECALLED)
    assert len(kept) == LETTERS_WAITING_MAX
    assert kept[-1].endswith(MessageId((LETTERS_WAITING_MAX + 4).to_bytes(16)).hex())
    friends.clock.wind(days=32)
    fetch_messages(ben.device)
    friends.clock.wind(hours=1)  # until then his clock is odd
    takes_back(0)
    assert len(ben.device.vault.keys(RECALLED)) == 1
    block_contact("ana", ben.device)
    takes_back(1)
    assert len(ben.device.vault.keys(RECALLED)) == 1


def test_who_cannot_be_asked_any_more_is_not_said_to_be_asked(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    names = [ana.sends(SMALL, ben).name for _ in range(2)]
    with ana.courier.playing(post=failing(WrongToken())):
        assert not recall_message(names[0], ana.device)[0].asked
    forget_contact("ben", ana.device)
    assert not recall_message(names[1], ana.device)[0].asked


def test_a_note_that_waits_is_as_good_as_asked(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.sends(SMALL, ben).name
    with ana.courier.playing(post=failing(TooMany(retry_after_s=9))):
        assert recall_message(name, ana.device)[0].asked


def test_a_copy_that_was_refused_is_taken_back_with_the_others(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    with ana.courier.playing(post=failing(NoSuchMailbox())), pytest.raises(NotToAll):
        ana.sends(SMALL, ben)
    (sent,) = sent_messages(ana.device)
    assert recall_message(sent.message.name, ana.device) == (
        Recall("ben", opened=False, asked=True),
    )
    assert sent_messages(ana.device)[0].copies[0].fate == "taken back"


@pytest.mark.parametrize("error", [TooMany(retry_after_s=9), WrongToken()], ids=type)
def test_a_relay_that_will_not_tell_leaves_what_was_known(
    friends: Room, error: EntrenousError
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.sends(SMALL, ben)
    before = sent_messages(ana.device)
    with ana.courier.playing(state=failing(error)):
        (sent,) = sent_messages(ana.device)
    assert (sent.copies, sent.problems) == (before[0].copies, (error,))


def test_looking_at_what_was_sent_sends_nothing(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    friends.silence(HERE)
    with pytest.raises(WaitsInOutbox):
        ana.sends(SMALL, ben)
    friends.back(HERE)

    def never(_: Honest, *__: Any) -> None:
        raise AssertionError("looking must not post")

    with ana.courier.playing(post=never, bring_blob=never):
        assert sent_messages(ana.device)[0].copies[0].fate == "not sent yet"


def test_what_was_received_is_its_senders_to_take_back(friends: Room) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.sends(SMALL, ben).name
    assert ben.received() == 1
    with pytest.raises(SentToYou):
        recall_message(name, ben.device)
    with pytest.raises(SentByYou):
        open_message(name, ana.device)
