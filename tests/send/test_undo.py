"""Tests of the undo window of a message, and of the progress that sending reports."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NoReturn

import pytest

from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, SendState
from entrenous.device.vault_tables import (
    HELD_TOKEN_RANGE,
    OUTBOX,
    OWN_RECORDS,
    OWN_XWING_KEY,
    PEER,
)
from entrenous.send import send
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.inbox import new_message_name
from entrenous.send.message.draft import SendingUndone, UndoWindowStillOpen, WaitsInOutbox
from entrenous.send.message.transfer_progress import TransferStage, TransferWatch
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from entrenous.send.status import query_sent_messages
from entrenous.wire.relay_nouns import EnvelopeState
from tests.send.send_device import Network, Person
from tests.send.send_text import send_text
from tests.send.test_guard import draft, guard_reasons
from tests.village.crashes import run_until_crash

pytestmark = pytest.mark.slow


@pytest.fixture
def ana(friends: Network) -> Person:
    return friends["ana"]


def draft_with_undo(ana: Person, undo_s: int = 10) -> object:
    return replace(draft(ana, "ben", confirmed=("ben",)), undo_s=undo_s)


def is_bens_inbox_empty(friends: Network) -> bool:
    return friends["ben"].received_count() == 0


def test_a_message_leaves_after_its_undo_window_and_not_before(
    friends: Network, ana: Person
) -> None:
    inbox_was_empty: list[bool] = []

    def wait(until: datetime) -> bool:
        assert until == friends.clock.now() + timedelta(seconds=10)
        flush_outbox(ana.device)
        inbox_was_empty.append(is_bens_inbox_empty(friends))
        friends.clock.advance(seconds=9.9)
        flush_outbox(ana.device)
        inbox_was_empty.append(is_bens_inbox_empty(friends))
        friends.clock.advance(seconds=0.1)
        return True

    posted = send_message(draft_with_undo(ana), ana.device, TransferWatch(wait=wait))
    assert inbox_was_empty == [True, True]
    assert friends["ben"].received_count() == 1
    assert posted.devices == {"ben": 1}


def vault_records(ana: Person) -> dict[str, dict[str, bytes]]:
    """Return every record in a person's vault."""
    return {table: dict(stored) for table, stored in ana.vault._tables.items() if stored}


@pytest.mark.threat("wrong-recipient")
def test_an_undone_message_leaves_no_trace(friends: Network, ana: Person) -> None:
    def interrupt(_until: datetime) -> NoReturn:
        raise KeyboardInterrupt

    # The first new message name on a device stores the record that the name index is complete.
    # Undoing a message does not delete this record.
    new_message_name(ana.device)
    before = vault_records(ana)
    with pytest.raises(SendingUndone):
        send_message(draft_with_undo(ana), ana.device, TransferWatch(wait=interrupt))
    after = vault_records(ana)
    # Sessions, the device's X-Wing keys and token ranges are never rolled back.
    never_rolled_back = {PEER, OWN_XWING_KEY, HELD_TOKEN_RANGE}
    assert {table for table in before | after if before.get(table) != after.get(table)} <= {
        *never_rolled_back,
        OWN_RECORDS,
    }
    assert {
        name: set(stored) for name, stored in after.items() if name not in never_rolled_back
    } == {
        name: {*stored, *(["talks-indexed"] if name == OWN_RECORDS else [])}
        for name, stored in before.items()
        if name not in never_rolled_back
    }
    friends.clock.advance(hours=1)
    fetch_messages(ana.device)
    assert is_bens_inbox_empty(friends)
    assert list(ana.device.ledger.messages()) == []
    assert ana.vault._files == {}
    assert guard_reasons(ana, "ben") == {"ben": "this is the first message to ben"}
    assert send_message(draft(ana, "ben", confirmed=("ben",)), ana.device).devices == {"ben": 1}


@pytest.mark.threat("wrong-recipient")
@pytest.mark.parametrize("step", ["drop_outbox_items", "undo_recipient_record"])
def test_a_second_interrupt_still_undoes_the_message(
    friends: Network, ana: Person, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second Ctrl-C arrives while the first one is undoing the message."""
    real, calls = getattr(send, step), list[object]()

    def interrupt_first_call(*arguments: object) -> None:
        real(*arguments)
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt

    def interrupt(_until: datetime) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(send, step, interrupt_first_call)
    with pytest.raises(SendingUndone):
        send_message(draft_with_undo(ana), ana.device, TransferWatch(wait=interrupt))
    assert len(calls) == 2
    friends.clock.advance(hours=1)
    fetch_messages(ana.device)
    assert is_bens_inbox_empty(friends)
    assert list(ana.device.ledger.messages()) == []
    assert ana.vault._files == {}


def test_undo_window_can_end_with_a_later_command(friends: Network, ana: Person) -> None:
    with pytest.raises(WaitsInOutbox, match="can still cancel"):
        send_message(draft_with_undo(ana), ana.device)
    assert fetch_messages(ana.device).problems == ()
    assert is_bens_inbox_empty(friends)
    friends.clock.advance(seconds=10)
    fetch_messages(ana.device)
    assert friends["ben"].received_count() == 1


def test_after_a_crash_no_message_leaves_before_its_undo_window_ends(
    friends: Network, ana: Person
) -> None:
    """The program crashes at every point at which it can crash while it seals a message. Each
    sealed message leaves exactly once.
    """
    crash_point, finished = 0, False
    while not finished:
        before = friends["ben"].received_count()
        finished = run_until_crash(lambda device: _seal_only(ana, device), ana.device, crash_point)
        waiting = list(COPY_DELIVERY_TABLE.all(ana.device.vault))
        sealed = [copy for copy in waiting if copy.departure is SendState.WAITING]
        fetch_messages(ana.device)
        assert friends["ben"].received_count() == before, f"after crash {crash_point}"
        friends.clock.advance(seconds=9)
        fetch_messages(ana.device)
        assert friends["ben"].received_count() == before, f"after crash {crash_point}"
        friends.clock.advance(seconds=1)
        fetch_messages(ana.device)
        assert friends["ben"].received_count() == before + len(sealed), f"after crash {crash_point}"
        crash_point += 1
    assert crash_point > 10
    assert not list(ana.device.vault.items(OUTBOX))


def _seal_only(ana: Person, device: object) -> None:
    with pytest.raises(WaitsInOutbox):
        send_message(draft_with_undo(ana), device)


@pytest.mark.parametrize("days", [2, -2])
def test_a_clock_set_back_does_not_extend_an_undo_window(
    friends: Network, ana: Person, days: int
) -> None:
    """In one case, the clock is two days ahead while the message is written, and is then corrected.
    In the other case, the clock is right at first, and is then set back by two days.
    """
    right = friends.clock.moment
    friends.clock.moment = right + timedelta(days=max(days, 0))
    with pytest.raises(WaitsInOutbox):
        send_message(draft_with_undo(ana), ana.device)
    friends.clock.moment = right + timedelta(days=min(days, 0))
    send_text(ana, "ben")
    assert friends["ben"].received_count() == 2


def test_the_clock_may_be_set_during_an_undo_window(friends: Network, ana: Person) -> None:
    def wait(_until: datetime) -> bool:
        friends.clock.advance(minutes=-30)
        return True

    assert send_message(draft_with_undo(ana), ana.device, TransferWatch(wait=wait)).devices == {
        "ben": 1
    }
    assert friends["ben"].received_count() == 1


def test_a_message_in_its_undo_window_is_not_reported_as_leaving(ana: Person) -> None:
    with pytest.raises(WaitsInOutbox) as raised:
        send_message(draft_with_undo(ana), ana.device)
    assert "--resume" not in str(raised.value)


def test_later_letters_do_not_overtake_an_undo_window(friends: Network, ana: Person) -> None:
    with pytest.raises(WaitsInOutbox):
        send_message(draft_with_undo(ana), ana.device)
    with pytest.raises(WaitsInOutbox):
        send_message(draft_with_undo(ana, undo_s=0), ana.device)
    assert is_bens_inbox_empty(friends)
    friends.clock.advance(seconds=10)
    assert flush_outbox(ana.device).posted_count == 2
    assert friends["ben"].received_count() == 2


def test_an_undo_window_delays_no_other_message(friends: Network, ana: Person) -> None:
    caro = friends.set_up_person("caro")
    ana.add_contact(caro)
    with pytest.raises(WaitsInOutbox):
        send_message(draft_with_undo(ana), ana.device)
    send_message(draft(ana, "caro", confirmed=("caro",)), ana.device)
    assert (friends["ben"].received_count(), caro.received_count()) == (0, 1)


def test_a_message_recalled_in_its_undo_window_never_leaves(friends: Network, ana: Person) -> None:
    with pytest.raises(WaitsInOutbox) as raised:
        send_message(draft_with_undo(ana), ana.device)
    (message,) = ana.device.ledger.messages()
    assert f"entrenous recall {message.name}" in " ".join(str(raised.value).split())
    (recall,) = recall_message(message.name, ana.device)
    assert recall.opened is False
    friends.clock.advance(hours=1)
    fetch_messages(ana.device)
    assert is_bens_inbox_empty(friends)
    (sent,) = query_sent_messages(ana.device)
    assert sent.copies[0].state is EnvelopeState.TAKEN_BACK


def test_a_message_held_by_its_undo_window_names_that_reason_and_is_no_problem(ana: Person) -> None:
    with pytest.raises(WaitsInOutbox):
        send_message(draft_with_undo(ana), ana.device)
    flushed = flush_outbox(ana.device)
    (why,) = flushed.stayed.values()
    assert isinstance(why, UndoWindowStillOpen)
    assert flushed.problems == ()


def test_a_transfer_watch_sees_every_stage_to_its_end(ana: Person) -> None:
    stages = (
        TransferStage.PREPARING,
        TransferStage.MARKING,
        TransferStage.SEALING,
        TransferStage.SENDING,
    )
    seen: dict[TransferStage, list[tuple[int, int]]] = {stage: [] for stage in stages}

    def step(stage: TransferStage, done: int, total: int) -> None:
        seen[stage].append((done, total))

    send_message(draft_with_undo(ana, undo_s=0), ana.device, TransferWatch(step=step))
    for steps in seen.values():
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1] > 1000
