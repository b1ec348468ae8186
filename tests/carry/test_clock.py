"""Tests of a relay with an implausible clock: alone, beside other relays, and across restarts."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from entrenous.base.errors import Expired, RelayClockAhead
from entrenous.base.identifiers import BlobId
from entrenous.carry.accept import accept, list_waiting_envelopes
from entrenous.carry.blob_upload import find_blob, find_upload_progress, upload_blob
from entrenous.carry.expire import expire_due
from entrenous.carry.relay import Relay, stored_clock_mark
from entrenous.carry.relay_rows import StoredLetter, StoredShare, StoredToken
from entrenous.carry.release import release_key_share
from entrenous.carry.send_tokens import add_and_drop_send_tokens
from entrenous.carry.store.postgres import open_postgres
from entrenous.carry.withdraw import envelope_status, withdraw
from entrenous.serving.host_checks import ClockMark
from entrenous.wire.relay_nouns import EnvelopeState, SendTokenChanges
from tests.carry.minute_sweep import relay_at_time
from tests.carry.relays import NOON, SampleMessage, disk_relay, memory_relay, stream
from tests.carry.test_expire import count_rows, create_mailbox_and_post
from tests.deterministic import SettableClock
from tests.in_memory.courier import run_sync
from tests.postgres import Cluster

CLOCK_ERROR = timedelta(days=400)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def relay(clock: SettableClock) -> Relay:
    """Return a relay that has made one sweep."""
    relay = memory_relay(clock)
    run_sync(expire_due(relay))
    return relay


@pytest.fixture
def message(relay: Relay) -> SampleMessage:
    """Return a message that waits at the relay and may be opened once."""
    message = SampleMessage()
    run_sync(create_mailbox_and_post(relay, message, opens=1))
    return message


def sweep_each_minute(relay: Relay, minutes: int = 1) -> list[int]:
    """Sweep once a minute; return the number of days from each RelayClockAhead error."""
    days_ahead = list[int]()
    for _ in range(minutes):
        try:
            run_sync(expire_due(relay))
        except RelayClockAhead as error:
            days_ahead.append(int(str(error.facts["days"])))
        relay.clock.advance(minutes=1)  # type: ignore[attr-defined]
    return days_ahead


def test_clock_that_is_wrong_for_minutes_expires_nothing(
    relay: Relay, clock: SettableClock, message: SampleMessage
) -> None:
    right_time = clock.moment
    clock.moment = right_time + CLOCK_ERROR
    assert sweep_each_minute(relay, 59) == [400] * 59
    clock.moment = right_time + timedelta(hours=1)
    assert sweep_each_minute(relay) == []
    assert count_rows(relay, StoredLetter, StoredShare, StoredToken) == 3
    assert [
        one.id
        for one in run_sync(list_waiting_envelopes(message.mailbox, message.owner, 0, 9, relay))
    ] == [message.id]


@pytest.mark.usefixtures("message")
def test_relay_expires_due_messages_an_hour_after_a_real_downtime(
    relay: Relay, clock: SettableClock
) -> None:
    clock.advance(days=60)
    assert sweep_each_minute(relay, 70) == [60] * 60
    assert count_rows(relay, StoredLetter, StoredShare) == 0
    clock.advance(days=1)
    assert sweep_each_minute(relay) == []


@pytest.mark.usefixtures("message")
def test_clock_jumps_and_downtime_are_no_running_time(relay: Relay, clock: SettableClock) -> None:
    """After its clock jumped, a relay has to run for an hour before it trusts the clock. A second
    jump restarts this hour, and a day of downtime counts as two minutes at most.
    """
    clock.advance(days=400)
    sweep_each_minute(relay, 40)
    clock.advance(days=30)
    sweep_each_minute(relay, 40)
    clock.advance(days=1)
    assert len(sweep_each_minute(relay, 15)) == 15
    assert count_rows(relay, StoredLetter, StoredShare) == 2


def test_clock_set_back_does_not_stop_sweeps(relay: Relay, clock: SettableClock) -> None:
    """The relay comes to trust a clock that is 400 days ahead; then the clock is corrected."""
    sweep_each_minute(relay_at_time(clock.now() + CLOCK_ERROR, relay), 70)
    run_sync(create_mailbox_and_post(relay, SampleMessage()))
    clock.advance(days=6)
    assert sweep_each_minute(relay, 70) == []
    clock.advance(days=1)
    assert sweep_each_minute(relay) == []
    assert count_rows(relay, StoredLetter) == 0
    clock.advance(days=30)
    assert sweep_each_minute(relay) == [30]  # the corrected clock jumped ahead


def test_wrong_clock_is_never_trusted_while_another_relay_sweeps(
    relay: Relay, clock: SettableClock, message: SampleMessage
) -> None:
    other = relay_at_time(clock.now() + CLOCK_ERROR, relay)
    for _ in range(180):
        assert sweep_each_minute(relay) == []
        assert sweep_each_minute(other) == [400]
    assert count_rows(relay, StoredLetter, StoredShare, StoredToken) == 3
    assert (
        run_sync(envelope_status(message.id, message.withdraw, relay)).state
        is EnvelopeState.WAITING
    )


@pytest.mark.usefixtures("message")
def test_two_relays_that_were_off_together_are_trusted(relay: Relay, clock: SettableClock) -> None:
    clock.advance(days=60)
    other = relay_at_time(clock.now() - timedelta(seconds=20), relay)
    for _ in range(62):
        sweep_each_minute(relay)
        sweep_each_minute(other)
    assert count_rows(relay, StoredLetter, StoredShare) == 0


def test_doubtful_clock_reports_nothing_as_expired(
    relay: Relay, clock: SettableClock, message: SampleMessage
) -> None:
    """Devices accept an expiry as final, so a relay in doubt about its clock refuses requests."""
    right_time = clock.moment
    clock.moment = right_time + CLOCK_ERROR
    new_blob = replace(message.blob_deposit(), id=BlobId(bytes(16)))
    no_tokens = SendTokenChanges((), (), message.until)
    for request_work in (
        lambda: release_key_share(message.id, message.open, message.new_attempt(), relay),
        lambda: envelope_status(message.id, message.withdraw, relay),
        lambda: accept(message.new_envelope(), message.token, relay),
        lambda: upload_blob(message.blob_deposit(), message.token, stream(b""), relay),
        lambda: upload_blob(new_blob, message.token, stream(b""), relay),
        lambda: find_blob(message.blob_id, message.fetch, relay),
        lambda: find_upload_progress(message.blob_id, message.withdraw, relay),
        lambda: add_and_drop_send_tokens(message.mailbox, message.owner, no_tokens, relay),
    ):
        with pytest.raises(RelayClockAhead):
            run_sync(request_work())
    clock.moment = right_time
    assert not run_sync(upload_blob(message.blob_deposit(), message.token, stream(b""), relay))
    assert run_sync(add_and_drop_send_tokens(message.mailbox, message.owner, no_tokens, relay))
    assert (
        run_sync(release_key_share(message.id, message.open, message.new_attempt(), relay))
        == message.share
    )
    assert run_sync(accept(message.new_envelope(), message.token, relay))


def test_upload_can_be_repeated_if_the_clock_was_wrong_when_it_ended(
    relay: Relay, clock: SettableClock, message: SampleMessage
) -> None:
    deposit = replace(message.blob_deposit(), id=BlobId(bytes(16)))
    right_time = clock.moment

    async def upload_while_the_clock_jumps() -> AsyncIterator[bytes]:
        yield message.blob[:2000]
        clock.moment = right_time + timedelta(days=3)
        yield message.blob[2000:]

    with pytest.raises(RelayClockAhead):
        run_sync(upload_blob(deposit, message.token, upload_while_the_clock_jumps(), relay))
    clock.moment = right_time
    came, size = run_sync(find_upload_progress(deposit.id, message.withdraw, relay))
    assert size == len(message.blob)
    assert run_sync(
        upload_blob(deposit, message.token, stream(message.blob[came:]), relay, start=came)
    )


def test_doubtful_clock_does_not_say_that_the_blob_of_a_post_has_expired(
    relay: Relay, clock: SettableClock, message: SampleMessage
) -> None:
    """The blob expires a day after its upload if it is not posted, the message only in a week."""
    blob = replace(message.blob_deposit(), id=BlobId(bytes(16)))
    assert run_sync(upload_blob(blob, message.token, stream(message.blob), relay))
    envelope = replace(message.new_envelope(), blobs=(blob.id,))
    clock.advance(days=3)
    with pytest.raises(RelayClockAhead):
        run_sync(accept(envelope, message.token, relay))
    clock.advance(days=-3)
    assert run_sync(accept(envelope, message.token, relay))


def test_withdrawal_deletes_whatever_the_clock_says(
    relay: Relay, clock: SettableClock, message: SampleMessage
) -> None:
    clock.advance(days=400)
    assert run_sync(withdraw(message.id, message.withdraw, relay)).state is EnvelopeState.TAKEN_BACK
    assert count_rows(relay, StoredLetter, StoredShare) == 0


def test_due_envelope_expires_if_the_last_sweep_was_a_day_ago(
    relay: Relay, clock: SettableClock, message: SampleMessage
) -> None:
    clock.advance(days=6)
    run_sync(expire_due(relay_at_time(clock.now() - timedelta(days=4), relay)))
    run_sync(expire_due(relay_at_time(clock.now() - timedelta(days=2), relay)))
    clock.advance(days=1)
    run_sync(expire_due(relay_at_time(clock.now() - timedelta(days=1), relay)))
    with pytest.raises(Expired):
        run_sync(release_key_share(message.id, message.open, message.new_attempt(), relay))
    assert count_rows(relay, StoredShare) == 0


@pytest.mark.parametrize("database", ["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.real)])
def test_last_sweep_is_stored_across_restarts(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The restarted relay reads the time of the first sweep.

    The sweeps one and two minutes later have not changed the stored time.
    """
    clock = SettableClock()
    for relay in relay_on_disk(database, tmp_path, clock, request):
        asyncio.run(create_mailbox_and_post(relay, SampleMessage()))
        for _ in range(3):
            asyncio.run(expire_due(relay))
            clock.advance(minutes=1)
    for relay in relay_on_disk(database, tmp_path, clock, request):
        assert asyncio.run(relay.mail.read(stored_clock_mark)) == ClockMark(NOON)
        ahead = relay_at_time(clock.now() + CLOCK_ERROR, relay)
        with pytest.raises(RelayClockAhead):
            asyncio.run(expire_due(ahead))
        mark = asyncio.run(relay.mail.read(stored_clock_mark))
        assert mark == ClockMark(NOON, ahead.clock.now())
        asyncio.run(expire_due(relay))
        assert asyncio.run(relay.mail.read(stored_clock_mark)) == ClockMark(clock.now())
        assert asyncio.run(relay.mail.read(lambda view: view.count(StoredLetter))) == 1


def relay_on_disk(
    database: str, folder: Path, clock: SettableClock, request: pytest.FixtureRequest
) -> Iterator[Relay]:
    """Yield a relay. At the next call, the new relay has the rows that this relay stored."""
    with ExitStack() as stack:
        if database == "SQLite":
            yield stack.enter_context(disk_relay(folder, clock))
            return
        cluster: Cluster = request.getfixturevalue("postgres")
        url = request.node.stash.setdefault(_DATABASE_URL, cluster.create_database())
        yield replace(memory_relay(clock), mail=stack.enter_context(closing(open_postgres(url))))


_DATABASE_URL = pytest.StashKey[str]()
