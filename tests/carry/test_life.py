"""Tests of one envelope at a relay: random events in any order, and deletion after expiry."""

from datetime import timedelta
from functools import partial

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from entrenous.base.errors import Expired, NoSuchEnvelope, TakenBack, UsedUp
from entrenous.carry.accept import accept, acknowledge, list_waiting_envelopes
from entrenous.carry.relay_rows import StoredShare
from entrenous.carry.release import finish_attempt, release_key_share
from entrenous.carry.withdraw import envelope_status, withdraw
from entrenous.wire.relay_nouns import EnvelopeState
from tests.carry.minute_sweep import expire
from tests.carry.relays import NOON, SampleMessage, memory_relay
from tests.carry.test_expire import blob_count, count_rows, create_mailbox_and_post
from tests.deterministic import SettableClock
from tests.in_memory.courier import run_sync
from tests.sizes import size

DEVICES = st.sampled_from([bytes([n]) * 16 for n in range(3)])
HOUR = timedelta(hours=1)


class EnvelopeLife(RuleBasedStateMachine):
    """One envelope at a relay, compared with a simple model of what the relay promises."""

    @initialize(opens=st.none() | st.integers(1, 3))
    def post_message(self, opens: int | None) -> None:
        self.clock = SettableClock()
        self.relay = memory_relay(self.clock)
        self.message = SampleMessage(until=NOON + 2 * HOUR)
        self.opens = opens
        self.opened_by: set[bytes] = set()
        self.finished_by: set[bytes] = set()
        self.taken_back = self.delivered = self.expired_before_withdrawal = False
        run_sync(create_mailbox_and_post(self.relay, self.message, opens))

    def is_due(self) -> bool:
        return self.clock.now() >= self.message.until

    def is_used_up(self) -> bool:
        return self.opens is not None and len(self.opened_by & self.finished_by) >= self.opens

    @rule(device=DEVICES)
    def open(self, device: bytes) -> None:
        over = self.opens is not None and device in self.finished_by
        may_open = not (self.taken_back or self.is_due() or self.is_used_up() or over) and (
            device in self.opened_by or self.opens is None or len(self.opened_by) < self.opens
        )
        open_request = partial(
            release_key_share, self.message.id, self.message.open, device, self.relay
        )
        if may_open:
            assert run_sync(open_request()) == self.message.share
            self.opened_by.add(device)
            return
        expected = self.taken_back and not self.expired_before_withdrawal
        with pytest.raises(TakenBack if expected else (TakenBack, Expired, UsedUp)):
            run_sync(open_request())

    @rule(device=DEVICES)
    def finish(self, device: bytes) -> None:
        run_sync(finish_attempt(self.message.id, self.message.open, device, self.relay))
        if not (self.taken_back or self.is_due()):
            self.finished_by |= {device} & self.opened_by

    @rule()
    def take_back(self) -> None:
        self.expired_before_withdrawal |= (
            self.is_due() and not self.taken_back and not self.is_used_up()
        )
        status = run_sync(withdraw(self.message.id, self.message.withdraw, self.relay))
        assert status.opened == len(self.opened_by)
        self.taken_back = True

    @rule()
    def acknowledge(self) -> None:
        run_sync(acknowledge(self.message.mailbox, self.message.owner, self.message.id, self.relay))
        self.delivered = True

    @rule()
    def repeat_post(self) -> None:
        assert not run_sync(
            accept(self.message.envelope(self.opens), self.message.token, self.relay)
        )

    @rule(minutes=st.integers(5, 60))
    def wait(self, minutes: int) -> None:
        self.clock.advance(minutes=minutes)

    @rule()
    def sweep(self) -> None:
        run_sync(expire(self.relay))
        if self.taken_back or self.is_due() or self.is_used_up():
            assert (count_rows(self.relay, StoredShare), blob_count(self.relay)) == (0, 0)

    @invariant()
    def waiting_page_matches_the_model(self) -> None:
        page = run_sync(
            list_waiting_envelopes(self.message.mailbox, self.message.owner, 0, 50, self.relay)
        )
        gone = self.delivered or self.taken_back or self.is_due() or self.is_used_up()
        assert len(page) == (not gone)

    @invariant()
    def withdrawn_envelope_has_no_content(self) -> None:
        if self.taken_back:
            assert (count_rows(self.relay, StoredShare), blob_count(self.relay)) == (0, 0)

    @invariant()
    def status_matches_the_model(self) -> None:
        status = run_sync(envelope_status(self.message.id, self.message.withdraw, self.relay))
        assert status.opened == len(self.opened_by)
        assert self.opens is None or status.opened <= self.opens
        ends = (EnvelopeState.TAKEN_BACK, EnvelopeState.EXPIRED)
        assert (status.state in ends) == (
            self.taken_back or (self.is_due() and not self.is_used_up())
        )


EnvelopeLife.TestCase.settings = settings(max_examples=size(50, 150), stateful_step_count=30)
TestEnvelopeLife = EnvelopeLife.TestCase


@pytest.mark.threat("account-takeover")
def test_expired_envelope_is_unknown_thirty_days_later() -> None:
    envelope = EnvelopeLife()
    envelope.post_message(opens=1)
    envelope.clock.advance(days=40)
    run_sync(expire(envelope.relay))
    envelope.clock.advance(days=30)
    run_sync(expire(envelope.relay))
    with pytest.raises(NoSuchEnvelope):
        run_sync(envelope_status(envelope.message.id, envelope.message.withdraw, envelope.relay))
