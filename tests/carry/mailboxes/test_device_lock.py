"""Tests of a device lock at the relay: tries, tokens, deletion and states."""

import asyncio
import itertools
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from entrenous.base.errors import IdInUse, NoSuchMailbox, WrongToken
from entrenous.base.identifiers import MailboxId
from entrenous.base.secret import Secret
from entrenous.carry.device_lock import (
    LOCK_REFUSALS,
    LOCK_TRANSITIONS,
    LockEvent,
    LockState,
    count_try_and_evaluate,
    create_lock,
    lock_state,
    next_lock_state,
    record_unlock_and_restore_tries,
    replace_unlock_token_hash,
    restore_all_tries,
)
from entrenous.carry.mailbox import (
    create_mailbox,
    delete_mailbox_with_contents,
    replace_close_token_hash,
)
from entrenous.carry.relay import Relay
from entrenous.carry.relay_rows import StoredLock
from entrenous.crypto.hashing import token_hash
from entrenous.crypto.nouns import NotAPoint
from entrenous.crypto.oprf import blind, finalize, scalar_from_random
from entrenous.wire.relay_nouns import (
    Locked,
    LockExists,
    NoLock,
    RolledBack,
    UnlockAnswer,
    VaultUnlock,
)
from tests.carry.relays import disk_relay, memory_relay
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.courier import run_sync
from tests.sizes import size

STATE_MACHINE_DOCUMENT = Path(__file__).parents[3] / "docs/machines/device.md"
RANDOM_SOURCE = SeededRandomSource()
MAILBOX = MailboxId(RANDOM_SOURCE.token(16))
OWNER_TOKEN, CLOSE_TOKEN, UNLOCK_TOKEN, UNRELATED_TOKEN = (
    Secret(RANDOM_SOURCE.token(32)) for _ in range(4)
)


def blinded_passphrase(number: int = 0) -> bytes:
    return blind(Secret(b"a passphrase, stretched"), scalar_from_random(number.to_bytes(64, "big")))


BLINDED_PASSPHRASES = [blinded_passphrase(number) for number in range(1, 80)]


def vault_unlock(generation: int, number: int, *earlier_numbers: int) -> VaultUnlock:
    numbers = (one.to_bytes(16, "big") for one in (number, *earlier_numbers))
    return VaultUnlock(generation, next(numbers), tuple(numbers))


async def create_mailbox_and_lock(relay: Relay) -> None:
    """Create a mailbox with a close token and a device lock."""
    await create_mailbox(MAILBOX, token_hash(OWNER_TOKEN), relay, token_hash(CLOSE_TOKEN))
    await create_lock(MAILBOX, OWNER_TOKEN, token_hash(UNLOCK_TOKEN), relay)


@pytest.fixture
def relay() -> Relay:
    relay = memory_relay()
    run_sync(create_mailbox_and_lock(relay))
    return relay


def request_try(relay: Relay, number: int) -> UnlockAnswer:
    return run_sync(
        count_try_and_evaluate(MAILBOX, UNLOCK_TOKEN, BLINDED_PASSPHRASES[number], relay)
    )


def test_answers_to_one_passphrase_unblind_to_one_value(relay: Relay) -> None:
    passphrase = Secret(b"a passphrase, stretched")
    blinds = [scalar_from_random(number.to_bytes(64, "big")) for number in (1, 2)]
    answers = [
        run_sync(count_try_and_evaluate(MAILBOX, UNLOCK_TOKEN, blind(passphrase, one), relay))
        for one in blinds
    ]
    values = [finalize(passphrase, *pair) for pair in zip(blinds, (a.evaluated for a in answers))]  # noqa: B905
    assert values[0] == values[1]
    assert [one.tries_left for one in answers] == [9, 8]


def test_unlock_requests_after_the_tenth_are_refused(relay: Relay) -> None:
    assert [request_try(relay, number).tries_left for number in range(10)] == list(range(9, -1, -1))
    for number in range(10, 13):
        with pytest.raises(Locked):
            request_try(relay, number)


def test_repeat_of_the_last_unlock_request_is_not_counted(relay: Relay) -> None:
    first = request_try(relay, 0)
    assert request_try(relay, 0) == first
    for number in range(1, 10):
        last = request_try(relay, number)
    assert request_try(relay, 9) == last
    with pytest.raises(Locked):
        request_try(relay, 0)


def test_invalid_unlock_request_is_not_counted(relay: Relay) -> None:
    with pytest.raises(NotAPoint):
        run_sync(count_try_and_evaluate(MAILBOX, UNLOCK_TOKEN, bytes(32), relay))
    assert request_try(relay, 0).tries_left == 9


def test_requests_with_a_wrong_token_are_refused(relay: Relay) -> None:
    for wrong in (OWNER_TOKEN, CLOSE_TOKEN, UNRELATED_TOKEN):
        with pytest.raises(WrongToken):
            run_sync(count_try_and_evaluate(MAILBOX, wrong, BLINDED_PASSPHRASES[0], relay))
    for wrong in (UNLOCK_TOKEN, UNRELATED_TOKEN):
        with pytest.raises(WrongToken):
            run_sync(record_unlock_and_restore_tries(MAILBOX, wrong, vault_unlock(1, 1), relay))
        with pytest.raises(WrongToken):
            run_sync(restore_all_tries(MAILBOX, wrong, relay))
        with pytest.raises(WrongToken):
            run_sync(delete_mailbox_with_contents(MAILBOX, wrong, relay))
        with pytest.raises(WrongToken):
            run_sync(replace_close_token_hash(MAILBOX, wrong, token_hash(UNRELATED_TOKEN), relay))
    with pytest.raises(WrongToken):
        run_sync(record_unlock_and_restore_tries(MAILBOX, CLOSE_TOKEN, vault_unlock(1, 1), relay))
    with pytest.raises(WrongToken):
        run_sync(replace_close_token_hash(MAILBOX, CLOSE_TOKEN, token_hash(UNRELATED_TOKEN), relay))
    assert request_try(relay, 0).tries_left == 9


def test_lock_is_created_once(relay: Relay) -> None:
    stored = run_sync(relay.mail.read(lambda view: view.get(StoredLock, MAILBOX)))
    assert run_sync(create_lock(MAILBOX, OWNER_TOKEN, token_hash(UNLOCK_TOKEN), relay)) is False
    with pytest.raises(LockExists):
        run_sync(create_lock(MAILBOX, OWNER_TOKEN, token_hash(UNRELATED_TOKEN), relay))
    assert run_sync(relay.mail.read(lambda view: view.get(StoredLock, MAILBOX))) == stored


def test_two_locks_have_different_keys(relay: Relay) -> None:
    other = MailboxId(RANDOM_SOURCE.token(16))
    run_sync(create_mailbox(other, token_hash(OWNER_TOKEN), relay))
    with pytest.raises(NoSuchMailbox):
        run_sync(count_try_and_evaluate(other, UNLOCK_TOKEN, BLINDED_PASSPHRASES[0], relay))
    assert run_sync(create_lock(other, OWNER_TOKEN, token_hash(UNLOCK_TOKEN), relay)) is True
    answer = run_sync(count_try_and_evaluate(other, UNLOCK_TOKEN, BLINDED_PASSPHRASES[0], relay))
    assert answer.evaluated != request_try(relay, 0).evaluated


def test_unlock_neither_newer_nor_repeated_is_refused_but_restores_tries(relay: Relay) -> None:
    request_try(relay, 0)
    for unlock in (
        vault_unlock(5, 1),
        vault_unlock(5, 1),
        vault_unlock(5, 2, 1),
        vault_unlock(5, 3, 1, 2),
    ):
        # The device sends each later request as if it had received no answer to the previous one.
        run_sync(record_unlock_and_restore_tries(MAILBOX, OWNER_TOKEN, unlock, relay))
    assert request_try(relay, 1).tries_left == 9
    for refused in (
        vault_unlock(5, 4),
        vault_unlock(5, 2, 1),
        vault_unlock(4, 3),
        vault_unlock(4, 5, 3),
        vault_unlock(1, 6),
    ):
        with pytest.raises(RolledBack):
            run_sync(record_unlock_and_restore_tries(MAILBOX, OWNER_TOKEN, refused, relay))
    # The refused requests have restored the tries too: their sender knows the owner's token.
    assert request_try(relay, 2).tries_left == 9
    run_sync(record_unlock_and_restore_tries(MAILBOX, OWNER_TOKEN, vault_unlock(6, 4), relay))


@pytest.mark.threat("stolen-device")
def test_new_unlock_token_keeps_key_and_tries(relay: Relay) -> None:
    answer = request_try(relay, 0)
    for wrong in (UNLOCK_TOKEN, CLOSE_TOKEN, UNRELATED_TOKEN):
        with pytest.raises(WrongToken):
            run_sync(replace_unlock_token_hash(MAILBOX, wrong, token_hash(UNRELATED_TOKEN), relay))
    for _ in range(2):
        run_sync(
            replace_unlock_token_hash(MAILBOX, OWNER_TOKEN, token_hash(UNRELATED_TOKEN), relay)
        )
    with pytest.raises(WrongToken):
        request_try(relay, 0)
    again = run_sync(
        count_try_and_evaluate(MAILBOX, UNRELATED_TOKEN, BLINDED_PASSPHRASES[0], relay)
    )
    # The key has not changed, and a repeated request is not counted again.
    assert again == answer
    assert (
        run_sync(
            count_try_and_evaluate(MAILBOX, UNRELATED_TOKEN, BLINDED_PASSPHRASES[1], relay)
        ).tries_left
        == 8
    )
    run_sync(delete_mailbox_with_contents(MAILBOX, CLOSE_TOKEN, relay))
    with pytest.raises(NoLock):
        run_sync(replace_unlock_token_hash(MAILBOX, OWNER_TOKEN, token_hash(UNLOCK_TOKEN), relay))


def test_unlock_token_of_a_missing_lock_cannot_be_replaced(relay: Relay) -> None:
    other = MailboxId(RANDOM_SOURCE.token(16))
    run_sync(create_mailbox(other, token_hash(OWNER_TOKEN), relay))
    with pytest.raises(NoSuchMailbox):
        run_sync(replace_unlock_token_hash(other, OWNER_TOKEN, token_hash(UNRELATED_TOKEN), relay))


@pytest.mark.threat("database-changed")
def test_unknown_lock_is_not_reported_as_deleted(relay: Relay) -> None:
    """A relay that was started with a wrong database must not report locks as deleted."""
    other = MailboxId(RANDOM_SOURCE.token(16))
    for box, error in ((other, NoSuchMailbox), (MAILBOX, NoLock)):
        if box == MAILBOX:
            run_sync(delete_mailbox_with_contents(MAILBOX, CLOSE_TOKEN, relay))
        for request in (
            count_try_and_evaluate(box, UNLOCK_TOKEN, BLINDED_PASSPHRASES[0], relay),
            record_unlock_and_restore_tries(box, OWNER_TOKEN, vault_unlock(1, 1), relay),
            restore_all_tries(box, CLOSE_TOKEN, relay),
            replace_unlock_token_hash(box, OWNER_TOKEN, token_hash(UNLOCK_TOKEN), relay),
        ):
            with pytest.raises(error):
                run_sync(request)


def test_close_token_restores_tries(relay: Relay) -> None:
    for number in range(10):
        request_try(relay, number)
    run_sync(restore_all_tries(MAILBOX, CLOSE_TOKEN, relay))
    assert request_try(relay, 10).tries_left == 9


def test_replaced_close_token_is_no_longer_valid(relay: Relay) -> None:
    run_sync(replace_close_token_hash(MAILBOX, OWNER_TOKEN, token_hash(UNRELATED_TOKEN), relay))
    with pytest.raises(WrongToken):
        run_sync(delete_mailbox_with_contents(MAILBOX, CLOSE_TOKEN, relay))
    run_sync(delete_mailbox_with_contents(MAILBOX, UNRELATED_TOKEN, relay))


def test_deleted_mailbox_has_no_lock_and_its_id_stays_taken(relay: Relay) -> None:
    run_sync(delete_mailbox_with_contents(MAILBOX, CLOSE_TOKEN, relay))
    run_sync(delete_mailbox_with_contents(MAILBOX, CLOSE_TOKEN, relay))
    with pytest.raises(NoLock):
        request_try(relay, 0)
    with pytest.raises(IdInUse):
        run_sync(create_mailbox(MAILBOX, token_hash(OWNER_TOKEN), relay, token_hash(CLOSE_TOKEN)))
    with pytest.raises(NoSuchMailbox):
        run_sync(create_lock(MAILBOX, OWNER_TOKEN, token_hash(UNLOCK_TOKEN), relay))
    with pytest.raises(NoLock):
        run_sync(record_unlock_and_restore_tries(MAILBOX, OWNER_TOKEN, vault_unlock(9, 1), relay))


@pytest.mark.threat("stolen-device")
def test_ten_of_fifty_concurrent_tries_are_answered(tmp_path: Path) -> None:
    async def request_concurrently(relay: Relay) -> list[object]:
        await create_mailbox_and_lock(relay)
        requests = (
            count_try_and_evaluate(MAILBOX, UNLOCK_TOKEN, one, relay)
            for one in BLINDED_PASSPHRASES[:50]
        )
        return list(await asyncio.gather(*requests, return_exceptions=True))

    with disk_relay(tmp_path, SettableClock()) as relay:
        outcomes = asyncio.run(request_concurrently(relay))
    answered = [one for one in outcomes if isinstance(one, UnlockAnswer)]
    assert sorted(one.tries_left for one in answered) == list(range(10))
    assert sum(isinstance(one, Locked) for one in outcomes) == 40


class LockMachine(RuleBasedStateMachine):
    """Tries, unlocks, resets, token changes and deletion in any order, compared with a model."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.tries_left, self.generation, self.is_shut = 10, 0, False
        self.last_request: bytes | None = None
        self.unlock_token = UNLOCK_TOKEN

    def open_relay(self) -> Relay:
        return memory_relay()

    def run(self, work: object) -> object:
        return run_sync(work)  # type: ignore[arg-type]

    @initialize()
    def create_relay(self) -> None:
        self.relay = self.open_relay()
        self.run(create_mailbox_and_lock(self.relay))

    @rule(number=st.integers(0, 30))
    def request_try(self, number: int) -> None:
        blinded = BLINDED_PASSPHRASES[number]
        repeat = blinded == self.last_request
        if self.is_shut or (self.tries_left == 0 and not repeat):
            with pytest.raises(NoLock if self.is_shut else Locked):
                self.run(count_try_and_evaluate(MAILBOX, self.unlock_token, blinded, self.relay))
            return
        self.tries_left -= not repeat
        self.last_request = blinded
        answer = self.run(count_try_and_evaluate(MAILBOX, self.unlock_token, blinded, self.relay))
        assert isinstance(answer, UnlockAnswer)
        assert answer.tries_left == self.tries_left

    @rule(generation_change=st.integers(-2, 3), number=st.integers(2, 9))
    def unlock(self, generation_change: int, number: int) -> None:
        generation = max(1, self.generation + generation_change)
        if self.is_shut:
            with pytest.raises(NoLock):
                self.run(
                    record_unlock_and_restore_tries(
                        MAILBOX, OWNER_TOKEN, vault_unlock(generation, number), self.relay
                    )
                )
            return
        self.tries_left = 10
        if generation > self.generation:
            self.generation = generation
            self.run(
                record_unlock_and_restore_tries(
                    MAILBOX, OWNER_TOKEN, vault_unlock(generation, 100 + generation), self.relay
                )
            )
            return
        with pytest.raises(RolledBack):
            self.run(
                record_unlock_and_restore_tries(
                    MAILBOX, OWNER_TOKEN, vault_unlock(generation, number), self.relay
                )
            )

    @rule()
    def restore_tries(self) -> None:
        if self.is_shut:
            with pytest.raises(NoLock):
                self.run(restore_all_tries(MAILBOX, CLOSE_TOKEN, self.relay))
            return
        self.tries_left = 10
        self.run(restore_all_tries(MAILBOX, CLOSE_TOKEN, self.relay))

    @rule()
    def replace_unlock_token(self) -> None:
        if not self.is_shut:
            self.unlock_token = (
                UNRELATED_TOKEN if self.unlock_token == UNLOCK_TOKEN else UNLOCK_TOKEN
            )
            self.run(
                replace_unlock_token_hash(
                    MAILBOX, OWNER_TOKEN, token_hash(self.unlock_token), self.relay
                )
            )

    @rule(closes=st.integers(0, 9).map(lambda drawn: drawn == 0))
    def close(self, *, closes: bool) -> None:
        if closes:
            self.is_shut = True
            self.run(delete_mailbox_with_contents(MAILBOX, CLOSE_TOKEN, self.relay))

    @invariant()
    def row_matches_the_model(self) -> None:
        stored = self.run(self.relay.mail.read(lambda view: view.get(StoredLock, MAILBOX)))
        assert (stored is None) == self.is_shut
        assert not isinstance(stored, StoredLock) or stored.tries == self.tries_left

    def teardown(self) -> None:
        self.stack.close()


class LockMachineOnDisk(LockMachine):
    def open_relay(self) -> Relay:
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.runner = self.stack.enter_context(asyncio.Runner())
        return self.stack.enter_context(disk_relay(folder, SettableClock()))

    def run(self, work: object) -> object:
        return self.runner.run(work)  # type: ignore[arg-type]


class TestLockMachine(LockMachine.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=size(15, 40), stateful_step_count=30)


class TestLockMachineOnDisk(LockMachineOnDisk.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=size(3, 5), stateful_step_count=25)


def expected_state_diagram() -> str:
    """Return the diagram and the table that docs/machines/device.md must contain."""
    arrows = [
        f"    {state.name.lower()} --> {after.name.lower()}: {event}"
        for (state, event), after in LOCK_TRANSITIONS.items()
    ]
    head = "| | " + " | ".join(LockEvent) + " |\n|" + " --- |" * (1 + len(LockEvent))
    rows = [
        f"| **{state}** | " + " | ".join(table_cell(state, event) for event in LockEvent) + " |"
        for state in LockState
    ]
    diagram = ["```mermaid", "stateDiagram-v2", "    [*] --> ready: make", *arrows, "```"]
    return "\n".join([*diagram, "", head, *rows])


def table_cell(state: LockState, event: LockEvent) -> str:
    if (state, event) in LOCK_REFUSALS:
        return f"`{LOCK_REFUSALS[state, event].__name__}`"
    return str(LOCK_TRANSITIONS.get((state, event), ""))


def test_documented_diagram_matches_the_table() -> None:
    assert expected_state_diagram() in STATE_MACHINE_DOCUMENT.read_text()


def test_every_lock_can_be_shut_and_a_shut_one_stays_shut() -> None:
    assert {after for (state, _), after in LOCK_TRANSITIONS.items() if state is LockState.SHUT} == {
        LockState.SHUT
    }
    assert all((state, LockEvent.CLOSE) in LOCK_TRANSITIONS for state in LockState)


def test_lock_event_missing_from_both_tables_raises_key_error() -> None:
    every = set(itertools.product(LockState, LockEvent))
    for state, event in every - set(LOCK_TRANSITIONS) - set(LOCK_REFUSALS):
        with pytest.raises(KeyError):
            next_lock_state(state, event)


def test_lock_state_follows_from_the_tries_that_are_left() -> None:
    rows = [StoredLock(MAILBOX, Secret(bytes(32)), b"", tries) for tries in (10, 9, 1, 0)]
    found = [lock_state(row) for row in (*rows, None)]
    ready, tried, locked, shut = LockState
    assert found == [ready, tried, tried, locked, shut]
