"""Tests of the lock of one device, in every sequence of up to twelve events.

The events are: a guess, whose answer arrives or is lost; the same guess again; an unlock of the
vault or of an older copy; the restoring of tries; a new unlock token, after which guesses with the
old token are refused; and the deletion of the mailbox.
"""

from collections.abc import Coroutine, Iterator
from typing import Any, NamedTuple

import pytest

from entrenous.base.errors import EntrenousError, NoSuchMailbox, WrongToken
from entrenous.base.limits import UNLOCK_TRIES_MAX
from entrenous.base.secret import Secret
from entrenous.carry import device_lock
from entrenous.carry.device_lock import (
    LOCK_REFUSALS,
    LOCK_TRANSITIONS,
    LockEvent,
    LockState,
    count_try_and_evaluate,
    lock_state,
    record_unlock_and_restore_tries,
    replace_unlock_token_hash,
    restore_all_tries,
)
from entrenous.carry.mailbox import delete_mailbox_with_contents
from entrenous.carry.relay import Relay
from entrenous.carry.relay_rows import StoredLock
from entrenous.crypto.hashing import token_hash
from entrenous.crypto.oprf import blind, scalar_from_random
from entrenous.wire.relay_nouns import VaultUnlock
from tests.carry.mailboxes.test_device_lock import (
    CLOSE_TOKEN,
    MAILBOX,
    OWNER_TOKEN,
    UNLOCK_TOKEN,
    UNRELATED_TOKEN,
    create_mailbox_and_lock,
)
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.blobs import MemoryBlobs
from tests.in_memory.courier import run_sync
from tests.in_memory.mail import MemoryRowStore
from tests.village.explore.relay import RowStates

pytestmark = pytest.mark.slow

EVENT_COUNT = 12
#: Every new guess differs from the previous one: the guesses alternate between these two requests.
#: The relay recognises a repeated guess by its bytes.
GUESSES = tuple(blind(Secret(b"a guess"), scalar_from_random(bytes([n]) * 64)) for n in (1, 2))


TOKENS = (UNLOCK_TOKEN, UNRELATED_TOKEN)


class SearchState(NamedTuple):
    """One state of the search.

    ``rows`` is the number of the state of the relay's rows; ``answered`` contains the guesses that
    were answered since tries were last restored; ``guess`` is the last counted guess;
    ``generation`` is the vault's generation; ``token`` is the index of the newest unlock token.
    """

    rows: int
    answered: frozenset[int] = frozenset()
    guess: int = 0
    generation: int = 0
    is_shut: bool = False
    token: int = 0


class LockModel:
    """Runs the production rules of the lock: each rule once for each state of the relay's rows."""

    def __init__(self) -> None:
        self.rows = RowStates()
        self.transitions: set[tuple[LockState, LockEvent, LockState | None]] = set()
        self._results: dict[tuple[int, str], tuple[int, bool]] = {}

    def initial_state(self) -> SearchState:
        relay = _relay(MemoryRowStore())
        run_sync(create_mailbox_and_lock(relay))
        return SearchState(self.rows.number_of(relay.mail._transaction._rows))

    def next_states(self, state: SearchState) -> Iterator[SearchState]:
        new, repeated = state.guess + 1, state.guess
        for guess in (new, repeated) if state.guess else (new,):
            before = f"guess {1 - state.token} {guess % 2}"
            assert not self._result(state.rows, before)[1], "an outdated copy was answered"
            rows, answered = self._result(state.rows, f"guess {state.token} {guess % 2}")
            if not answered:
                continue
            yield state._replace(rows=rows, guess=guess)  # the answer is lost
            yield state._replace(rows=rows, guess=guess, answered=state.answered | {guess})
        rows, is_accepted = self._result(state.rows, f"opened {state.generation + 1}")
        if is_accepted:
            yield state._replace(rows=rows, generation=state.generation + 1, answered=frozenset())
            yield state._replace(rows=rows, answered=frozenset())
        if state.generation:
            rows, is_accepted = self._result(state.rows, f"copy {state.generation}")
            assert not is_accepted, "a copy of a vault went on beside it"
            yield state._replace(rows=rows, answered=frozenset())
        yield state._replace(rows=self._result(state.rows, "reset")[0], answered=frozenset())
        rows, is_accepted = self._result(state.rows, f"renew {1 - state.token}")
        if is_accepted:
            yield state._replace(rows=rows, token=1 - state.token)
        yield state._replace(rows=self._result(state.rows, "close")[0], is_shut=True)

    def check_invariants(self, state: SearchState) -> None:
        assert len(state.answered) <= UNLOCK_TRIES_MAX, (
            f"{len(state.answered)} guesses were answered"
        )
        stored = self.rows.mail(state.rows)._transaction.get(StoredLock, MAILBOX)
        assert (lock_state(stored) is LockState.SHUT) == state.is_shut

    def _result(self, rows: int, action: str) -> tuple[int, bool]:
        if (rows, action) not in self._results:
            self._results[rows, action] = self._run(rows, action)
        return self._results[rows, action]

    def _run(self, rows: int, action: str) -> tuple[int, bool]:
        mail = self.rows.mail(rows)
        before = mail._transaction.get(StoredLock, MAILBOX)
        try:
            run_sync(_work(action, _relay(mail)))
            refused = None
        except EntrenousError as why:
            refused = type(why)
        after = mail._transaction.get(StoredLock, MAILBOX)
        self._check_and_record(action, before, after, refused)
        return self.rows.number_of(mail._transaction._rows), refused is None

    def _check_and_record(
        self, action: str, before: StoredLock | None, after: StoredLock | None, refused: type | None
    ) -> None:
        """Check that the rules followed the state table, and record the transition."""
        if refused is WrongToken:
            # Only guesses are made with an outdated token. The refusal changes nothing.
            assert (action.split(maxsplit=1)[0], after) == (
                "guess",
                before,
            )
            return
        if action.startswith("guess") and before and before.asked == GUESSES[int(action[-1])]:
            assert after == before  # a repeated guess is answered again and not counted
            return
        state, event = lock_state(before), _event(action, before)
        if (state, event) in LOCK_REFUSALS:
            # If the mailbox is missing, the relay reports only that.
            assert refused in (
                LOCK_REFUSALS[state, event],
                NoSuchMailbox,
            )
            assert after == before
        elif action != "close" or before is not None:
            assert lock_state(after) is LOCK_TRANSITIONS[state, event]
        self.transitions.add((state, event, None if refused else lock_state(after)))


def _event(action: str, stored: StoredLock | None) -> LockEvent:
    if action.startswith("guess"):
        return LockEvent.ASK_LAST if stored is not None and stored.tries == 1 else LockEvent.ASK
    events = {"reset": LockEvent.RESET, "close": LockEvent.CLOSE, "renew": LockEvent.RENEW}
    return events.get(action.split(maxsplit=1)[0], LockEvent.OPENED)


def _work(action: str, relay: Relay) -> Coroutine[Any, Any, object]:
    if action.startswith("guess"):
        _, token, guess = action.split()
        return count_try_and_evaluate(MAILBOX, TOKENS[int(token)], GUESSES[int(guess)], relay)
    if action == "reset":
        return restore_all_tries(MAILBOX, CLOSE_TOKEN, relay)
    if action.startswith("renew"):
        return replace_unlock_token_hash(
            MAILBOX, OWNER_TOKEN, token_hash(TOKENS[int(action[-1])]), relay
        )
    if action == "close":
        return delete_mailbox_with_contents(MAILBOX, OWNER_TOKEN, relay)
    name, _, generation = action.partition(" ")
    number = name.encode().ljust(16, b"\0")
    return record_unlock_and_restore_tries(
        MAILBOX, OWNER_TOKEN, VaultUnlock(int(generation), number), relay
    )


def _relay(mail: MemoryRowStore) -> Relay:
    return Relay(mail, MemoryBlobs(), SettableClock(), SeededRandomSource())


def search(events: int) -> tuple[LockModel, int]:
    """Search all states within ``events`` events; return the rules and the number of states."""
    locks = LockModel()
    layer = {locks.initial_state()}
    known = set(layer)
    for _ in range(events):
        layer = {after for state in layer for after in locks.next_states(state)} - known
        for state in layer:
            locks.check_invariants(state)
        known |= layer
    return locks, len(known)


@pytest.mark.threat("stolen-device")
def test_no_event_sequence_answers_an_eleventh_guess() -> None:
    locks, state_count = search(EVENT_COUNT)
    assert state_count > 5_000
    transitions = {(state, event) for state, event, _ in locks.transitions}
    assert transitions == {*LOCK_TRANSITIONS, *LOCK_REFUSALS}


def test_search_detects_a_limit_that_is_not_enforced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test removes the rule that refuses guesses when no tries are left."""
    monkeypatch.setattr(device_lock, "next_lock_state", lambda *_: None)
    with pytest.raises(AssertionError, match="Locked"):
        search(EVENT_COUNT)
