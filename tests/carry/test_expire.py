"""Tests of expiry: how long a relay keeps rows, blobs and ids, and what is left on the disk."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from entrenous.base.errors import Expired, NoSuchEnvelope
from entrenous.base.identifiers import DeviceId, EnvelopeId, MailboxId
from entrenous.base.secret import Secret
from entrenous.carry.accept import accept, acknowledge, list_waiting_envelopes
from entrenous.carry.blob_upload import upload_blob
from entrenous.carry.mailbox import claim_prekeys, create_mailbox, replace_prekeys
from entrenous.carry.relay import Relay
from entrenous.carry.relay_rows import (
    KEY_FIELDS,
    OrphanBlob,
    ReusableKeys,
    StoredAttempt,
    StoredBlob,
    StoredEnvelope,
    StoredLetter,
    StoredMailbox,
    StoredRestore,
    StoredShare,
    StoredSweep,
    StoredToken,
    StoredUpload,
    UsedOneTimeKey,
)
from entrenous.carry.release import finish_attempt, release_key_share
from entrenous.carry.send_tokens import register_send_token
from entrenous.carry.withdraw import envelope_status, withdraw
from entrenous.crypto.hashing import token_hash
from entrenous.wire.relay_nouns import EnvelopeState, Prekeys
from tests.carry.minute_sweep import expire
from tests.carry.relays import SampleMessage, disk_relay, memory_relay, run, stream
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.blobs import MemoryBlobs
from tests.in_memory.courier import run_sync

CONTENT_ROW_TYPES = (StoredLetter, StoredShare, StoredBlob, StoredAttempt, OrphanBlob)
ROW_TYPES_EXCEPT_SWEEP = tuple(row_type for row_type in KEY_FIELDS if row_type is not StoredSweep)
DEVICE = DeviceId(b"D" * 16)


async def create_mailbox_and_post(
    relay: Relay, message: SampleMessage, opens: int | None = None
) -> None:
    """Create a mailbox with a send token, upload the message's blob and post the envelope."""
    await create_mailbox(message.mailbox, token_hash(message.owner), relay)
    await register_send_token(message.mailbox, message.owner, message.send_token(), relay)
    await upload_blob(message.blob_deposit(), message.token, stream(message.blob), relay)
    await accept(message.envelope(opens), message.token, relay)


def count_rows(relay: Relay, *row_types: type) -> int:
    return run(relay.mail.read(lambda view: sum(view.count(row_type) for row_type in row_types)))


def blob_count(relay: Relay) -> int:
    """Return the number of blobs that a relay in memory stores."""
    assert isinstance(relay.blobs, MemoryBlobs)
    return len(relay.blobs)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def relay(clock: SettableClock) -> Relay:
    return memory_relay(clock)


async def open_message(relay: Relay, message: SampleMessage) -> None:
    attempt = message.new_attempt()
    await acknowledge(message.mailbox, message.owner, message.id, relay)
    await release_key_share(message.id, message.open, attempt, relay)
    await finish_attempt(message.id, message.open, attempt, relay)


async def take_back_message(relay: Relay, message: SampleMessage) -> None:
    await withdraw(message.id, message.withdraw, relay)


async def let_message_expire(relay: Relay, _: SampleMessage) -> None:
    relay.clock.advance(days=7)  # type: ignore[attr-defined]
    await expire(relay)


WAYS_TO_END_A_MESSAGE = [open_message, take_back_message, let_message_expire]
EndMessage = Callable[[Relay, SampleMessage], Coroutine[Any, Any, None]]


@pytest.mark.parametrize("end_message", WAYS_TO_END_A_MESSAGE)
def test_content_is_deleted_at_the_end_and_the_tombstone_thirty_days_later(
    relay: Relay, clock: SettableClock, end_message: EndMessage
) -> None:
    message = SampleMessage()
    run_sync(create_mailbox_and_post(relay, message, opens=1))
    assert (count_rows(relay, StoredLetter, StoredShare, StoredBlob), blob_count(relay)) == (3, 1)
    run_sync(end_message(relay, message))
    assert (count_rows(relay, *CONTENT_ROW_TYPES), blob_count(relay)) == (0, 0)
    clock.advance(days=30, seconds=-1)
    run_sync(expire(relay))
    assert count_rows(relay, StoredEnvelope) == 1
    clock.advance(seconds=1)
    run_sync(expire(relay))
    assert (
        count_rows(relay, *ROW_TYPES_EXCEPT_SWEEP)
        == count_rows(relay, StoredMailbox, StoredToken)
        == 2
    )


def test_taking_back_twice_does_not_keep_the_tombstone_longer(
    relay: Relay, clock: SettableClock
) -> None:
    message = SampleMessage()
    run_sync(create_mailbox_and_post(relay, message))
    run_sync(withdraw(message.id, message.withdraw, relay))
    clock.advance(days=20)
    run_sync(withdraw(message.id, message.withdraw, relay))
    clock.advance(days=10)
    run_sync(expire(relay))
    assert count_rows(relay, StoredEnvelope) == 0


def test_reading_a_due_envelope_expires_it(relay: Relay, clock: SettableClock) -> None:
    """No sweep runs. The relay lists no envelope, releases no share, and deletes the content."""
    message = SampleMessage()
    run_sync(create_mailbox_and_post(relay, message))
    clock.advance(days=7)
    assert run_sync(list_waiting_envelopes(message.mailbox, message.owner, 0, 50, relay)) == []
    with pytest.raises(Expired):
        run_sync(release_key_share(message.id, message.open, message.new_attempt(), relay))
    assert (count_rows(relay, *CONTENT_ROW_TYPES), blob_count(relay)) == (0, 0)
    status = run_sync(envelope_status(message.id, message.withdraw, relay))
    assert status.state is EnvelopeState.EXPIRED


def test_unfinished_opening_expires_with_its_envelope(relay: Relay, clock: SettableClock) -> None:
    message = SampleMessage()
    run_sync(create_mailbox_and_post(relay, message, opens=1))
    run_sync(release_key_share(message.id, message.open, message.new_attempt(), relay))
    clock.advance(days=6)
    run_sync(expire(relay))
    assert blob_count(relay) == 1
    clock.advance(days=1)
    run_sync(expire(relay))
    assert (count_rows(relay, *CONTENT_ROW_TYPES), blob_count(relay)) == (0, 0)


def test_unreferenced_blob_expires_after_a_day(relay: Relay, clock: SettableClock) -> None:
    message = SampleMessage()
    run_sync(create_mailbox(message.mailbox, token_hash(message.owner), relay))
    run_sync(register_send_token(message.mailbox, message.owner, message.send_token(), relay))
    run_sync(upload_blob(message.blob_deposit(), message.token, stream(message.blob), relay))
    clock.advance(hours=24, seconds=-1)
    run_sync(expire(relay))
    assert blob_count(relay) == 1
    clock.advance(seconds=1)
    run_sync(expire(relay))
    assert (count_rows(relay, *CONTENT_ROW_TYPES), blob_count(relay)) == (0, 0)
    assert run_sync(upload_blob(message.blob_deposit(), message.token, stream(message.blob), relay))


def test_upload_interrupted_by_a_crash_is_deleted_by_a_sweep(
    relay: Relay, clock: SettableClock
) -> None:
    """The relay stores a blob's name before the bytes, so sweeps need not list all files."""
    message = SampleMessage()
    run_sync(create_mailbox(message.mailbox, token_hash(message.owner), relay))
    run_sync(register_send_token(message.mailbox, message.owner, message.send_token(), relay))

    class Crash(BaseException):
        pass

    async def store_then_crash(*given: Any) -> None:
        await MemoryBlobs.store(relay.blobs, *given)
        relay.mail.transact = None  # type: ignore[method-assign, assignment]
        raise Crash

    transact = relay.mail.transact
    relay.blobs.store = store_then_crash  # type: ignore[method-assign]
    with pytest.raises(Crash):
        run_sync(upload_blob(message.blob_deposit(), message.token, stream(message.blob), relay))
    relay.mail.transact = transact  # type: ignore[method-assign]
    assert (count_rows(relay, StoredUpload), blob_count(relay)) == (1, 1)
    clock.advance(days=1)
    run_sync(expire(relay))
    assert (count_rows(relay, StoredUpload, OrphanBlob), blob_count(relay)) == (0, 0)


def test_tokens_and_spent_keys_expire(relay: Relay, clock: SettableClock) -> None:
    message = SampleMessage()
    run_sync(create_mailbox(message.mailbox, token_hash(message.owner), relay))
    until = clock.now() + timedelta(days=10)
    run_sync(
        register_send_token(message.mailbox, message.owner, message.send_token(None, until), relay)
    )
    keys = Prekeys((b"one",), b"fallback", b"xwing")
    run_sync(replace_prekeys(message.mailbox, message.owner, DEVICE, keys, relay))
    run_sync(claim_prekeys(message.mailbox, message.token, DEVICE, relay))
    assert count_rows(relay, StoredToken, UsedOneTimeKey) == 2
    clock.advance(days=10)
    run_sync(expire(relay))
    assert count_rows(relay, StoredToken, UsedOneTimeKey) == 1
    clock.advance(days=20)
    run_sync(expire(relay))
    assert (
        count_rows(relay, *ROW_TYPES_EXCEPT_SWEEP)
        == count_rows(relay, StoredMailbox, ReusableKeys)
        == 2
    )


def test_sweep_deletes_more_rows_than_one_batch(relay: Relay, clock: SettableClock) -> None:
    message = SampleMessage()
    run_sync(create_mailbox(message.mailbox, token_hash(message.owner), relay))
    run_sync(register_send_token(message.mailbox, message.owner, message.send_token(), relay))
    for _ in range(250):
        run_sync(accept(message.new_envelope(), message.token, relay))
    clock.advance(days=7)
    run_sync(expire(relay))
    assert (count_rows(relay, StoredLetter), count_rows(relay, StoredEnvelope)) == (0, 250)


# --- bytes on the disk --------------------------------------------------------------------------


class ManyMessages:
    """Sixty messages for one relay, and the secrets that a test searches for on the disk."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.random_source = SeededRandomSource()
        self.messages = [self.make_message(n) for n in range(60)]

    def make_message(self, number: int) -> SampleMessage:
        sealed = self.random_source.token(300 + number * 97)
        return SampleMessage(random_source=self.random_source, sealed=sealed)

    async def post_all(self) -> None:
        await asyncio.gather(
            *(create_mailbox_and_post(self.relay, message, opens=1) for message in self.messages)
        )

    async def open_and_withdraw(self) -> None:
        """Open a third of the messages, take back a third, and leave a third as it is."""
        for number, message in enumerate(self.messages):
            if number % 3 == 0:
                await open_message(self.relay, message)
            if number % 3 == 1:
                await withdraw(message.id, message.withdraw, self.relay)

    def secrets(self) -> list[bytes]:
        """Return the parts of :func:`secret_parts` for every message."""
        return [part for message in self.messages for part in secret_parts(message)]


def count_found_in_files(folder: Path, byte_strings: list[bytes]) -> int:
    """Return how many of the byte strings are in at least one file below the folder."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return sum(any(one in file for file in files) for one in byte_strings)


@pytest.mark.slow
@pytest.mark.threat("account-takeover")
def test_ended_messages_leave_no_content_and_later_no_id_on_the_disk(tmp_path: Path) -> None:
    clock = SettableClock()
    with disk_relay(tmp_path, clock) as relay:
        messages = ManyMessages(relay)
        planted = messages.secrets()
        asyncio.run(messages.post_all())
        assert count_found_in_files(tmp_path, planted) == len(planted)
        asyncio.run(messages.open_and_withdraw())
        asyncio.run(expire(relay))
        bytes_of_ended_messages = [
            one
            for n, message in enumerate(messages.messages)
            if n % 3 < 2
            for one in secret_parts(message)
        ]
        assert count_found_in_files(tmp_path, bytes_of_ended_messages) == 0
        clock.advance(days=7)
        asyncio.run(expire(relay))
        assert count_found_in_files(tmp_path, planted) == 0
        ids = [message.id for message in messages.messages]
        assert count_found_in_files(tmp_path, ids) == len(ids)
        clock.advance(days=30)
        asyncio.run(expire(relay))
        assert count_found_in_files(tmp_path, ids) == 0


def secret_parts(message: SampleMessage) -> list[bytes]:
    """Return four pieces of 16 bytes: both ends of the sealed letter, a part of the share, and a
    part of the blob.
    """
    return [
        message.sealed[:16],
        message.sealed[-16:],
        message.share.reveal()[:16],
        message.blob[2000:2016],
    ]


@pytest.mark.threat("account-takeover")
def test_tokens_are_stored_only_as_hashes(tmp_path: Path) -> None:
    with disk_relay(tmp_path, SettableClock()) as relay:
        message = SampleMessage()
        asyncio.run(create_mailbox_and_post(relay, message))
        asyncio.run(release_key_share(message.id, message.open, message.new_attempt(), relay))
        tokens: list[Secret] = [
            message.owner,
            message.token,
            message.fetch,
            message.open,
            message.withdraw,
        ]
        assert count_found_in_files(tmp_path, [token.reveal() for token in tokens]) == 0
        assert count_found_in_files(tmp_path, [token_hash(token) for token in tokens]) == len(
            tokens
        )


@pytest.mark.slow
def test_deleted_shares_leave_no_bytes_between_kept_ones(tmp_path: Path) -> None:
    """Small rows share database pages; deleted rows must not leave bytes between the others."""
    random_source = SeededRandomSource()
    box = MailboxId(random_source.token(16))
    shares = [
        StoredShare(EnvelopeId(random_source.token(16)), Secret(random_source.token(32)), 1, box)
        for _ in range(3000)
    ]
    with disk_relay(tmp_path, SettableClock()) as relay:
        mail = relay.mail
        for start in range(0, 3000, 100):
            batch = shares[start : start + 100]
            asyncio.run(mail.transact(lambda tx, batch=batch: [tx.put(one) for one in batch]))
        deleted, kept = shares[::2], shares[1::2]
        asyncio.run(
            mail.transact(lambda tx: [tx.drop(StoredShare, one.envelope) for one in deleted])
        )
        asyncio.run(mail.clear_deleted_rows())
        assert count_found_in_files(tmp_path, [one.value.reveal() for one in kept]) == len(kept)
        assert count_found_in_files(tmp_path, [one.value.reveal() for one in deleted]) == 0


# --- ids of unknown envelopes ---------------------------------------------------------------------


def test_id_withdrawn_before_its_post_is_stored_for_an_hour(
    relay: Relay, clock: SettableClock
) -> None:
    message = SampleMessage()
    run_sync(create_mailbox(message.mailbox, token_hash(message.owner), relay))
    run_sync(register_send_token(message.mailbox, message.owner, message.send_token(), relay))
    with pytest.raises(NoSuchEnvelope, check=lambda error: "refused_until" in error.facts):
        run_sync(withdraw(message.id, message.withdraw, relay))
    clock.advance(minutes=59)
    run_sync(expire(relay))
    assert count_rows(relay, StoredEnvelope) == 1
    clock.advance(minutes=1)
    run_sync(expire(relay))
    assert count_rows(relay, StoredEnvelope) == 0
    run_sync(accept(message.envelope(blobs=False), message.token, relay))
    assert (
        run_sync(envelope_status(message.id, message.withdraw, relay)).state
        is EnvelopeState.WAITING
    )


@pytest.mark.parametrize("days", [29, 30])
def test_end_of_a_refusal_is_stated_only_if_the_last_restore_was_thirty_days_ago(
    relay: Relay, clock: SettableClock, days: int
) -> None:
    """For thirty days after a restore, an unknown envelope may have been posted and opened after
    the backup, so the relay does not say until when it refuses the id.
    """
    message, restored = SampleMessage(), StoredRestore(1, clock.now())
    run_sync(relay.mail.transact(lambda tx: tx.put(restored)))
    clock.advance(days=days)
    with pytest.raises(NoSuchEnvelope) as error:
        run_sync(withdraw(message.id, message.withdraw, relay))
    assert ("refused_until" in error.value.facts) is (days == 30)
    assert count_rows(relay, StoredEnvelope) == 1  # this row makes the relay refuse a later post
