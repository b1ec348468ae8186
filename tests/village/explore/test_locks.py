"""All that can happen to the lock of one device in up to twelve events is in its state table.

Somebody guesses, and the answer arrives or is lost; a guess is sent again; the vault, or an older
copy of it, is unlocked; tries are restored; a new passphrase makes a new token, after which only
guesses with that one are answered; the mailbox is deleted.
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
from tests.carry.mailboxes.test_device_lock import BOX, CLOSE, OTHER, OWNER, UNLOCK, settle
from tests.carry.relays import CountingDice, WoundClock
from tests.in_memory.blobs import MemoryBlobs
from tests.in_memory.courier import at_once
from tests.in_memory.mail import MemoryMail
from tests.village.explore.relay import Copied

pytestmark = pytest.mark.slow

EVENTS = 12
#: Two guesses, in turn: the relay recognises a guess that is sent again by its bytes.
GUESSES = tuple(blind(Secret(b"a guess"), scalar_from_random(bytes([n]) * 64)) for n in (1, 2))


TOKENS = (UNLOCK, OTHER)


class Moment(NamedTuple):
    """One state: the number of the relay's rows; the guesses answered since tries were last
    restored; the guess that was counted last; the generation of the vault; whether the lock is
    shut; which token is the newest.
    """

    rows: int
    heard: frozenset[int] = frozenset()
    guess: int = 0
    generation: int = 0
    shut: bool = False
    token: int = 0


class Locks:
    """The lock's real rules, run once on each state of the rows."""

    def __init__(self) -> None:
        self.rows = Copied()
        self.met: set[tuple[LockState, LockEvent, LockState | None]] = set()
        self._known: dict[tuple[int, str], tuple[int, bool]] = {}

    def begin(self) -> Moment:
        relay = _relay(MemoryMail())
        at_once(settle(relay))
        return Moment(self.rows.number(relay.mail._desk._rows))

    def happens(self, moment: Moment) -> Iterator[Moment]:
        new, again = moment.guess + 1, moment.guess
        for guess in (new, again) if moment.guess else (new,):
            before = f"guess {1 - moment.token} {guess % 2}"
            assert not self._asked(moment.rows, before)[1], "an outdated copy was answered"
            rows, answered = self._asked(moment.rows, f"guess {moment.token} {guess % 2}")
            if not answered:
                continue
            yield moment._replace(rows=rows, guess=guess)  # its answer is lost
            yield moment._replace(rows=rows, guess=guess, heard=moment.heard | {guess})
        rows, taken = self._asked(moment.rows, f"opened {moment.generation + 1}")
        if taken:
            yield moment._replace(rows=rows, generation=moment.generation + 1, heard=frozenset())
            yield moment._replace(rows=rows, heard=frozenset())
        if moment.generation:
            rows, taken = self._asked(moment.rows, f"copy {moment.generation}")
            assert not taken, "a copy of a vault went on beside it"
            yield moment._replace(rows=rows, heard=frozenset())
        yield moment._replace(rows=self._asked(moment.rows, "reset")[0], heard=frozenset())
        rows, taken = self._asked(moment.rows, f"renew {1 - moment.token}")
        if taken:
            yield moment._replace(rows=rows, token=1 - moment.token)
        yield moment._replace(rows=self._asked(moment.rows, "close")[0], shut=True)

    def check(self, moment: Moment) -> None:
        assert len(moment.heard) <= UNLOCK_TRIES_MAX, f"{len(moment.heard)} guesses were answered"
        held = self.rows.mail(moment.rows)._desk.get(StoredLock, BOX)
        assert (lock_state(held) is LockState.SHUT) == moment.shut

    def _asked(self, rows: int, what: str) -> tuple[int, bool]:
        if (rows, what) not in self._known:
            self._known[rows, what] = self._run(rows, what)
        return self._known[rows, what]

    def _run(self, rows: int, what: str) -> tuple[int, bool]:
        mail = self.rows.mail(rows)
        before = mail._desk.get(StoredLock, BOX)
        try:
            at_once(_work(what, _relay(mail)))
            refused = None
        except EntrenousError as why:
            refused = type(why)
        after = mail._desk.get(StoredLock, BOX)
        self._note(what, before, after, refused)
        return self.rows.number(mail._desk._rows), refused is None

    def _note(
        self, what: str, before: StoredLock | None, after: StoredLock | None, refused: type | None
    ) -> None:
        """Check that the rules did what the table says."""
        if refused is WrongToken:
            assert (what.split(maxsplit=1)[0], after) == ("guess", before)  # of an outdated copy
            return
        if what.startswith("guess") and before and before.asked == GUESSES[int(what[-1])]:
            assert after == before  # sent again, answered again, and not counted
            return
        state, event = lock_state(before), _event(what, before)
        if (state, event) in LOCK_REFUSALS:
            assert refused in (
                LOCK_REFUSALS[state, event],
                NoSuchMailbox,
            )  # the mailbox is checked first
            assert after == before
        elif what != "close" or before is not None:
            assert lock_state(after) is LOCK_TRANSITIONS[state, event]
        self.met.add((state, event, None if refused else lock_state(after)))


def _event(what: str, held: StoredLock | None) -> LockEvent:
    if what.startswith("guess"):
        return LockEvent.ASK_LAST if held is not None and held.tries == 1 else LockEvent.ASK
    named = {"reset": LockEvent.RESET, "close": LockEvent.CLOSE, "renew": LockEvent.RENEW}
    return named.get(what.split(maxsplit=1)[0], LockEvent.OPENED)


def _work(what: str, relay: Relay) -> Coroutine[Any, Any, object]:
    if what.startswith("guess"):
        _, token, guess = what.split()
        return count_try_and_evaluate(BOX, TOKENS[int(token)], GUESSES[int(guess)], relay)
    if what == "reset":
        return restore_all_tries(BOX, CLOSE, relay)
    if what.startswith("renew"):
        return replace_unlock_token_hash(BOX, OWNER, token_hash(TOKENS[int(what[-1])]), relay)
    if what == "close":
        return delete_mailbox_with_contents(BOX, OWNER, relay)
    name, _, generation = what.partition(" ")
    number = name.encode().ljust(16, b"\0")
    return record_unlock_and_restore_tries(BOX, OWNER, VaultUnlock(int(generation), number), relay)


def _relay(mail: MemoryMail) -> Relay:
    return Relay(mail, MemoryBlobs(), WoundClock(), CountingDice())


def explored(events: int) -> tuple[Locks, int]:
    """Search all states that up to so many events lead to; return the rules and their number."""
    locks = Locks()
    layer = {locks.begin()}
    known = set(layer)
    for _ in range(events):
        layer = {after for moment in layer for after in locks.happens(moment)} - known
        for moment in layer:
            locks.check(moment)
        known |= layer
    return locks, len(known)


@pytest.mark.threat("stolen-device")
def test_nothing_that_can_happen_gives_an_eleventh_answer() -> None:
    locks, moments = explored(EVENTS)
    assert moments > 5_000
    met = {(state, event) for state, event, _ in locks.met}
    assert met == {*LOCK_TRANSITIONS, *LOCK_REFUSALS}


def test_it_finds_a_try_that_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries are counted, but a lock without any left still answers."""
    monkeypatch.setattr(device_lock, "next_lock_state", lambda *_: None)
    with pytest.raises(AssertionError, match="Locked"):
        explored(EVENTS)
