"""Tests of share groups: openings counted across a person's devices, limits, and deletion."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from entrenous.base.errors import IdInUse, MailboxFull, TakenBack, UsedUp
from entrenous.base.identifiers import EnvelopeId
from entrenous.base.limits import DEVICES_MAX, SHARES_PER_GROUP_MAX
from entrenous.base.secret import Secret
from entrenous.carry.accept import accept, acknowledge, list_waiting_envelopes
from entrenous.carry.relay import Relay, RowStore
from entrenous.carry.relay_rows import StoredAttempt, StoredBlob, StoredShare, StoredShareGroup
from entrenous.carry.release import finish_attempt, release_key_share
from entrenous.carry.withdraw import envelope_status, withdraw
from entrenous.wire.relay_nouns import Envelope, EnvelopeState
from tests.carry.minute_sweep import expire
from tests.carry.relays import NOON, SampleMessage, disk_relay, memory_relay
from tests.carry.test_expire import blob_count, count_rows, create_mailbox_and_post
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.courier import run_sync
from tests.sizes import size

CONTENT_ROW_TYPES = (StoredShare, StoredAttempt, StoredBlob)


def messages_for_devices(device_count: int, days_valid: int = 7) -> list[SampleMessage]:
    """Return one message as it is sent to each of a person's devices, in one share group."""
    random_source = SeededRandomSource()
    messages = [
        SampleMessage(until=NOON + timedelta(days=days_valid), random_source=random_source)
        for _ in range(device_count)
    ]
    for message in messages:
        message.group = messages[0].group
    return messages


def open_share(relay: Relay, message: SampleMessage, attempt: bytes) -> Secret:
    return run_sync(release_key_share(message.id, message.open, attempt, relay))


@pytest.mark.threat("n-plus-one-views")
def test_message_that_opens_once_is_opened_by_one_device_only() -> None:
    relay, (phone, tablet, laptop) = memory_relay(), messages_for_devices(3)
    for message in (phone, tablet, laptop):
        run_sync(create_mailbox_and_post(relay, message, 1))
    run_sync(acknowledge(tablet.mailbox, tablet.owner, tablet.id, relay))
    attempt = phone.new_attempt()
    assert open_share(relay, phone, attempt) == phone.share
    for other in (tablet, laptop):
        with pytest.raises(UsedUp):
            open_share(relay, other, other.new_attempt())
    assert open_share(relay, phone, attempt) == phone.share
    run_sync(finish_attempt(phone.id, phone.open, attempt, relay))
    assert count_rows(relay, *CONTENT_ROW_TYPES) == blob_count(relay) == 0
    for message in (phone, tablet, laptop):
        with pytest.raises(UsedUp):
            open_share(relay, message, attempt)


def test_unfetched_message_stays_when_its_group_is_used_up() -> None:
    relay, (phone, laptop) = memory_relay(), messages_for_devices(2)
    for message in (phone, laptop):
        run_sync(create_mailbox_and_post(relay, message, 1))
    attempt = phone.new_attempt()
    open_share(relay, phone, attempt)
    run_sync(finish_attempt(phone.id, phone.open, attempt, relay))
    (waiting,) = run_sync(list_waiting_envelopes(laptop.mailbox, laptop.owner, 0, 10, relay))
    assert waiting.sealed == laptop.sealed
    with pytest.raises(UsedUp):
        open_share(relay, laptop, laptop.new_attempt())
    run_sync(acknowledge(laptop.mailbox, laptop.owner, laptop.id, relay))
    status = run_sync(envelope_status(laptop.id, laptop.withdraw, relay))
    assert (status.state, status.opened) == (EnvelopeState.DELIVERED, 0)
    assert run_sync(envelope_status(phone.id, phone.withdraw, relay)).opened == 1


def test_blobs_of_a_group_are_deleted_only_after_every_attempt_finished() -> None:
    relay, (phone, laptop) = memory_relay(), messages_for_devices(2)
    for message in (phone, laptop):
        run_sync(create_mailbox_and_post(relay, message, 2))
    one, two = phone.new_attempt(), laptop.new_attempt()
    open_share(relay, phone, one)
    open_share(relay, laptop, two)
    run_sync(finish_attempt(phone.id, phone.open, one, relay))
    assert open_share(relay, laptop, two) == laptop.share
    assert blob_count(relay) == 2
    run_sync(finish_attempt(laptop.id, laptop.open, two, relay))
    assert blob_count(relay) == 0


def test_envelope_posted_to_a_used_up_group_has_no_content() -> None:
    relay, (phone, laptop) = memory_relay(), messages_for_devices(2)
    run_sync(create_mailbox_and_post(relay, phone, 1))
    attempt = phone.new_attempt()
    open_share(relay, phone, attempt)
    run_sync(finish_attempt(phone.id, phone.open, attempt, relay))
    run_sync(create_mailbox_and_post(relay, laptop, 1))
    run_sync(expire(relay))
    assert count_rows(relay, *CONTENT_ROW_TYPES) == blob_count(relay) == 0
    assert not run_sync(accept(laptop.envelope(1), laptop.token, relay))  # a repeated post
    with pytest.raises(UsedUp):
        open_share(relay, laptop, laptop.new_attempt())


def test_group_refuses_a_different_number_of_openings() -> None:
    relay, (phone, laptop) = memory_relay(), messages_for_devices(2)
    run_sync(create_mailbox_and_post(relay, phone, 1))
    with pytest.raises(IdInUse):
        run_sync(create_mailbox_and_post(relay, laptop, 2))
    assert open_share(relay, phone, phone.new_attempt()) == phone.share
    share = phone.envelope(1).share
    assert share is not None
    with pytest.raises(ValueError, match="group"):
        replace(share, group=None)


def more_envelopes(message: SampleMessage, count: int) -> list[Envelope]:
    """Return ``count`` more envelopes for the mailbox and the share group of the message."""
    names = [EnvelopeId(message.random_source.token(16)) for _ in range(count)]
    return [replace(message.envelope(1, blobs=False), id=name) for name in names]


@pytest.mark.parametrize("limit_name", ["SHARES_PER_GROUP_MAX", "SHARES_PER_MAILBOX_MAX"])
def test_concurrent_posts_never_exceed_a_limit_of_shares(
    row_store: RowStore, limit_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"entrenous.carry.send_tokens.{limit_name}", 25)
    relay, message = replace(memory_relay(), mail=row_store), SampleMessage()

    async def run_scenario() -> None:
        await create_mailbox_and_post(relay, message, 1)
        messages = (accept(one, message.token, relay) for one in more_envelopes(message, 35))
        outcomes = await asyncio.gather(*messages, return_exceptions=True)
        assert [one for one in outcomes if isinstance(one, bool)] == [True] * 24
        assert sum(isinstance(one, MailboxFull) for one in outcomes) == 11
        assert await row_store.read(lambda view: view.count(StoredShare)) == 25

    asyncio.run(run_scenario())


def test_fetched_messages_still_count_in_their_group(tmp_path: Path) -> None:
    """The relay limits the shares of a group, because ending a group reads all of its shares."""
    message = SampleMessage()

    async def run_scenario(relay: Relay) -> None:
        await create_mailbox_and_post(relay, message, 1)
        for one in more_envelopes(message, SHARES_PER_GROUP_MAX - 1):
            await accept(one, message.token, relay)
            await acknowledge(message.mailbox, message.owner, one.id, relay)
        await release_key_share(message.id, message.open, message.new_attempt(), relay)
        with pytest.raises(MailboxFull):
            await accept(*more_envelopes(message, 1), message.token, relay)

    with disk_relay(tmp_path, SettableClock()) as relay:
        asyncio.run(run_scenario(relay))
    assert SHARES_PER_GROUP_MAX >= 2 * DEVICES_MAX


def test_groups_are_counted_independently() -> None:
    relay, (phone, laptop) = memory_relay(), messages_for_devices(2)
    laptop.group = laptop.random_source.token(16)
    for message in (phone, laptop):
        run_sync(create_mailbox_and_post(relay, message, 1))
        assert open_share(relay, message, message.new_attempt()) == message.share


def test_group_is_deleted_with_its_last_envelope() -> None:
    clock = SettableClock()
    relay, (phone, laptop) = memory_relay(clock), messages_for_devices(2)
    laptop.until = NOON + timedelta(days=9)
    for message in (laptop, phone):
        run_sync(create_mailbox_and_post(relay, message, 1))
    for days, left in ((8, 1), (1, 0)):
        clock.advance(days=days)
        run_sync(expire(relay))
        assert count_rows(relay, StoredShareGroup) == left


async def open_concurrently(
    relay: Relay, messages: list[SampleMessage], attempt_count: int
) -> list[object]:
    openings = (
        release_key_share(
            messages[n % len(messages)].id, messages[n % len(messages)].open, n.to_bytes(16), relay
        )
        for n in range(attempt_count)
    )
    return await asyncio.gather(*openings, return_exceptions=True)


@pytest.mark.threat("n-plus-one-views")
@pytest.mark.parametrize("opens", [1, 3])
def test_concurrent_openings_on_three_devices_never_exceed_the_limit(
    tmp_path: Path, opens: int
) -> None:
    messages = messages_for_devices(3)
    with disk_relay(tmp_path, SettableClock()) as relay:
        for message in messages:
            asyncio.run(create_mailbox_and_post(relay, message, opens))
        outcomes = asyncio.run(open_concurrently(relay, messages, 100))
    assert sum(isinstance(one, Secret) for one in outcomes) == opens
    assert sum(isinstance(one, UsedUp) for one in outcomes) == 100 - opens


DEVICE_NUMBERS = st.integers(0, 2)
ATTEMPTS = st.sampled_from([bytes([n]) * 16 for n in range(2)])


class GroupOpenings(RuleBasedStateMachine):
    """Opens and takes back a message for three devices, and compares the relay with a model."""

    is_over = False  # whether the group has ended because its openings are used up

    @initialize(opens=st.integers(1, 3))
    def post_message(self, opens: int) -> None:
        self.relay, self.opens, self.messages = memory_relay(), opens, messages_for_devices(3)
        self.opened = set[tuple[int, bytes]]()
        self.finished = set[tuple[int, bytes]]()
        self.taken_back = set[int]()
        for message in self.messages:
            run_sync(create_mailbox_and_post(self.relay, message, opens))

    def is_used_up(self) -> bool:
        left = {one for one in self.opened - self.finished if one[0] not in self.taken_back}
        return self.opening_count() >= self.opens and not left and bool(self.finished)

    def opening_count(self) -> int:
        return len(self.opened)

    @rule(device=DEVICE_NUMBERS, attempt=ATTEMPTS)
    def open(self, device: int, attempt: bytes) -> None:
        message, opening = self.messages[device], (device, attempt)
        request_opening = partial(release_key_share, message.id, message.open, attempt, self.relay)
        known, over = opening in self.opened and not self.is_over, opening in self.finished
        if (
            device not in self.taken_back
            and not over
            and (known or self.opening_count() < self.opens)
        ):
            assert run_sync(request_opening()) == message.share
            self.opened.add(opening)
            return
        with pytest.raises((TakenBack, UsedUp)):
            run_sync(request_opening())

    @rule(device=DEVICE_NUMBERS, attempt=ATTEMPTS)
    def finish(self, device: int, attempt: bytes) -> None:
        message = self.messages[device]
        run_sync(finish_attempt(message.id, message.open, attempt, self.relay))
        if (device, attempt) in self.opened and device not in self.taken_back:
            self.finished.add((device, attempt))
            self.is_over = self.is_over or self.is_used_up()

    @rule(device=DEVICE_NUMBERS)
    def deliver(self, device: int) -> None:
        message = self.messages[device]
        run_sync(acknowledge(message.mailbox, message.owner, message.id, self.relay))

    @rule(device=DEVICE_NUMBERS)
    def take_back(self, device: int) -> None:
        message = self.messages[device]
        status = run_sync(withdraw(message.id, message.withdraw, self.relay))
        assert status.opened == len({one for one in self.opened if one[0] == device})
        self.taken_back.add(device)

    @invariant()
    def shares_and_blobs_match_the_model(self) -> None:
        if not hasattr(self, "messages"):
            return
        left = 0 if self.is_over else 3 - len(self.taken_back)
        assert count_rows(self.relay, StoredShare) == blob_count(self.relay) == left
        assert len(self.opened) <= self.opens


TestGroupOpenings = GroupOpenings.TestCase
TestGroupOpenings.settings = settings(max_examples=size(15, 40), stateful_step_count=25)
