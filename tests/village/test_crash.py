"""A device dies at each moment of each command, one after the other, and goes on with its vault.

In ``make test`` it dies at every fifth moment: a request has two moments, before and after, and an
odd step tests both kinds. ``make nightly`` leaves none out.

All crashes of a command happen to the same people in a row, so that anything a crash leaves behind
is still there at the next.
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


MOMENT_STEP = size(5, 1)


def deaths_until_survival(work: Callable[[int], bool]) -> int:
    """Run work with 0, 1, 2 ... until it returns True; return that number: how often it died."""
    return next(crash_point for crash_point in count() if work(crash_point))


def moments_until_survival(work: Callable[[int], bool]) -> int:
    """Let work die after more and more moments, until it survives; return after how many."""
    return MOMENT_STEP * deaths_until_survival(lambda turn: work(MOMENT_STEP * turn))


def nothing_is_pending(*people: Person) -> bool:
    """Return whether no letter is undecryptable and no task is pending."""
    tables = (
        UNDECRYPTABLE_LETTER,
        OUTBOX,
        TOKEN_REGISTRATION,
        INVITE_USE_TO_ANSWER,
        PARTIAL_DOWNLOAD,
        UNREPORTED_OPENING,
    )
    return not any(list(one.device.vault.items(name)) for one in people for name in tables)


def draft(*, opens: int | None = None, after: Device) -> Draft:
    policy = MessagePolicy(after.clock.now() + timedelta(days=7), opens)
    name = RecipientId("ben")
    return Draft((SMALL_PICTURE,), (name,), policy, confirmed=frozenset([name]))


def received_message(name: str, who: Person) -> ReceivedMessage:
    return find_received_message(name, who.device)


def fetched_names(who: Person) -> list[str]:
    fetch_messages(who.device)
    return [one.name for one in received_messages(who.device)]


def both_can_write(ana: Person, ben: Person) -> bool:
    """Return whether both can read what the other one sends.

    A ratchet that ran twice from one state would make one of the messages undecryptable.
    """
    before = len(fetched_names(ana)), len(fetched_names(ben))
    ana.send(SMALL_PICTURE, ben)
    ben.send(SMALL_PICTURE, ana)
    after = len(fetched_names(ana)), len(fetched_names(ben))
    return after == (before[0] + 1, before[1] + 1) and nothing_is_pending(ana, ben)


def test_crash_while_sending_loses_no_recorded_message(ana: Person, ben: Person) -> None:
    def try_with_crash(crash_point: int) -> bool:
        known = {message.name for message in ana.device.ledger.messages()}
        known_before = set(fetched_names(ben))
        has_finished = run_until_crash(
            lambda device: send_message(draft(after=device), device), ana.device, crash_point
        )
        recorded = {message.name for message in ana.device.ledger.messages()} - known
        fetch_messages(ana.device)  # the next command sends what is in the outbox
        arrived = set(fetched_names(ben)) - known_before
        assert arrived == recorded, f"crash point {crash_point}"
        assert len(arrived) <= 1
        for name in arrived:
            assert open_message(name, ben.device).files
        assert nothing_is_pending(ana, ben)
        return has_finished

    assert moments_until_survival(try_with_crash) > 15
    assert both_can_write(ana, ben)
    for sent in query_sent_messages(ana.device):
        assert all(copy.is_confirmed_by_relay for copy in sent.copies)


def test_crash_while_fetching_loses_no_message(ana: Person, ben: Person) -> None:
    def try_with_crash(crash_point: int) -> bool:
        known_before = set(fetched_names(ben))
        fetch_messages(ana.device)  # she may need new tokens of Ben's
        sent = {ana.send(SMALL_PICTURE, ben).name for _ in range(2)}
        has_finished = run_until_crash(fetch_messages, ben.device, crash_point)
        assert set(fetched_names(ben)) - known_before == sent, f"crash point {crash_point}"
        for name in sent:
            assert open_message(name, ben.device).files
        assert nothing_is_pending(ana, ben)
        return has_finished

    assert moments_until_survival(try_with_crash) > 15
    assert both_can_write(ana, ben)


def test_crash_while_viewing_once_neither_loses_nor_repeats_the_view(
    ana: Person, ben: Person
) -> None:
    def try_with_crash(crash_point: int) -> bool:
        name = ana.send(SMALL_PICTURE, ben, opens=1).name
        fetch_messages(ben.device)
        before, shown = received_message(name, ben), list[int]()

        def show(_number: int, _file: MessageFileEntry, fill: WriteFile) -> None:
            fill(writer := io.BytesIO())
            shown.append(len(writer.getvalue()))

        has_finished = run_until_crash(
            lambda device: show_received_message(name, show, device), ben.device, crash_point
        )
        if received_message(name, ben).state is InboxState.USED_UP:
            assert shown, f"crash point {crash_point}"
        else:
            show_received_message(name, show, ben.device)
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
        assert nothing_is_pending(ana, ben)
        return has_finished

    assert moments_until_survival(try_with_crash) > 8
    assert both_can_write(ana, ben)


@pytest.mark.parametrize("opened", [False, True], ids=["unopened", "opened"])
def test_crash_while_taking_back_can_be_repeated(ana: Person, ben: Person, *, opened: bool) -> None:
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
            # The relay has withdrawn it; a note that is due went out with the next command.
            fetch_messages(ben.device)
            assert is_refused(name, ben) or opened, f"crash point {crash_point}"
        recall_message(name, ana.device)
        fetch_messages(ben.device)
        assert is_refused(name, ben), f"crash point {crash_point}"
        assert received_message(name, ben).state is InboxState.TAKEN_BACK
        assert kept not in ben.vault._files
        assert nothing_is_pending(ana, ben)
        return has_finished

    assert moments_until_survival(try_with_crash) > 10
    assert both_can_write(ana, ben)


def is_refused(name: str, who: Person) -> bool:
    try:
        open_message(name, who.device)
    except TakenBack:
        return True
    return False


def test_crash_while_processing_a_recall_still_deletes_the_message(
    ana: Person, ben: Person
) -> None:
    """Ben's device dies while it processes a recall."""

    def try_with_crash(crash_point: int) -> bool:
        name = ana.send(SMALL_PICTURE, ben).name
        fetch_messages(ben.device)
        open_message(name, ben.device)
        kept = received_message(name, ben).kept
        recall_message(name, ana.device)
        has_finished = run_until_crash(fetch_messages, ben.device, crash_point)
        fetch_messages(ben.device)
        assert is_refused(name, ben), f"crash point {crash_point}"
        assert kept not in ben.vault._files
        assert nothing_is_pending(ana, ben)
        return has_finished

    assert moments_until_survival(try_with_crash) > 8
    assert both_can_write(ana, ben)


def test_crash_while_adding_somebody_can_be_repeated(
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
        assert nothing_is_pending(ana, dan)
        return has_finished

    assert moments_until_survival(try_with_crash) > 15
    assert both_can_write(ana, ben)


def test_crash_while_being_added_is_completed_later(
    friends: Network, ana: Person, ben: Person
) -> None:
    """Ben's device dies while it processes the use of his invite and answers it."""

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
        assert nothing_is_pending(ben, dan)
        return has_finished

    assert moments_until_survival(try_with_crash) > 15
    assert both_can_write(ana, ben)
