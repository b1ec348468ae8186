"""Tests of a device that crashes during a command, and then continues with its vault.

``make nightly`` uses all crash points, and ``make test`` uses every fifth crash point. A request
has one crash point before it and one after it. Both kinds are reached, because five is odd.

All crashes of a command happen to the same people, one after the other.
"""

import io
from collections.abc import Callable
from datetime import timedelta
from itertools import count

import pytest

from entrenous.base.errors import TakenBack, UsedUp
from entrenous.base.identifiers import RecipientId
from entrenous.base.identity import Trust
from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.device.vault_tables import (
    INVITE_USE_TO_ANSWER,
    OUTBOX,
    PARTIAL_DOWNLOAD,
    TOKEN_REGISTRATION,
    UNDECRYPTABLE_LETTER,
    UNREPORTED_OPENING,
)
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import find_received_message, received_messages
from entrenous.send.letter.letter_nouns import MessageFileEntry
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.message.states import InboxState, ReceivedMessage
from entrenous.send.open import WriteFile, open_message, show_received_message
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_named
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from entrenous.send.status import query_sent_messages
from entrenous.wire.relay_nouns import EnvelopeState
from tests.send.send_device import SMALL_PICTURE, Network, Person, cached_network
from tests.sizes import size
from tests.village.crashes import run_until_crash

pytestmark = pytest.mark.slow


@pytest.fixture
def ana(friends: Network) -> Person:
    return friends["ana"]


@pytest.fixture
def ben(friends: Network) -> Person:
    return friends["ben"]


@pytest.fixture
@cached_network
def friends() -> Network:
    network = Network()
    network.set_up_person("ana").add_contact(network.set_up_person("ben"))
    return network


CRASH_POINT_STEP = size(5, 1)


def count_crashes_until_success(work: Callable[[int], bool]) -> int:
    """Call ``work`` with 0, 1, 2 ... until it returns True; return the last number."""
    return next(crash_point for crash_point in count() if work(crash_point))


def find_crash_free_point(work: Callable[[int], bool]) -> int:
    """Call ``work`` with each tested crash point until it returns True; return the last one."""
    return CRASH_POINT_STEP * count_crashes_until_success(
        lambda turn: work(CRASH_POINT_STEP * turn)
    )


def has_nothing_pending(*people: Person) -> bool:
    """Return whether these people have no undecryptable letters and no pending tasks."""
    tables = (
        UNDECRYPTABLE_LETTER,
        OUTBOX,
        TOKEN_REGISTRATION,
        INVITE_USE_TO_ANSWER,
        PARTIAL_DOWNLOAD,
        UNREPORTED_OPENING,
    )
    return not any(list(one.device.vault.items(name)) for one in people for name in tables)


def make_draft(sender: Device) -> Draft:
    policy = MessagePolicy(sender.clock.now() + timedelta(days=7))
    name = RecipientId("ben")
    return Draft((SMALL_PICTURE,), (name,), policy, confirmed=frozenset([name]))


def received_message(name: str, person: Person) -> ReceivedMessage:
    return find_received_message(name, person.device)


def fetch_message_names(person: Person) -> list[str]:
    fetch_messages(person.device)
    return [one.name for one in received_messages(person.device)]


def can_write_to_each_other(ana: Person, ben: Person) -> bool:
    """Return whether Ana and Ben receive each other's messages, and nothing is pending.

    If a ratchet had run twice from one state, a message would be undecryptable.
    """
    before = len(fetch_message_names(ana)), len(fetch_message_names(ben))
    ana.send(SMALL_PICTURE, ben)
    ben.send(SMALL_PICTURE, ana)
    after = len(fetch_message_names(ana)), len(fetch_message_names(ben))
    return after == (before[0] + 1, before[1] + 1) and has_nothing_pending(ana, ben)


def test_crash_while_sending_loses_no_recorded_message(ana: Person, ben: Person) -> None:
    def try_with_crash(crash_point: int) -> bool:
        known = {message.name for message in ana.device.ledger.messages()}
        known_before = set(fetch_message_names(ben))
        has_finished = run_until_crash(
            lambda device: send_message(make_draft(device), device), ana.device, crash_point
        )
        recorded = {message.name for message in ana.device.ledger.messages()} - known
        fetch_messages(ana.device)  # the next command sends the letters in the outbox
        arrived = set(fetch_message_names(ben)) - known_before
        assert arrived == recorded, f"crash point {crash_point}"
        assert len(arrived) <= 1
        for name in arrived:
            assert open_message(name, ben.device).files
        assert has_nothing_pending(ana, ben)
        return has_finished

    assert find_crash_free_point(try_with_crash) > 15
    assert can_write_to_each_other(ana, ben)
    for sent in query_sent_messages(ana.device):
        assert all(copy.is_confirmed_by_relay for copy in sent.copies)


def test_crash_while_fetching_loses_no_message(ana: Person, ben: Person) -> None:
    def try_with_crash(crash_point: int) -> bool:
        known_before = set(fetch_message_names(ben))
        fetch_messages(ana.device)  # Ana may need new tokens from Ben
        sent = {ana.send(SMALL_PICTURE, ben).name for _ in range(2)}
        has_finished = run_until_crash(fetch_messages, ben.device, crash_point)
        assert set(fetch_message_names(ben)) - known_before == sent, f"crash point {crash_point}"
        for name in sent:
            assert open_message(name, ben.device).files
        assert has_nothing_pending(ana, ben)
        return has_finished

    assert find_crash_free_point(try_with_crash) > 15
    assert can_write_to_each_other(ana, ben)


def test_crash_while_viewing_once_loses_no_view_and_counts_one_opening(
    ana: Person, ben: Person
) -> None:
    def try_with_crash(crash_point: int) -> bool:
        name = ana.send(SMALL_PICTURE, ben, opens=1).name
        fetch_messages(ben.device)
        before, shown = received_message(name, ben), list[int]()

        def record_size(_number: int, _file: MessageFileEntry, fill: WriteFile) -> None:
            fill(writer := io.BytesIO())
            shown.append(len(writer.getvalue()))

        has_finished = run_until_crash(
            lambda device: show_received_message(name, record_size, device), ben.device, crash_point
        )
        if received_message(name, ben).state is InboxState.USED_UP:
            assert shown, f"crash point {crash_point}"
        else:
            show_received_message(name, record_size, ben.device)
        assert set(shown) == {shown[0]}, f"crash point {crash_point}"
        with pytest.raises(UsedUp):
            open_message(name, ben.device)
        fetch_messages(ben.device)
        copy = next(
            copy
            for sent in query_sent_messages(ana.device)
            for copy in sent.copies
            if sent.message.name == name
        )
        status = ana.device.courier.envelope_status(
            copy.relay_url, copy.envelope, copy.withdraw_token
        )
        assert (status.state, status.opened) == (EnvelopeState.OPENED, 1)
        assert before.manifest is not None
        with pytest.raises(UsedUp):
            ben.device.courier.open_share(
                copy.relay_url, copy.envelope, before.manifest.open_token, bytes(16)
            )
        assert has_nothing_pending(ana, ben)
        return has_finished

    assert find_crash_free_point(try_with_crash) > 8
    assert can_write_to_each_other(ana, ben)


@pytest.mark.parametrize("opened", [False, True], ids=["unopened", "opened"])
def test_recall_can_be_repeated_after_a_crash(ana: Person, ben: Person, *, opened: bool) -> None:
    def try_with_crash(crash_point: int) -> bool:
        name = ana.send(SMALL_PICTURE, ben).name
        fetch_messages(ben.device)
        if opened:
            open_message(name, ben.device)
        kept = received_message(name, ben).kept
        has_finished = run_until_crash(
            lambda device: recall_message(name, device), ana.device, crash_point
        )
        fetch_messages(ana.device)
        if any(
            copy.state is EnvelopeState.TAKEN_BACK
            for sent in query_sent_messages(ana.device)
            for copy in sent.copies
            if sent.message.name == name
        ):
            # The relay has withdrawn the message. If Ben has not opened it yet, he cannot open it.
            fetch_messages(ben.device)
            assert is_taken_back(name, ben) or opened, f"crash point {crash_point}"
        recall_message(name, ana.device)
        fetch_messages(ben.device)
        assert is_taken_back(name, ben), f"crash point {crash_point}"
        assert received_message(name, ben).state is InboxState.TAKEN_BACK
        assert bool(kept) is opened
        assert not set(kept) & set(ben.vault._files)
        assert has_nothing_pending(ana, ben)
        return has_finished

    assert find_crash_free_point(try_with_crash) > 10
    assert can_write_to_each_other(ana, ben)


def is_taken_back(name: str, person: Person) -> bool:
    try:
        open_message(name, person.device)
    except TakenBack:
        return True
    return False


def test_crash_while_processing_a_recall_still_deletes_the_message(
    ana: Person, ben: Person
) -> None:
    def try_with_crash(crash_point: int) -> bool:
        name = ana.send(SMALL_PICTURE, ben).name
        fetch_messages(ben.device)
        open_message(name, ben.device)
        kept = received_message(name, ben).kept
        recall_message(name, ana.device)
        has_finished = run_until_crash(fetch_messages, ben.device, crash_point)
        fetch_messages(ben.device)
        assert is_taken_back(name, ben), f"crash point {crash_point}"
        assert kept
        assert not set(kept) & set(ben.vault._files)
        assert has_nothing_pending(ana, ben)
        return has_finished

    assert find_crash_free_point(try_with_crash) > 8
    assert can_write_to_each_other(ana, ben)


def test_adding_a_person_can_be_repeated_after_a_crash(
    friends: Network, ana: Person, ben: Person
) -> None:
    def try_with_crash(crash_point: int) -> bool:
        dan = friends.set_up_person(f"dan {crash_point}")
        link = make_invite_link(dan.device)
        has_finished = run_until_crash(
            lambda device: add_person(link, dan.name, device), ana.device, crash_point
        )
        known = [contact.name for contact in contacts(ana.device)]
        add_person(link, dan.name, ana.device)
        assert contact_named(dan.name, ana.device).trust is Trust.BY_LINK
        assert known.count(dan.name) <= 1
        for one in (ana, dan, ana, dan):
            fetch_messages(one.device)
        ana.send(SMALL_PICTURE, dan)
        dan.send(SMALL_PICTURE, ana)
        assert dan.open_newest().files, f"crash point {crash_point}"
        assert ana.open_newest().files, f"crash point {crash_point}"
        assert has_nothing_pending(ana, dan)
        return has_finished

    assert find_crash_free_point(try_with_crash) > 15
    assert can_write_to_each_other(ana, ben)


def test_answer_to_an_invite_is_completed_after_a_crash(
    friends: Network, ana: Person, ben: Person
) -> None:
    """Dan uses Ben's invite. Ben's device crashes while it fetches Dan's message and answers."""

    def try_with_crash(crash_point: int) -> bool:
        dan = friends.set_up_person(f"dan {crash_point}")
        add_person(make_invite_link(ben.device), "ben", dan.device)
        has_finished = run_until_crash(fetch_messages, ben.device, crash_point)
        for one in (ben, dan, ben, dan):
            fetch_messages(one.device)
        dan.send(SMALL_PICTURE, ben)
        ben.send(SMALL_PICTURE, dan)
        assert ben.open_newest().files, f"crash point {crash_point}"
        assert dan.open_newest().files, f"crash point {crash_point}"
        assert has_nothing_pending(ben, dan)
        return has_finished

    assert find_crash_free_point(try_with_crash) > 15
    assert can_write_to_each_other(ana, ben)
